//! A client's watch stream.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, stream};
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::watch_request::RequestUnion;
use quorate_proto::served::etcdserverpb::watch_server::Watch;
use quorate_proto::served::mvccpb::Event;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::hub::Hub;
use super::seat::{Delivery, Interest, Seat, Subscriber, What};
use crate::http::client::watch::pieces;
use crate::http::status;

/// Messages on their way to one client, of all its watchers together.
const QUEUED_MESSAGES: usize = 64;
/// The id of messages that concern no single watcher.
const NO_WATCHER: i64 = -1;
/// Watchers that asked for fragments get messages of less than this, if they hold more than one event; etcd's default.
const FRAGMENT_BYTES: usize = 2 << 20;

/// The gRPC service. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub hub: Hub,
    /// Ends every stream.
    pub stop: CancellationToken,
}

type Replies = Pin<Box<dyn Stream<Item = Result<pb::WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Watch for Service {
    type WatchStream = Replies;

    async fn watch(&self, request: Request<Streaming<pb::WatchRequest>>) -> Result<Response<Replies>, Status> {
        let (metadata, _, requests) = request.into_parts();
        let header = |name: &'static str| {
            let value = metadata.get(name)?.to_str().ok()?;
            Some((name, value.to_owned()))
        };
        let headers = ["token", "authorization", "hasleader"].into_iter().filter_map(header).collect();
        let session = Session::new(self.clone(), headers, requests);
        // The connection's task polls the session, so a client that does not read is behind and nobody else.
        let replies = stream::unfold(Box::new(session), |mut session| async move {
            session.next().await.map(|reply| (reply, session))
        });
        Ok(Response::new(Box::pin(replies)))
    }
}

struct Session {
    service: Service,
    headers: Vec<(&'static str, String)>,
    /// `None` when the client sends no more.
    requests: Option<Streaming<pb::WatchRequest>>,
    queue: mpsc::Receiver<Delivery>,
    deliveries: mpsc::Sender<Delivery>,
    /// By seat.
    watchers: HashMap<u64, Watcher>,
    next_id: i64,
    replies: VecDeque<pb::WatchResponse>,
    progress: Option<Progress>,
    /// The newest that came from a member.
    header: Option<pb::ResponseHeader>,
    has_ended: bool,
}

struct Watcher {
    id: i64,
    seat: Arc<Seat>,
    fragment: bool,
}

/// A question for the progress of the whole stream.
struct Progress {
    /// Seats that have not answered.
    left: HashSet<u64>,
    /// The lowest answer.
    lowest: Option<pb::ResponseHeader>,
}

impl Session {
    fn new(service: Service, headers: Vec<(&'static str, String)>, requests: Streaming<pb::WatchRequest>) -> Self {
        let (deliveries, queue) = mpsc::channel(QUEUED_MESSAGES);
        Self {
            service,
            headers,
            requests: Some(requests),
            queue,
            deliveries,
            watchers: HashMap::new(),
            next_id: 0,
            replies: VecDeque::new(),
            progress: None,
            header: None,
            has_ended: false,
        }
    }

    /// The next message, or the status that ends the stream.
    async fn next(&mut self) -> Option<Result<pb::WatchResponse, Status>> {
        if self.has_ended {
            return None;
        }
        let reply = self.reply().await.transpose();
        self.has_ended = !matches!(reply, Some(Ok(_)));
        reply
    }

    async fn reply(&mut self) -> Result<Option<pb::WatchResponse>, Status> {
        loop {
            if let Some(reply) = self.replies.pop_front() {
                return Ok(Some(reply));
            }
            if self.requests.is_none() && self.watchers.is_empty() {
                return Ok(None);
            }
            tokio::select! {
                () = self.service.stop.cancelled() => return Err(status::stopped()),
                Some(delivery) = self.queue.recv() => self.take(delivery)?,
                request = next_request(&mut self.requests) => match request? {
                    Some(request) => self.handle(request).await?,
                    None => self.requests = None,
                },
            }
        }
    }

    async fn handle(&mut self, request: pb::WatchRequest) -> Result<(), Status> {
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(create),
            Some(RequestUnion::CancelRequest(cancel)) => {
                let found = self.watchers.iter().find(|(_, watcher)| watcher.id == cancel.watch_id);
                if let Some(number) = found.map(|(number, _)| *number) {
                    self.remove(number);
                    let canceled = pb::WatchResponse { canceled: true, ..self.message(cancel.watch_id) };
                    self.replies.push_back(canceled);
                }
            }
            Some(RequestUnion::ProgressRequest(_)) if self.watchers.is_empty() => {
                self.header = self.service.hub.header(&self.headers).await?;
                self.replies.push_back(self.message(NO_WATCHER));
            }
            Some(RequestUnion::ProgressRequest(_)) => {
                self.progress = Some(Progress { left: self.watchers.keys().copied().collect(), lowest: None });
                self.watchers.values().for_each(|watcher| watcher.seat.want_progress());
            }
            None => tracing::debug!("ignoring a watch request of unknown kind"),
        }
        Ok(())
    }

