//! How a member runs.

use k8s_openapi::api::core::v1::EnvVar;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Flags of the members. What isn't here goes into `extraArgs`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.electionTimeoutMs) || self.electionTimeoutMs >= 5 * (has(self.heartbeatIntervalMs) ? self.heartbeatIntervalMs : 100)").message("etcd.electionTimeoutMs must be at least 5 times etcd.heartbeatIntervalMs (100 if not given)"),
    validation = Rule::new("!has(self.heartbeatIntervalMs) || has(self.electionTimeoutMs) || self.heartbeatIntervalMs <= 200").message("etcd.heartbeatIntervalMs above 200 needs etcd.electionTimeoutMs, at least 5 times as long")
)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Most bytes of the database before writes are refused. If not given, it is half of storage.size and at most 2 GiB, etcd's default;
    /// below 4 GiB a volume that grows thus restarts members one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16777216, max = 107374182400i64))]
    pub quota_backend_bytes: Option<i64>,

    /// Old revisions are dropped by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_compaction: Option<AutoCompaction>,

    /// Milliseconds between two calls of the leader; 100 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub heartbeat_interval_ms: Option<i32>,

    /// Milliseconds without a leader's call before another member stands; 1000 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 50000))]
    pub election_timeout_ms: Option<i32>,

    /// Entries of the log between two snapshots; etcd's default of 10,000 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100000000))]
    pub snapshot_count: Option<i64>,

    /// Most bytes of one request; etcd's default of 1.5 MiB if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 104857600))]
    pub max_request_bytes: Option<i32>,

    /// `info` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,

    /// More flags, each as `--flag=value`. Those that the operator sets itself are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(regex(pattern = r"^--[a-z0-9-]+(=.*)?$"), length(max = 512)))]
    #[x_kube(validation = Rule::new(OWNED_FLAGS).message("etcd.extraArgs: the operator sets names, folders, URLs, certificates, and how members find each other (see the typed fields), and takes nothing that keeps a member from serving or its data from the disk"))]
    pub extra_args: Vec<String>,

    /// More environment. Variables that begin with `ETCD_` are refused: they are flags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.all(e, !e.name.startsWith('ETCD_'))").message("etcd.extraEnv: a variable that begins with ETCD_ is a flag; use the typed fields or etcd.extraArgs"))]
    pub extra_env: Vec<EnvVar>,
}

/// Flags of members that follow from the rest of the resource.
const OWNED_FLAGS: &str = "!self.exists(a, a.matches('^--(name|data-dir|wal-dir|listen-.*|advertise-.*|initial-.*|discovery.*|force-new-cluster|cert-file|key-file|trusted-ca-file|client-.*|auto-tls|peer-.*|config-file|quota-backend-bytes|auto-compaction-.*|heartbeat-interval|election-timeout|snapshot-count|max-request-bytes|log-level|version|help|unsafe-no-fsync|proxy|gateway|v2-.*)(=|$)'))";

/// When old revisions are dropped.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("self.mode != 'Revision' || self.retention.matches('^[0-9]+$')").message("etcd.autoCompaction.retention: with mode Revision it is a number of revisions")
)]
#[serde(rename_all = "camelCase")]
pub struct AutoCompaction {
    /// What `retention` counts.
    #[serde(default)]
    pub mode: CompactionMode,

    /// `5m`, `1h` or a number of hours for `Periodic`, a number of revisions for `Revision`.
    #[schemars(regex(pattern = r"^[0-9]+(ms|s|m|h)?$"), length(max = 16))]
    pub retention: String,
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompactionMode {
    #[default]
    Periodic,
    Revision,
}

impl CompactionMode {
    /// The flag's value.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Periodic => "periodic",
            Self::Revision => "revision",
        }
    }
}

#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    pub fn flag(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}
