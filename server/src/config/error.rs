//! Why the configuration was refused. Every text names the flag and the fix, on one line; etcd's own texts are kept.

use super::{feature_gate, url};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0:?} is not a valid flag")]
    Positional(String),
    /// The flag would silently win, so both are refused. The second bracket at the end is etcd's.
    #[error(
        "conflicting environment variable is shadowed by corresponding command-line flag (either unset environment variable or disable flag))"
    )]
    EnvConflict { variable: String },
    #[error("invalid value {value:?} for {variable}: {reason}")]
    EnvValue { variable: String, value: String, reason: String },
    #[error("cannot read --config-file {path}")]
    FileRead { path: String, source: std::io::Error },
    #[error("--config-file {path} is neither YAML nor JSON")]
    FileSyntax { path: String, source: serde_norway::Error },
    #[error("--config-file {path} must be a map of flag names to values")]
    FileShape { path: String },
    #[error("invalid value for key {key:?} of the configuration file: {reason}")]
    FileValue { key: String, reason: String },
    #[error(transparent)]
    Bind(url::Error),
    #[error("--initial-advertise-peer-urls {urls:?} must be \"host:port\" ({reason})")]
    AdvertisePeer { urls: String, reason: url::Error },
    #[error(
        "--advertise-client-urls {urls:?} must be in the format \"host:port\", \"unix:/path/to/socket\" or \"unixs:/path/to/socket\" ({reason})"
    )]
    AdvertiseClient { urls: String, reason: url::Error },
    #[error("--advertise-client-urls is required when --listen-client-urls is set explicitly")]
    UnsetAdvertiseClient,
    #[error("{url} is in both --listen-client-urls and --listen-client-http-urls; remove it from one of them")]
    SameUrlTwice { url: String },
    #[error(
        "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \"discovery-endpoints\" or \"discovery-srv\""
    )]
    ConflictingBootstrap,
    #[error(
        "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \"discovery\", \"discovery-endpoints\" or \"discovery-srv\""
    )]
    ConflictingBootstrapUrl,
    #[error("--{flag}={given} can't be used: {reason}")]
    Discovery { flag: &'static str, given: String, reason: &'static str },
    #[error("--discovery-proxy is the way to a discovery service: give its URL by --discovery")]
    DiscoveryProxyAlone,
    #[error("both --discovery-token and --discovery-endpoints must be set")]
    DiscoveryPair,
    #[error("--discovery-endpoints must not contain empty endpoints")]
    DiscoveryEndpoint,
    #[error("v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\"")]
    FallbackProxy,
    #[error("--{flag} must be >0 (set to {value})")]
    NotPositive { flag: &'static str, value: String },
    #[error("--{flag} must be at least {least} and at most {most} (set to {value})")]
    OutOfRange { flag: &'static str, value: String, least: i64, most: i64 },
    #[error(
        "--election-timeout[{election_ms}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat_ms}ms]"
    )]
    ElectionTooShort { election_ms: u64, heartbeat_ms: u64 },
    #[error("--election-timeout[{0}ms] is too long, and should be set less than 50000ms")]
    ElectionTooLong(u64),
    #[error("--{flag} must not be negative (set to {value})")]
    Negative { flag: &'static str, value: String },
    #[error("undefined auto-compaction-mode")]
    CompactionModeEmpty,
    #[error("unknown auto-compaction-mode {0:?}")]
    CompactionMode(String),
    #[error("error parsing --auto-compaction-retention {value:?}: {fix}")]
    CompactionRetention { value: String, fix: &'static str },
    #[error("invalid --feature-gates")]
    FeatureGates(#[from] feature_gate::Error),
    #[error("enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint")]
    CheckpointPersist,
    #[error("unexpected TLS version {value:?} for --{flag}: use TLS1.2 or TLS1.3")]
    TlsVersion { flag: &'static str, value: String },
    #[error("min version (TLS1.3) is greater than max version (TLS1.2)")]
    TlsVersionOrder,
    #[error("cipher suites cannot be configured when only TLS1.3 is enabled")]
    CipherSuites,
    #[error("--{0}-allowed-cn and --{0}-allowed-hostname are mutually exclusive; remove one of them")]
    CnAndHostname(&'static str),
    #[error("--auth-token {0:?} is not supported: use \"simple\", or \"jwt,sign-method=...,pub-key=...,priv-key=...\"")]
    AuthToken(String),
    #[error("--metrics {0:?} is not supported: use \"basic\" or \"extensive\"")]
    Metrics(String),
    #[error("--logger=capnslog is removed in v3.5")]
    CapnsLog,
    #[error("unknown logger option {0:?}")]
    Logger(String),
    #[error("unknown log level {0:?} for --log-level: use debug, info, warn, error, panic or fatal")]
    LogLevel(String),
    #[error("unknown log format {0:?} for --log-format: use json or console")]
    LogFormat(String),
    #[error("multi logoutput for \"default\" is not supported yet")]
    LogDefaultWithOthers,
    #[error("--log-outputs requires a single file path when --log-rotate-config-json is defined")]
    RotationOutputs,
    #[error("improper format --log-rotation-config-json: {0}")]
    RotationConfig(String),
    #[error("--distributed-tracing-sampling-rate must be from 0 to 1000000 (set to {0})")]
    SamplingRate(i64),
    #[error("--distributed-tracing-address must be HOST:PORT, without a scheme (set to {0:?})")]
    TracingAddress(String),
    #[error("--{flag} is not supported by this server yet ({what}); please unset it")]
    Unbuilt { flag: String, what: &'static str },
    #[error("flag --{0} is read but not defined")]
    Undefined(&'static str),
}

impl Error {
    /// The error and what is below it, on one line.
    pub fn line(&self) -> String {
        let mut text = self.to_string();
        let mut below = std::error::Error::source(self);
        while let Some(error) = below {
            text.push_str(": ");
            text.push_str(&error.to_string().replace('\n', " "));
            below = error.source();
        }
        text
    }

    /// Writes the refusal to the log as etcd does.
    pub fn log(&self) {
        match self {
            Self::EnvConflict { variable } => {
                tracing::error!(fatal = true, "environment-variable" = variable, "{self}");
            }
            _ => tracing::warn!(error = self.line(), "failed to verify flags"),
        }
    }
}
