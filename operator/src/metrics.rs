//! What the operator counts; docs/operator/metrics.md has it for users.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use kube::ResourceExt;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::crd::EtcdCluster;
use crate::crd::status::EtcdClusterStatus;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepOutcome {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cluster {
    namespace: String,
    cluster: String,
}

/// All that is counted.
pub struct Metrics {
    registry: Mutex<Registry>,
    reconciles: Family<Outcome, Counter>,
    duration: Histogram,
    steps: Family<StepOutcome, Counter>,
    ready: Family<Cluster, Gauge>,
    wanted: Family<Cluster, Gauge>,
    available: Family<Cluster, Gauge>,
    leads: Gauge,
    /// What gauges are about, by the uid of the cluster.
    shown: Mutex<HashMap<String, Cluster>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Mutex::default(),
            reconciles: Family::default(),
            duration: Histogram::new([0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
            steps: Family::default(),
            ready: Family::default(),
            wanted: Family::default(),
            available: Family::default(),
            leads: Gauge::default(),
            shown: Mutex::default(),
        };
        let mut registry = Registry::with_prefix("quorate_operator");
        registry.register("reconciles", "Looks at a cluster, by result: ok or error", metrics.reconciles.clone());
        registry.register("reconcile_duration_seconds", "Time that a look at a cluster took", metrics.duration.clone());
        registry.register("steps", "Steps, by kind and result: ok or error", metrics.steps.clone());
        registry.register("cluster_ready_members", "Voting members that serve", metrics.ready.clone());
        registry.register("cluster_wanted_members", "Voting members that are wanted", metrics.wanted.clone());
        registry.register("cluster_available", "1 if a quorum serves, else 0", metrics.available.clone());
        registry.register("leads", "1 if this replica is the one that acts, else 0", metrics.leads.clone());
        *metrics.registry.lock() = registry;
        metrics
    }
}

impl Metrics {
    pub fn reconciled(&self, is_ok: bool, took: Duration) {
        self.reconciles.get_or_create(&Outcome { result: word(is_ok) }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    pub fn stepped(&self, kind: &'static str, is_ok: bool) {
        self.steps.get_or_create(&StepOutcome { kind, result: word(is_ok) }).inc();
    }

    pub fn leads(&self, leads: bool) {
        self.leads.set(i64::from(leads));
    }

    pub fn observed(&self, cluster: &EtcdCluster, status: &EtcdClusterStatus) {
        let labels = labels(cluster);
        self.shown.lock().insert(cluster.uid().unwrap_or_default(), labels.clone());
        let is_available = status.conditions.iter().any(|one| one.type_ == "Available" && one.status == "True");
        self.ready.get_or_create(&labels).set(status.ready_replicas.into());
        self.wanted.get_or_create(&labels).set(cluster.spec.replicas.into());
        self.available.get_or_create(&labels).set(i64::from(is_available));
    }

    /// Drops what is about others than these uids.
    pub fn retain(&self, uids: &HashSet<String>) {
        self.shown.lock().retain(|uid, labels| {
            let stays = uids.contains(uid);
            if !stays {
                self.ready.remove(labels);
                self.wanted.remove(labels);
                self.available.remove(labels);
            }
            stays
        });
    }

    /// In the format of OpenMetrics.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry.lock())?;
        Ok(text)
    }
}

fn word(is_ok: bool) -> &'static str {
    if is_ok { "ok" } else { "error" }
}

fn labels(cluster: &EtcdCluster) -> Cluster {
    Cluster { namespace: cluster.namespace().unwrap_or_default(), cluster: cluster.name_any() }
}
