//! From given values to the [`Config`]: defaults filled in, bounds checked, related flags compared.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::feature_gate::{FeatureGates, Gate};
use super::given::Given;
use super::resolved::{Config, InitialClusterState};
use super::table;
use super::url::{self, Url};
use super::value::{self, Value};
use super::{Error, Notice, sections};

/// etcd's longest election timeout.
const MAX_ELECTION_MS: u64 = 50_000;
const DEFAULT_QUOTA_BYTES: u64 = 2 << 30;
/// Above it etcd warns: start-up and snapshots take long.
const RECOMMENDED_QUOTA_BYTES: u64 = 8 << 30;
/// Above it etcd warns: requests this large hold up everything else.
const RECOMMENDED_REQUEST_BYTES: u64 = 10 << 20;
const MIN_WATCH_PROGRESS: Duration = Duration::from_millis(100);
const MIN_RAFT_TIMEOUT: Duration = Duration::from_secs(5);
/// Its textual value decides whether the member list is rebuilt from the name.
const DEFAULT_INITIAL_CLUSTER: &str = "default=http://localhost:2380";

/// Reads values by name, falling back to the table's defaults.
pub(super) struct Reader<'a> {
    pub given: &'a Given,
    pub notices: &'a mut Vec<Notice>,
}

macro_rules! getter {
    ($name:ident, $variant:ident, $type:ty) => {
        pub(super) fn $name(&self, name: &'static str) -> Result<$type, Error> {
            match self.value(name)? {
                Value::$variant(value) => Ok(value),
                _ => Err(Error::Undefined(name)),
            }
        }
    };
}

impl Reader<'_> {
    fn value(&self, name: &'static str) -> Result<Value, Error> {
        if let Some(value) = self.given.get(name) {
            return Ok(value.clone());
        }
        table::find(name).and_then(|flag| flag.read(flag.default).ok()).ok_or(Error::Undefined(name))
    }

    getter!(bool, Bool, bool);
    getter!(uint, Uint, u64);
    getter!(int, Int, i64);
    getter!(nanoseconds, Duration, i64);
    getter!(text, Text, String);
    getter!(list, List, Vec<String>);

    /// A number that sizes something in memory.
    fn size(&self, name: &'static str) -> Result<usize, Error> {
        Ok(usize::try_from(self.uint(name)?).unwrap_or(usize::MAX))
    }

    /// An empty list of addresses means the default, as in etcd.
    fn urls(&self, name: &'static str) -> Result<Vec<Url>, Error> {
        match self.value(name)? {
            Value::Urls(urls) if urls.is_empty() => match table::find(name).map(|flag| flag.read(flag.default)) {
                Some(Ok(Value::Urls(urls))) => Ok(urls),
                _ => Err(Error::Undefined(name)),
            },
            Value::Urls(urls) => Ok(urls),
            _ => Err(Error::Undefined(name)),
        }
    }

    pub(super) fn duration(&self, name: &'static str) -> Result<Duration, Error> {
        let nanoseconds = self.nanoseconds(name)?;
        value::to_duration(nanoseconds)
            .ok_or_else(|| Error::Negative { flag: name, value: value::format_duration(nanoseconds) })
    }

    /// `None` for 0, which turns the thing off.
    fn duration_or_off(&self, name: &'static str) -> Result<Option<Duration>, Error> {
        Ok(Some(self.duration(name)?).filter(|duration| !duration.is_zero()))
    }

    fn duration_or(&self, name: &'static str, zero: Duration) -> Result<Duration, Error> {
        Ok(self.duration_or_off(name)?.unwrap_or(zero))
    }

    pub(super) fn path(&self, name: &'static str) -> Result<Option<PathBuf>, Error> {
        Ok(self.nonempty(name)?.map(PathBuf::from))
    }

    pub(super) fn nonempty(&self, name: &'static str) -> Result<Option<String>, Error> {
        Ok(Some(self.text(name)?).filter(|text| !text.is_empty()))
    }

    fn at_least(&mut self, flag: &'static str, floor: Duration, given: Duration) -> Duration {
        if given >= floor {
            return given;
        }
        self.replaced(flag, format!("{given:?}"), format!("{floor:?}"));
        floor
    }

    /// Zero means the default here.
    fn positive_or_default(&mut self, flag: &'static str, default: u64) -> Result<u64, Error> {
        match self.uint(flag)? {
            0 => {
                self.replaced(flag, "0".to_owned(), default.to_string());
                Ok(default)
            }
            number => Ok(number),
        }
    }

    pub(super) fn replaced(&mut self, flag: &'static str, given: String, used: String) {
        self.notices.push(Notice::Replaced { flag, given, used });
    }
}

