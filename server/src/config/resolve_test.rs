//! Defaults, bounds and how flags hang together.

use std::time::Duration;

use super::command_test::{read, refusal, serve};
use super::*;

fn config(args: &[&str]) -> Config {
    serve(read(args, &[], &[])).0
}

fn notices(args: &[&str]) -> Vec<Notice> {
    serve(read(args, &[], &[])).1
}

#[test]
fn defaults_are_etcds() {
    let config = config(&[]);
    assert_eq!(config.name, "default");
    assert_eq!(config.data_dir.to_str(), Some("default.etcd"));
    assert_eq!(config.snapshot_count, 10_000);
    assert_eq!(config.snapshot_catchup_entries, 5_000);
    assert_eq!(config.heartbeat_interval, Duration::from_millis(100));
    assert_eq!(config.election_timeout, Duration::from_secs(1));
    assert_eq!(config.request_timeout(), Duration::from_secs(7));
    assert_eq!(config.quota_backend_bytes, Some(2 << 30));
    assert_eq!(config.max_txn_ops, 128);
    assert_eq!(config.max_request_bytes, 1_572_864);
    assert_eq!(config.max_concurrent_streams, u32::MAX);
    assert_eq!(config.grpc_keepalive_min_time, Duration::from_secs(5));
    assert_eq!(config.grpc_keepalive_interval, Some(Duration::from_secs(7200)));
    assert_eq!(config.grpc_keepalive_timeout, Some(Duration::from_secs(20)));
    assert_eq!(url::join(&config.listen_client_urls), "http://localhost:2379");
    assert_eq!(url::join(&config.listen_peer_urls), "http://localhost:2380");
    assert_eq!(config.initial_cluster, "default=http://localhost:2380");
    assert_eq!(config.initial_cluster_token, "etcd-cluster");
    assert_eq!(config.initial_cluster_state, InitialClusterState::New);
    assert_eq!(config.auto_compaction, AutoCompaction::Off);
    assert_eq!(config.compaction_batch_limit, 1000);
    assert_eq!(config.compaction_sleep_interval, Duration::from_millis(10));
    assert_eq!(config.watch_progress_notify_interval, Duration::from_secs(600));
    assert_eq!(config.corrupt_check_time, None);
    assert_eq!(config.max_learners, 1);
    assert_eq!(config.warning_apply_duration, Duration::from_millis(100));
    assert_eq!(config.warning_unary_request_duration, Duration::from_millis(300));
    assert_eq!(config.log, Log::default());
    assert!(config.pre_vote && config.strict_reconfig_check && config.enable_grpc_gateway);
    assert!(!config.extensive_metrics && !config.unsafe_no_fsync && !config.force_new_cluster);
    assert_eq!((config.cors, config.host_whitelist), (vec!["*".to_owned()], vec!["*".to_owned()]));
}

