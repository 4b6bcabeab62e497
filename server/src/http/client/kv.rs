//! The KV service.

use opentelemetry::KeyValue;
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::kv_server::Kv;
use tonic::{Request, Response, Status};

use super::auth::Credentials;
use super::member::Member;
use super::reads::{self, Reads};
use super::{kv_check, large_range, quota, range_stream};
use crate::http::status;
use crate::operation::Operation;
use crate::store::apply;
use crate::store::auth::{Caller, Registry};
use crate::telemetry::traces;

/// A range that may return more pairs than this is read on a thread of its own, not on the one that serves everybody.
const INLINE_RANGE_KEYS: i64 = 1000;

pub struct Service {
    member: Member,
    reads: Reads,
}

impl Service {
    pub fn new(member: Member, reads: Reads) -> Self {
        Self { member, reads }
    }

    /// A range as of now, or of any moment if it is serializable, if the caller may have it.
    async fn permitted_range(
        &self,
        credentials: &Credentials,
        request: &pb::RangeRequest,
    ) -> Result<pb::RangeResponse, Status> {
        if !request.serializable {
            self.member.raft().read_barrier().await.map_err(status::raft)?;
        }
        let may = |caller: &Caller, registry: &Registry| caller.may_read(registry, &request.key, &request.range_end);
        let permit = self.member.permit(credentials, may).await?;
        let response = self.reads.in_store(self.read(request)).await?;
        permit.confirm(&self.member)?;
        Ok(response)
    }

    /// A transaction that writes nothing, likewise.
    async fn permitted_read_txn(
        &self,
        credentials: &Credentials,
        request: pb::TxnRequest,
    ) -> Result<pb::TxnResponse, Status> {
        if !kv_check::is_serializable(&request) {
            self.member.raft().read_barrier().await.map_err(status::raft)?;
        }
        // It hangs nothing on leases.
        let may = |caller: &Caller, registry: &Registry| caller.may_txn(registry, &request, &|_| Vec::new());
        let permit = self.member.permit(credentials, may).await?;
        let store = self.member.store().clone();
        let response = tokio::task::spawn_blocking(move || store.read_txn(&request))
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(status::store)?;
        permit.confirm(&self.member)?;
        Ok(response)
    }

    async fn read(&self, request: &pb::RangeRequest) -> Result<pb::RangeResponse, Status> {
        let wide =
            !request.range_end.is_empty() && !request.count_only && !(1..=INLINE_RANGE_KEYS).contains(&request.limit);
        if !wide {
            return self.member.store().range(request).map_err(status::store);
        }
        let (store, request) = (self.member.store().clone(), request.clone());
        tokio::task::spawn_blocking(move || store.range(&request))
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(status::store)
    }
}

/// The store answered a request with the reply to another kind: a bug, told apart from a failure.
fn mismatch() -> Status {
    Status::internal("etcdserver: the reply does not belong to the request")
}

/// etcd's attributes but for the keys.
fn of_range(request: &pb::RangeRequest) -> Vec<KeyValue> {
    vec![
        KeyValue::new("rev", request.revision),
        KeyValue::new("limit", request.limit),
        KeyValue::new("count_only", request.count_only),
        KeyValue::new("keys_only", request.keys_only),
    ]
}

fn of_txn(request: &pb::TxnRequest) -> Vec<KeyValue> {
    vec![
        KeyValue::new("compare_len", request.compare.len() as i64),
        KeyValue::new("success_len", request.success.len() as i64),
        KeyValue::new("failure_len", request.failure.len() as i64),
        KeyValue::new("read_only", kv_check::is_read_only(request)),
    ]
}

#[tonic::async_trait]
impl Kv for Service {
    type RangeStreamStream = range_stream::Chunks;

    async fn range(&self, request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        kv_check::range(&request)?;
        let _span = traces::within("range", || of_range(&request));
        if !request.serializable && self.member.raft().is_learner() {
            return Err(status::not_for_learner());
        }
        let ranged = self.permitted_range(&credentials, &request);
        let mut response = self.reads.timed(Operation::Range, ranged, || reads::describe_range(&request)).await?;
        self.member.complete(&mut response.header);
        large_range::answer(response)
    }

    async fn range_stream(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        let (credentials, request) = Credentials::split(request);
        kv_check::range_stream(&request)?;
        let _span = traces::within("range_streaming", || of_range(&request));
        if !request.serializable {
            self.member.raft().read_barrier().await.map_err(status::raft)?;
        }
        let may = |caller: &Caller, registry: &Registry| caller.may_read(registry, &request.key, &request.range_end);
        self.member.permit(&credentials, may).await?.confirm(&self.member)?;
        Ok(Response::new(range_stream::start(self.member.clone(), request)))
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        kv_check::put(&request)?;
        let _span = traces::within("put", Vec::new);
        self.member.check_quota(quota::put(&request)).await?;
        let request = pb::InternalRaftRequest { put: Some(request), ..Default::default() };
        let response = self.member.propose(&credentials, request).await?;
        let apply::Response::Put(mut response) = response else { return Err(mismatch()) };
        self.member.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        kv_check::delete_range(&request)?;
        let _span = traces::within("delete_range", Vec::new);
        let request = pb::InternalRaftRequest { delete_range: Some(request), ..Default::default() };
        let response = self.member.propose(&credentials, request).await?;
        let apply::Response::DeleteRange(mut response) = response else { return Err(mismatch()) };
        self.member.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        kv_check::txn(&request, self.member.limits().max_txn_ops)?;
        let _span = traces::within("txn", || of_txn(&request));
        let mut response = if kv_check::is_read_only(&request) {
            let describe = reads::describe_txn(&request);
            let read = self.permitted_read_txn(&credentials, request);
            self.reads.timed(Operation::ReadonlyTxn, read, describe).await?
        } else {
            self.member.check_quota(quota::txn(&request)).await?;
            let request = pb::InternalRaftRequest { txn: Some(request), ..Default::default() };
            let response = self.member.propose(&credentials, request).await?;
            let apply::Response::Txn(response) = response else { return Err(mismatch()) };
            response
        };
        self.member.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        let _span = traces::within("compact", || {
            vec![KeyValue::new("is_physical", request.physical), KeyValue::new("rev", request.revision)]
        });
        let internal = pb::InternalRaftRequest { compaction: Some(request), ..Default::default() };
        let response = self.member.propose(&credentials, internal).await?;
        let apply::Response::Compaction(mut response) = response else { return Err(mismatch()) };
        if request.physical {
            self.member.store().wait_compaction(request.revision).await;
        }
        self.member.complete(&mut response.header);
        // etcd answers with the current revision, which may have moved on meanwhile.
        if let Some(header) = &mut response.header {
            header.revision = self.member.store().revision();
        }
        Ok(Response::new(response))
    }
}
