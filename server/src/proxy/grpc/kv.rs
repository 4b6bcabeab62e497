//! KV of a proxy that changes what it forwards: by a namespace, or by making every read linearizable.

use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::kv_server::Kv;
use quorate_proto::served::etcdserverpb::request_op;
use tonic::{Request, Response, Status};

use super::namespace::Namespace;
use super::upstream::Upstream;

#[derive(Clone)]
pub struct Service {
    pub upstream: Upstream,
    pub namespace: Namespace,
    /// Reads of one client never go back in time, though members take turns.
    pub linearizable: bool,
}

impl Service {
    fn read(&self, range: &mut pb::RangeRequest) -> Result<(), Status> {
        check(&range.key)?;
        range.serializable &= !self.linearizable;
        self.namespace.enter_range(range);
        Ok(())
    }

    fn reads_of(&self, txn: &mut pb::TxnRequest) -> Result<(), Status> {
        for compare in &txn.compare {
            check(&compare.key)?;
        }
        for operation in txn.success.iter_mut().chain(&mut txn.failure) {
            match &mut operation.request {
                Some(request_op::Request::RequestRange(range)) => {
                    check(&range.key)?;
                    range.serializable &= !self.linearizable;
                }
                Some(request_op::Request::RequestPut(put)) => check(&put.key)?,
                Some(request_op::Request::RequestDeleteRange(delete)) => check(&delete.key)?,
                Some(request_op::Request::RequestTxn(inner)) => self.reads_of(inner)?,
                None => {}
            }
        }
        Ok(())
    }
}

/// Within a namespace an empty key would be a key.
fn check(key: &Bytes) -> Result<(), Status> {
    match key.is_empty() {
        true => Err(Status::invalid_argument("etcdserver: key is not provided")),
        false => Ok(()),
    }
}

pub(super) fn damaged(error: prost::DecodeError) -> Status {
    Status::internal(format!("the member's answer can't be read: {error}"))
}

#[tonic::async_trait]
impl Kv for Service {
    type RangeStreamStream = Pin<Box<dyn Stream<Item = Result<pb::RangeStreamResponse, Status>> + Send>>;

    async fn range(&self, mut request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        self.read(request.get_mut())?;
        let mut answer = self.upstream.unary("/etcdserverpb.KV/Range", request).await?;
        self.namespace.leave_range(answer.get_mut()).map_err(damaged)?;
        Ok(answer)
    }

    async fn range_stream(
        &self,
        mut request: Request<pb::RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        self.read(request.get_mut())?;
        let answers = self.upstream.answers("/etcdserverpb.KV/RangeStream", request).await?;
        let namespace = self.namespace.clone();
        let leave = move |answer: Result<pb::RangeStreamResponse, Status>| {
            let mut answer = answer?;
            if let Some(part) = &mut answer.range_response {
                namespace.leave_range(part).map_err(damaged)?;
            }
            Ok(answer)
        };
        Ok(answers.map(|answers| Box::pin(answers.map(leave)) as Self::RangeStreamStream))
    }

    async fn put(&self, mut request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        check(&request.get_ref().key)?;
        self.namespace.enter_put(request.get_mut());
        let mut answer = self.upstream.unary("/etcdserverpb.KV/Put", request).await?;
        self.namespace.leave_put(answer.get_mut()).map_err(damaged)?;
        Ok(answer)
    }

    async fn delete_range(
        &self,
        mut request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        check(&request.get_ref().key)?;
        self.namespace.enter_delete(request.get_mut());
        let mut answer = self.upstream.unary("/etcdserverpb.KV/DeleteRange", request).await?;
        self.namespace.leave_delete(answer.get_mut()).map_err(damaged)?;
        Ok(answer)
    }

    async fn txn(&self, mut request: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        self.reads_of(request.get_mut())?;
        self.namespace.enter_txn(request.get_mut());
        let mut answer = self.upstream.unary("/etcdserverpb.KV/Txn", request).await?;
        self.namespace.leave_txn(answer.get_mut()).map_err(damaged)?;
        Ok(answer)
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        self.upstream.unary("/etcdserverpb.KV/Compact", request).await
    }
}
