//! Names, helps and buckets. Names and buckets are etcd's; they are what dashboards know.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use super::client_version::ClientVersions;
use super::operations::Operations;
use super::text::Text;
use super::{Disk, Lease, Mvcc, Network, Proxy, Server, WatchSendLoop};

/// Label names and values, in the order they print.
pub type Labels<const N: usize> = [(&'static str, String); N];

pub type HistogramFamily<const N: usize> = Family<Labels<N>, Histogram, Buckets>;

/// Upper bounds `start`, `2 * start`, ... of `count` buckets.
#[derive(Debug, Clone, Copy)]
pub struct Buckets {
    pub start: f64,
    pub count: u16,
}

/// etcd's usual buckets: 1 ms to 8.192 s.
pub(super) const FROM_1_MS: Buckets = buckets(0.001, 14);

pub(super) const fn buckets(start: f64, count: u16) -> Buckets {
    Buckets { start, count }
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(self.start, 2.0, self.count))
    }
}

/// Registers metrics under their exact names.
#[derive(Default)]
pub(super) struct Builder {
    registry: Registry,
    /// Counters whose name does not end in `_total`; the library would add it.
    bare_counters: Vec<&'static str>,
}

impl Builder {
    pub(super) fn finish(self) -> Text {
        Text::new(self.registry, self.bare_counters)
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Gauge {
        self.add(name, help, Gauge::default())
    }

    pub(super) fn counter<C: Metric + Default + Clone>(&mut self, name: &'static str, help: &str) -> C {
        match name.strip_suffix("_total") {
            Some(stem) => self.add(stem, help, C::default()),
            None => {
                self.bare_counters.push(name);
                self.add(name, help, C::default())
            }
        }
    }

    pub(super) fn gauges<const N: usize>(&mut self, name: &'static str, help: &str) -> Family<Labels<N>, Gauge> {
        self.add(name, help, Family::default())
    }

    pub(super) fn counters<const N: usize>(&mut self, name: &'static str, help: &str) -> Family<Labels<N>, Counter> {
        self.counter(name, help)
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &str, buckets: Buckets) -> Histogram {
        self.add(name, help, buckets.new_metric())
    }

    pub(super) fn histograms<const N: usize>(
        &mut self,
        name: &'static str,
        help: &str,
        buckets: Buckets,
    ) -> HistogramFamily<N> {
        self.add(name, help, Family::new_with_constructor(buckets))
    }

    pub(super) fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.registry.register(name, help, metric.clone());
        metric
    }
}

pub(super) fn server(b: &mut Builder) -> Server {
    Server {
        has_leader: b.gauge("etcd_server_has_leader", "1 when the member knows a leader"),
        is_leader: b.gauge("etcd_server_is_leader", "1 when the member is the leader"),
        is_learner: b.gauge("etcd_server_is_learner", "1 when the member is a learner"),
        leader_changes: b.counter("etcd_server_leader_changes_seen_total", "Leader changes seen"),
        proposals_committed: b.gauge("etcd_server_proposals_committed_total", "Index of the last committed proposal"),
        proposals_applied: b.gauge("etcd_server_proposals_applied_total", "Index of the last applied proposal"),
        proposals_pending: b.gauge("etcd_server_proposals_pending", "Proposals waiting for their commit"),
        proposals_failed: b.counter("etcd_server_proposals_failed_total", "Proposals that failed"),
        quota_backend_bytes: b.gauge("etcd_server_quota_backend_bytes", "Storage quota in bytes"),
        heartbeat_send_failures: b
            .counter("etcd_server_heartbeat_send_failures_total", "Heartbeats the leader could not send in time"),
        slow_apply: b.counter("etcd_server_slow_apply_total", "Applies that took too long"),
        slow_read_indexes: b
            .counter("etcd_server_slow_read_indexes_total", "Read barriers that did not finish in time"),
        read_indexes_failed: b.counter("etcd_server_read_indexes_failed_total", "Read barriers that failed"),
        snapshot_apply_in_progress: b
            .gauge("etcd_server_snapshot_apply_in_progress_total", "1 while a received snapshot is applied"),
        learner_promote_successes: b
            .counter("etcd_server_learner_promote_successes", "Learners promoted while this member led"),
        learner_promote_failures: b
            .counters("etcd_server_learner_promote_failures", "Refused promotions while this member led"),
        health_success: b.counter("etcd_server_health_success", "Health checks that passed"),
        health_failures: b.counter("etcd_server_health_failures", "Health checks that failed"),
        alarms: b.gauges("etcd_debugging_server_alarms", "1 for each alarm that is raised, by member and type"),
        request_duration: Operations::new(
            b,
            "etcd_server_request_duration_seconds",
            "Time of a request in the member, by type",
            FROM_1_MS,
            |name, success| [("success", success.to_string()), ("type", name.to_owned())],
        ),
        apply_duration: Operations::new(
            b,
            "etcd_server_apply_duration_seconds",
            "Time to apply an entry, by operation",
            buckets(0.0001, 20),
            |name, success| [("op", name.to_owned()), ("success", success.to_string()), ("version", "v3".to_owned())],
        ),
        range_duration: Operations::new(
            b,
            "etcd_server_range_duration_seconds",
            "Time of a range in the store",
            buckets(0.0001, 20),
            |_, success| [("success", success.to_string())],
        ),
        client_versions: ClientVersions::new(b),
        healthcheck: b.gauges("etcd_server_healthcheck", "Result of each health check: 1 is healthy"),
        healthchecks: b.counters("etcd_server_healthchecks_total", "Health checks made, by result"),
        version: b.gauges("etcd_server_version", "1 for the version that runs"),
        id: b.gauges("etcd_server_id", "1 for this member's id in hexadecimal"),
        cluster_version: b.gauges("etcd_cluster_version", "1 for the cluster's version"),
        feature_enabled: b.gauges("etcd_server_feature_enabled", "1 when the feature gate is on"),
    }
}