    fn create(&mut self, create: pb::WatchCreateRequest) {
        let is_used = |id: i64| self.watchers.values().any(|watcher| watcher.id == id);
        let id = match create.watch_id {
            0 => {
                while is_used(self.next_id) {
                    self.next_id += 1;
                }
                self.next_id
            }
            id if is_used(id) => {
                let reason = "mvcc: duplicate watch ID provided on the WatchStream".to_owned();
                let refused = pb::WatchResponse {
                    created: true,
                    canceled: true,
                    cancel_reason: reason,
                    ..self.message(NO_WATCHER)
                };
                self.replies.push_back(refused);
                return;
            }
            id => id,
        };
        if create.watch_id == 0 {
            self.next_id += 1;
        }
        let pb::WatchCreateRequest { mut key, mut range_end, mut filters, prev_kv, progress_notify, .. } = create;
        self.service.hub.namespace().enter(&mut key, &mut range_end);
        filters.sort_unstable();
        filters.dedup();
        let interest = Interest { key, range_end, filters, prev_kv, progress_notify, headers: self.headers.clone() };
        let seat = Seat::new();
        self.watchers.insert(seat.number, Watcher { id, seat: seat.clone(), fragment: create.fragment });
        let subscriber =
            Subscriber { seat, from: create.start_revision, is_announced: false, deliveries: self.deliveries.clone() };
        self.service.hub.join(interest, subscriber);
    }

    fn take(&mut self, Delivery { seat, what }: Delivery) -> Result<(), Status> {
        // The client may have left it meanwhile.
        let Some(watcher) = self.watchers.get(&seat) else { return Ok(()) };
        let (id, fragment) = (watcher.id, watcher.fragment);
        match what {
            What::Created(header) => {
                self.header = header;
                self.replies.push_back(pb::WatchResponse { created: true, ..self.message(id) });
            }
            What::Message { message, from } => {
                self.header = message.header;
                if message.canceled {
                    self.remove(seat);
                    let watch_id = if message.created { NO_WATCHER } else { id };
                    self.replies.push_back(pb::WatchResponse { watch_id, ..(*message).clone() });
                    return Ok(());
                }
                let events = from_revision(&message.events, from)?;
                if events.is_empty() && !message.events.is_empty() {
                    return Ok(());
                }
                let whole = pb::WatchResponse { events, ..self.message(id) };
                match fragment {
                    true => self.replies.extend(pieces(whole, FRAGMENT_BYTES)),
                    false => self.replies.push_back(whole),
                }
            }
            What::Progress(header) => {
                if let Some(progress) = &mut self.progress
                    && progress.left.remove(&seat)
                {
                    let lowest = [progress.lowest.take(), header].into_iter().flatten();
                    progress.lowest = lowest.min_by_key(|header| header.revision);
                }
                self.answer_progress();
            }
            What::Failed(status) => return Err(status),
        }
        Ok(())
    }

    fn answer_progress(&mut self) {
        if let Some(progress) = self.progress.take_if(|progress| progress.left.is_empty())
            && let Some(lowest) = progress.lowest
        {
            let answer = pb::WatchResponse { header: Some(lowest), watch_id: NO_WATCHER, ..Default::default() };
            self.replies.push_back(answer);
        }
    }

    fn remove(&mut self, number: u64) {
        if let Some(watcher) = self.watchers.remove(&number) {
            watcher.seat.leave();
        }
        if let Some(progress) = &mut self.progress {
            progress.left.remove(&number);
            self.answer_progress();
        }
    }

    fn message(&self, watch_id: i64) -> pb::WatchResponse {
        pb::WatchResponse { header: self.header, watch_id, ..Default::default() }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.watchers.values().for_each(|watcher| watcher.seat.leave());
    }
}

/// The events of a watcher that starts at this revision.
fn from_revision(events: &[Event], from: i64) -> Result<Vec<Event>, Status> {
    let mut first = 0;
    for event in events {
        let pair = event.kv.as_ref().map(|pair| pair.decode()).transpose().map_err(super::super::kv::damaged)?;
        if pair.is_none_or(|pair| pair.mod_revision >= from) {
            break;
        }
        first += 1;
    }
    Ok(events[first..].to_vec())
}

async fn next_request(requests: &mut Option<Streaming<pb::WatchRequest>>) -> Result<Option<pb::WatchRequest>, Status> {
    match requests {
        Some(requests) => requests.message().await,
        None => std::future::pending().await,
    }
}
