//! The peer service: checks who calls, then hands the call to the file of its name.

use std::path::PathBuf;
use std::pin::Pin;

use futures::Stream;
use quorate_proto::peer;
use quorate_proto::peer::peer_server::Peer;
use tonic::{Request, Response, Status, Streaming};

use super::{append, forward, hash, identity, lease, snapshot, vote};
use crate::duty::Lessor;
use crate::raft::Handle;
use crate::store::Store;

pub struct Service {
    pub raft: Handle,
    pub store: Store,
    pub lessor: Lessor,
    /// Where received snapshots are written: the same file system as the store.
    pub snapshot_dir: PathBuf,
}

#[tonic::async_trait]
impl Peer for Service {
    type InstallSnapshotStream = snapshot::Answers;
    type AppendStream = Pin<Box<dyn Stream<Item = Result<peer::AppendResponse, Status>> + Send>>;

    async fn append(
        &self,
        request: Request<Streaming<peer::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        identity::check(request.metadata(), self.raft.identity())?;
        append::check_acknowledged(&self.raft, request.metadata())?;
        Ok(Response::new(append::stream(&self.raft, request.into_inner())))
    }

    async fn append_once(
        &self,
        request: Request<peer::AppendRequest>,
    ) -> Result<Response<peer::AppendResponse>, Status> {
        identity::check(request.metadata(), self.raft.identity())?;
        append::once(&self.raft, request.into_inner()).await.map(Response::new)
    }

    async fn vote(&self, request: Request<peer::VoteRequest>) -> Result<Response<peer::VoteResponse>, Status> {
        let from = identity::check(request.metadata(), self.raft.identity())?;
        vote::vote(&self.raft, from, request.into_inner()).await.map(Response::new)
    }

    async fn pre_vote(&self, request: Request<peer::VoteRequest>) -> Result<Response<peer::VoteResponse>, Status> {
        let from = identity::check(request.metadata(), self.raft.identity())?;
        vote::pre_vote(&self.raft, from, request.into_inner()).await.map(Response::new)
    }

    async fn transfer_leader(
        &self,
        request: Request<peer::TransferLeaderRequest>,
    ) -> Result<Response<peer::TransferLeaderResponse>, Status> {
        identity::check(request.metadata(), self.raft.identity())?;
        vote::take_leadership(&self.raft, request.into_inner()).await.map(Response::new)
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<peer::SnapshotChunk>>,
    ) -> Result<Response<snapshot::Answers>, Status> {
        let from = identity::check(request.metadata(), self.raft.identity())?;
        snapshot::install(self.raft.clone(), from, &self.snapshot_dir, request.into_inner()).await.map(Response::new)
    }

    async fn hash_kv(&self, request: Request<peer::HashKvRequest>) -> Result<Response<peer::HashKvResponse>, Status> {
        identity::check(request.metadata(), self.raft.identity())?;
        hash::hash_kv(&self.raft, &self.store, request.into_inner()).await.map(Response::new)
    }

    async fn propose(&self, request: Request<peer::ProposeRequest>) -> Result<Response<peer::ProposeResponse>, Status> {
        identity::check(request.metadata(), self.raft.identity())?;
        forward::propose(&self.raft, request.into_inner()).await.map(Response::new)
    }

    async fn read_index(
        &self,
        request: Request<peer::ReadIndexRequest>,
    ) -> Result<Response<peer::ReadIndexResponse>, Status> {
        identity::check(request.metadata(), self.raft.identity())?;
        forward::read_index(&self.raft).await.map(Response::new)
    }

    async fn change_member(
        &self,
        request: Request<peer::MemberChange>,
    ) -> Result<Response<peer::MemberChanged>, Status> {
        identity::check(request.metadata(), self.raft.identity())?;
        forward::change_member(&self.raft, request.into_inner()).await.map(Response::new)
    }

    async fn lease_keep_alive(
        &self,
        request: Request<peer::LeaseKeepAliveRequest>,
    ) -> Result<Response<peer::LeaseKeepAliveResponse>, Status> {
        identity::check(request.metadata(), self.raft.identity())?;
        lease::keep_alive(&self.lessor, request.into_inner()).await.map(Response::new)
    }

    async fn lease_time_to_live(
        &self,
        request: Request<peer::LeaseTimeToLiveRequest>,
    ) -> Result<Response<peer::LeaseTimeToLiveResponse>, Status> {
        identity::check(request.metadata(), self.raft.identity())?;
        lease::time_to_live(&self.raft, &self.lessor, request.into_inner()).await.map(Response::new)
    }
}
