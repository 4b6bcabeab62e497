//! What the rest of the server may know about how it was started.

use std::path::PathBuf;
use std::time::Duration;

use super::feature_gate::FeatureGates;
use super::url::Url;

/// The resolved configuration: every source merged, every default filled in, every value checked.
///
/// Flags that only tune parts this server does not have (bbolt's free list, Go's profiler) leave no field here; the
/// reader of the flags says so in a notice instead.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    // --- member ---
    /// `--name`: a label, part of no identity. Default `default` (warned about).
    pub name: String,
    /// `--data-dir`: default `<name>.etcd`. The member's data is in `member/` below it.
    pub data_dir: PathBuf,
    /// `--wal-dir`: where the WAL lives instead of `<data-dir>/member/wal`. Use [`Config::wal_path`].
    pub wal_dir: Option<PathBuf>,
    /// `--snapshot-count`: applied entries between two raft snapshots. Default 10000, at least 1.
    pub snapshot_count: u64,
    /// `--snapshot-catchup-entries`: entries kept behind a snapshot for slow followers. Default 5000.
    pub snapshot_catchup_entries: u64,
    /// `--heartbeat-interval`: default 100 ms, at least 1 ms.
    pub heartbeat_interval: Duration,
    /// `--election-timeout`: default 1 s, from 5 heartbeats to 50 s.
    pub election_timeout: Duration,
    /// `--pre-vote`: default true.
    pub pre_vote: bool,
    /// `--raft-read-timeout`: silence after which a peer connection is given up. Default and floor 5 s.
    pub raft_read_timeout: Duration,
    /// `--raft-write-timeout`: time for one write to a peer. Default and floor 5 s.
    pub raft_write_timeout: Duration,

    // --- limits ---
    /// `--quota-backend-bytes`: size at which NOSPACE is raised. Default 2 GiB (also when 0); `None` when negative: no quota.
    pub quota_backend_bytes: Option<u64>,
    /// `--max-txn-ops`: operations in one transaction. Default 128.
    pub max_txn_ops: usize,
    /// `--max-request-bytes`: bytes of one marshalled request. Default 1.5 MiB; above 10 MiB a warning.
    pub max_request_bytes: usize,
    /// `--max-concurrent-streams`: HTTP/2 streams a client connection. Default `u32::MAX`.
    pub max_concurrent_streams: u32,
    /// `--grpc-keepalive-min-time`: clients pinging more often are sent away. Default 5 s.
    pub grpc_keepalive_min_time: Duration,
    /// `--grpc-keepalive-interval`: idle time before the server pings. Default 2 h; `None` (0): never.
    pub grpc_keepalive_interval: Option<Duration>,
    /// `--grpc-keepalive-timeout`: wait for that ping's answer. Default 20 s; `None` (0): never gives up.
    pub grpc_keepalive_timeout: Option<Duration>,

    // --- listeners ---
    /// `--listen-peer-urls`: default `http://localhost:2380`; IP or `localhost`.
    pub listen_peer_urls: Vec<Url>,
    /// `--listen-client-urls`: default `http://localhost:2379`. gRPC, and HTTP unless `listen_client_http_urls` has any.
    pub listen_client_urls: Vec<Url>,
    /// `--listen-client-http-urls`: listeners for HTTP alone. Default none.
    pub listen_client_http_urls: Vec<Url>,
    /// `--listen-metrics-urls`: listeners for metrics and health alone. Default none.
    pub listen_metrics_urls: Vec<Url>,
    /// `--socket-reuse-port`: SO_REUSEPORT. Default false.
    pub socket_reuse_port: bool,
    /// `--cors`: origins allowed to read answers from a browser; `["*"]` (default) or empty allows all.
    pub cors: Vec<String>,
    /// `--host-whitelist`: `Host` headers accepted on plaintext HTTP; `["*"]` (default) or empty accepts all.
    pub host_whitelist: Vec<String>,
    /// `--enable-grpc-gateway`: serve the JSON API below `/v3/`. Default true.
    pub enable_grpc_gateway: bool,

    // --- cluster ---
    /// `--initial-advertise-peer-urls`: default `http://localhost:2380`.
    pub advertise_peer_urls: Vec<Url>,
    /// `--advertise-client-urls`: default `http://localhost:2379`; must be given when `--listen-client-urls` is.
    pub advertise_client_urls: Vec<Url>,
    /// `--initial-cluster`: `name=url,...`; default is this member alone. Empty when discovery finds the members.
    pub initial_cluster: String,
    /// `--initial-cluster-state`: default new.
    pub initial_cluster_state: InitialClusterState,
    /// `--initial-cluster-token`: default `etcd-cluster`.
    pub initial_cluster_token: String,
    /// `--discovery` or `--discovery-endpoints`, and their families; `None` when not used.
    pub discovery: Option<Discovery>,
    /// `--discovery-srv`: DNS domain that lists the first members; `None` when not used.
    pub discovery_srv: Option<String>,
    /// `--discovery-srv-name`: suffix of the service's name in DNS.
    pub discovery_srv_name: Option<String>,
    /// `--strict-reconfig-check`: refuse membership changes that would lose quorum. Default true.
    pub strict_reconfig_check: bool,
    /// `--max-learners`: learners the cluster may have at a time. Default 1, at least 1.
    pub max_learners: usize,
    /// `--force-new-cluster`: become a cluster of one, keeping data and identity. Default false.
    pub force_new_cluster: bool,
    /// `--unsafe-no-fsync`: never wait for the disk; loses data on a crash. Default false.
    pub unsafe_no_fsync: bool,

    // --- history and checks ---
    /// `--auto-compaction-mode` and `--auto-compaction-retention`. Default off.
    pub auto_compaction: AutoCompaction,
    /// `--compaction-batch-limit`: revisions deleted in one step. Default 1000 (also when 0).
    pub compaction_batch_limit: usize,
    /// `--compaction-sleep-interval`: pause between two steps. Default 10 ms (also when 0).
    pub compaction_sleep_interval: Duration,
    /// `--watch-progress-notify-interval`: default 10 min (also when 0), floor 100 ms.
    pub watch_progress_notify_interval: Duration,
    /// `--corrupt-check-time`: interval of comparing hashes with the other members. Default off.
    pub corrupt_check_time: Option<Duration>,
    /// `--compact-hash-check-time`: interval of comparing compaction hashes, when that gate is on. Default 1 min, above 0.
    pub compact_hash_check_time: Duration,
    /// `--downgrade-check-time`: default 5 s; `None` (0): never.
    pub downgrade_check_time: Option<Duration>,
    /// `--bootstrap-defrag-threshold-megabytes`: defragment at start when that much would be freed. Default off.
    pub bootstrap_defrag_threshold_megabytes: Option<u64>,
    /// `--warning-apply-duration`: an apply longer than this is logged. Default 100 ms.
    pub warning_apply_duration: Duration,
    /// `--warning-unary-request-duration`: a request longer than this is logged. Default 300 ms (also when 0).
    pub warning_unary_request_duration: Duration,
    /// `--feature-gates`.
    pub feature_gates: FeatureGates,

    // --- security ---
    /// TLS of the client listeners.
    pub client_tls: Tls,
    /// TLS between members, both roles.
    pub peer_tls: Tls,
    /// `--self-signed-cert-validity`: years. Default 1, at least 1.
    pub self_signed_cert_validity_years: u32,
    /// `--cipher-suites`: IANA names in order of preference; empty: the library's choice.
    pub cipher_suites: Vec<String>,
    /// `--tls-min-version`: default TLS 1.2.
    pub tls_min_version: TlsVersion,
    /// `--tls-max-version`: default none, that is the newest.
    pub tls_max_version: Option<TlsVersion>,
    /// `--auth-token`: default simple.
    pub auth_token: AuthToken,
    /// `--auth-token-ttl`: life of an unused simple token. Default 300 s.
    pub auth_token_ttl: Duration,
    /// `--bcrypt-cost`: default 10, from 4 to 31.
    pub bcrypt_cost: u32,

    // --- observability ---
    /// Where log lines go, which, and in which shape.
    pub log: Log,
    /// `--metrics`: true for `extensive` (adds gRPC latency histograms). Default basic.
    pub extensive_metrics: bool,
    /// `--enable-pprof`. Default false.
    pub enable_pprof: bool,
    /// `--enable-distributed-tracing` and its family; `None` when off.
    pub tracing: Option<Tracing>,
}

