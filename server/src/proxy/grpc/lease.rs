//! Leases through the proxy: all clients' keep-alives share one stream to a member, and those for one lease that come together are
//! one.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::lease_server::Lease;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::namespace::Namespace;
use super::upstream::Upstream;

const PATH: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
/// A stream to a member that nobody used for so long ends.
const IDLE: Duration = Duration::from_secs(60);
/// A keep-alive that no member has answered by then is given up; its client tries again.
const ANSWER: Duration = Duration::from_secs(5);
/// Keep-alives on their way to a member, and of one client.
const QUEUED: usize = 1024;
const QUEUED_OF_A_CLIENT: usize = 256;

/// The gRPC service. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    upstream: Upstream,
    namespace: Namespace,
    /// By the user's token.
    lines: Arc<Mutex<HashMap<Option<String>, mpsc::Sender<Question>>>>,
    stop: CancellationToken,
}

struct Question {
    lease: i64,
    answer: oneshot::Sender<Result<pb::LeaseKeepAliveResponse, Status>>,
}

impl Service {
    pub fn new(upstream: Upstream, namespace: Namespace, stop: CancellationToken) -> Self {
        Self { upstream, namespace, lines: Arc::default(), stop }
    }

    async fn keep(&self, token: &Option<String>, lease: i64) -> Result<pb::LeaseKeepAliveResponse, Status> {
        let (answer, answered) = oneshot::channel();
        let mut question = Question { lease, answer };
        let asked = async {
            loop {
                let line = self.line(token);
                match line.send(question).await {
                    Ok(()) => break,
                    // It ended just now; the next one is new.
                    Err(mpsc::error::SendError(back)) => question = back,
                }
                tokio::task::yield_now().await;
            }
            answered.await.unwrap_or_else(|_| Err(Status::unavailable("the keep-alive's stream ended")))
        };
        tokio::time::timeout(ANSWER, asked)
            .await
            .unwrap_or_else(|_| Err(Status::unavailable("no member answered a keep-alive in time")))
    }

    fn line(&self, token: &Option<String>) -> mpsc::Sender<Question> {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.get(token).filter(|line| !line.is_closed()) {
            return line.clone();
        }
        lines.retain(|_, line| !line.is_closed());
        let (line, questions) = mpsc::channel(QUEUED);
        lines.insert(token.clone(), line.clone());
        tokio::spawn(serve(self.upstream.clone(), token.clone(), questions));
        line
    }
}

type Waiting = HashMap<i64, Vec<oneshot::Sender<Result<pb::LeaseKeepAliveResponse, Status>>>>;

/// A stream to one member, and to the next when it ends, until nobody asks any more.
async fn serve(upstream: Upstream, token: Option<String>, mut questions: mpsc::Receiver<Question>) {
    loop {
        let Ok(Some(first)) = tokio::time::timeout(IDLE, questions.recv()).await else { break };
        let mut waiting = Waiting::from([(first.lease, vec![first.answer])]);
        let Err(failed) = exchange(&upstream, token.as_deref(), &mut questions, &mut waiting).await else { continue };
        for answer in waiting.into_values().flatten() {
            // Who asked may have left.
            let _ = answer.send(Err(failed.clone()));
        }
    }
}

/// Ends well when nobody waits and nobody asked for a while.
async fn exchange(
    upstream: &Upstream,
    token: Option<&str>,
    questions: &mut mpsc::Receiver<Question>,
    waiting: &mut Waiting,
) -> Result<(), Status> {
    let (send, queue) = mpsc::channel(QUEUED);
    for lease in waiting.keys() {
        let _ = send.try_send(pb::LeaseKeepAliveRequest { id: *lease });
    }
    let mut request = Request::new(ReceiverStream::new(queue));
    if let Some(token) = token.and_then(|token| token.parse().ok()) {
        request.metadata_mut().insert("token", token);
    }
    let mut answers = upstream.stream::<pb::LeaseKeepAliveRequest, pb::LeaseKeepAliveResponse>(PATH, request).await?;
    loop {
        let is_idle = waiting.is_empty();
        tokio::select! {
            question = questions.recv() => {
                let Some(Question { lease, answer }) = question else { return Ok(()) };
                let asking = waiting.entry(lease).or_default();
                asking.push(answer);
                if asking.len() == 1 && send.send(pb::LeaseKeepAliveRequest { id: lease }).await.is_err() {
                    return Err(Status::unavailable("the member ended the keep-alives"));
                }
            }
            answer = answers.message() => {
                let Some(answer) = answer? else { return Err(Status::unavailable("the member ended the keep-alives")) };
                for asking in waiting.remove(&answer.id).into_iter().flatten() {
                    let _ = asking.send(Ok(answer));
                }
            }
            () = tokio::time::sleep(IDLE), if is_idle => return Ok(()),
        }
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<pb::LeaseKeepAliveResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Lease for Service {
    type LeaseKeepAliveStream = Answers;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let token = request.metadata().get("token").and_then(|token| token.to_str().ok()).map(str::to_owned);
        let service = self.clone();
        let keep = move |asked: Result<pb::LeaseKeepAliveRequest, Status>| {
            let (service, token) = (service.clone(), token.clone());
            async move { service.keep(&token, asked?.id).await }
        };
        let answers = request.into_inner().map(keep).buffered(QUEUED_OF_A_CLIENT);
        let answers = answers.take_until(self.stop.clone().cancelled_owned());
        Ok(Response::new(Box::pin(answers)))
    }

    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        self.upstream.unary("/etcdserverpb.Lease/LeaseGrant", request).await
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        self.upstream.unary("/etcdserverpb.Lease/LeaseRevoke", request).await
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        let mut answer: Response<pb::LeaseTimeToLiveResponse> =
            self.upstream.unary("/etcdserverpb.Lease/LeaseTimeToLive", request).await?;
        self.namespace.names(&mut answer.get_mut().keys);
        Ok(answer)
    }

    async fn lease_leases(
        &self,
        request: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        self.upstream.unary("/etcdserverpb.Lease/LeaseLeases", request).await
    }
}
