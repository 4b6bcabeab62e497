//! Numbers about the running member under etcd's names, so that dashboards and alerts made for etcd work unchanged.
//!
//! Hot paths hold handles (a counter is one atomic); label sets are looked up once, when a handle is made, never for a
//! request. Values that another part already keeps are copied by closures at scrape time ([`Metrics::on_scrape`]).

mod client_version;
mod families;
mod operations;
mod peer;
mod process;
mod rpc;
mod text;

use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

pub use client_version::ClientVersions;
pub use families::{HistogramFamily, Labels};
pub use operations::Operations;
pub use peer::{Peer, Peers};
pub use rpc::{Kind, Rpc, Rpcs};
pub use text::CONTENT_TYPE;

use families::Builder;
use process::Process;

type Hook = Box<dyn Fn(&Metrics) + Send + Sync>;

/// Every metric of the process. One per process, shared by `Arc`.
pub struct Metrics {
    pub server: Server,
    pub network: Network,
    pub disk: Disk,
    pub mvcc: Mvcc,
    pub lease: Lease,
    pub watch_send_loop: WatchSendLoop,
    pub proxy: Proxy,
    pub rpcs: Rpcs,
    pub peers: Peers,
    process: Process,
    text: text::Text,
    hooks: Mutex<Vec<Hook>>,
}

/// `etcd_server_*`, `etcd_cluster_*` and the health checks.
pub struct Server {
    pub has_leader: Gauge,
    pub is_leader: Gauge,
    pub is_learner: Gauge,
    pub leader_changes: Counter,
    /// A gauge in etcd: the commit index.
    pub proposals_committed: Gauge,
    /// A gauge in etcd: the applied index.
    pub proposals_applied: Gauge,
    pub proposals_pending: Gauge,
    pub proposals_failed: Counter,
    pub quota_backend_bytes: Gauge,
    pub heartbeat_send_failures: Counter,
    pub slow_apply: Counter,
    pub slow_read_indexes: Counter,
    pub read_indexes_failed: Counter,
    pub snapshot_apply_in_progress: Gauge,
    pub learner_promote_successes: Counter,
    pub learner_promote_failures: Family<Labels<1>, Counter>,
    pub health_success: Counter,
    pub health_failures: Counter,
    pub alarms: Family<Labels<2>, Gauge>,
    /// Of what is put into the log, and of reads.
    pub request_duration: Operations<2>,
    pub apply_duration: Operations<3>,
    pub range_duration: Operations<1>,
    pub client_versions: ClientVersions,
    healthcheck: Family<Labels<2>, Gauge>,
    healthchecks: Family<Labels<3>, Counter>,
    version: Family<Labels<1>, Gauge>,
    id: Family<Labels<1>, Gauge>,
    cluster_version: Family<Labels<1>, Gauge>,
    feature_enabled: Family<Labels<2>, Gauge>,
}

/// `etcd_network_*` that are not about one peer.
pub struct Network {
    pub client_grpc_sent_bytes: Counter,
    pub client_grpc_received_bytes: Counter,
    /// `Type` is `send` or `receive`, `API` is `watch` or `lease-keepalive`.
    pub server_stream_failures: Family<Labels<2>, Counter>,
}

/// `etcd_disk_*` and `etcd_snap_*`.
pub struct Disk {
    pub wal_fsync_duration: Histogram,
    pub wal_write_duration: Histogram,
    /// A gauge in etcd.
    pub wal_write_bytes: Gauge,
    /// One write batch of the store.
    pub backend_commit_duration: Histogram,
    pub backend_defrag_duration: Histogram,
    pub backend_snapshot_duration: Histogram,
    pub defrag_inflight: Gauge,
    pub snap_fsync_duration: Histogram,
    pub snap_db_save_duration: Histogram,
    pub snap_db_fsync_duration: Histogram,
}

/// `etcd_mvcc_*` and `etcd_debugging_mvcc_*`.
pub struct Mvcc {
    pub db_total_size: Gauge,
    pub db_total_size_in_use: Gauge,
    pub db_open_read_transactions: Gauge,
    pub range: Counter,
    pub put: Counter,
    pub delete: Counter,
    pub txn: Counter,
    pub hash_duration: Histogram,
    pub hash_rev_duration: Histogram,
    pub keys: Gauge,
    pub events: Counter,
    pub pending_events: Gauge,
    pub slow_watchers: Gauge,
    pub watchers: Gauge,
    pub watch_streams: Gauge,
    pub current_revision: Gauge,
    pub compact_revision: Gauge,
    pub total_put_size: Gauge,
    pub compaction_keys: Counter,
    /// Unix seconds of the last compaction; 0 before the first.
    pub compaction_last: Gauge,
    pub compaction_pause_ms: Histogram,
    pub compaction_total_ms: Histogram,
    pub index_compaction_pause_ms: Histogram,
}

