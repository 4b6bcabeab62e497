//! Opens streams.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::watch_server::Watch;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::ending;
use super::pace::Pace;
use super::session::Session;
use crate::metrics::Metrics;
use crate::store::watch::{Cursor, History, Hub};

/// Fills in a message's header for the given revision: cluster, member and term are the member's own at that moment.
pub type Header = Arc<dyn Fn(i64) -> pb::ResponseHeader + Send + Sync>;

/// Who opened a stream.
#[derive(Debug)]
pub struct Caller {
    pub metadata: MetadataMap,
    pub extensions: Extensions,
}

/// Decides who may watch what. Asked once for every watcher that is created.
#[tonic::async_trait]
pub trait Access: Send + Sync + 'static {
    /// `key` and `range_end` as in a request, an empty key already replaced by a zero byte. The refusal's code and text reach
    /// the client as the watcher's cancel reason; the stream stays open.
    async fn check(&self, caller: &Caller, key: &[u8], range_end: &[u8]) -> Result<(), Status>;
}

#[derive(Debug, Clone)]
pub struct Options {
    /// Time between progress messages of a quiet watcher that asked for them; up to a tenth is added at random for each
    /// stream. Default 10 min, at least 100 ms.
    pub progress_interval: Duration,
    /// Watchers that asked for fragments get messages of less than this many bytes and 512 KiB, if they hold more than one
    /// event. Default 1.5 MiB (`--max-request-bytes`).
    pub max_request_bytes: usize,
    /// A stream that requires a leader ends after this time without one: three election timeouts. Default 3 s.
    pub no_leader_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            progress_interval: Duration::from_secs(600),
            max_request_bytes: 1536 << 10,
            no_leader_timeout: Duration::from_secs(3),
        }
    }
}

/// What every stream of the service shares.
pub(super) struct Shared {
    pub(super) hub: Hub,
    pub(super) history: Arc<dyn History>,
    pub(super) header: Header,
    pub(super) access: Arc<dyn Access>,
    pub(super) options: Options,
    has_leader: watch::Receiver<bool>,
    shutdown: CancellationToken,
}

/// The gRPC service. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
    metrics: Option<Arc<Metrics>>,
}

impl Service {
    /// `has_leader`: whether the member knows a leader, changed when that changes. `shutdown` ends every stream.
    pub fn new(
        hub: Hub,
        history: Arc<dyn History>,
        header: Header,
        access: Arc<dyn Access>,
        has_leader: watch::Receiver<bool>,
        shutdown: CancellationToken,
        options: Options,
    ) -> Self {
        let shared = Shared { hub, history, header, access, options, has_leader, shutdown };
        Self { shared: Arc::new(shared), metrics: None }
    }

    /// From now on the times of messages are counted.
    pub fn timed(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics: Some(metrics), ..self }
    }
}

type Replies = Pin<Box<dyn Stream<Item = Result<pb::WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Watch for Service {
    type WatchStream = Replies;

    async fn watch(&self, request: Request<Streaming<pb::WatchRequest>>) -> Result<Response<Replies>, Status> {
        let shared = Arc::clone(&self.shared);
        if shared.shutdown.is_cancelled() {
            return Err(ending::stopped());
        }
        let (metadata, extensions, requests) = request.into_parts();
        let needs_leader = metadata.get("hasleader").is_some_and(|value| value == "true");
        if needs_leader && !*shared.has_leader.borrow() {
            return Err(ending::no_leader());
        }
        let end = ending::ending(
            shared.shutdown.clone(),
            needs_leader.then(|| shared.has_leader.clone()),
            shared.options.no_leader_timeout,
        );
        let cursor = Cursor::new(&shared.hub, Arc::clone(&shared.history));
        let pace = Pace::new(self.metrics.clone());
        let session = Session::new(shared, Caller { metadata, extensions }, cursor, requests, Box::pin(end), pace);
        // The connection's task polls the session: no queue between them, so a client that does not read stops the walk.
        let replies = stream::unfold(Box::new(session), |mut session| async move {
            session.next().await.map(|reply| (reply, session))
        });
        Ok(Response::new(Box::pin(replies)))
    }
}
