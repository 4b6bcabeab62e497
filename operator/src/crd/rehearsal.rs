//! Rehearsals of an `EtcdBackupSchedule`: what proves that its backups can be restored.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Condition: the last rehearsal went well.
pub const REHEARSED: &str = "Rehearsed";

/// Now and then, the newest backup is restored into a cluster of one member, which is compared with it and deleted.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rehearsal {
    /// Five fields as cron has them, by the schedule's time zone. `0 5 * * 0` is every Sunday at five.
    #[schemars(length(min = 9, max = 128))]
    pub schedule: String,

    /// Seconds for all of it.
    #[serde(default = "deadline")]
    #[schemars(range(min = 30, max = 604_800))]
    pub deadline_seconds: i64,
}

fn deadline() -> i64 {
    1800
}

/// The last rehearsal.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RehearsalStatus {
    /// How it is, in a word.
    pub phase: RehearsalPhase,

    /// When it was due.
    pub due: Time,

    /// Name of the EtcdBackup.
    pub backup: String,

    /// When it began.
    pub started: Time,

    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Time>,

    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,

    /// When the last that went well was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_passed: Option<Time>,
}

#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RehearsalPhase {
    Running,
    /// The restored cluster had what the backup has.
    Passed,
    /// It had not, or did not serve in time.
    Failed,
}
