//! `EtcdBackupSchedule`: backups of one cluster, again and again.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::backup::{Compression, deadline, retries};
use super::rehearsal::{Rehearsal, RehearsalStatus};
use super::store::{Encryption, Store, Worker};

/// Condition: it is followed.
pub const SCHEDULED: &str = "Scheduled";
/// Condition: the last backup was good.
pub const BACKED_UP: &str = "BackedUp";
/// Condition: changes between backups are recorded.
pub const RECORDING: &str = "Recording";

/// Backups of a cluster by the clock, and what becomes of old ones.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "quorate.io",
    version = "v1alpha1",
    kind = "EtcdBackupSchedule",
    plural = "etcdbackupschedules",
    shortname = "ebs",
    category = "all",
    namespaced,
    status = "EtcdBackupScheduleStatus",
    derive = "PartialEq",
    cel,
    doc = "Backups of an EtcdCluster by the clock.",
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.clusterName"),
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Backups", type_ = "integer", json_path = ".status.backups"),
    printcolumn(name = "Last", type_ = "date", json_path = ".status.lastSuccess.finished", description = "The last good backup"),
    printcolumn(name = "Changes", type_ = "string", json_path = ".status.recorder.phase", description = "Whether changes between backups are recorded"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextTime"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    validation = Rule::new("size(self.metadata.name) <= 40").message("a schedule's name may have 40 characters at most, because backups' names begin with it")
)]
#[x_kube(
    validation = Rule::new("self.clusterName == oldSelf.clusterName").message("clusterName can't be changed: make another schedule")
)]
#[serde(rename_all = "camelCase")]
pub struct EtcdBackupScheduleSpec {
    /// An EtcdCluster in this namespace.
    #[schemars(length(min = 1, max = 40))]
    pub cluster_name: String,

    /// Five fields as cron has them: minute, hour, day of the month, month, day of the week. `0 3 * * *` is every day at three.
    #[schemars(length(min = 9, max = 128))]
    pub schedule: String,

    /// By whose clocks, such as `Europe/Berlin`.
    #[serde(default = "time_zone")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,

    /// No backups and no records for now.
    #[serde(default)]
    pub suspend: bool,

    /// One backup at once, when the schedule is made.
    #[serde(default)]
    pub immediate: bool,

    /// What to do when a backup is due and the last one is still being taken.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,

    /// Seconds after its time within which a backup may begin that was missed because the operator was away. Only the last one is made up
    /// for.
    #[serde(default = "starting_deadline")]
    #[schemars(range(min = 10, max = 604_800))]
    pub starting_deadline_seconds: i64,

    /// Where they go.
    pub store: Store,

    /// How they are made smaller.
    #[serde(default)]
    pub compression: Compression,

    /// Encryption before they leave the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,

    /// The pods that carry them.
    #[serde(default)]
    pub worker: Worker,

    /// Seconds for all tries of one backup together.
    #[serde(default = "deadline")]
    #[schemars(range(min = 10, max = 604_800))]
    pub deadline_seconds: i64,

    /// Tries after the first.
    #[serde(default = "retries")]
    #[schemars(range(min = 0, max = 20))]
    pub retries: i32,

    /// Which are kept. A backup stays that any of these keeps, and the newest always does. Without this, all do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,

    /// EtcdBackups that failed and are kept to be looked at.
    #[serde(default = "failures")]
    #[schemars(range(min = 0, max = 100))]
    pub failed_history_limit: i32,

    /// Records what changes between backups, so that any revision and any time can be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorder: Option<Recorder>,

    /// Proves now and then that the newest backup can be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Rehearsal>,
}

fn time_zone() -> String {
    "Etc/UTC".to_owned()
}

fn starting_deadline() -> i64 {
    3600
}

fn failures() -> i32 {
    3
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConcurrencyPolicy {
    /// The new one is left out.
    #[default]
    Forbid,
    /// The old one is given up.
    Replace,
}

/// Which backups are kept.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.keepLast) || has(self.keepFor)").message("retention: give keepLast, keepFor or both"))]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// So many of the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub keep_last: Option<i64>,

    /// Those that are younger, such as `12h` or `30d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]+[smhdw]$"), length(max = 16))]
    pub keep_for: Option<String>,
}

/// A pod that records what changes.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorder {
    /// Milliseconds between two objects in the store while there are changes: what a disaster may cost.
    #[serde(default = "interval")]
    #[schemars(range(min = 500, max = 3_600_000))]
    pub interval_ms: i64,
}

fn interval() -> i64 {
    3000
}

/// How it goes.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EtcdBackupScheduleStatus {
    /// Generation of the resource that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// How it is, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,

    /// One sentence: what is happening, or what stands in the way and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,

    /// When the last backup was due that was made, or left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_time: Option<Time>,

    /// When the next is due, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_time: Option<String>,

    /// The last good one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Success>,

    /// The last that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Failure>,

    /// Failures since the last success.
    #[serde(default)]
    pub consecutive_failures: i32,

    /// Good ones since the schedule was made.
    #[serde(default)]
    pub successes: i64,

    /// In the store.
    #[serde(default)]
    pub backups: i64,

    /// In the store, all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_size: Option<String>,

    /// How recording goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorder: Option<RecorderStatus>,

    /// The last rehearsal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<RehearsalStatus>,

    /// How it is, in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It waits for the next time.
    Waiting,
    Running,
    Suspended,
    /// The last backup failed.
    Failing,
    /// The resource can't be followed; the message says why.
    Invalid,
}

/// A good backup.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Success {
    /// Name of the EtcdBackup.
    pub name: String,

    /// Its name in the store.
    pub id: String,

    /// The newest revision in it.
    pub revision: i64,

    /// When it was complete and checked.
    pub finished: Time,

    /// Seconds that it took.
    pub duration_seconds: i64,

    /// In the store.
    pub stored_size: String,
}

/// A backup that failed.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Name of the EtcdBackup.
    pub name: String,

    /// When.
    pub time: Time,

    /// Why.
    pub message: String,
}

/// How recording goes.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecorderStatus {
    /// How it is, in a word.
    pub phase: RecorderPhase,

    /// What stands in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,

    /// Revisions that nobody recorded: what lies between can't be restored, and a backup is taken at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecorderPhase {
    Starting,
    Recording,
    /// It can't write to the store, or is not reached.
    Behind,
    /// It waits for the first backup.
    Waiting,
}

/// Revisions that are missing.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// The last that was recorded before.
    pub after: i64,

    /// From where it goes on.
    pub resumed_at: i64,

    /// Why.
    pub why: String,
}