pub(super) fn watch_send_loop(b: &mut Builder) -> WatchSendLoop {
    WatchSendLoop {
        events: b.histogram(
            "etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds",
            "Time to send events on a watch stream",
            FROM_1_MS,
        ),
        per_event: b.histogram(
            "etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds",
            "Time to send events on a watch stream, by the number of events",
            FROM_1_MS,
        ),
        control: b.histogram(
            "etcd_debugging_server_watch_send_loop_control_stream_duration_seconds",
            "Time to send what is no event on a watch stream",
            FROM_1_MS,
        ),
        progress: b.histogram(
            "etcd_debugging_server_watch_send_loop_progress_duration_seconds",
            "Time to send progress on a watch stream",
            FROM_1_MS,
        ),
    }
}

pub(super) fn network(b: &mut Builder) -> Network {
    Network {
        client_grpc_sent_bytes: b.counter("etcd_network_client_grpc_sent_bytes_total", "Bytes sent to gRPC clients"),
        client_grpc_received_bytes: b
            .counter("etcd_network_client_grpc_received_bytes_total", "Bytes received from gRPC clients"),
        server_stream_failures: b
            .counters("etcd_network_server_stream_failures_total", "Streams of clients that failed here"),
    }
}

pub(super) fn disk(b: &mut Builder) -> Disk {
    Disk {
        wal_fsync_duration: b.histogram("etcd_disk_wal_fsync_duration_seconds", "Time of a WAL sync", FROM_1_MS),
        wal_write_duration: b.histogram("etcd_disk_wal_write_duration_seconds", "Time of a WAL write", FROM_1_MS),
        wal_write_bytes: b.gauge("etcd_disk_wal_write_bytes_total", "Bytes written to the WAL"),
        backend_commit_duration: b.histogram(
            "etcd_disk_backend_commit_duration_seconds",
            "Time of one commit of the store",
            FROM_1_MS,
        ),
        backend_defrag_duration: b.histogram(
            "etcd_disk_backend_defrag_duration_seconds",
            "Time of a defragmentation",
            buckets(0.1, 13),
        ),
        backend_snapshot_duration: b.histogram(
            "etcd_disk_backend_snapshot_duration_seconds",
            "Time to send a snapshot of the store",
            buckets(0.01, 17),
        ),
        defrag_inflight: b.gauge("etcd_disk_defrag_inflight", "1 while a defragmentation runs"),
        snap_fsync_duration: b.histogram(
            "etcd_snap_fsync_duration_seconds",
            "Time to sync a snapshot's metadata",
            FROM_1_MS,
        ),
        snap_db_save_duration: b.histogram(
            "etcd_snap_db_save_total_duration_seconds",
            "Time to save a received snapshot",
            buckets(0.1, 10),
        ),
        snap_db_fsync_duration: b.histogram(
            "etcd_snap_db_fsync_duration_seconds",
            "Time to sync a received snapshot",
            FROM_1_MS,
        ),
    }
}