#[test]
fn values_out_of_bounds_are_refused() {
    for (args, message) in [
        (
            ["--election-timeout=100"].as_slice(),
            "--election-timeout[100ms] should be at least as 5 times as --heartbeat-interval[100ms]",
        ),
        (&["--election-timeout=50001"], "--election-timeout[50001ms] is too long, and should be set less than 50000ms"),
        (&["--heartbeat-interval=0"], "--heartbeat-interval must be >0 (set to 0ms)"),
        (&["--compact-hash-check-time=0s"], "--compact-hash-check-time must be >0 (set to 0s)"),
        (&["--max-learners=0"], "--max-learners must be >0 (set to 0)"),
        (&["--corrupt-check-time=-1s"], "--corrupt-check-time must not be negative (set to -1s)"),
        (&["--compaction-batch-limit=-1"], "--compaction-batch-limit must not be negative (set to -1)"),
        (&["--metrics=all"], r#"--metrics "all" is not supported: use "basic" or "extensive""#),
        (
            &["--log-level=loud"],
            r#"unknown log level "loud" for --log-level: use debug, info, warn, error, panic or fatal"#,
        ),
        (&["--log-format=xml"], r#"unknown log format "xml" for --log-format: use json or console"#),
        (&["--logger=capnslog"], "--logger=capnslog is removed in v3.5"),
        (&["--log-outputs=default,a.log"], r#"multi logoutput for "default" is not supported yet"#),
        (
            &["--enable-log-rotation"],
            "--log-outputs requires a single file path when --log-rotate-config-json is defined",
        ),
        (
            &["--feature-gates=LeaseCheckpointPersist=true"],
            "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint",
        ),
        (
            &["--tls-min-version=TLS1.1"],
            r#"unexpected TLS version "TLS1.1" for --tls-min-version: use TLS1.2 or TLS1.3"#,
        ),
        (
            &["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"],
            "min version (TLS1.3) is greater than max version (TLS1.2)",
        ),
        (
            &["--tls-min-version=TLS1.3", "--cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA"],
            "cipher suites cannot be configured when only TLS1.3 is enabled",
        ),
        (
            &["--discovery-fallback=proxy"],
            r#"v2 proxy is deprecated, and --discovery-fallback can't be configured as "proxy""#,
        ),
        (
            &["--discovery=http://a/t", "--discovery-srv=example.com"],
            r#"multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery", "discovery-endpoints" or "discovery-srv""#,
        ),
        (
            &["--discovery=ftp://a/t"],
            "--discovery=ftp://a/t can't be used: an address with http:// or https:// is wanted",
        ),
        (
            &["--discovery=http://a/"],
            "--discovery=http://a can't be used: the token is missing: the path of the URL that a service has made",
        ),
        (
            &["--discovery=http://a/t", "--discovery-proxy=a:1"],
            "--discovery-proxy=a:1 can't be used: an address of the form http://HOST:PORT is wanted",
        ),
        (
            &["--discovery-proxy=http://a:1"],
            "--discovery-proxy is the way to a discovery service: give its URL by --discovery",
        ),
        (&["--discovery-token=t"], "both --discovery-token and --discovery-endpoints must be set"),
    ] {
        assert_eq!(refusal(read(args, &[], &[])), message);
    }
}

#[test]
fn addresses_follow_etcds_rules() {
    for (args, message) in [
        (
            ["--listen-client-urls=http://127.0.0.1:1"].as_slice(),
            "--advertise-client-urls is required when --listen-client-urls is set explicitly",
        ),
        (
            &["--listen-client-urls=http://a.b:1", "--advertise-client-urls=http://a:1"],
            "expected IP in URL for binding (http://a.b:1)",
        ),
        (&["--listen-metrics-urls=http://a.b:1"], "expected IP in URL for binding (http://a.b:1)"),
        (
            &["--listen-client-http-urls=http://localhost:2379"],
            "http://localhost:2379 is in both --listen-client-urls and --listen-client-http-urls; remove it from one of them",
        ),
        (
            &["--initial-advertise-peer-urls=http://:2380"],
            r#"--initial-advertise-peer-urls "http://:2380" must be "host:port" (unexpected empty host (http://:2380))"#,
        ),
    ] {
        assert_eq!(refusal(read(args, &[], &[])), message);
    }
    let args = ["--listen-client-urls=http://127.0.0.1:1", "--advertise-client-urls=http://example.com:1"];
    assert_eq!(url::join(&config(&args).advertise_client_urls), "http://example.com:1");
    assert!(notices(&[]).contains(&Notice::SharedPort));
    assert!(!notices(&["--listen-client-http-urls=http://localhost:1"]).contains(&Notice::SharedPort));
}

#[test]
fn the_first_cluster_follows_the_name() {
    for (args, list) in [
        (["--name=a"].as_slice(), "a=http://localhost:2380"),
        (&["--name=a", "--initial-advertise-peer-urls=http://b:1,http://c:2"], "a=http://b:1,a=http://c:2"),
        (&["--name=a", "--initial-cluster=a=http://x:1"], "a=http://x:1"),
        (&["--initial-advertise-peer-urls=http://b:1"], "default=http://localhost:2380"),
    ] {
        assert_eq!(config(args).initial_cluster, list);
    }
}

#[test]
fn a_member_that_listens_everywhere_advertises_the_machines_address() {
    let args = ["--name=a", "--listen-peer-urls=http://0.0.0.0:7001"];
    let (config, notices) = serve(read(&args, &[], &[]));
    assert_eq!(url::join(&config.advertise_peer_urls), "http://10.1.2.3:7001");
    assert_eq!(url::join(&config.advertise_client_urls), "http://localhost:2379");
    assert_eq!(config.initial_cluster, "a=http://10.1.2.3:7001");
    assert!(notices.contains(&Notice::DefaultHost { host: "10.1.2.3".to_owned() }));
}

#[test]
fn quotas_and_limits_are_resolved_and_commented() {
    assert_eq!(config(&["--quota-backend-bytes=-1"]).quota_backend_bytes, None);
    assert_eq!(config(&["--quota-backend-bytes=0x100"]).quota_backend_bytes, Some(256));
    let large = 9_u64 << 30;
    assert!(
        notices(&[&format!("--quota-backend-bytes={large}")])
            .contains(&Notice::LargeQuota { bytes: large, recommended: 8 << 30 })
    );
    assert!(
        notices(&["--max-request-bytes=10485761"])
            .contains(&Notice::LargeRequests { bytes: 10_485_761, recommended: 10_485_760 })
    );
    let config = config(&[
        "--snapshot-count=0",
        "--watch-progress-notify-interval=1ms",
        "--raft-read-timeout=1s",
        "--grpc-keepalive-interval=0s",
        "--bcrypt-cost=99",
    ]);
    assert_eq!(config.snapshot_count, 10_000);
    assert_eq!(config.watch_progress_notify_interval, Duration::from_millis(100));
    assert_eq!(config.raft_read_timeout, Duration::from_secs(5));
    assert_eq!(config.grpc_keepalive_interval, None);
    assert_eq!(config.bcrypt_cost, 10);
}

#[test]
fn auto_compaction_reads_hours_durations_and_revisions() {
    let periodic = |seconds| AutoCompaction::Periodic(Duration::from_secs(seconds));
    for (mode, retention, expected) in [
        ("periodic", "0", AutoCompaction::Off),
        ("revision", "0", AutoCompaction::Off),
        ("periodic", "8", periodic(8 * 3600)),
        ("periodic", "5m", periodic(300)),
        ("periodic", "0s", AutoCompaction::Off),
        ("revision", "1000", AutoCompaction::Revision(1000)),
    ] {
        let flags = [format!("--auto-compaction-mode={mode}"), format!("--auto-compaction-retention={retention}")];
        assert_eq!(config(&[&flags[0], &flags[1]]).auto_compaction, expected, "{flags:?}");
    }
    for (mode, retention, message) in [
        (
            "periodic",
            "soon",
            r#"error parsing --auto-compaction-retention "soon": use a number of hours or a duration such as 30m"#,
        ),
        (
            "revision",
            "5m",
            r#"error parsing --auto-compaction-retention "5m": use a number of revisions with --auto-compaction-mode=revision"#,
        ),
        ("yearly", "1", r#"unknown auto-compaction-mode "yearly""#),
        ("", "1", "undefined auto-compaction-mode"),
    ] {
        let flags = [format!("--auto-compaction-mode={mode}"), format!("--auto-compaction-retention={retention}")];
        assert_eq!(refusal(read(&[&flags[0], &flags[1]], &[], &[])), message);
    }
}

#[test]
fn log_flags_are_resolved() {
    let config = config(&[
        "--log-outputs=stdout,a.log,systemd/journal,stdout",
        "--log-level=WARN",
        "--log-format=console",
        "--enable-log-rotation",
        r#"--log-rotation-config-json={"maxsize": 1, "maxage": 2, "maxbackups": 3}"#,
    ]);
    assert_eq!(
        config.log,
        Log {
            level: LogLevel::Warn,
            format: LogFormat::Console,
            outputs: vec![LogOutput::Stdout, LogOutput::File("a.log".into()), LogOutput::Journal],
            rotation: Some(LogRotation {
                max_size_bytes: 1 << 20,
                max_age: Some(Duration::from_secs(2 * 86_400)),
                max_backups: Some(3),
                in_local_time: false,
                compresses: false,
            }),
        }
    );
}

#[test]
fn gates_without_effect_are_told_when_they_are_moved() {
    let told = |args: &[&str]| -> Vec<String> {
        let flag = |notice| match notice {
            Notice::NoEffect { flag, .. } => flag.strip_prefix("feature-gates=").map(str::to_owned),
            _ => None,
        };
        notices(args).into_iter().filter_map(flag).collect()
    };
    assert_eq!(told(&[]), Vec::<String>::new());
    assert_eq!(told(&["--feature-gates=PriorityRequest=false,FastLeaseKeepAlive=true"]), Vec::<String>::new());
    assert_eq!(told(&["--feature-gates=InitialCorruptCheck=true"]), Vec::<String>::new());
    let alpha = ["LeaseCheckpoint", "LeaseCheckpointPersist", "PriorityRequest"];
    assert_eq!(told(&["--feature-gates=AllAlpha=true"]), alpha);
    assert_eq!(told(&["--feature-gates=AllBeta=false"]), ["FastLeaseKeepAlive", "TxnModeWriteWithSharedBuffer"]);
    assert_eq!(told(&["--experimental-enable-lease-checkpoint=true"]), ["LeaseCheckpoint"]);
}
