//! Wires the parts: the only place that knows all of them. Start order and stop order live here, nothing else.

pub mod fallback;
mod observers;
mod open;
mod security;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bootstrap::{self, Identified};
use crate::clock;
use crate::config::{Config, Gate, Url};
use crate::data_folder::{self, DataFolder};
use crate::dial::Dial;
use crate::duty::{self, Lessor};
use crate::http::client::auth::{self, Authority};
use crate::http::listener::{self, Listener};
use crate::http::{admin, client, gateway, peer};
use crate::last_words;
use crate::metrics::Metrics;
use crate::notify;
use crate::proxy::grpc;
use crate::raft;
use crate::store;
use crate::telemetry;
use crate::telemetry::traces::{self, Traces};
use crate::traffic::Totals;
use crate::wal;
use observers::RaftTimes;
use open::{Opened, open};
use security::Security;

/// File descriptors that are not for clients: the store's files, the log, the peers. etcd's number.
const RESERVED_FILES: u64 = 150;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Folder(#[from] data_folder::Error),
    #[error(transparent)]
    Bootstrap(#[from] bootstrap::Error),
    #[error("the log of this member can't be used")]
    Wal(#[from] wal::Error),
    #[error(
        "the store of this member can't be used; if its files are damaged, remove the member from the cluster and add it \
         again with an empty data folder, or restore a single member from a snapshot"
    )]
    Store(#[from] store::Error),
    #[error(
        "{} is a member's that has run, and {} holds no log: a part of the data folder is gone. Put the log back, or remove the \
         member from the cluster and add it again with an empty data folder",
        member.display(), wal.display()
    )]
    LogMissing { member: PathBuf, wal: PathBuf },
    #[error(transparent)]
    Security(#[from] security::Error),
    #[error(transparent)]
    Auth(#[from] auth::Error),
    #[error(transparent)]
    Listen(#[from] listener::Error),
    #[error("cannot serve the JSON gateway")]
    Gateway(#[from] gateway::Error),
    #[error(transparent)]
    Traces(#[from] traces::Error),
    #[error(transparent)]
    Raft(#[from] raft::StartError),
    #[error("cannot keep in {} that this is a proxy", path.display())]
    Proxy { path: PathBuf, source: std::io::Error },
    #[error("cannot serve as a proxy")]
    Serve(#[from] grpc::Error),
}

/// Why a running member ended.
#[derive(Debug)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// The others have removed this member.
    Removed,
    /// A part failed, and going on could lose or falsify data.
    Failed(String),
}

/// Runs a member until `stop`, or until a part of it fails.
pub async fn run(
    config: Config,
    metrics: Arc<Metrics>,
    log: telemetry::Handle,
    stop: CancellationToken,
) -> Result<Ended, Error> {
    let clock = clock::System::new();
    let folder = DataFolder::open(&config.data_dir)?;
    if folder.is_removed() && !config.force_new_cluster {
        return Ok(Ended::Removed);
    }
    raft::tidy_snapshots(folder.member())
        .map_err(|source| data_folder::Error::Tidy { path: folder.member().to_owned(), source })?;
    let security = Security::load(&config)?;
    let sockets = Sockets::bind(&config, &security).await?;
    let gateway_routes = config.enable_grpc_gateway.then(gateway::Routes::load).transpose()?;
    let Some(parts) = open(&config, &folder, &metrics, &security.to_peers, &stop).await? else {
        return Ok(Ended::Stopped);
    };
    let Opened { wal, store, writer, identified, was_here } = parts;

    let observer = Arc::new(RaftTimes::new(metrics.clone(), identified.member_id, config.warning_apply_duration));
    let options = raft_options(&config, &identified, security.to_peers.clone(), observer.clone());
    let raft = raft::start(options, wal.clone(), store.clone(), writer, &clock).await?;
    let lessor = Lessor::start(raft.clone(), store.clone(), metrics.clone(), config.election_timeout);
    let authority = Authority::new(&auth::Settings::of(&config))?;
    let limits = client::Limits::of(&config);
    let member = client::Member::new(raft.clone(), store.clone(), authority, limits, folder.member().to_owned());
    let traces = config.tracing.as_ref().map(Traces::start).transpose()?;
    let running = Running::new(&config, member, lessor, metrics.clone(), observer, traces.clone(), log);

    // Peers first: without them there is no quorum. Then metrics, so that a member that can't join can be observed.
    running.serve_peers(sockets.peers, &folder);
    running.serve_metrics(sockets.metrics);
    let duties = running.start_duties(&config, security.to_peers.clone());

    let client_urls = texts(&config.advertise_client_urls);
    let published = async {
        duty::publish_attributes(&raft, &store, &config.name, client_urls.clone()).await;
        tracing::info!(
            local_member_id = format!("{:x}", identified.member_id),
            local_member_attributes = format!("{{Name:{} ClientURLs:{client_urls:?}}}", config.name),
            cluster_id = format!("{:x}", identified.cluster_id),
            "published local member to cluster through raft"
        );
        if was_here && config.feature_gates.enabled(Gate::InitialCorruptCheck) {
            duty::compare_before_serving(&duty::Members { raft: raft.clone(), store: store.clone() }).await;
        }
    };
    let mut wal_failed = wal.failed();
    let failed = async {
        tokio::select! {
            reason = raft.failed() => Ended::Failed(reason),
            Ok(failure) = wal_failed.wait_for(Option::is_some) => {
                Ended::Failed(failure.as_ref().map(|failure| last_words::chain(failure)).unwrap_or_default())
            }
            reason = raft.unfit() => Ended::Failed(reason),
            () = raft.removed() => Ended::Removed,
        }
    };
    tokio::pin!(failed);
    let ended = tokio::select! {
        () = published => None,
        () = stop.cancelled() => Some(Ended::Stopped),
        ended = &mut failed => Some(ended),
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            running.serve_clients(sockets.clients, sockets.client_http, gateway_routes);
            tracing::info!("ready to serve client requests");
            notify::ready();
            tokio::select! {
                () = stop.cancelled() => Ended::Stopped,
                ended = &mut failed => ended,
            }
        }
    };
    if matches!(ended, Ended::Stopped) {
        hand_over(&raft, config.election_timeout).await;
    }
    duties.cancel();
    running.stop().await;
    if let Some(traces) = traces {
        traces.stop().await;
    }
    raft.shutdown().await;
    if !matches!(ended, Ended::Failed(_)) {
        if let Err(error) = wal.close().await {
            tracing::error!(error = &error as &dyn std::error::Error, "failed to close the log");
        }
        // A restart then has nothing to replay.
        if let Err(error) =
            tokio::task::spawn_blocking(move || store.flush()).await.unwrap_or_else(|_| Ok(Default::default()))
        {
            tracing::error!(error = &error as &dyn std::error::Error, "failed to flush the store");
        }
    }
    if let Ended::Removed = ended {
        folder.mark_removed()?;
    }
    drop(folder);
    Ok(ended)
}

fn raft_options(
    config: &Config,
    identified: &Identified,
    dial: Dial,
    observer: Arc<dyn raft::Observer>,
) -> raft::Options {
    raft::Options {
        identity: raft::Identity { cluster_id: identified.cluster_id, member_id: identified.member_id },
        first_members: identified.first_members.clone(),
        heartbeat: config.heartbeat_interval,
        election: config.election_timeout,
        pre_vote: config.pre_vote,
        snapshot_count: config.snapshot_count,
        catchup_entries: config.snapshot_catchup_entries,
        max_request_bytes: config.max_request_bytes,
        snapshot_dir: config.member_path(),
        dial,
        observer,
        rules: raft::Rules { strict: config.strict_reconfig_check, max_learners: config.max_learners },
    }
}

/// A leader that leaves on purpose hands over first, so that no client waits for an election. It waits no longer than
/// an election would take: the others may be leaving too.
async fn hand_over(raft: &raft::Handle, limit: Duration) {
    if !raft.is_leader() {
        return;
    }
    let Some(successor) = raft.successor() else { return };
    match raft.move_leader(successor, limit).await {
        Ok(()) => tracing::info!(to = format!("{successor:x}"), "leadership transferred before stopping"),
        Err(error) => tracing::warn!(%error, "failed to transfer leadership before stopping"),
    }
}

fn texts(urls: &[Url]) -> Vec<String> {
    urls.iter().map(ToString::to_string).collect()
}

/// Every listening socket, bound before anything is written: a port in use must not leave half a member behind.
struct Sockets {
    peers: Vec<Listener>,
    clients: Vec<Listener>,
    client_http: Vec<Listener>,
    metrics: Vec<Listener>,
}

impl Sockets {
    async fn bind(config: &Config, security: &Security) -> Result<Self, listener::Error> {
        let client = listener::Options {
            max_concurrent_streams: config.max_concurrent_streams,
            keepalive_interval: config.grpc_keepalive_interval,
            keepalive_timeout: config.grpc_keepalive_timeout.unwrap_or(Duration::from_secs(20)),
            reuse_port: config.socket_reuse_port,
            drain: Duration::from_secs(5),
        };
        let peer = listener::Options {
            max_concurrent_streams: 10_000,
            keepalive_interval: Some(config.raft_read_timeout),
            keepalive_timeout: config.raft_write_timeout,
            reuse_port: config.socket_reuse_port,
            // A leader's append stream never ends by itself.
            drain: Duration::from_millis(200),
        };
        let clients = security.clients.as_ref();
        Ok(Self {
            peers: Listener::bind_all(&config.listen_peer_urls, security.peers.as_ref(), &peer).await?,
            clients: Listener::bind_all(&config.listen_client_urls, clients, &client).await?,
            client_http: Listener::bind_all(&config.listen_client_http_urls, clients, &client).await?,
            metrics: Listener::bind_all(&config.listen_metrics_urls, clients, &client).await?,
        })
    }
}

/// The listeners' side of a running member.
struct Running {
    member: client::Member,
    lessor: Lessor,
    metrics: Arc<Metrics>,
    traces: Option<Traces>,
    observer: Arc<dyn raft::Observer>,
    access: admin::Access,
    rests_on_defrag: bool,
    watch: client::watch::Service,
    admin: admin::Admin<client::Member>,
    /// Places for client connections.
    connections: Arc<Semaphore>,
    client_traffic: Arc<Totals>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    fn new(
        config: &Config,
        member: client::Member,
        lessor: Lessor,
        metrics: Arc<Metrics>,
        observer: Arc<dyn raft::Observer>,
        traces: Option<Traces>,
        log: telemetry::Handle,
    ) -> Self {
        let stop = CancellationToken::new();
        let client_traffic = Arc::new(Totals::default());
        metrics.on_scrape(client::scrape(&member, &client_traffic));
        let admin = admin::Admin {
            probe: Arc::new(member.clone()),
            metrics: metrics.clone(),
            request_timeout: config.request_timeout(),
            debugged: config.can_be_debugged().then_some(log),
        };
        Self {
            watch: client::watch_service(config, &member, stop.clone()).timed(metrics.clone()),
            admin,
            connections: Arc::new(Semaphore::new(client_connections())),
            member,
            lessor,
            metrics,
            traces,
            observer,
            rests_on_defrag: config.feature_gates.enabled(Gate::StopGrpcServiceOnDefrag),
            access: admin::Access { origins: config.cors.clone(), hosts: config.host_whitelist.clone() },
            client_traffic,
            stop,
            tasks: TaskTracker::new(),
        }
    }

    fn serve_peers(&self, listeners: Vec<Listener>, folder: &DataFolder) {
        let service = peer::Service {
            raft: self.member.raft().clone(),
            store: self.member.store().clone(),
            lessor: self.lessor.clone(),
            snapshot_dir: folder.member().to_owned(),
        };
        let services = peer::services(service, self.member.clone(), self.admin.version_router());
        let connections = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        for listener in listeners {
            let services = services.clone();
            let serve = move |request, connection: &peer::Connection| services.serve(request, connection);
            let observer = self.observer.clone();
            let meter = move || Arc::new(peer::Connection::new(observer.clone()));
            self.tasks.spawn(listener.serve(serve, connections.clone(), meter, self.stop.clone()));
        }
    }

    fn serve_metrics(&self, listeners: Vec<Listener>) {
        for listener in listeners {
            let router = self.admin.metrics_router().fallback(admin::not_found);
            let serve = move |request, _: &Totals| admin::serve(router.clone(), request);
            self.tasks.spawn(listener.serve(serve, self.connections.clone(), Arc::default, self.stop.clone()));
        }
    }

    /// `gateway_routes`: `None` without the JSON gateway.
    fn serve_clients(&self, grpc: Vec<Listener>, http: Vec<Listener>, gateway_routes: Option<gateway::Routes>) {
        let parts = client::Parts {
            member: self.member.clone(),
            lessor: self.lessor.clone(),
            watch: self.watch.clone(),
            metrics: self.metrics.clone(),
            traces: self.traces.clone(),
            rests_on_defrag: self.rests_on_defrag,
        };
        let mut services = client::services(parts);
        let mut router = self.admin.client_router().merge(client::v2_members(self.member.clone()));
        if let Some(routes) = gateway_routes {
            let (tasks, stop) = (self.tasks.clone(), self.stop.clone());
            router = router.merge(gateway::Gateway::new(routes, services.clone(), tasks, stop).router());
        }
        let access = axum::middleware::from_fn_with_state(self.access.clone(), admin::check_access);
        let router = router.fallback(admin::not_found).layer(access);
        if http.is_empty() {
            services = services.with_http(router.clone());
        }
        for listener in grpc {
            let services = services.clone();
            let serve = move |request, _: &Totals| services.serve(request);
            let traffic = self.client_traffic.clone();
            let meter = move || traffic.clone();
            self.tasks.spawn(listener.serve(serve, self.connections.clone(), meter, self.stop.clone()));
        }
        for listener in http {
            let router = router.clone();
            let serve = move |request, _: &Totals| admin::serve(router.clone(), request);
            self.tasks.spawn(listener.serve(serve, self.connections.clone(), Arc::default, self.stop.clone()));
        }
    }

    fn start_duties(&self, config: &Config, dial: Dial) -> CancellationToken {
        let stop = CancellationToken::new();
        let (raft, store) = (self.member.raft().clone(), self.member.store().clone());
        let version = duty::settle_cluster_version(raft.clone(), store.clone(), dial.clone());
        let downgrade = duty::end_downgrade(raft.clone(), store.clone(), dial, config.downgrade_check_time);
        let compaction = duty::compact_periodically(raft.clone(), store.clone(), config.auto_compaction);
        let members = duty::Members { raft, store };
        let corruption = duty::compare_periodically(members.clone(), config.corrupt_check_time);
        let checks_compactions = config.feature_gates.enabled(Gate::CompactHashCheck);
        let compactions =
            duty::compare_compactions(members, checks_compactions.then_some(config.compact_hash_check_time));
        let stopped = stop.clone();
        let member = self.member.clone();
        self.tasks.spawn(async move {
            let tokens = member.authority().sweep(member.store());
            tokio::select! {
                () = async { futures::join!(version, downgrade, compaction, corruption, compactions, tokens); } => {}
                () = stopped.cancelled() => {}
            }
        });
        stop
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// As many clients as the process may have files, less what it needs itself.
fn client_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let clients = limit.saturating_sub(RESERVED_FILES).max(1);
    usize::try_from(clients).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}
