//! Every flag of the server, once. The command line, the environment, the configuration file and the help read this.
//!
//! Names, defaults and kinds are etcd 3.7's (`server/embed/config.go`, `server/etcdmain/config.go`); the help is ours.

use super::feature_gate::FeatureGates;
use super::url::Url;
use super::value::{self, Value};

/// One flag.
#[derive(Debug)]
pub struct Flag {
    pub name: &'static str,
    pub kind: Kind,
    /// As it would be written on the command line; read by `kind`.
    pub default: &'static str,
    pub group: Group,
    pub effect: Effect,
    pub help: &'static str,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Uint,
    Uint32,
    Int,
    /// `100ms`, `2h`; in the file an integer of nanoseconds.
    Duration,
    Text,
    /// `Name=true,Other=false`.
    Gates,
    /// Comma-separated; in the file a list or the same text.
    List,
    /// Comma-separated addresses.
    Urls,
    /// Comma-separated addresses, or `*`.
    UrlsOrAny,
    Choice(&'static [&'static str]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Member,
    Clustering,
    Security,
    Auth,
    Monitoring,
    Logging,
    Tracing,
    Features,
    Unsafe,
    /// About reading the configuration itself.
    Meta,
    /// Accepted and ignored since the 2.x releases; not in the help.
    Legacy,
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Used,
    /// Checked, then dropped with a warning that says why.
    None(&'static str),
}

const BBOLT: Effect = Effect::None("it tunes bbolt, and the data is in RocksDB");
const FSYNC_GROUPS: Effect = Effect::None("every batch of applied entries is one write");
const ELECTIONS: Effect =
    Effect::None("a member that starts waits one election timeout, whatever the number of members");
const ADDRESSES: Effect = Effect::None("listeners always have SO_REUSEADDR");
const SEGMENTS: Effect = Effect::None("log files are kept as long as their entries are needed, and no longer");
const LOCKED: Effect = Effect::None("pages are not locked into memory");

impl Flag {
    /// Reads a value as written on the command line or in the environment; the error is Go's text.
    pub fn read(&self, text: &str) -> Result<Value, String> {
        read(self.kind, text)
    }
}

/// `ETCD_` and the name in upper case with underscores.
pub fn variable(name: &str) -> String {
    format!("ETCD_{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// Reads a value of a kind; the error is Go's text.
pub fn read(kind: Kind, text: &str) -> Result<Value, String> {
    Ok(match kind {
        Kind::Bool => Value::Bool(value::parse_bool(text).ok_or("parse error")?),
        Kind::Uint => Value::Uint(value::parse_uint(text).map_err(|error| error.to_string())?),
        Kind::Uint32 => match value::parse_uint(text).map_err(|error| error.to_string())? {
            number if number <= u64::from(u32::MAX) => Value::Uint(number),
            _ => return Err(value::Error::Range.to_string()),
        },
        Kind::Int => Value::Int(value::parse_int(text).map_err(|error| error.to_string())?),
        Kind::Duration => Value::Duration(value::parse_duration(text).map_err(|error| error.to_string())?),
        Kind::Text => Value::Text(text.to_owned()),
        Kind::Gates => match FeatureGates::parse(text) {
            Ok(_) => Value::Text(text.to_owned()),
            Err(error) => return Err(error.to_string()),
        },
        Kind::List => Value::List(list(text)),
        Kind::Urls => Value::Urls(urls(text)?),
        Kind::UrlsOrAny if text == "*" => Value::List(vec!["*".to_owned()]),
        Kind::UrlsOrAny => Value::List(urls(text)?.iter().map(Url::to_string).collect()),
        Kind::Choice(choices) if choices.contains(&text) => Value::Text(text.to_owned()),
        Kind::Choice(_) => return Err("invalid value".to_owned()),
    })
}

fn list(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { text.split(',').map(str::to_owned).collect() }
}

fn urls(text: &str) -> Result<Vec<Url>, String> {
    if text.is_empty() { Ok(Vec::new()) } else { Url::parse_list(text).map_err(|error| error.to_string()) }
}

/// The flag of that name, legacy names included.
pub fn find(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

const fn flag(
    group: Group,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    effect: Effect,
    help: &'static str,
) -> Flag {
    Flag { name, kind, default, group, effect, help }
}

use Effect::Used;
use Group::{Auth, Clustering, Features, Legacy, Logging, Member, Meta, Monitoring, Security, Tracing, Unsafe};
use Kind::{Bool, Choice, Duration, Gates, Int, List, Text, Uint, Uint32, Urls, UrlsOrAny};

/// In the order of the help.
#[rustfmt::skip]
pub static FLAGS: &[Flag] = &[
    flag(Member, "name", Text, "default", Used, "A label for this member, unique in the cluster."),
    flag(Member, "data-dir", Text, "", Used, "Folder of the member's data; empty means <name>.etcd."),
    flag(Member, "wal-dir", Text, "", Used, "Folder of the write-ahead log; empty keeps it in the data folder."),
    flag(Member, "snapshot-count", Uint, "10000", Used, "Applied entries after which a raft snapshot is taken."),
    flag(Member, "heartbeat-interval", Uint, "100", Used, "Milliseconds between two heartbeats of the leader."),
    flag(Member, "election-timeout", Uint, "1000", Used, "Milliseconds without a leader until an election starts; at least 5 heartbeats, at most 50000."),
    flag(Member, "initial-election-tick-advance", Bool, "true", ELECTIONS, "Shorten the wait before the first election after a start."),
    flag(Member, "listen-peer-urls", Urls, "http://localhost:2380", Used, "Addresses to serve other members on."),
    flag(Member, "listen-client-urls", Urls, "http://localhost:2379", Used, "Addresses to serve clients on: gRPC, and HTTP unless --listen-client-http-urls is set."),
    flag(Member, "listen-client-http-urls", Urls, "", Used, "Addresses to serve clients' HTTP on, which then leaves --listen-client-urls."),
    flag(Member, "max-snapshots", Uint, "5", Effect::None("one snapshot is kept; deprecated since 3.6"), "Snapshot files kept. Deprecated, without effect."),
    flag(Member, "max-wals", Uint, "5", SEGMENTS, "Finished write-ahead log files kept. Without effect: as many as are needed."),
    flag(Member, "memory-mlock", Bool, "false", LOCKED, "Lock memory pages into RAM. Without effect."),
    flag(Member, "quota-backend-bytes", Int, "0", Used, "Size of the data in bytes at which writes are refused (0 means 2 GiB, a negative value no quota)."),
    flag(Member, "backend-bbolt-freelist-type", Text, "map", BBOLT, "Free list of bbolt. Without effect."),
    flag(Member, "backend-batch-interval", Duration, "0s", FSYNC_GROUPS, "Longest time between two commits of bbolt. Without effect."),
    flag(Member, "backend-batch-limit", Int, "0", FSYNC_GROUPS, "Most operations between two commits of bbolt. Without effect."),
    flag(Member, "max-txn-ops", Uint, "128", Used, "Operations allowed in one transaction."),
    flag(Member, "max-request-bytes", Uint, "1572864", Used, "Bytes allowed in one request."),
    flag(Member, "max-concurrent-streams", Uint32, "4294967295", Used, "Streams a client may have open on one connection."),
    flag(Member, "grpc-keepalive-min-time", Duration, "5s", Used, "A client that pings more often than this is disconnected."),
    flag(Member, "grpc-keepalive-interval", Duration, "2h0m0s", Used, "Idle time after which the server pings a client (0 for never)."),
    flag(Member, "grpc-keepalive-timeout", Duration, "20s", Used, "Wait for the answer to that ping before closing (0 for no limit)."),
    flag(Member, "socket-reuse-port", Bool, "false", Used, "Set SO_REUSEPORT on listeners."),
    flag(Member, "socket-reuse-address", Bool, "false", ADDRESSES, "Set SO_REUSEADDR on listeners."),
    flag(Member, "enable-grpc-gateway", Bool, "true", Used, "Serve the JSON API below /v3/."),
    flag(Member, "raft-read-timeout", Duration, "5s", Used, "Silence after which a connection to a member is given up (at least 5s)."),
    flag(Member, "raft-write-timeout", Duration, "5s", Used, "Time allowed for one write to a member (at least 5s)."),
    flag(Member, "feature-gates", Gates, "", Used, "Gates to move, as Name=true,Other=false; AllAlpha and AllBeta move a whole stage. The gates are:"),

    flag(Clustering, "initial-advertise-peer-urls", Urls, "http://localhost:2380", Used, "Addresses other members reach this one at."),
    flag(Clustering, "initial-cluster", Text, "", Used, "The first members, as name=url,name=url; empty means this member alone."),
    flag(Clustering, "initial-cluster-state", Choice(&["new", "existing"]), "new", Used, "'new' starts a cluster, 'existing' joins one. Ignored once the member has data."),
    flag(Clustering, "initial-cluster-token", Text, "etcd-cluster", Used, "Part of the identity of a new cluster; keeps clusters with equal addresses apart."),
    flag(Clustering, "advertise-client-urls", Urls, "http://localhost:2379", Used, "Addresses clients reach this member at."),
    flag(Clustering, "discovery", Text, "", Used, "Address of a discovery service with the v2 protocol."),
    flag(Clustering, "discovery-token", Text, "", Used, "Discovery: token of the cluster to start."),
    flag(Clustering, "discovery-endpoints", List, "", Used, "Discovery: addresses of the discovery cluster."),
    flag(Clustering, "discovery-dial-timeout", Duration, "2s", Used, "Discovery: time to connect."),
    flag(Clustering, "discovery-request-timeout", Duration, "5s", Used, "Discovery: time for one request."),
    flag(Clustering, "discovery-keepalive-time", Duration, "2s", Used, "Discovery: time between pings."),
    flag(Clustering, "discovery-keepalive-timeout", Duration, "6s", Used, "Discovery: wait for a ping's answer."),
    flag(Clustering, "discovery-insecure-transport", Bool, "true", Used, "Discovery: connect without TLS."),
    flag(Clustering, "discovery-insecure-skip-tls-verify", Bool, "false", Used, "Discovery: do not check the server's certificate (for tests only)."),
    flag(Clustering, "discovery-cert", Text, "", Used, "Discovery: file of the client's certificate."),
    flag(Clustering, "discovery-key", Text, "", Used, "Discovery: file of the client's key."),
    flag(Clustering, "discovery-cacert", Text, "", Used, "Discovery: file of the CA certificates that servers are checked with."),
    flag(Clustering, "discovery-user", Text, "", Used, "Discovery: user name, or user:password."),
    flag(Clustering, "discovery-password", Text, "", Used, "Discovery: password, when it is not part of the user."),
    flag(Clustering, "discovery-fallback", Choice(&["exit", "proxy"]), "exit", Used, "What becomes of a member that comes when the cluster is full: 'exit', or with --discovery a 'proxy'."),
    flag(Clustering, "discovery-proxy", Text, "", Used, "HTTP proxy on the way to a v2 discovery service."),
    flag(Clustering, "discovery-srv", Text, "", Used, "DNS domain whose SRV records list the first members."),
    flag(Clustering, "discovery-srv-name", Text, "", Used, "Suffix of the service's name in those records."),
    flag(Clustering, "strict-reconfig-check", Bool, "true", Used, "Refuse membership changes that would lose the quorum."),
    flag(Clustering, "pre-vote", Bool, "true", Used, "Ask for votes without a new term first, so that a returning member disturbs nobody."),
    flag(Clustering, "auto-compaction-retention", Text, "0", Used, "History to keep: a duration (a bare number is hours), or a number of revisions. 0 turns compaction off."),
    flag(Clustering, "auto-compaction-mode", Text, "periodic", Used, "How that is read: 'periodic' for a duration, 'revision' for a number of revisions."),
    flag(Clustering, "v2-deprecation", Choice(&["not-yet", "write-only", "write-only-skip-check", "write-only-drop-data", "gone"]), "write-only", Effect::None("there is no v2 store"), "Phase of the v2 store's removal. Without effect."),

    flag(Security, "cert-file", Text, "", Used, "Certificate shown to clients."),
    flag(Security, "key-file", Text, "", Used, "Its private key."),
    flag(Security, "client-cert-auth", Bool, "false", Used, "Require certificates from clients."),
    flag(Security, "client-cert-file", Text, "", Used, "Certificate for this server's own client connections; --cert-file when empty."),
    flag(Security, "client-key-file", Text, "", Used, "Its private key; --key-file when empty."),
    flag(Security, "client-crl-file", Text, "", Used, "List of revoked client certificates."),
    flag(Security, "client-cert-allowed-cn", List, "", Used, "Common names of which a client's certificate must have one."),
    flag(Security, "client-cert-allowed-hostname", List, "", Used, "Host names of which a client's certificate must have one."),
    flag(Security, "trusted-ca-file", Text, "", Used, "CA certificates that clients are checked with; makes client certificates mandatory."),
    flag(Security, "auto-tls", Bool, "false", Used, "Use a generated certificate for clients."),
    flag(Security, "peer-cert-file", Text, "", Used, "Certificate shown to other members."),
    flag(Security, "peer-key-file", Text, "", Used, "Its private key."),
    flag(Security, "peer-client-cert-auth", Bool, "false", Used, "Require certificates from other members."),
    flag(Security, "peer-client-cert-file", Text, "", Used, "Certificate for connections to other members; --peer-cert-file when empty."),
    flag(Security, "peer-client-key-file", Text, "", Used, "Its private key; --peer-key-file when empty."),
    flag(Security, "peer-trusted-ca-file", Text, "", Used, "CA certificates that other members are checked with."),
    flag(Security, "peer-cert-allowed-cn", List, "", Used, "Common names of which a member's certificate must have one."),
    flag(Security, "peer-cert-allowed-hostname", List, "", Used, "Host names of which a member's certificate must have one."),
    flag(Security, "peer-auto-tls", Bool, "false", Used, "Use a generated certificate between members."),
    flag(Security, "self-signed-cert-validity", Uint, "1", Used, "Years a generated certificate is valid."),
    flag(Security, "peer-crl-file", Text, "", Used, "List of revoked member certificates."),
    flag(Security, "cipher-suites", List, "", Used, "TLS 1.2 cipher suites by IANA name, best first; empty for the library's choice."),
    flag(Security, "cors", UrlsOrAny, "*", Used, "Origins whose pages may read answers (empty or * for all)."),
    flag(Security, "host-whitelist", List, "*", Used, "Host headers accepted on plaintext HTTP (empty or * for all)."),
    flag(Security, "tls-min-version", Text, "TLS1.2", Used, "Oldest TLS version: TLS1.2 or TLS1.3."),
    flag(Security, "tls-max-version", Text, "", Used, "Newest TLS version: TLS1.2 or TLS1.3; empty for the newest there is."),

    flag(Auth, "auth-token", Text, "simple", Used, "Kind of authentication token: 'simple', or 'jwt' with its options."),
    flag(Auth, "bcrypt-cost", Uint, "10", Used, "Cost of hashing passwords, from 4 to 31."),
    flag(Auth, "auth-token-ttl", Uint, "300", Used, "Seconds a simple token lives without use."),

    flag(Monitoring, "enable-pprof", Bool, "false", Used, "Serve profiles on /debug/pprof/ (so does --log-level=debug)."),
    flag(Monitoring, "metrics", Text, "basic", Used, "'basic', or 'extensive' for histograms of gRPC latencies too."),
    flag(Monitoring, "listen-metrics-urls", Urls, "", Used, "Further addresses to serve /metrics and the health paths on."),

    flag(Logging, "logger", Text, "zap", Used, "Only 'zap', the name of the format."),
    flag(Logging, "log-outputs", List, "default", Used, "Where lines go: 'stderr' (also 'default'), 'stdout', 'systemd/journal', or paths of files."),
    flag(Logging, "log-level", Text, "info", Used, "Least important level written: debug, info, warn, error, panic, fatal."),
    flag(Logging, "log-format", Text, "json", Used, "Shape of a line: json or console."),
    flag(Logging, "enable-log-rotation", Bool, "false", Used, "Rotate the one file of --log-outputs."),
    flag(Logging, "log-rotation-config-json", Text, r#"{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}"#, Used, "Size in MB to rotate at, and days and number of old files kept (0 for no limit)."),
    flag(Logging, "warning-unary-request-duration", Duration, "300ms", Used, "A request that takes longer is logged."),

    flag(Tracing, "enable-distributed-tracing", Bool, "false", Used, "Export traces with OpenTelemetry."),
    flag(Tracing, "distributed-tracing-address", Text, "localhost:4317", Used, "Address of the collector."),
    flag(Tracing, "distributed-tracing-service-name", Text, "etcd", Used, "Name of the service in traces."),
    flag(Tracing, "distributed-tracing-instance-id", Text, "", Used, "Name of this member in traces."),
    flag(Tracing, "distributed-tracing-sampling-rate", Int, "0", Used, "Traces kept of a million."),

    flag(Features, "corrupt-check-time", Duration, "0s", Used, "Time between comparisons of the members' data (0 for never)."),
    flag(Features, "compact-hash-check-time", Duration, "1m0s", Used, "Time between comparisons of the members' compactions."),
    flag(Features, "compaction-batch-limit", Int, "0", Used, "Revisions deleted in one step of a compaction (0 means 1000)."),
    flag(Features, "compaction-sleep-interval", Duration, "0s", Used, "Pause between two steps of a compaction (0 means 10ms)."),
    flag(Features, "peer-skip-client-san-verification", Bool, "false", Used, "Do not compare a member's address with its certificate."),
    flag(Features, "watch-progress-notify-interval", Duration, "0s", Used, "Time between progress messages of idle watches (0 means 10m; at least 100ms)."),
    flag(Features, "warning-apply-duration", Duration, "100ms", Used, "An apply that takes longer is logged."),
    flag(Features, "bootstrap-defrag-threshold-megabytes", Uint, "0", Used, "Defragment at start when it frees at least this much (0 for never)."),
    flag(Features, "max-learners", Int, "1", Used, "Learners the cluster may have at a time."),
    flag(Features, "downgrade-check-time", Duration, "5s", Used, "Time between checks of a running downgrade."),
    flag(Features, "snapshot-catchup-entries", Uint, "5000", Used, "Entries kept behind a snapshot for slow members."),

    flag(Unsafe, "force-new-cluster", Bool, "false", Used, "Become a cluster of one, keeping the data. For disaster recovery."),
    flag(Unsafe, "unsafe-no-fsync", Bool, "false", Used, "Do not wait for the disk. A crash loses data."),

    flag(Meta, "config-file", Text, "", Used, "YAML or JSON file to read instead of all other flags and variables."),
    flag(Meta, "version", Bool, "false", Used, "Print versions and exit."),

    flag(Legacy, "cluster-active-size", Bool, "false", Used, ""),
    flag(Legacy, "cluster-remove-delay", Bool, "false", Used, ""),
    flag(Legacy, "cluster-sync-interval", Bool, "false", Used, ""),
    flag(Legacy, "config", Bool, "false", Used, ""),
    flag(Legacy, "force", Bool, "false", Used, ""),
    flag(Legacy, "max-result-buffer", Bool, "false", Used, ""),
    flag(Legacy, "max-retry-attempts", Bool, "false", Used, ""),
    flag(Legacy, "peer-heartbeat-interval", Bool, "false", Used, ""),
    flag(Legacy, "peer-election-timeout", Bool, "false", Used, ""),
    flag(Legacy, "retry-interval", Bool, "false", Used, ""),
    flag(Legacy, "snapshot", Bool, "false", Used, ""),
    flag(Legacy, "v", Bool, "false", Used, ""),
    flag(Legacy, "vv", Bool, "false", Used, ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_of_its_kind() {
        for flag in FLAGS {
            assert!(flag.read(flag.default).is_ok(), "{}", flag.name);
        }
    }

    #[test]
    fn names_are_unique() {
        for (at, flag) in FLAGS.iter().enumerate() {
            assert!(FLAGS[..at].iter().all(|other| other.name != flag.name), "{}", flag.name);
        }
    }
}