/// Whether the member starts a cluster or joins one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialClusterState {
    New,
    Existing,
}

/// When the leader compacts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoCompaction {
    Off,
    /// Keep this much time of history.
    Periodic(Duration),
    /// Keep this many revisions; at least 1.
    Revision(i64),
}

/// Certificates of one kind of listener and of the client role that goes with it. Empty paths are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// Certificate for the client role; `cert_file` when `None`.
    pub client_cert_file: Option<PathBuf>,
    pub client_key_file: Option<PathBuf>,
    pub trusted_ca_file: Option<PathBuf>,
    pub crl_file: Option<PathBuf>,
    /// A trusted CA alone already makes client certificates mandatory: see [`Tls::requires_client_cert`].
    pub client_cert_auth: bool,
    /// Generate a certificate when none is given.
    pub auto: bool,
    pub allowed_cns: Vec<String>,
    pub allowed_hostnames: Vec<String>,
    /// Do not compare a peer's address with its certificate.
    pub skip_client_san_verification: bool,
}

impl Tls {
    /// True when neither a certificate nor a key is configured.
    pub fn is_empty(&self) -> bool {
        self.cert_file.is_none() && self.key_file.is_none()
    }

    /// True when a client without a certificate must be refused.
    pub fn requires_client_cert(&self) -> bool {
        self.client_cert_auth || self.trusted_ca_file.is_some()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    V1_2,
    V1_3,
}

/// `--auth-token`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthToken {
    Simple,
    /// The options behind `jwt,`: `pub-key`, `priv-key`, `sign-method`, `ttl`, in the order given.
    Jwt(Vec<(String, String)>),
}

