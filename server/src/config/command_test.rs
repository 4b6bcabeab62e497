//! Transcripts: a command line, an environment and a file on one side; what comes of them on the other.

use super::*;

/// Reads as the process would, in a world with the given files.
pub(super) fn read(args: &[&str], variables: &[(&str, &str)], files: &[(&str, &str)]) -> Command {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let files: Vec<(String, String)> = files.iter().map(pair).collect();
    Command::read(&Sources {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        variables: variables.iter().map(pair).collect(),
        read_file: Box::new(move |path| {
            let found = files.iter().find(|(name, _)| name == path).map(|(_, text)| text.clone());
            found.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))
        }),
        default_host: Box::new(|| Some(std::net::IpAddr::from([10, 1, 2, 3]))),
    })
}

pub(super) fn serve(command: Command) -> (Config, Vec<Notice>) {
    match command {
        Command::Serve { config, notices } => (*config, notices),
        other => panic!("{other:?}"),
    }
}

pub(super) fn refusal(command: Command) -> String {
    match command {
        Command::Refuse { error, .. } => error.line(),
        other => panic!("{other:?}"),
    }
}

fn printed(command: Command) -> Output {
    match command {
        Command::Print(output) => output,
        other => panic!("{other:?}"),
    }
}

#[test]
fn version_has_etcds_lines_and_ours() {
    let output = printed(read(&["--version"], &[], &[]));
    let keys: Vec<&str> = output.stdout.lines().map(|line| line.split_once(": ").unwrap().0).collect();
    assert_eq!(keys, ["etcd Version", "Git SHA", "Go Version", "Go OS/Arch", "Quorate Version"]);
    assert!(output.stdout.starts_with("etcd Version: 3.7.3\n"));
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
}

