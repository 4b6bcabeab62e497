//! What openraft sends to other members, as calls of our peer protocol.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, Stream, StreamExt};
use hyper_util::rt::TokioIo;
use openraft::OptionalSend;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2, stream_append_sequential};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use parking_lot::Mutex;
use quorate_proto::peer::peer_client::PeerClient;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::Service;

use super::observer::Observer;
use super::snapshot::{Folder, Snapshot};
use super::status::Status;
use super::types::{Peer, TypeConfig, Vote};
use super::{snapshot_stream, wire};
use crate::traffic::{Meter, Metered};

type C = TypeConfig;

/// Append requests on their way to one follower. More would only make smaller batches: while two are under way the
/// next collects what arrives.
const APPENDS_IN_FLIGHT: usize = 4;

/// Who we are, as peers must see it: a recycled address must not acknowledge another cluster's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub cluster_id: u64,
    pub member_id: u64,
}

/// A peer URL without a port means etcd's.
const DEFAULT_PEER_PORT: u16 = 2380;

pub const CLUSTER_ID_HEADER: &str = "x-etcd-cluster-id";
pub const FROM_HEADER: &str = "x-server-from";
pub const TO_HEADER: &str = "x-raft-to";
/// In a refusal of a caller that is no member: index of the membership that it is not in.
pub const UNKNOWN_SINCE_HEADER: &str = "x-quorate-unknown-since";

/// Connections to the other members, one channel a member and kind of traffic, opened on first use.
#[derive(Clone)]
pub struct Transport {
    identity: Identity,
    timing: Timing,
    channels: Arc<Mutex<HashMap<(u64, Traffic), Opened>>>,
    /// Members that answer heartbeats, since when; the others are silent or were never asked.
    active: Arc<Mutex<HashMap<u64, Instant>>>,
    members: Arc<Mutex<Members>>,
    /// The others have removed this member.
    removed: Arc<watch::Sender<bool>>,
    observer: Arc<dyn Observer>,
}

/// The newest membership that this member knows.
#[derive(Default)]
struct Members {
    peer_urls: HashMap<u64, Vec<String>>,
    since: u64,
}

/// A channel and the addresses it was made for.
struct Opened {
    peer_urls: Vec<String>,
    channel: Channel,
}

#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Bound on connecting to a member.
    pub connect: Duration,
    /// Bound on a vote and on other short calls; the election timeout.
    pub call: Duration,
    /// How long a snapshot transfer may make no progress before it is given up.
    pub snapshot_stall: Duration,
}

/// Heartbeats and snapshots have connections of their own, so that a full append stream can't delay them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Traffic {
    Log,
    Heartbeat,
    Snapshot,
    Forward,
}

impl Transport {
    pub fn new(identity: Identity, timing: Timing, observer: Arc<dyn Observer>) -> Self {
        Self {
            identity,
            timing,
            channels: Arc::default(),
            active: Arc::default(),
            members: Arc::default(),
            removed: Arc::new(watch::Sender::new(false)),
            observer,
        }
    }

    /// A client to `target`. Connecting happens on first use and again after a failure.
    pub fn client(&self, target: u64, traffic: Traffic) -> Result<PeerClient<Channel>, Unreachable<C>> {
        let peer_urls = self.members.lock().peer_urls.get(&target).cloned().unwrap_or_default();
        self.client_at(target, &peer_urls, traffic)
    }

    fn client_at(
        &self,
        target: u64,
        peer_urls: &[String],
        traffic: Traffic,
    ) -> Result<PeerClient<Channel>, Unreachable<C>> {
        let mut channels = self.channels.lock();
        let channel = match channels.get(&(target, traffic)) {
            Some(opened) if opened.peer_urls == peer_urls => opened.channel.clone(),
            _ => {
                let url = peer_urls
                    .first()
                    .ok_or_else(|| Unreachable::from_string(format!("member {target:x} has no peer URL")))?;
                let channel = Endpoint::from_shared(url.clone())
                    .map_err(|error| Unreachable::from_string(format!("peer URL {url}: {error}")))?
                    .connect_timeout(self.timing.connect)
                    .http2_keep_alive_interval(Duration::from_secs(5))
                    .keep_alive_timeout(Duration::from_secs(5))
                    .keep_alive_while_idle(true)
                    .initial_stream_window_size(4 << 20)
                    .initial_connection_window_size(16 << 20)
                    .connect_with_connector_lazy(connector(self.observer.meter(target)));
                channels.insert((target, traffic), Opened { peer_urls: peer_urls.to_vec(), channel: channel.clone() });
                channel
            }
        };
        Ok(PeerClient::new(channel).max_decoding_message_size(wire::MAX_MESSAGE_BYTES))
    }

    pub fn request<T>(&self, target: u64, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        for (name, id) in
            [(CLUSTER_ID_HEADER, self.identity.cluster_id), (FROM_HEADER, self.identity.member_id), (TO_HEADER, target)]
        {
            if let Ok(value) = format!("{id:x}").parse() {
                request.metadata_mut().insert(name, value);
            }
        }
        request
    }

