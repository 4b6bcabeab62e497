//! What openraft sends to other members, as calls of our peer protocol.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, Stream, StreamExt};
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
use tonic::transport::Channel;

use super::acknowledged::Acknowledged;
use super::observer::Direction;
use super::snapshot::{Folder, Snapshot};
use super::transport::{ACKNOWLEDGED_HEADER, Traffic, Transport};
use super::types::{self, LogId, Peer, TypeConfig, Vote};
use super::{snapshot_send, wire};

type C = TypeConfig;

/// Wait before an append stream that could not be opened is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// Append requests on their way to one follower. More would only make smaller batches: while two are under way the
/// next collects what arrives.
const APPENDS_IN_FLIGHT: usize = 4;

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
    /// The last attempt to open an append stream failed.
    failed: bool,
    /// How far the member has said that its log goes.
    acknowledged: Arc<Mutex<Acknowledged>>,
}

impl Network {
    fn new(transport: Transport, target: u64, node: &Peer, traffic: Traffic) -> Self {
        Self {
            transport,
            target,
            peer_urls: node.peer_urls.clone(),
            traffic,
            failed: false,
            acknowledged: Arc::default(),
        }
    }

    fn client(&self) -> Result<PeerClient<Channel>, Unreachable<C>> {
        let known = self.transport.peer_urls(self.target);
        // A member that was added a moment ago is asked before the new membership was heard of.
        self.transport.client_at(self.target, known.as_ref().unwrap_or(&self.peer_urls), self.traffic)
    }

    /// Watches for the answer that this member was removed.
    async fn known<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<tonic::Response<T>, tonic::Status> {
        call.await.inspect_err(|status| self.transport.heed_refusal(self.target, status))
    }
}

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
        if self.traffic == Traffic::Heartbeat {
            self.transport.beat(self.target, answered.is_ok().then(|| begun.elapsed()));
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
            // openraft backs off where it makes requests, and none is made before the stream is open.
            if self.failed {
                tokio::time::sleep(AGAIN).await;
            }
            self.failed = true;
            let (sent, in_flight) = tokio::sync::mpsc::channel(APPENDS_IN_FLIGHT);
            let requests = futures::stream::unfold((input, sent), |(mut input, sent)| async move {
                // The place in the pipeline is taken before the request is made, so that it carries all that arrived.
                let place = sent.clone().reserve_owned().await.ok()?;
                let request = input.next().await?;
                let prev = request.prev_log_id;
                let last = request.entries.last().map(|entry| entry.log_id).or(prev);
                place.send((request.vote.leader_id.term, prev, last));
                Some((wire::append_request(request), (input, sent)))
            });
            let mut request = self.transport.request(self.target, requests);
            let acknowledged = self.acknowledged.clone();
            if let Ok(value) = acknowledged.lock().to_header().parse() {
                request.metadata_mut().insert(ACKNOWLEDGED_HEADER, value);
            }
            let mut client = self.client()?;
            // The answer's headers come with the first message: openraft bounds this by its own cancellation.
            let responses = client.append(request).await.map_err(rpc_error)?.into_inner();
            self.failed = false;
            let noted = move |term: u64, last: &Option<LogId>| {
                acknowledged.lock().note(types::term(term), types::position_or_start(last.as_ref()).index);
            };
            let results = futures::stream::unfold(Some((responses, in_flight, noted)), |state| async move {
                let (mut responses, mut in_flight, noted) = state?;
                let response = match responses.message().await {
                    Ok(Some(response)) => response,
                    Ok(None) => return None,
                    Err(status) => return Some((Err(rpc_error(status)), None)),
                };
                let (term, prev, last) = in_flight.recv().await?;
                match wire::append_response(response) {
                    Ok(AppendEntriesResponse::Success) => {
                        noted(term, &last);
                        Some((Ok(Ok(last)), Some((responses, in_flight, noted))))
                    }
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
        let response = within(self.transport.timing().call, self.known(client.vote(request))).await?;
        wire::vote_response(response).map_err(|error| RPCError::Network(NetworkError::new(&error)))
    }

    async fn pre_vote(&mut self, rpc: VoteRequest<C>, _: RPCOption) -> Result<VoteResponse<C>, RPCError<C>> {
        let request = self.transport.request(self.target, wire::vote_request(rpc));
        let mut client = self.client()?;
        let response = within(self.transport.timing().call, self.known(client.pre_vote(request))).await?;
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
        let transfer = self.transport.transfer(self.target, Direction::Send);
        let sending = snapshot_send::send(&self.transport, client, self.target, vote, snapshot);
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sending => sent.inspect(|_| transfer.succeeded()),
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<C>,
        _: RPCOption,
    ) -> Result<TransferLeaderResponse<C>, RPCError<C>> {
        let expected = *req.from_leader();
        let request = self.transport.request(self.target, wire::transfer_request(&req));
        match within(self.transport.timing().call, self.client()?.transfer_leader(request)).await {
            Ok(_) => Ok(Ok(())),
            Err(RPCError::Unreachable(reason)) => Err(RPCError::Unreachable(reason)),
            // The target said no: it is behind or follows another vote. The caller waits for the outcome either way.
            Err(_) => Ok(Err(TransferLeaderError::VoteChanged { expected, actual: expected })),
        }
    }
}
