//! From the command line to a serving proxy.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quorate_proto::served::etcdserverpb::cluster_server::ClusterServer;
use quorate_proto::served::etcdserverpb::kv_server::KvServer;
use quorate_proto::served::etcdserverpb::lease_server::LeaseServer;
use quorate_proto::served::etcdserverpb::watch_server::WatchServer;
use quorate_tls::protocol::{Protocol, Version};
use quorate_tls::{Allowed, client, peer, self_signed, server};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::command::GrpcProxy;
use super::cluster::{self, Advertised};
use super::front::Front;
use super::upstream::{BadEndpoint, Settings, Upstream};
use super::{Namespace, admin, kv, lease, watch};
use crate::config::{TlsVersion, Url, url};
use crate::dial::Dial;
use crate::http::listener::{self, Endpoint, Listener, Secured};
use crate::traffic::Totals;

/// Bound on connecting to a member.
const CONNECT: Duration = Duration::from_secs(2);
/// A request may be larger than what it asks for.
const OVERHEAD_BYTES: usize = 512 << 10;
/// How long calls under way are waited for at the end.
const DRAIN: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--{flag}={given} can't be used: {reason}")]
    Value { flag: &'static str, given: String, reason: String },
    #[error("--{0} and --{1} must both be given, or neither")]
    HalfAPair(&'static str, &'static str),
    #[error(
        "--cert={}: cert has non empty Common Name ({name}): every client of the proxy would act as that user", path.display()
    )]
    CommonName { path: PathBuf, name: String },
    #[error("--endpoints: {0}")]
    Endpoint(#[from] BadEndpoint),
    #[error("--discovery-srv={domain}: {reason}")]
    Discovery { domain: String, reason: String },
    #[error("--listen-addr or --metrics-addr: {0}")]
    Url(#[from] url::Error),
    #[error(transparent)]
    Tls(#[from] quorate_tls::Error),
    #[error(transparent)]
    Listen(#[from] listener::Error),
}

/// What a proxy needs, wherever it was configured.
pub struct Options {
    pub listen: Vec<Url>,
    pub metrics: Vec<Url>,
    pub secured: Option<Secured>,
    pub listener: listener::Options,
    pub upstream: Upstream,
    pub namespace: Namespace,
    pub advertised: Option<Advertised>,
    /// Time between two looks for members that came or left.
    pub refresh: Option<Duration>,
    pub linearizable: bool,
    pub log_calls: bool,
    /// Bytes of a client's request.
    pub request_bytes: usize,
}

/// Serves until `stop`.
pub async fn start(arguments: GrpcProxy, stop: CancellationToken) -> Result<(), Error> {
    run(options(&arguments).await?, stop).await
}

/// Serves until `stop`.
pub async fn run(options: Options, stop: CancellationToken) -> Result<(), Error> {
    let Options { listen, metrics, secured, listener, upstream, namespace, advertised, refresh, .. } = options;
    let clients = Listener::bind_all(&listen, secured.as_ref(), &listener).await?;
    let observers = Listener::bind_all(&metrics, secured.as_ref(), &listener).await?;

    let tasks = TaskTracker::new();
    if let Some(own) = advertised.clone().filter(|own| !own.prefix.is_empty()) {
        let (upstream, stop) = (upstream.clone(), stop.clone());
        tasks.spawn(async move { stop.run_until_cancelled(cluster::register(upstream, own)).await });
    }
    if let Some(interval) = refresh {
        tasks.spawn(cluster::follow_members(upstream.clone(), interval, stop.clone()));
    }

    let hub = watch::Hub::new(upstream.clone(), namespace.clone());
    let http = admin::router(upstream.clone(), hub.clone(), stop.clone());
    let limit = options.request_bytes.saturating_add(OVERHEAD_BYTES);
    let linearizable = options.linearizable;
    let kv = (linearizable || !namespace.is_everything()).then(|| {
        KvServer::new(kv::Service { upstream: upstream.clone(), namespace: namespace.clone(), linearizable })
            .max_decoding_message_size(limit)
            .max_encoding_message_size(usize::MAX)
    });
    let watch = watch::Service { hub, stop: stop.clone() };
    let front = Front {
        kv,
        watch: WatchServer::new(watch).max_decoding_message_size(limit).max_encoding_message_size(usize::MAX),
        lease: LeaseServer::new(lease::Service::new(upstream.clone(), namespace, stop.clone())),
        cluster: ClusterServer::new(cluster::Service { upstream: upstream.clone(), advertised }),
        upstream,
        http: http.clone(),
        log_calls: options.log_calls,
    };
    let connections = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
    for listener in clients {
        let front = front.clone();
        let serve = move |request, _: &Totals| front.serve(request);
        tasks.spawn(listener.serve(serve, connections.clone(), Arc::default, stop.clone()));
    }
    for listener in observers {
        let http = http.clone();
        let serve = move |request, _: &Totals| crate::http::admin::serve(http.clone(), request);
        tasks.spawn(listener.serve(serve, connections.clone(), Arc::default, stop.clone()));
    }
    let endpoints: Vec<String> = front.upstream.endpoints().iter().map(ToString::to_string).collect();
    tracing::info!(address = url::join(&listen), ?endpoints, "started gRPC proxy");
    crate::notify::ready();
    stop.cancelled().await;
    tasks.close();
    tasks.wait().await;
    Ok(())
}

async fn options(arguments: &GrpcProxy) -> Result<Options, Error> {
    let secured = secured(arguments)?;
    let scheme = if secured.is_some() { "https" } else { "http" };
    let listen = Url::parse(&format!("{scheme}://{}", arguments.listen_addr))?;
    let metrics = arguments.metrics_addr.iter().map(|address| Url::parse(address)).collect::<Result<Vec<_>, _>>()?;
    if let Some(prefix) = arguments.experimental_leasing_prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
        tracing::warn!(prefix, "--experimental-leasing-prefix has no effect: this proxy caches nothing");
    }
    if arguments.enable_pprof {
        tracing::warn!("--enable-pprof has no effect: members have profiles, the proxy has none");
    }
    let (found, tls) = (endpoints(arguments).await?, connector(arguments)?);
    let is_secured = tls.is_asked_for;
    let settings = Settings {
        connect: CONNECT,
        keepalive: Some(arguments.dial_keepalive_time).filter(|time| !time.is_zero()),
        keepalive_timeout: arguments.dial_keepalive_timeout,
        keepalive_while_idle: arguments.permit_without_stream,
        answer_bytes: arguments.max_recv_bytes,
        request_bytes: arguments.max_send_bytes.saturating_add(OVERHEAD_BYTES),
    };
    Ok(Options {
        listen: vec![listen],
        metrics,
        secured,
        listener: listener::Options {
            max_concurrent_streams: arguments.max_concurrent_streams,
            keepalive_interval: Some(arguments.grpc_keepalive_interval).filter(|interval| !interval.is_zero()),
            keepalive_timeout: arguments.grpc_keepalive_timeout,
            reuse_port: false,
            drain: DRAIN,
        },
        upstream: Upstream::new(&found, is_secured, tls.dial, settings)?,
        namespace: Namespace::new(&arguments.namespace),
        advertised: advertised(arguments)?,
        refresh: Some(arguments.endpoints_auto_sync_interval).filter(|interval| !interval.is_zero()),
        linearizable: arguments.experimental_serializable_ordering,
        log_calls: arguments.experimental_enable_grpc_logging,
        request_bytes: arguments.max_send_bytes,
    })
}

fn advertised(arguments: &GrpcProxy) -> Result<Option<Advertised>, Error> {
    let GrpcProxy { advertise_client_url: address, resolver_prefix: prefix, resolver_ttl: ttl, .. } = arguments;
    if !prefix.is_empty() && *ttl < 1 {
        let reason = "--resolver-prefix needs a time to live of at least 1 s".to_owned();
        return Err(Error::Value { flag: "resolver-ttl", given: ttl.to_string(), reason });
    }
    let own = Advertised { address: address.clone(), prefix: prefix.clone(), ttl: *ttl };
    Ok(Some(own).filter(|own| !own.address.is_empty()))
}

async fn endpoints(arguments: &GrpcProxy) -> Result<Vec<String>, Error> {
    let Some(domain) = arguments.discovery_srv.as_deref().filter(|domain| !domain.is_empty()) else {
        return Ok(arguments.endpoints.clone());
    };
    let name = arguments.discovery_srv_name.as_deref().unwrap_or_default();
    let services = quorate_dns::services("etcd-client", name, domain).await;
    let mut reasons = Vec::new();
    let mut found = Vec::new();
    for (scheme, (_, targets)) in [("https", services.secured), ("http", services.plain)] {
        match targets {
            Ok(_) if scheme == "http" && !arguments.insecure_discovery => {
                reasons.push("members without TLS are left out, see --insecure-discovery".to_owned());
            }
            Ok(targets) => {
                found.extend(targets.iter().map(|target| format!("{scheme}://{}:{}", target.host, target.port)));
            }
            Err(error) => reasons.push(error.to_string()),
        }
    }
    match found.is_empty() {
        true => Err(Error::Discovery { domain: domain.to_owned(), reason: reasons.join("; ") }),
        false => Ok(found),
    }
}

struct ToMembers {
    dial: Dial,
    is_asked_for: bool,
}

fn connector(arguments: &GrpcProxy) -> Result<ToMembers, Error> {
    let GrpcProxy { cert, key, cacert, insecure_skip_tls_verify, .. } = arguments;
    let pair = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        (None, None) => None,
        _ => return Err(Error::HalfAPair("cert", "key")),
    };
    if let Some((path, _)) = &pair
        && let Some(name) = peer::common_name_in(path)?.filter(|name| !name.is_empty())
    {
        return Err(Error::CommonName { path: path.clone(), name });
    }
    let is_asked_for = pair.is_some() || cacert.is_some() || *insecure_skip_tls_verify;
    let connector = client::Connector::new(client::Settings {
        pair,
        authorities: cacert.clone(),
        skip_verification: *insecure_skip_tls_verify,
        ..client::Settings::default()
    });
    match connector {
        Ok(connector) => Ok(ToMembers { dial: Dial::new(connector), is_asked_for }),
        Err(error) if is_asked_for => Err(error.into()),
        // A system without authorities; plain text needs none.
        Err(_) => Ok(ToMembers { dial: Dial::default(), is_asked_for }),
    }
}

fn secured(arguments: &GrpcProxy) -> Result<Option<Secured>, Error> {
    let host = arguments.listen_addr.rsplit_once(':').map_or(arguments.listen_addr.as_str(), |(host, _)| host);
    let (cert, key) = match (&arguments.cert_file, &arguments.key_file) {
        (Some(cert), Some(key)) => (cert.clone(), key.clone()),
        (None, None) if arguments.auto_tls => {
            let fixtures = arguments.data_dir.join("fixtures").join("proxy");
            self_signed::pair(&fixtures, &[host.to_owned()], arguments.self_signed_cert_validity)?
        }
        (None, None) => return Ok(None),
        _ => return Err(Error::HalfAPair("cert-file", "key-file")),
    };
    let version = |flag, text: &str| match text {
        "" => Ok(None),
        "TLS1.2" => Ok(Some(TlsVersion::V1_2)),
        "TLS1.3" => Ok(Some(TlsVersion::V1_3)),
        _ => Err(Error::Value { flag, given: text.to_owned(), reason: "TLS1.2 and TLS1.3 are there".to_owned() }),
    };
    let of = |version| match version {
        TlsVersion::V1_2 => Version::V1_2,
        TlsVersion::V1_3 => Version::V1_3,
    };
    let min = version("tls-min-version", &arguments.tls_min_version)?.unwrap_or(TlsVersion::V1_2);
    let max = version("tls-max-version", &arguments.tls_max_version)?;
    let acceptor = server::Acceptor::new(server::Settings {
        cert,
        key,
        verify_clients: arguments.trusted_ca_file.is_some(),
        authorities: arguments.trusted_ca_file.clone(),
        revocations: arguments.client_crl_file.clone(),
        allowed: Allowed::default(),
        protocol: Protocol::new(of(min), max.map(of), &arguments.listen_cipher_suites)?,
    })?;
    Ok(Some(Secured { acceptor: Arc::new(acceptor), endpoint: Endpoint::Client, check_names: false }))
}
