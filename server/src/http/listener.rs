//! Sockets and connections: HTTP/1.1 and HTTP/2 on the same port, told apart by the first bytes.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;

use crate::config::{Scheme, Url};
use crate::traffic::{Meter, Metered};

/// How connections are served.
#[derive(Debug, Clone)]
pub struct Options {
    /// HTTP/2 streams of one connection.
    pub max_concurrent_streams: u32,
    /// Idle time before the server pings; `None`: never.
    pub keepalive_interval: Option<Duration>,
    /// Wait for a ping's answer.
    pub keepalive_timeout: Duration,
    pub reuse_port: bool,
    /// How long calls under way are waited for when the server stops.
    pub drain: Duration,
}

/// Bytes of a request's headers, all together. Without a bound one client could fill the memory.
const HEADER_LIST_BYTES: u32 = 64 << 10;
/// Time for a client to send its headers over HTTP/1.1.
const HEADER_READ_TIME: Duration = Duration::from_secs(300);
/// Flow-control windows: large, because small ones make the peer wait on every larger value.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {url}: another process uses the port")]
    InUse { url: String, source: io::Error },
    #[error("cannot listen on {url}")]
    Bind { url: String, source: io::Error },
    #[error("cannot resolve the host of {url}")]
    Resolve { url: String, source: io::Error },
    #[error("{0}: listening on this kind of address is not supported yet; use http://IP:PORT")]
    Kind(String),
}

/// A bound socket; nothing is accepted before [`Listener::serve`].
pub struct Listener {
    socket: TcpListener,
    options: Options,
}

impl Listener {
    pub async fn bind(url: &Url, options: Options) -> Result<Self, Error> {
        if url.scheme() != Scheme::Http {
            return Err(Error::Kind(url.to_string()));
        }
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => Error::InUse { url: url.to_string(), source },
            _ => Error::Bind { url: url.to_string(), source },
        };
        let address = resolve(url).await?;
        let socket =
            socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None).map_err(failed)?;
        socket.set_reuse_address(true).map_err(failed)?;
        if options.reuse_port {
            socket.set_reuse_port(true).map_err(failed)?;
        }
        socket.set_nonblocking(true).map_err(failed)?;
        socket.bind(&address.into()).map_err(failed)?;
        socket.listen(4096).map_err(failed)?;
        Ok(Self { socket: TcpListener::from_std(socket.into()).map_err(failed)?, options })
    }

    /// Accepts until `stop`; then lets connections finish what they do, and ends them when `drain` has passed.
    /// `meter` is asked for each connection's, which `service` sees with each of its requests.
    pub async fn serve<S, M>(
        self,
        service: S,
        connections: Arc<Semaphore>,
        meter: impl Fn() -> Arc<M>,
        stop: CancellationToken,
    ) where
        M: Meter + 'static,
        S: Fn(Request<Incoming>, &M) -> BoxFuture<'static, Result<Response<Body>, Infallible>>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let tasks = TaskTracker::new();
        let cut = CancellationToken::new();
        loop {
            let Ok(place) = connections.clone().acquire_owned().await else { break };
            let stream = tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        // Out of file descriptors, or a client that left already: wait a moment, don't end.
                        tracing::warn!(%error, "failed to accept a connection");
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                },
                () = stop.cancelled() => break,
            };
            let connection = connection(&self.options, stream, service.clone(), meter(), stop.clone());
            let cut = cut.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = connection => {}
                    () = cut.cancelled() => {}
                }
                drop(place);
            });
        }
        drop(self.socket);
        tasks.close();
        if tokio::time::timeout(self.options.drain, tasks.wait()).await.is_err() {
            cut.cancel();
            tasks.wait().await;
        }
    }
}

/// Serves one connection until it ends, or gracefully ends it when `stop` comes.
fn connection<S, M>(
    options: &Options,
    stream: TcpStream,
    service: S,
    meter: Arc<M>,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static
where
    M: Meter + 'static,
    S: Fn(Request<Incoming>, &M) -> BoxFuture<'static, Result<Response<Body>, Infallible>>
        + Clone
        + Send
        + Sync
        + 'static,
{
    // Small answers must not wait for the client's acknowledgement of the last one.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to set TCP_NODELAY");
    }
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIME);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.max_concurrent_streams)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADER_LIST_BYTES)
        .keep_alive_interval(options.keepalive_interval)
        .keep_alive_timeout(options.keepalive_timeout);
    async move {
        let io = TokioIo::new(Metered::new(stream, meter.clone()));
        let service = service_fn(move |request| service(request, &meter));
        let connection = builder.serve_connection_with_upgrades(io, service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = &*error, "a connection ended with an error");
        }
    }
}

async fn resolve(url: &Url) -> Result<SocketAddr, Error> {
    let failed = |source| Error::Resolve { url: url.to_string(), source };
    let mut addresses = tokio::net::lookup_host((url.host(), url.port())).await.map_err(failed)?;
    addresses.next().ok_or_else(|| failed(io::Error::from(io::ErrorKind::NotFound)))
}
