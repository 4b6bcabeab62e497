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
use crate::crd::backup::{EtcdBackup, EtcdBackupStatus, Phase};
use crate::crd::rehearsal::RehearsalPhase;
use crate::crd::schedule::{EtcdBackupSchedule, EtcdBackupScheduleStatus};
use crate::crd::status::EtcdClusterStatus;
use crate::observe::follower::Recorded;

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
    backups: Family<Ended, Counter>,
    schedules: Schedules,
    /// What gauges are about, by the uid of the cluster.
    shown: Mutex<HashMap<String, Cluster>>,
}

/// Of an EtcdBackup that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    namespace: String,
    cluster: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Schedule {
    namespace: String,
    cluster: String,
    schedule: String,
}

/// Gauges of an EtcdBackupSchedule.
#[derive(Default)]
struct Schedules {
    last_success: Family<Schedule, Gauge>,
    last_revision: Family<Schedule, Gauge>,
    last_duration: Family<Schedule, Gauge>,
    failures: Family<Schedule, Gauge>,
    kept: Family<Schedule, Gauge>,
    recorded: Family<Schedule, Gauge>,
    gap: Family<Schedule, Gauge>,
    rehearsed: Family<Schedule, Gauge>,
    rehearsal_failed: Family<Schedule, Gauge>,
    /// By the uid of the schedule.
    shown: Mutex<HashMap<String, Schedule>>,
}

impl Schedules {
    fn all(&self) -> [(&'static str, &'static str, &Family<Schedule, Gauge>); 9] {
        [
            ("backup_last_success_timestamp_seconds", "When the last good backup was finished", &self.last_success),
            ("backup_last_revision", "The newest revision in the last good backup", &self.last_revision),
            ("backup_last_duration_seconds", "Time that the last good backup took", &self.last_duration),
            ("backup_consecutive_failures", "Backups that failed since the last good one", &self.failures),
            ("backups_kept", "Backups in the store", &self.kept),
            ("backup_recorded_timestamp_seconds", "Until when changes are in the store", &self.recorded),
            ("backup_gap", "1 if changes were not recorded and no backup has them yet, else 0", &self.gap),
            (
                "backup_rehearsal_passed_timestamp_seconds",
                "When the last rehearsal that went well was over",
                &self.rehearsed,
            ),
            ("backup_rehearsal_failed", "1 if the last rehearsal failed, else 0", &self.rehearsal_failed),
        ]
    }
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
            backups: Family::default(),
            schedules: Schedules::default(),
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
        registry.register("backups", "Backups that have ended, by result: ok or error", metrics.backups.clone());
        for (name, help, family) in metrics.schedules.all() {
            registry.register(name, help, family.clone());
        }
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

    /// Counts a backup that has just ended.
    pub fn backup_seen(&self, backup: &EtcdBackup, status: &EtcdBackupStatus, before: Option<Phase>) {
        let result = match status.phase {
            Some(Phase::Completed) => "ok",
            Some(Phase::Failed) => "error",
            Some(Phase::Pending | Phase::Running) | None => return,
        };
        if status.phase != before {
            let cluster = backup.spec.cluster_name.clone();
            let ended = Ended { namespace: backup.namespace().unwrap_or_default(), cluster, result };
            self.backups.get_or_create(&ended).inc();
        }
    }

    pub fn schedule_seen(
        &self,
        schedule: &EtcdBackupSchedule,
        status: &EtcdBackupScheduleStatus,
        recorded: Option<&Recorded>,
    ) {
        let labels = Schedule {
            namespace: schedule.namespace().unwrap_or_default(),
            cluster: schedule.spec.cluster_name.clone(),
            schedule: schedule.name_any(),
        };
        let gauges = &self.schedules;
        gauges.shown.lock().insert(schedule.uid().unwrap_or_default(), labels.clone());
        if let Some(success) = &status.last_success {
            gauges.last_success.get_or_create(&labels).set(success.finished.0.as_second());
            gauges.last_revision.get_or_create(&labels).set(success.revision);
            gauges.last_duration.get_or_create(&labels).set(success.duration_seconds);
        }
        gauges.failures.get_or_create(&labels).set(status.consecutive_failures.into());
        gauges.kept.get_or_create(&labels).set(status.backups);
        if let Some(recorder) = &status.recorder {
            gauges.gap.get_or_create(&labels).set(i64::from(recorder.gap.is_some()));
        }
        if let Some(rehearsal) = &status.rehearsal {
            let has_failed = rehearsal.phase == RehearsalPhase::Failed;
            gauges.rehearsal_failed.get_or_create(&labels).set(i64::from(has_failed));
            if let Some(passed) = &rehearsal.last_passed {
                gauges.rehearsed.get_or_create(&labels).set(passed.0.as_second());
            }
        }
        if let Some(time) = recorded.and_then(|recorded| recorded.recorded_to.as_ref()?.time) {
            gauges.recorded.get_or_create(&labels).set(time.as_second());
        }
    }

    /// Drops what is about other schedules than these.
    pub fn retain_schedules(&self, uids: &HashSet<String>) {
        self.schedules.shown.lock().retain(|uid, labels| {
            let stays = uids.contains(uid);
            if !stays {
                self.schedules.all().iter().for_each(|(_, _, family)| {
                    family.remove(labels);
                });
            }
            stays
        });
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap in a test is its report")]

    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_chart_alerts_on_is_there() {
        let metrics = Metrics::default();
        let cluster = EtcdCluster::new("a", serde_json::from_value(json!({})).unwrap());
        metrics.reconciled(true, Duration::ZERO);
        metrics.observed(&cluster, &EtcdClusterStatus::default());
        let time = "2026-11-28T05:00:00Z";
        let schedule = json!({"clusterName": "a", "schedule": "0 0 * * *", "store": {"s3": {"bucket": "c"}}});
        let schedule = EtcdBackupSchedule::new("s", serde_json::from_value(schedule).unwrap());
        let status = json!({
            "lastSuccess": {"name": "b", "id": "b", "revision": 1, "finished": time, "durationSeconds": 1, "storedSize": "1Ki"},
            "recorder": {"phase": "Recording"}, "rehearsal": {"phase": "Passed", "due": time, "backup": "b", "started": time},
        });
        metrics.schedule_seen(&schedule, &serde_json::from_value(status).unwrap(), None);
        let text = metrics.text().unwrap();
        let rules = include_str!("../../charts/quorate-operator/templates/rules.yaml");
        let letters = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let named: HashSet<&str> =
            rules.split(|letter| !letters(letter)).filter(|word| word.starts_with("quorate_operator_")).collect();
        assert!(named.len() >= 7, "{named:?}");
        for name in named {
            let family = name.strip_suffix("_total").unwrap_or(name);
            assert!(text.contains(&format!("# TYPE {family} ")), "{name} is in no metric");
        }
    }
}
