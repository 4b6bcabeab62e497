//! Watches on one stream, which outlive a broken connection: each goes on behind the last event it has seen.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    time::Duration,
};

use quorate_proto::etcdserverpb::{
    WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse, watch_client::WatchClient,
    watch_request::RequestUnion,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::client::{Client, Error};

/// Requests that may wait for the connection.
const REQUESTS: usize = 64;
/// Pause before a broken stream is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// Watches wait for the cluster as long as it takes.
const PATIENCE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Something to show for one watch.
pub(in crate::command) struct Happening {
    pub response: WatchResponse,
    /// Why there will be nothing more.
    pub end: Option<String>,
    /// The watch's command.
    pub exec: Vec<OsString>,
}

struct Watcher {
    /// What to ask for when the stream is opened again.
    request: WatchCreateRequest,
    /// The server has answered the request.
    created: bool,
    exec: Vec<OsString>,
}

/// The watches by the ids that we chose for them, from 1.
pub(in crate::command) struct WatchStream {
    client: Client,
    watchers: BTreeMap<i64, Watcher>,
    next_id: i64,
    connection: Option<Connection>,
    /// Requests that no connection has taken yet.
    unsent: Vec<WatchRequest>,
    /// Happenings of one response that several watches share.
    pending: VecDeque<Happening>,
    /// The server is to end the stream when it has lost its leader.
    requires_leader: bool,
}

struct Connection {
    requests: mpsc::Sender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

impl WatchStream {
    pub(in crate::command) fn new(client: Client) -> Self {
        Self {
            client,
            watchers: BTreeMap::new(),
            next_id: 1,
            connection: None,
            unsent: Vec::new(),
            pending: VecDeque::new(),
            requires_leader: true,
        }
    }

    /// One that waits when the server has lost its leader.
    pub(in crate::command) fn patient(client: Client) -> Self {
        Self { requires_leader: false, ..Self::new(client) }
    }

    /// No watch is left.
    pub(in crate::command) fn is_empty(&self) -> bool {
        self.watchers.is_empty() && self.pending.is_empty()
    }

    /// Adds a watch; it starts when [`WatchStream::next`] is called.
    pub(in crate::command) fn add(&mut self, request: WatchCreateRequest, exec: Vec<OsString>) {
        let watch_id = self.next_id;
        self.next_id += 1;
        let request = WatchCreateRequest { watch_id, ..request };
        if self.connection.is_some() {
            self.unsent.push(wrap(RequestUnion::CreateRequest(request.clone())));
        }
        self.watchers.insert(watch_id, Watcher { request, created: false, exec });
    }

    /// Asks how far the watches are; the answer is a happening.
    pub(in crate::command) fn request_progress(&mut self) {
        self.unsent.push(wrap(RequestUnion::ProgressRequest(WatchProgressRequest {})));
    }

    /// The next thing to show. Giving up on this future loses nothing.
    pub(in crate::command) async fn next(&mut self) -> Result<Happening, Error> {
        loop {
            if let Some(happening) = self.pending.pop_front() {
                return Ok(happening);
            }
            let received = match self.send_and_receive().await {
                Ok(Some(response)) => Ok(response),
                Ok(None) => Err(Status::unavailable("the server closed the stream")),
                Err(Error::Status(status)) => Err(status),
                Err(error) => return Err(error),
            };
            match received {
                Ok(response) => self.take(response),
                Err(status) => {
                    self.connection = None;
                    self.watchers.values_mut().for_each(|watcher| watcher.created = false);
                    if is_final(&status) {
                        self.end_all(&Error::Status(status).to_string());
                    } else {
                        self.client.next_endpoint();
                        sleep(RECONNECT_PAUSE).await;
                    }
                }
            }
        }
    }

    async fn send_and_receive(&mut self) -> Result<Option<WatchResponse>, Error> {
        if self.connection.is_none() {
            self.connection = Some(self.connect().await?);
        }
        let Some(connection) = &mut self.connection else {
            return Ok(None);
        };
        while let Some(request) = self.unsent.first() {
            // The request stays in the list until it is sent, in case this future is dropped.
            let Ok(permit) = connection.requests.reserve().await else {
                return Ok(None);
            };
            permit.send(request.clone());
            self.unsent.remove(0);
        }
        Ok(connection.responses.message().await?)
    }

    async fn connect(&mut self) -> Result<Connection, Error> {
        let deadline = Instant::now() + PATIENCE;
        let channel = match self.requires_leader {
            true => self.client.leader_channel_until(deadline).await?,
            false => self.client.channel_until(deadline).await?,
        };
        let (requests, outgoing) = mpsc::channel(REQUESTS);
        let creates = self.watchers.values().map(|watcher| wrap(RequestUnion::CreateRequest(watcher.request.clone())));
        // Watches that were waiting to be created are among these.
        self.unsent.retain(|request| matches!(request.request_union, Some(RequestUnion::ProgressRequest(_))));
        self.unsent.splice(0..0, creates);
        // The server answers the call only after the first request: without it both sides would wait.
        if !self.unsent.is_empty() {
            let first = self.unsent.remove(0);
            requests.try_send(first).map_err(|_| Status::internal("the new stream takes no request"))?;
        }
        let mut watch = WatchClient::new(channel).max_decoding_message_size(self.client.max_recv_bytes());
        let responses = watch.watch(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Connection { requests, responses })
    }

    /// Sorts a response to its watch, or to all of them if it is about the stream.
    fn take(&mut self, response: WatchResponse) {
        let revision = response.header.map(|header| header.revision).unwrap_or_default();
        if response.watch_id == -1 && !response.created && !response.canceled {
            let happenings = self.watchers.values().map(|watcher| Happening {
                response: response.clone(),
                end: None,
                exec: watcher.exec.clone(),
            });
            self.pending.extend(happenings);
            return;
        }
        // A refused watch is answered with id -1. Answers come in the order of the requests, which is that of the ids.
        let id = match response.watch_id {
            -1 => self.watchers.iter().find(|(_, watcher)| !watcher.created).map(|(id, _)| *id),
            id => Some(id),
        };
        let Some(id) = id.filter(|id| self.watchers.contains_key(id)) else {
            return;
        };
        if response.canceled {
            let exec = self.watchers.remove(&id).map(|watcher| watcher.exec).unwrap_or_default();
            self.pending.push_back(Happening { end: Some(reason(&response)), response, exec });
            return;
        }
        let Some(watcher) = self.watchers.get_mut(&id) else {
            return;
        };
        if response.created {
            watcher.created = true;
            // From now on nothing may be missed, even if the first event comes after a reconnection.
            if watcher.request.start_revision == 0 {
                watcher.request.start_revision = revision + 1;
            }
            return;
        }
        let seen = response.events.iter().filter_map(|event| event.kv.as_ref()).map(|pair| pair.mod_revision).max();
        // Progress says that everything up to the revision was sent.
        let seen = seen.or((response.events.is_empty()).then_some(revision));
        if let Some(seen) = seen {
            watcher.request.start_revision = watcher.request.start_revision.max(seen + 1);
        }
        self.pending.push_back(Happening { response, end: None, exec: watcher.exec.clone() });
    }

    fn end_all(&mut self, reason: &str) {
        let response = WatchResponse { canceled: true, ..Default::default() };
        for (_, watcher) in std::mem::take(&mut self.watchers) {
            let end = Some(reason.to_owned());
            self.pending.push_back(Happening { response: response.clone(), end, exec: watcher.exec });
        }
    }
}

fn wrap(request: RequestUnion) -> WatchRequest {
    WatchRequest { request_union: Some(request) }
}

/// A lost connection is worth another try; a server without a leader has said that it can't serve this watch.
fn is_final(status: &Status) -> bool {
    status.message() == "etcdserver: no leader" || !matches!(status.code(), Code::Unavailable | Code::Internal)
}

/// Why the server ended a watch, in the words of etcd's client.
fn reason(response: &WatchResponse) -> String {
    if response.compact_revision != 0 {
        return "etcdserver: mvcc: required revision has been compacted".to_owned();
    }
    // A watch that never began ends with the server's words alone, which may be a status of their own.
    if response.watch_id == -1 && !response.cancel_reason.is_empty() {
        return response.cancel_reason.clone();
    }
    if response.cancel_reason.is_empty() {
        return "etcdserver: mvcc: required revision is a future revision".to_owned();
    }
    Error::Status(Status::failed_precondition(response.cancel_reason.clone())).to_string()
}
