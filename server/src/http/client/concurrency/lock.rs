//! The Lock service.

use std::sync::Arc;

use bytes::Bytes;
use quorate_proto::served::v3lockpb as pb;
use quorate_proto::served::v3lockpb::lock_server::Lock;
use tonic::{Request, Response, Status};

use super::caller::{Caller, Inner};
use super::contender::{Entry, contend};
use crate::http::status;

pub struct Service {
    inner: Arc<Inner>,
}

impl Service {
    pub fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }
}

#[tonic::async_trait]
impl Lock for Service {
    async fn lock(&self, request: Request<pb::LockRequest>) -> Result<Response<pb::LockResponse>, Status> {
        let (caller, pb::LockRequest { name, lease }) = Caller::of(&self.inner, request);
        let entry = Entry { name, lease, value: Bytes::new(), lost: status::session_expired };
        let won = contend(caller, entry).await.map_err(status::of_inner_call)?;
        Ok(Response::new(pb::LockResponse { header: won.seen, key: won.key }))
    }

    async fn unlock(&self, request: Request<pb::UnlockRequest>) -> Result<Response<pb::UnlockResponse>, Status> {
        let (caller, pb::UnlockRequest { key }) = Caller::of(&self.inner, request);
        let deleted = caller.delete(key).await.map_err(status::of_inner_call)?;
        Ok(Response::new(pb::UnlockResponse { header: deleted.header }))
    }
}
