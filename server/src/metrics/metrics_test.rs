use std::time::Duration;

use super::*;

fn lines(metrics: &Metrics, prefix: &str) -> Vec<String> {
    metrics.render().lines().filter(|line| line.starts_with(prefix)).map(str::to_owned).collect()
}

#[test]
fn names_are_exactly_etcds() {
    let metrics = Metrics::new(false);
    metrics.server.has_leader.set(1);
    metrics.server.proposals_committed.set(7);
    metrics.server.leader_changes.inc();
    metrics.server.health_success.inc();
    let text = metrics.render();
    for line in [
        "etcd_server_has_leader 1",
        "# TYPE etcd_server_has_leader gauge",
        "etcd_server_proposals_committed_total 7",
        "# TYPE etcd_server_proposals_committed_total gauge",
        "etcd_server_leader_changes_seen_total 1",
        "# TYPE etcd_server_leader_changes_seen_total counter",
        "etcd_server_health_success 1",
        "# TYPE etcd_server_health_success counter",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    assert!(!text.contains("_total_total") && !text.contains("EOF") && text.ends_with('\n'));
}

#[test]
fn histograms_have_etcds_bounds() {
    let metrics = Metrics::new(false);
    metrics.disk.wal_fsync_duration.observe(0.003);
    let found = lines(&metrics, "etcd_disk_wal_fsync_duration_seconds");
    assert_eq!(found.len(), 14 + 3);
    for line in [
        r#"etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 0"#,
        r#"etcd_disk_wal_fsync_duration_seconds_bucket{le="0.004"} 1"#,
        r#"etcd_disk_wal_fsync_duration_seconds_bucket{le="8.192"} 1"#,
        r#"etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 1"#,
        "etcd_disk_wal_fsync_duration_seconds_sum 0.003",
        "etcd_disk_wal_fsync_duration_seconds_count 1",
    ] {
        assert!(found.iter().any(|found| found == line), "{line} in {found:#?}");
    }
    assert!(
        lines(&metrics, "etcd_debugging_lease_ttl_total_bucket")
            .contains(&r#"etcd_debugging_lease_ttl_total_bucket{le="1"} 0"#.to_owned())
    );
}

#[test]
fn calls_are_counted_by_method_and_code() {
    let metrics = Metrics::new(true);
    let rpc = metrics.rpcs.get("/etcdserverpb.KV/Range").unwrap();
    rpc.started.inc();
    rpc.handled(0, Duration::from_millis(1));
    rpc.handled(99, Duration::from_millis(1));
    let of_range = r#"grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary"}"#;
    let text = metrics.render();
    for line in [
        format!("grpc_server_started_total{{{of_range} 1"),
        format!(r#"grpc_server_handled_total{{grpc_code="OK",{of_range} 1"#),
        format!(r#"grpc_server_handled_total{{grpc_code="Unknown",{of_range} 1"#),
        format!(r#"grpc_server_handled_total{{grpc_code="Internal",{of_range} 0"#),
        format!("grpc_server_handling_seconds_count{{{of_range} 2"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    assert!(metrics.rpcs.get("/etcdserverpb.KV/Nope").is_none());
    assert!(!Metrics::new(false).render().contains("handling_seconds"));
}

#[test]
fn peers_are_labelled_by_hexadecimal_id() {
    let metrics = Metrics::new(false);
    let peer = metrics.peers.peer(0xa, 0xb);
    peer.sent_bytes.inc_by(5);
    peer.active.set(1);
    metrics.peers.set_known(0xa, &[0xb]);
    let text = metrics.render();
    for line in [
        r#"etcd_network_peer_sent_bytes_total{To="b"} 5"#,
        r#"etcd_network_active_peers{Local="a",Remote="b"} 1"#,
        r#"etcd_network_known_peers{Local="a",Remote="b"} 1"#,
        r#"etcd_network_peer_round_trip_time_seconds_bucket{le="0.0001",To="b"} 0"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn hooks_run_at_each_scrape() {
    let metrics = Metrics::new(false);
    metrics.on_scrape(|metrics| {
        metrics.mvcc.current_revision.inc();
        metrics.server.set_cluster_version("3.7.0");
    });
    metrics.render();
    assert_eq!(lines(&metrics, "etcd_debugging_mvcc_current_revision"), ["etcd_debugging_mvcc_current_revision 2"]);
    assert_eq!(lines(&metrics, "etcd_cluster_version"), [r#"etcd_cluster_version{cluster_version="3.7"} 1"#]);
}

#[test]
fn the_process_is_measured() {
    let metrics = Metrics::new(false);
    for name in ["process_resident_memory_bytes ", "process_open_fds ", "os_fd_limit ", "process_start_time_seconds "] {
        let found = lines(&metrics, name);
        assert_eq!(found.len(), 1, "{name}");
        assert!(found[0].rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() > 0.0, "{found:?}");
    }
    assert_eq!(lines(&metrics, "# TYPE process_cpu_seconds_total"), ["# TYPE process_cpu_seconds_total counter"]);
}

#[test]
fn counters_kept_elsewhere_never_go_down() {
    let counter = Counter::default();
    set_counter(&counter, 5);
    set_counter(&counter, 3);
    assert_eq!(counter.get(), 5);
}