pub(super) fn mvcc(b: &mut Builder) -> Mvcc {
    Mvcc {
        db_total_size: b.gauge("etcd_mvcc_db_total_size_in_bytes", "Size of the store on disk"),
        db_total_size_in_use: b.gauge("etcd_mvcc_db_total_size_in_use_in_bytes", "Size of the store's live data"),
        db_open_read_transactions: b.gauge("etcd_mvcc_db_open_read_transactions", "Reads that hold a snapshot"),
        range: b.counter("etcd_mvcc_range_total", "Ranges on this member"),
        put: b.counter("etcd_mvcc_put_total", "Puts on this member"),
        delete: b.counter("etcd_mvcc_delete_total", "Deletes on this member"),
        txn: b.counter("etcd_mvcc_txn_total", "Transactions on this member"),
        hash_duration: b.histogram("etcd_mvcc_hash_duration_seconds", "Time to hash the store", buckets(0.01, 15)),
        hash_rev_duration: b.histogram(
            "etcd_mvcc_hash_rev_duration_seconds",
            "Time to hash the store up to a revision",
            buckets(0.01, 15),
        ),
        keys: b.gauge("etcd_debugging_mvcc_keys_total", "Keys in the store"),
        events: b.counter("etcd_debugging_mvcc_events_total", "Events sent to watchers"),
        pending_events: b.gauge("etcd_debugging_mvcc_pending_events_total", "Events waiting for watchers"),
        slow_watchers: b.gauge("etcd_debugging_mvcc_slow_watcher_total", "Watchers that are behind"),
        watchers: b.gauge("etcd_debugging_mvcc_watcher_total", "Watchers"),
        watch_streams: b.gauge("etcd_debugging_mvcc_watch_stream_total", "Watch streams"),
        current_revision: b.gauge("etcd_debugging_mvcc_current_revision", "Revision of the store"),
        compact_revision: b.gauge("etcd_debugging_mvcc_compact_revision", "Revision of the last compaction"),
        total_put_size: b.gauge("etcd_debugging_mvcc_total_put_size_in_bytes", "Bytes put on this member"),
        compaction_keys: b.counter("etcd_debugging_mvcc_db_compaction_keys_total", "Revisions compactions deleted"),
        compaction_last: b.gauge("etcd_debugging_mvcc_db_compaction_last", "Unix time of the last compaction"),
        compaction_pause_ms: b.histogram(
            "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
            "Time of one step of a compaction",
            buckets(1.0, 13),
        ),
        compaction_total_ms: b.histogram(
            "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
            "Time of a compaction",
            buckets(100.0, 14),
        ),
        index_compaction_pause_ms: b.histogram(
            "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
            "Time a compaction holds the index",
            buckets(0.5, 14),
        ),
    }
}

pub(super) fn proxy(b: &mut Builder) -> Proxy {
    Proxy {
        cache_hits: b.gauge("etcd_grpc_proxy_cache_hits_total", "Reads answered from a cache"),
        cache_misses: b.gauge("etcd_grpc_proxy_cache_misses_total", "Reads that no cache had"),
        cache_keys: b.gauge("etcd_grpc_proxy_cache_keys_total", "Keys in the cache"),
        events_coalescing: b.counter("etcd_grpc_proxy_events_coalescing_total", "Events that watchers shared"),
        watchers_coalescing: b
            .gauge("etcd_grpc_proxy_watchers_coalescing_total", "Watchers without a watch of their own"),
    }
}

pub(super) fn lease(b: &mut Builder) -> Lease {
    Lease {
        granted: b.counter("etcd_debugging_lease_granted_total", "Leases granted"),
        revoked: b.counter("etcd_debugging_lease_revoked_total", "Leases revoked"),
        renewed: b.counter("etcd_debugging_lease_renewed_total", "Leases renewed while this member led"),
        expired: b.counter("etcd_debugging_server_lease_expired_total", "Leases that expired"),
        ttl: b.histogram("etcd_debugging_lease_ttl_total", "Time to live of granted leases", buckets(1.0, 24)),
        auth_revision: b.gauge("etcd_debugging_auth_revision", "Revision of users and roles"),
    }
}