/// How the first members find each other, where neither a list nor DNS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovery {
    /// `--discovery`: a service with the v2 protocol.
    Url(DiscoveryUrl),
    /// `--discovery-endpoints`: the keys of a running cluster; the v3 protocol.
    Keys(DiscoveryKeys),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryUrl {
    /// Ends with the token; as a whole, also the cluster token.
    pub url: String,
    /// `--discovery-proxy`: HTTP proxy on the way.
    pub proxy: Option<String>,
    /// `--discovery-fallback=proxy`: whoever comes when the cluster is full becomes a proxy of it. Default false.
    pub falls_back: bool,
    pub insecure_skip_tls_verify: bool,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub cacert: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryKeys {
    pub endpoints: Vec<String>,
    /// Also the cluster token.
    pub token: String,
    pub dial_timeout: Duration,
    pub request_timeout: Duration,
    pub keepalive_time: Duration,
    pub keepalive_timeout: Duration,
    pub insecure_transport: bool,
    pub insecure_skip_tls_verify: bool,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub cacert: Option<PathBuf>,
    pub user: String,
    pub password: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `--log-level`: default info.
    pub level: LogLevel,
    /// `--log-format`: default JSON.
    pub format: LogFormat,
    /// `--log-outputs`: default standard error. Never empty, no duplicates.
    pub outputs: Vec<LogOutput>,
    /// `--enable-log-rotation` with `--log-rotation-config-json`; only with exactly one file among the outputs.
    pub rotation: Option<LogRotation>,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LogLevel::Info, format: LogFormat::Json, outputs: vec![LogOutput::Stderr], rotation: None }
    }
}

/// etcd's levels. `Panic` and `Fatal` let only lines through that end the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
    Panic,
    Fatal,
}

impl LogLevel {
    /// By etcd's name, in whatever case.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" => Self::Warn,
            "error" => Self::Error,
            "dpanic" | "panic" => Self::Panic,
            "fatal" => Self::Fatal,
            _ => return None,
        })
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Fatal => "fatal",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Console,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOutput {
    Stderr,
    Stdout,
    /// systemd's.
    Journal,
    File(PathBuf),
}

/// The file is renamed aside when it would grow past `max_size_bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRotation {
    /// Default 100 MB.
    pub max_size_bytes: u64,
    /// Old files older than this are deleted; `None`: by age never.
    pub max_age: Option<Duration>,
    /// Old files kept; `None`: all.
    pub max_backups: Option<usize>,
    /// Old files are named by the machine's time, not by UTC.
    pub in_local_time: bool,
    /// Old files are compressed by gzip.
    pub compresses: bool,
}

/// OpenTelemetry export over OTLP gRPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracing {
    /// Default `localhost:4317`.
    pub address: String,
    /// Default `etcd`.
    pub service_name: String,
    pub instance_id: String,
    /// Of a million; default 0.
    pub sampling_rate_per_million: u32,
}

impl Config {
    /// `<data-dir>/member`: exists once the member has been bootstrapped.
    pub fn member_path(&self) -> PathBuf {
        self.data_dir.join("member")
    }

    /// `--wal-dir`, or `<data-dir>/member/wal`.
    pub fn wal_path(&self) -> PathBuf {
        self.wal_dir.clone().unwrap_or_else(|| self.member_path().join("wal"))
    }

    /// `<data-dir>/member/snap`.
    pub fn snap_path(&self) -> PathBuf {
        self.member_path().join("snap")
    }

    /// Clients may have profiles, and set the level of the log: with `--enable-pprof` and, as in etcd, with debug lines.
    pub fn can_be_debugged(&self) -> bool {
        self.enable_pprof || self.log.level == LogLevel::Debug
    }

    /// Time a request may take: 5 s of queue and disk, and two elections. 7 s by default.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(5) + 2 * self.election_timeout
    }
}