#[test]
fn help_goes_to_both_streams_and_names_every_flag() {
    let output = printed(read(&["--help"], &[], &[]));
    assert_eq!(output.status, 0);
    assert!(output.stderr.starts_with("Usage:\n\n  etcd [flags]\n"));
    for flag in table::FLAGS.iter().filter(|flag| !matches!(flag.group, table::Group::Legacy | table::Group::Meta)) {
        assert!(output.stdout.contains(&format!("\n  --{} '", flag.name)), "{}", flag.name);
    }
    for line in [
        "  --heartbeat-interval '100'",
        "  --data-dir '${name}.etcd'",
        "  --grpc-keepalive-interval '2h'",
        "    InitialCorruptCheck=true|false (ALPHA - default=false)",
    ] {
        assert!(output.stdout.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn a_bad_command_line_ends_with_status_2_and_the_usage() {
    let output = printed(read(&["--foo"], &[], &[]));
    assert_eq!((output.status, output.stdout.as_str()), (2, ""));
    assert!(output.stderr.starts_with("flag provided but not defined: -foo\nUsage:\n"));
}

#[test]
fn leftovers_are_refused() {
    assert_eq!(refusal(read(&["--name", "a", "b"], &[], &[])), r#""b" is not a valid flag"#);
}

#[test]
fn the_environment_fills_in_what_the_command_line_left_out() {
    let (config, notices) = serve(read(
        &["--name", "a"],
        &[
            ("ETCD_HEARTBEAT_INTERVAL", "200"),
            ("ETCD_QUOTA_BACKEND_BYTES", ""),
            ("ETCD_SERVICE_HOST", "10.0.0.1"),
            ("ETCD_VERSION", "v3.7.3"),
            ("ETCDCTL_API", "3"),
        ],
        &[],
    ));
    assert_eq!(config.heartbeat_interval.as_millis(), 200);
    let expected = [
        Notice::EnvUsed { name: "ETCD_HEARTBEAT_INTERVAL".to_owned(), value: "200".to_owned() },
        Notice::EnvUnknown { text: "ETCD_QUOTA_BACKEND_BYTES=".to_owned() },
        Notice::EnvUnknown { text: "ETCD_SERVICE_HOST=10.0.0.1".to_owned() },
        Notice::EnvVersionDropped { value: "v3.7.3".to_owned() },
    ];
    assert_eq!(notices[..4], expected);
}

#[test]
fn a_flag_and_its_variable_conflict() {
    for value in ["b", ""] {
        let command = read(&["--name", "a"], &[("ETCD_NAME", value)], &[]);
        assert!(matches!(
            command,
            Command::Refuse { error: Error::EnvConflict { variable }, .. } if variable == "ETCD_NAME"
        ));
    }
}

#[test]
fn a_bad_variable_is_named() {
    assert_eq!(
        refusal(read(&[], &[("ETCD_HEARTBEAT_INTERVAL", "x")], &[])),
        r#"invalid value "x" for ETCD_HEARTBEAT_INTERVAL: parse error"#
    );
}

#[test]
fn a_file_replaces_flags_and_environment() {
    let file = "
name: filed
data-dir: /var/lib/etcd
heartbeat-interval: 200
election-timeout: 2000
listen-client-urls: http://127.0.0.1:2379,http://127.0.0.1:12379
listen-client-http-urls:
initial-cluster-state: ''
initial-cluster:
watch-progress-notify-interval: 5000000000
log-outputs: [stdout]
max-txn-ops: 1024
socket-options: {reuse-port: true}
discovery:
discovery-fallback: proxy
feature-gates: InitialCorruptCheck=true
client-transport-security: {cert-file: , client-cert-auth: false}
";
    for (args, variables) in [
        (["--name", "flagged", "--config-file", "f.yml"].as_slice(), [].as_slice()),
        (&["--name", "flagged"], &[("ETCD_CONFIG_FILE", "f.yml"), ("ETCD_NAME", "environed")]),
    ] {
        let (config, notices) = serve(read(args, variables, &[("f.yml", file)]));
        assert_eq!(config.name, "filed");
        assert_eq!(config.wal_path().to_str(), Some("/var/lib/etcd/member/wal"));
        assert_eq!(config.watch_progress_notify_interval.as_secs(), 5);
        assert_eq!(config.listen_client_urls.len(), 2);
        assert_eq!(config.log.outputs, [LogOutput::Stdout]);
        assert_eq!((config.max_txn_ops, config.socket_reuse_port), (1024, true));
        assert!(config.feature_gates.enabled(Gate::InitialCorruptCheck));
        assert_eq!(config.initial_cluster, "filed=http://localhost:2380");
        assert!(notices.contains(&Notice::FileLoaded { path: "f.yml".to_owned() }));
        assert!(notices.contains(&Notice::FileKeyIgnored { key: "discovery-fallback".to_owned() }));
    }
}

#[test]
fn a_file_may_be_json() {
    let file = r#"{"name": "j", "auto-compaction-retention": 1, "cors": "http://a:1,http://b:2"}"#;
    let (config, _) = serve(read(&["--config-file=f"], &[], &[("f", file)]));
    assert_eq!(config.auto_compaction, AutoCompaction::Periodic(std::time::Duration::from_secs(3600)));
    assert_eq!(config.cors, ["http://a:1", "http://b:2"]);
}

#[test]
fn bad_files_name_the_key() {
    for (file, message) in [
        ("- a", "--config-file f must be a map of flag names to values"),
        (
            "grpc-keepalive-timeout: 10s",
            r#"invalid value for key "grpc-keepalive-timeout" of the configuration file: must be an integer of nanoseconds in the file (600000000000 for 10m)"#,
        ),
        ("max-txn-ops: -1", r#"invalid value for key "max-txn-ops" of the configuration file: parse error"#),
        ("pre-vote: 1", r#"invalid value for key "pre-vote" of the configuration file: must be true or false"#),
        (
            "peer-transport-security: x",
            r#"invalid value for key "peer-transport-security" of the configuration file: must be a map"#,
        ),
        (
            "discovery-config: {client: {endpoints: [a:1], secure: {cert: c}}}",
            "both --discovery-token and --discovery-endpoints must be set",
        ),
    ] {
        assert_eq!(refusal(read(&["--config-file=f"], &[], &[("f", file)])), message);
    }
    assert!(refusal(read(&["--config-file=none"], &[], &[])).starts_with("cannot read --config-file none: "));
}

#[test]
fn removed_flags_are_read_as_their_successors() {
    let (config, notices) = serve(read(
        &[
            "--experimental-initial-corrupt-check=true",
            "--experimental-watch-progress-notify-interval=5s",
            "--experimental-compaction-batch-limit=7",
            "--compaction-batch-limit=9",
            "--enable-v2",
            "--debug",
            "--proxy=off",
            "--vv",
            "--max-snapshots=3",
        ],
        &[],
        &[],
    ));
    assert!(config.feature_gates.enabled(Gate::InitialCorruptCheck));
    assert_eq!(config.watch_progress_notify_interval.as_secs(), 5);
    assert_eq!(config.compaction_batch_limit, 9);
    assert_eq!(config.log.level, LogLevel::Debug);
    let renamed =
        |flag: &str, successor: &str| Notice::Renamed { flag: flag.to_owned(), successor: successor.to_owned() };
    for notice in [
        renamed("experimental-initial-corrupt-check", "feature-gates=InitialCorruptCheck"),
        renamed("experimental-watch-progress-notify-interval", "watch-progress-notify-interval"),
        Notice::Ignored { flag: "vv".to_owned() },
        Notice::NoEffect { flag: "max-snapshots".to_owned(), reason: "one snapshot is kept; deprecated since 3.6" },
    ] {
        assert!(notices.contains(&notice), "{notice:?}");
    }
    assert_eq!(
        refusal(read(&["--proxy=on"], &[], &[])),
        "--proxy is not supported by this server yet (the v2 proxy); please unset it"
    );
}

#[test]
fn what_is_not_built_is_not_refused_at_its_default() {
    serve(read(&["--peer-auto-tls=false", "--cert-file=", "--auth-token=simple", "--proxy=off"], &[], &[]));
}

#[test]
fn a_collector_is_named_by_host_and_port() {
    for wrong in ["localhost", "http://localhost:4317", ""] {
        let address = format!("--distributed-tracing-address={wrong}");
        assert_eq!(
            refusal(read(&["--enable-distributed-tracing", &address], &[], &[])),
            format!("--distributed-tracing-address must be HOST:PORT, without a scheme (set to {wrong:?})")
        );
    }
    serve(read(&["--enable-distributed-tracing", "--distributed-tracing-address=[::1]:4317"], &[], &[]));
}