/// `etcd_debugging_lease_*` and what is left of `etcd_debugging_*`.
pub struct Lease {
    pub granted: Counter,
    pub revoked: Counter,
    pub renewed: Counter,
    pub expired: Counter,
    /// Seconds.
    pub ttl: Histogram,
    pub auth_revision: Gauge,
}

/// `etcd_debugging_server_watch_send_loop_*`: seconds from when a message is known to when it is taken by the connection.
pub struct WatchSendLoop {
    pub events: Histogram,
    pub per_event: Histogram,
    pub control: Histogram,
    pub progress: Histogram,
}

/// `etcd_grpc_proxy_*`, which a member has too.
pub struct Proxy {
    /// This proxy caches nothing, so the first three stay 0.
    pub cache_hits: Gauge,
    pub cache_misses: Gauge,
    pub cache_keys: Gauge,
    pub events_coalescing: Counter,
    pub watchers_coalescing: Gauge,
}

impl Metrics {
    /// Registers everything; `extensive` adds histograms of gRPC latencies.
    pub fn new(extensive: bool) -> Self {
        let mut builder = Builder::default();
        let b = &mut builder;
        let metrics = (
            families::server(b),
            families::network(b),
            families::disk(b),
            families::mvcc(b),
            families::lease(b),
            families::watch_send_loop(b),
            families::proxy(b),
            Rpcs::new(b, extensive),
            Peers::new(b),
            Process::new(b),
        );
        let (server, network, disk, mvcc, lease, watch_send_loop, proxy, rpcs, peers, process) = metrics;
        let text = builder.finish();
        let hooks = Mutex::default();
        Self { server, network, disk, mvcc, lease, watch_send_loop, proxy, rpcs, peers, process, text, hooks }
    }

    /// Runs `hook` before each scrape, to copy values that are kept elsewhere. Hooks must not block.
    pub fn on_scrape(&self, hook: impl Fn(&Self) + Send + Sync + 'static) {
        self.hooks.lock().push(Box::new(hook));
    }

    /// The Prometheus text of this moment; its type is [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        for hook in self.hooks.lock().iter() {
            hook(self);
        }
        self.process.update();
        self.text.render()
    }
}

impl Server {
    /// The gauge of the one version that runs is 1.
    pub fn set_version(&self, version: &str) {
        only(&self.version, "server_version", version);
    }

    pub fn set_id(&self, member_id: u64) {
        only(&self.id, "server_id", &format!("{member_id:x}"));
    }

    /// Major and minor only, as in etcd: `3.7`.
    pub fn set_cluster_version(&self, version: &str) {
        let major_minor: Vec<&str> = version.split('.').take(2).collect();
        only(&self.cluster_version, "cluster_version", &major_minor.join("."));
    }

    pub fn set_feature(&self, name: &str, stage: &str, enabled: bool) {
        let labels = [("name", name.to_owned()), ("stage", stage.to_owned())];
        self.feature_enabled.get_or_create(&labels).set(i64::from(enabled));
    }

    /// The alarms that are raised now, by member and type.
    pub fn set_alarms(&self, alarms: impl Iterator<Item = (u64, &'static str)>) {
        self.alarms.clear();
        for (member_id, alarm) in alarms {
            let labels = [("server_id", format!("{member_id:x}")), ("alarm_type", alarm.to_owned())];
            self.alarms.get_or_create(&labels).set(1);
        }
    }

    /// One check of `/livez` or `/readyz`.
    pub fn record_healthcheck(&self, kind: &'static str, name: &'static str, healthy: bool) {
        let labels = [("type", kind.to_owned()), ("name", name.to_owned())];
        self.healthcheck.get_or_create(&labels).set(i64::from(healthy));
        let status = if healthy { "success" } else { "error" };
        let labels = [("type", kind.to_owned()), ("name", name.to_owned()), ("status", status.to_owned())];
        self.healthchecks.get_or_create(&labels).inc();
    }
}

/// Sets a counter whose value is kept elsewhere. It must never go down.
pub fn set_counter(counter: &Counter<u64, AtomicU64>, value: u64) {
    counter.inner().fetch_max(value, std::sync::atomic::Ordering::Relaxed);
}

fn only(family: &Family<Labels<1>, Gauge>, label: &'static str, value: &str) {
    family.clear();
    family.get_or_create(&[(label, value.to_owned())]).set(1);
}

#[cfg(test)]
mod metrics_test;