/// Resolves settled values. `default_host` finds the address of the machine's default route, if there is one.
pub fn resolve(
    given: &Given,
    default_host: &dyn Fn() -> Option<IpAddr>,
    notices: &mut Vec<Notice>,
) -> Result<Config, Error> {
    let mut r = Reader { given, notices };
    let log = sections::log(&mut r)?;
    let addresses = Addresses::read(&r)?;
    addresses.check(&mut r)?;
    let discovery = sections::discovery(&r)?;
    let discovery_srv = r.nonempty("discovery-srv")?;
    check_bootstrap(&r, discovery.is_some(), discovery_srv.is_some())?;
    let (heartbeat_interval, election_timeout) = raft_times(&r)?;

    let name = r.text("name")?;
    if name == "default" {
        r.notices.push(Notice::DefaultName { name: name.clone() });
    }
    let data_dir = r.path("data-dir")?.unwrap_or_else(|| {
        let path = format!("{name}.etcd");
        r.notices.push(Notice::DefaultDataDir { path: path.clone() });
        PathBuf::from(path)
    });
    let compact_hash_check_time = r.nanoseconds("compact-hash-check-time")?;
    let compact_hash_check_time =
        value::to_duration(compact_hash_check_time).filter(|d| !d.is_zero()).ok_or_else(|| Error::NotPositive {
            flag: "compact-hash-check-time",
            value: value::format_duration(compact_hash_check_time),
        })?;
    let max_learners = r.int("max-learners")?;
    if max_learners < 1 {
        return Err(Error::NotPositive { flag: "max-learners", value: max_learners.to_string() });
    }
    let compaction_batch_limit = r.int("compaction-batch-limit")?;
    let max_request_bytes = r.uint("max-request-bytes")?;
    if max_request_bytes > RECOMMENDED_REQUEST_BYTES {
        r.notices.push(Notice::LargeRequests { bytes: max_request_bytes, recommended: RECOMMENDED_REQUEST_BYTES });
    }
    let (tls_min_version, tls_max_version) = sections::tls_versions(&r)?;
    let snapshot_count = r.positive_or_default("snapshot-count", 10_000)?;
    let snapshot_catchup_entries = r.positive_or_default("snapshot-catchup-entries", 5_000)?;
    let raft_read_timeout = r.at_least("raft-read-timeout", MIN_RAFT_TIMEOUT, r.duration("raft-read-timeout")?);
    let raft_write_timeout = r.at_least("raft-write-timeout", MIN_RAFT_TIMEOUT, r.duration("raft-write-timeout")?);
    let progress = r.duration_or("watch-progress-notify-interval", Duration::from_secs(600))?;
    let watch_progress_notify_interval = r.at_least("watch-progress-notify-interval", MIN_WATCH_PROGRESS, progress);
    let quota_backend_bytes = quota(&mut r)?;
    let feature_gates = gates(&mut r)?;
    let bcrypt_cost = sections::bcrypt_cost(&mut r)?;
    let initial_cluster = initial_cluster(&r, discovery.is_some() || discovery_srv.is_some())?;
    let mut config = Config {
        wal_dir: r.path("wal-dir")?,
        snapshot_count,
        snapshot_catchup_entries,
        heartbeat_interval,
        election_timeout,
        pre_vote: r.bool("pre-vote")?,
        raft_read_timeout,
        raft_write_timeout,
        quota_backend_bytes,
        max_txn_ops: r.size("max-txn-ops")?,
        max_request_bytes: usize::try_from(max_request_bytes).unwrap_or(usize::MAX),
        max_concurrent_streams: u32::try_from(r.uint("max-concurrent-streams")?).unwrap_or(u32::MAX),
        grpc_keepalive_min_time: r.duration("grpc-keepalive-min-time")?,
        grpc_keepalive_interval: r.duration_or_off("grpc-keepalive-interval")?,
        grpc_keepalive_timeout: r.duration_or_off("grpc-keepalive-timeout")?,
        listen_peer_urls: addresses.listen_peer,
        listen_client_urls: addresses.listen_client,
        listen_client_http_urls: addresses.listen_http,
        listen_metrics_urls: addresses.listen_metrics,
        socket_reuse_port: r.bool("socket-reuse-port")?,
        cors: r.list("cors")?,
        host_whitelist: r.list("host-whitelist")?,
        enable_grpc_gateway: r.bool("enable-grpc-gateway")?,
        advertise_peer_urls: addresses.advertise_peer,
        advertise_client_urls: addresses.advertise_client,
        initial_cluster,
        initial_cluster_state: match r.text("initial-cluster-state")?.as_str() {
            "existing" => InitialClusterState::Existing,
            _ => InitialClusterState::New,
        },
        initial_cluster_token: r.text("initial-cluster-token")?,
        discovery,
        discovery_srv,
        discovery_srv_name: r.nonempty("discovery-srv-name")?,
        strict_reconfig_check: r.bool("strict-reconfig-check")?,
        max_learners: usize::try_from(max_learners).unwrap_or(usize::MAX),
        force_new_cluster: r.bool("force-new-cluster")?,
        unsafe_no_fsync: r.bool("unsafe-no-fsync")?,
        auto_compaction: sections::auto_compaction(&r)?,
        compaction_batch_limit: match usize::try_from(compaction_batch_limit) {
            Ok(0) => 1000,
            Ok(limit) => limit,
            Err(_) => {
                let value = compaction_batch_limit.to_string();
                return Err(Error::Negative { flag: "compaction-batch-limit", value });
            }
        },
        compaction_sleep_interval: r.duration_or("compaction-sleep-interval", Duration::from_millis(10))?,
        watch_progress_notify_interval,
        corrupt_check_time: r.duration_or_off("corrupt-check-time")?,
        compact_hash_check_time,
        downgrade_check_time: r.duration_or_off("downgrade-check-time")?,
        bootstrap_defrag_threshold_megabytes: Some(r.uint("bootstrap-defrag-threshold-megabytes")?)
            .filter(|threshold| *threshold > 0),
        warning_apply_duration: r.duration("warning-apply-duration")?,
        warning_unary_request_duration: r.duration_or("warning-unary-request-duration", Duration::from_millis(300))?,
        feature_gates,
        client_tls: sections::client_tls(&r)?,
        peer_tls: sections::peer_tls(&r)?,
        self_signed_cert_validity_years: u32::try_from(r.uint("self-signed-cert-validity")?.max(1)).unwrap_or(u32::MAX),
        cipher_suites: r.list("cipher-suites")?,
        tls_min_version,
        tls_max_version,
        auth_token: sections::auth_token(&r)?,
        auth_token_ttl: Duration::from_secs(r.uint("auth-token-ttl")?),
        bcrypt_cost,
        log,
        extensive_metrics: sections::extensive_metrics(&r)?,
        enable_pprof: r.bool("enable-pprof")?,
        tracing: sections::tracing(&r)?,
        name,
        data_dir,
    };
    default_addresses(&mut config, default_host, r.notices);
    Ok(config)
}