    /// Logs when a member begins or ceases to answer, once each.
    fn heard(&self, target: u64, reason: Option<&RPCError<C>>) {
        let mut active = self.active.lock();
        match reason {
            None => {
                if let Entry::Vacant(entry) = active.entry(target) {
                    entry.insert(Instant::now());
                    self.observer.active(target, true);
                    tracing::info!(remote_peer_id = format!("{target:x}"), "peer became active");
                }
            }
            Some(error) => {
                self.observer.send_failed(target);
                if active.remove(&target).is_some() {
                    self.observer.active(target, false);
                    tracing::warn!(remote_peer_id = format!("{target:x}"), %error, "peer became inactive");
                }
            }
        }
    }

    /// Members that answer, and since when.
    pub fn active_since(&self) -> Vec<(u64, Instant)> {
        self.active.lock().iter().map(|(id, since)| (*id, *since)).collect()
    }

    pub fn is_active(&self, id: u64) -> bool {
        self.active.lock().contains_key(&id)
    }

    /// Keeps the addresses of the members up to date.
    pub fn follow(&self, mut status: watch::Receiver<Status>) {
        let transport = self.clone();
        tokio::spawn(async move {
            loop {
                {
                    let status = status.borrow_and_update();
                    let peer_urls: HashMap<u64, Vec<String>> =
                        status.members.iter().map(|member| (member.id, member.peer_urls.clone())).collect();
                    transport.active.lock().retain(|id, _| peer_urls.contains_key(id));
                    transport.channels.lock().retain(|(id, _), _| peer_urls.contains_key(id));
                    *transport.members.lock() = Members { peer_urls, since: status.members_since };
                }
                if status.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// Resolves to true when this member was removed.
    pub fn removed(&self) -> watch::Receiver<bool> {
        self.removed.subscribe()
    }

    pub fn note_removal(&self) {
        self.removed.send_replace(true);
    }

    /// A peer refuses our call because it does not know us, as of a membership. Ids don't come back: if that is newer
    /// than the one that names us, we were removed.
    fn refused_as_unknown(&self, status: &tonic::Status) {
        let since =
            status.metadata().get(UNKNOWN_SINCE_HEADER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let Some(since) = since else { return };
        let members = self.members.lock();
        if members.peer_urls.contains_key(&self.identity.member_id) && since > members.since {
            drop(members);
            self.note_removal();
        }
    }

    pub fn timing(&self) -> Timing {
        self.timing
    }
}

impl RaftNetworkFactory<C> for Transport {
    type Network = Network;

    async fn new_client(&mut self, target: u64, node: &Peer) -> Network {
        Network::new(self.clone(), target, node, Traffic::Log)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Peer) -> Network {
        Network::new(self.clone(), target, node, Traffic::Heartbeat)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &Peer) -> Network {
        Network::new(self.clone(), target, node, Traffic::Snapshot)
    }
}

/// The way to one member.
pub struct Network {
    transport: Transport,
    target: u64,
    peer_urls: Vec<String>,
    traffic: Traffic,
}

impl Network {
    fn new(transport: Transport, target: u64, node: &Peer, traffic: Traffic) -> Self {
        Self { transport, target, peer_urls: node.peer_urls.clone(), traffic }
    }

    fn client(&self) -> Result<PeerClient<Channel>, Unreachable<C>> {
        let known = self.transport.members.lock().peer_urls.get(&self.target).cloned();
        // A member that was added a moment ago is asked before the new membership was heard of.
        self.transport.client_at(self.target, known.as_ref().unwrap_or(&self.peer_urls), self.traffic)
    }
}

impl Network {
    /// Watches for the answer of a peer that doesn't know this member.
    async fn known<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<tonic::Response<T>, tonic::Status> {
        call.await.inspect_err(|status| self.transport.refused_as_unknown(status))
    }
}

/// Opens TCP connections whose bytes are counted.
fn connector(
    meter: Arc<dyn Meter>,
) -> impl Service<Uri, Response = Connected, Error = io::Error, Future: Send> + Clone + Send + 'static {
    tower::service_fn(move |uri: Uri| {
        let meter = meter.clone();
        async move {
            let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
            let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(DEFAULT_PEER_PORT))).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(Metered::new(stream, meter)))
        }
    })
}

type Connected = TokioIo<Metered<TcpStream, dyn Meter>>;

/// Calls that could not reach the member at all make openraft back off; others are tried again at once.
fn rpc_error(status: tonic::Status) -> RPCError<C> {
    match status.code() {
        tonic::Code::Unavailable | tonic::Code::FailedPrecondition | tonic::Code::Unimplemented => {
            RPCError::Unreachable(Unreachable::from_string(status.message()))
        }
        _ => RPCError::Network(NetworkError::from_string(format!("{}: {}", status.code(), status.message()))),
    }
}

async fn within<T>(
    bound: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, RPCError<C>> {
    match tokio::time::timeout(bound, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(rpc_error(status)),
        Err(_) => Err(RPCError::Network(NetworkError::from_string(format!("no answer within {bound:?}")))),
    }
}

impl RaftNetworkV2<C> for Network {
    type SnapshotData = Folder;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<C>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<C>, RPCError<C>> {
        let request = self.transport.request(self.target, wire::append_request(rpc));
        let begun = Instant::now();
        let answered = within(option.hard_ttl(), self.client()?.append_once(request)).await;
        self.transport.heard(self.target, answered.as_ref().err());
        if answered.is_ok() && self.traffic == Traffic::Heartbeat {
            self.transport.observer.round_trip(self.target, begun.elapsed());
        }
        let response = answered?;
        wire::append_response(response).map_err(|error| RPCError::Network(NetworkError::new(&error)))
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<C>, RPCError<C>>>, RPCError<C>>>
    where
        S: Stream<Item = AppendEntriesRequest<C>> + OptionalSend + Unpin + 'static,
    {
        // A heartbeat is one request: a stream a beat would cost more than the call.
        if self.traffic == Traffic::Heartbeat {
            return stream_append_sequential(self, input, option);
        }
        async move {
            let (sent, in_flight) = tokio::sync::mpsc::channel(APPENDS_IN_FLIGHT);
            let requests = futures::stream::unfold((input, sent), |(mut input, sent)| async move {
                // The place in the pipeline is taken before the request is made, so that it carries all that arrived.
                let place = sent.clone().reserve_owned().await.ok()?;
                let request = input.next().await?;
                let prev = request.prev_log_id;
                let last = request.entries.last().map(|entry| entry.log_id).or(prev);
                place.send((prev, last));
                Some((wire::append_request(request), (input, sent)))
            });
            let request = self.transport.request(self.target, requests);
            let mut client = self.client()?;
            // The answer's headers come with the first message: openraft bounds this by its own cancellation.
            let responses = client.append(request).await.map_err(rpc_error)?.into_inner();
            let results = futures::stream::unfold(Some((responses, in_flight)), |state| async move {
                let (mut responses, mut in_flight) = state?;
                let response = match responses.message().await {
                    Ok(Some(response)) => response,
                    Ok(None) => return None,
                    Err(status) => return Some((Err(rpc_error(status)), None)),
                };
                let (prev, last) = in_flight.recv().await?;
                match wire::append_response(response) {
                    Ok(AppendEntriesResponse::Success) => Some((Ok(Ok(last)), Some((responses, in_flight)))),
                    Ok(AppendEntriesResponse::PartialSuccess(matched)) => Some((Ok(Ok(matched)), None)),
                    Ok(AppendEntriesResponse::HigherVote(vote)) => {
                        Some((Ok(Err(StreamAppendError::HigherVote(vote))), None))
                    }
                    Ok(AppendEntriesResponse::Conflict) => match prev {
                        Some(prev) => Some((Ok(Err(StreamAppendError::Conflict(prev))), None)),
                        None => Some((
                            Err(RPCError::Network(NetworkError::from_string("a conflict at the start of the log"))),
                            None,
                        )),
                    },
                    Err(error) => Some((Err(RPCError::Network(NetworkError::new(&error))), None)),
                }
            });
            Ok(results.boxed())
        }
        .boxed()
    }

    async fn vote(&mut self, rpc: VoteRequest<C>, _: RPCOption) -> Result<VoteResponse<C>, RPCError<C>> {
        let request = self.transport.request(self.target, wire::vote_request(rpc));
        let mut client = self.client()?;
        let response = within(self.transport.timing.call, self.known(client.vote(request))).await?;
        wire::vote_response(response).map_err(|error| RPCError::Network(NetworkError::new(&error)))
    }

    async fn pre_vote(&mut self, rpc: VoteRequest<C>, _: RPCOption) -> Result<VoteResponse<C>, RPCError<C>> {
        let request = self.transport.request(self.target, wire::vote_request(rpc));
        let mut client = self.client()?;
        let response = within(self.transport.timing.call, self.known(client.pre_vote(request))).await?;
        wire::vote_response(response).map_err(|error| RPCError::Network(NetworkError::new(&error)))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<C>, StreamingError<C>> {
        let client = self.client()?;
        let sending = snapshot_stream::send(&self.transport, client, self.target, vote, snapshot);
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sending => sent,
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<C>,
        _: RPCOption,
    ) -> Result<TransferLeaderResponse<C>, RPCError<C>> {
        let expected = *req.from_leader();
        let request = self.transport.request(self.target, wire::transfer_request(&req));
        match within(self.transport.timing.call, self.client()?.transfer_leader(request)).await {
            Ok(_) => Ok(Ok(())),
            Err(RPCError::Unreachable(reason)) => Err(RPCError::Unreachable(reason)),
            // The target said no: it is behind or follows another vote. The caller waits for the outcome either way.
            Err(_) => Ok(Err(TransferLeaderError::VoteChanged { expected, actual: expected })),
        }
    }
}
