//! Sockets and connections: HTTP/1.1 and HTTP/2 on the same port, told apart by the first bytes, in plain text or in TLS.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;

use super::secured::CommonName;
pub use super::secured::{Endpoint, Secured};
use super::socket::{Incoming, Io, Socket, is_tls};
use crate::config::Url;
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
    #[error("cannot listen on {0}: no certificate is configured for it")]
    NoCertificate(String),
}

/// A bound socket; nothing is accepted before [`Listener::serve`].
pub struct Listener {
    socket: Socket,
    /// Clients of a listener with a certificate speak TLS.
    secured: Option<Secured>,
    /// Clients may also speak plain text: its address is listed with both schemes.
    also_plain: bool,
    options: Options,
}

impl Listener {
    /// Binds every address; one that is listed with and without TLS is bound once and serves both.
    pub async fn bind_all(urls: &[Url], secured: Option<&Secured>, options: &Options) -> Result<Vec<Self>, Error> {
        let mut listeners = Vec::with_capacity(urls.len());
        for (place, url) in urls.iter().enumerate() {
            let has_twin =
                |others: &[Url]| others.iter().any(|other| other.address() == url.address() && !url.is_socket());
            if has_twin(&urls[..place]) {
                continue;
            }
            let also_plain = has_twin(&urls[place + 1..]);
            let secured = match (url.is_tls() || also_plain, secured) {
                (true, None) => return Err(Error::NoCertificate(url.to_string())),
                (true, secured) => secured.cloned(),
                (false, _) => None,
            };
            let socket = Socket::bind(url, options.reuse_port).await?;
            listeners.push(Self { socket, secured, also_plain, options: options.clone() });
        }
        Ok(listeners)
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
        S: Fn(Request<hyper::body::Incoming>, &M) -> BoxFuture<'static, Result<Response<Body>, Infallible>>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let tasks = TaskTracker::new();
        let cut = CancellationToken::new();
        loop {
            let Ok(place) = connections.clone().acquire_owned().await else { break };
            let (stream, remote) = tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of file descriptors, or a client that left already: wait a moment, don't end.
                        tracing::warn!(%error, "failed to accept a connection");
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                },
                () = stop.cancelled() => break,
            };
            let server =
                Server { options: self.options.clone(), service: service.clone(), meter: meter(), stop: stop.clone() };
            let secured = self.secured.clone();
            let also_plain = self.also_plain;
            let cut = cut.clone();
            tasks.spawn(async move {
                let connection = async {
                    match (stream, secured) {
                        (Incoming::Tcp(stream), None) => server.serve(stream, None).await,
                        (Incoming::Tcp(stream), Some(_)) if also_plain && !is_tls(&stream).await => {
                            server.serve(stream, None).await;
                        }
                        (stream, Some(secured)) => {
                            if let Some((stream, name)) = secured.accept(stream, remote).await {
                                server.serve(stream, name).await;
                            }
                        }
                        (Incoming::Unix(stream), None) => server.serve(Box::new(stream) as Box<dyn Io>, None).await,
                    }
                };
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

/// What one connection is served with.
struct Server<S, M> {
    options: Options,
    service: S,
    meter: Arc<M>,
    stop: CancellationToken,
}

impl<S, M> Server<S, M>
where
    M: Meter + 'static,
    S: Fn(Request<hyper::body::Incoming>, &M) -> BoxFuture<'static, Result<Response<Body>, Infallible>>
        + Clone
        + Send
        + Sync
        + 'static,
{
    /// Until the connection ends, or gracefully when `stop` comes.
    async fn serve(self, stream: impl Io, name: Option<CommonName>) {
        let Self { options, service, meter, stop } = self;
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
        let io = TokioIo::new(Metered::new(stream, meter.clone()));
        let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
            if let Some(name) = &name {
                request.extensions_mut().insert(name.clone());
            }
            service(request, &meter)
        });
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