struct Addresses {
    listen_peer: Vec<Url>,
    listen_client: Vec<Url>,
    listen_http: Vec<Url>,
    listen_metrics: Vec<Url>,
    advertise_peer: Vec<Url>,
    advertise_client: Vec<Url>,
}

impl Addresses {
    fn read(r: &Reader) -> Result<Self, Error> {
        Ok(Self {
            listen_peer: r.urls("listen-peer-urls")?,
            listen_client: r.urls("listen-client-urls")?,
            listen_http: r.urls("listen-client-http-urls")?,
            listen_metrics: r.urls("listen-metrics-urls")?,
            advertise_peer: r.urls("initial-advertise-peer-urls")?,
            advertise_client: r.urls("advertise-client-urls")?,
        })
    }

    fn check(&self, r: &mut Reader) -> Result<(), Error> {
        let Self { listen_peer, listen_client, listen_http, listen_metrics, advertise_peer, advertise_client } = self;
        for url in [listen_peer, listen_client, listen_http, listen_metrics].into_iter().flatten() {
            url.check_bind().map_err(Error::Bind)?;
        }
        if listen_http.is_empty() {
            r.notices.push(Notice::SharedPort);
        }
        if let Some(url) = listen_http.iter().find(|url| listen_client.contains(url)) {
            return Err(Error::SameUrlTwice { url: url.to_string() });
        }
        for url in advertise_peer {
            url.check_host().map_err(|reason| Error::AdvertisePeer { urls: url::join(advertise_peer), reason })?;
        }
        for url in advertise_client {
            url.check_host().map_err(|reason| Error::AdvertiseClient { urls: url::join(advertise_client), reason })?;
        }
        // The file keeps the default here; etcd checks only flags and variables.
        if !r.given.from_file && r.given.contains("listen-client-urls") && !r.given.contains("advertise-client-urls") {
            return Err(Error::UnsetAdvertiseClient);
        }
        Ok(())
    }
}

