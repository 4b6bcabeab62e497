//! What the reader of the configuration has to say, kept until the log it configures is open.

/// One line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A configuration file replaced everything else.
    FileLoaded {
        path: String,
    },
    /// A key of the file that means nothing here.
    FileKeyIgnored {
        key: String,
    },
    EnvUsed {
        name: String,
        value: String,
    },
    EnvUnknown {
        text: String,
    },
    /// `ETCD_VERSION` is what images set to say what they contain; it is not the flag `--version`.
    EnvVersionDropped {
        value: String,
    },
    /// Old names that never had an effect in 3.x.
    Ignored {
        flag: String,
    },
    /// An old name that was read as its successor.
    Renamed {
        flag: String,
        successor: String,
    },
    /// An old name that lost to its successor.
    Shadowed {
        flag: String,
        successor: String,
    },
    /// Known, but without effect in this server.
    NoEffect {
        flag: String,
        reason: &'static str,
    },
    DefaultName {
        name: String,
    },
    DefaultDataDir {
        path: String,
    },
    DefaultHost {
        host: String,
    },
    /// A value out of its bounds was replaced.
    Replaced {
        flag: &'static str,
        given: String,
        used: String,
    },
    /// gRPC and HTTP on the same listener.
    SharedPort,
    /// `--max-request-bytes` above what etcd recommends.
    LargeRequests {
        bytes: u64,
        recommended: u64,
    },
    /// `--quota-backend-bytes` above what etcd recommends.
    LargeQuota {
        bytes: u64,
        recommended: u64,
    },
    QuotaDisabled {
        bytes: i64,
    },
}

impl Notice {
    /// Writes the line to the log.
    pub fn log(&self) {
        match self {
            Self::FileLoaded { path } => tracing::info!(
                path,
                "loaded server configuration, other configuration command line flags and environment variables will be ignored if provided"
            ),
            Self::FileKeyIgnored { key } => tracing::warn!(key, "ignored an unknown key of the configuration file"),
            Self::EnvUsed { name, value } => tracing::info!(
                "variable-name" = name,
                "variable-value" = value,
                "recognized and used environment variable"
            ),
            Self::EnvUnknown { text } => {
                tracing::warn!("environment-variable" = text, "unrecognized environment variable")
            }
            Self::EnvVersionDropped { value } => {
                tracing::warn!(key = "ETCD_VERSION", value, "cannot set special environment variable")
            }
            Self::Ignored { flag } => tracing::warn!(flag, "flag is no longer supported, so it was ignored"),
            Self::Renamed { flag, successor } => {
                tracing::warn!(flag, successor, "flag has a new name; please use the successor")
            }
            Self::Shadowed { flag, successor } => {
                tracing::warn!(flag, successor, "flag was ignored because its successor is set too")
            }
            Self::NoEffect { flag, reason } => tracing::warn!(flag, reason, "flag has no effect in this server"),
            Self::DefaultName { name } => {
                tracing::warn!(name, "members should not share the default name; please set a value for --name")
            }
            Self::DefaultDataDir { path } => {
                tracing::warn!("data-dir" = path, "'data-dir' was empty; using default")
            }
            Self::DefaultHost { host } => tracing::info!(host, "detected default host for advertise"),
            Self::Replaced { flag, given, used } => {
                tracing::warn!(flag, given, used, "value is out of bounds, so another one is used")
            }
            Self::SharedPort => {
                tracing::warn!("Running http and grpc server on single port. This is not recommended for production.")
            }
            Self::LargeRequests { bytes, recommended } => tracing::warn!(
                "max-request-bytes" = bytes,
                "recommended-request-bytes" = recommended,
                "exceeded recommended request limit"
            ),
            Self::LargeQuota { bytes, recommended } => tracing::warn!(
                "quota-size-bytes" = bytes,
                "quota-maximum-size-bytes" = recommended,
                "quota exceeds the maximum value"
            ),
            Self::QuotaDisabled { bytes } => {
                tracing::info!("quota-size-bytes" = bytes, "disabled backend quota")
            }
        }
    }
}