fn check_bootstrap(r: &Reader, discovery: bool, srv: bool) -> Result<(), Error> {
    let list = r.given.contains("initial-cluster") && !r.text("initial-cluster")?.is_empty();
    if [list, discovery, srv].into_iter().filter(|set| *set).count() > 1 {
        return Err(match r.nonempty("discovery")? {
            Some(_) => Error::ConflictingBootstrapUrl,
            None => Error::ConflictingBootstrap,
        });
    }
    Ok(())
}

fn initial_cluster(r: &Reader, discovered: bool) -> Result<String, Error> {
    if r.given.contains("initial-cluster") {
        r.text("initial-cluster")
    } else if discovered {
        Ok(String::new())
    } else {
        Ok(DEFAULT_INITIAL_CLUSTER.to_owned())
    }
}

fn raft_times(r: &Reader) -> Result<(Duration, Duration), Error> {
    let heartbeat_ms = r.uint("heartbeat-interval")?;
    let election_ms = r.uint("election-timeout")?;
    for (flag, ms) in [("heartbeat-interval", heartbeat_ms), ("election-timeout", election_ms)] {
        if ms == 0 {
            return Err(Error::NotPositive { flag, value: "0ms".to_owned() });
        }
    }
    if heartbeat_ms.saturating_mul(5) > election_ms {
        return Err(Error::ElectionTooShort { election_ms, heartbeat_ms });
    }
    if election_ms > MAX_ELECTION_MS {
        return Err(Error::ElectionTooLong(election_ms));
    }
    Ok((Duration::from_millis(heartbeat_ms), Duration::from_millis(election_ms)))
}

fn quota(r: &mut Reader) -> Result<Option<u64>, Error> {
    let bytes = r.int("quota-backend-bytes")?;
    Ok(match u64::try_from(bytes) {
        Err(_) => {
            r.notices.push(Notice::QuotaDisabled { bytes });
            None
        }
        Ok(0) => Some(DEFAULT_QUOTA_BYTES),
        Ok(bytes) => {
            if bytes > RECOMMENDED_QUOTA_BYTES {
                r.notices.push(Notice::LargeQuota { bytes, recommended: RECOMMENDED_QUOTA_BYTES });
            }
            Some(bytes)
        }
    })
}

fn gates(r: &mut Reader) -> Result<FeatureGates, Error> {
    let text = r.text("feature-gates")?;
    let mut gates = FeatureGates::parse(&text)?;
    for (gate, on) in &r.given.gates {
        let named = text.split(',').any(|item| item.split('=').next().map(str::trim) == Some(gate.name()));
        if !named {
            gates.set(*gate, *on);
        }
    }
    if gates.enabled(Gate::LeaseCheckpointPersist) && !gates.enabled(Gate::LeaseCheckpoint) {
        return Err(Error::CheckpointPersist);
    }
    for gate in Gate::ALL.into_iter().filter(|gate| gates.enabled(*gate) != gate.default()) {
        if let Some(reason) = gate.no_effect() {
            r.notices.push(Notice::NoEffect { flag: format!("feature-gates={}", gate.name()), reason });
        }
    }
    Ok(gates)
}

/// Default addresses to advertise mean nothing to others when this member listens everywhere, so the machine's own
/// address takes their place; and a member with a name of its own is its own first cluster.
fn default_addresses(config: &mut Config, default_host: &dyn Fn() -> Option<IpAddr>, notices: &mut Vec<Notice>) {
    let everywhere = |listen: &[Url], advertise: &[Url], default: &str| match (listen, advertise) {
        ([first, ..], [only]) if first.host() == "0.0.0.0" && only.as_str() == default => Some(first.port()),
        _ => None,
    };
    let peer = everywhere(&config.listen_peer_urls, &config.advertise_peer_urls, "http://localhost:2380");
    let client = everywhere(&config.listen_client_urls, &config.advertise_client_urls, "http://localhost:2379");
    if (peer.is_some() || client.is_some())
        && let Some(host) = default_host()
    {
        if let (Some(port), Some(url)) = (peer, config.advertise_peer_urls.first_mut()) {
            *url = url.with_host(host, port);
        }
        if let (Some(port), Some(url)) = (client, config.advertise_client_urls.first_mut()) {
            *url = url.with_host(host, port);
        }
        notices.push(Notice::DefaultHost { host: host.to_string() });
    }
    if config.name != "default" && config.initial_cluster == DEFAULT_INITIAL_CLUSTER {
        let members = config.advertise_peer_urls.iter().map(|url| format!("{}={url}", config.name));
        config.initial_cluster = members.collect::<Vec<_>>().join(",");
    }
}
