//! Calls that one call makes of other services. Each carries what the caller's carried, so that it may do no more than the
//! caller itself.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use quorate_proto::etcdserverpb as plain;
use quorate_proto::etcdserverpb::watch_client::WatchClient;
use quorate_proto::etcdserverpb::watch_create_request::FilterType;
use quorate_proto::etcdserverpb::watch_request::RequestUnion;
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::kv_server::Kv;
use quorate_proto::served::etcdserverpb::lease_server::Lease;
use quorate_proto::served::etcdserverpb::watch_server::WatchServer;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Status, Streaming};

use crate::http::client::{kv, lease, watch};

/// The services that locks and elections are made of.
pub struct Inner {
    pub kv: kv::Service,
    pub lease: lease::Service,
    pub watch: watch::Service,
}

/// Who called, and what it calls.
#[derive(Clone)]
pub(super) struct Caller {
    inner: Arc<Inner>,
    metadata: MetadataMap,
    extensions: Extensions,
}

impl Caller {
    pub(super) fn of<T>(inner: &Arc<Inner>, request: Request<T>) -> (Self, T) {
        let (metadata, extensions, message) = request.into_parts();
        (Self { inner: inner.clone(), metadata, extensions }, message)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        Request::from_parts(self.metadata.clone(), self.extensions.clone(), message)
    }

    /// Also for single reads: the reply to a range may leave its pairs to the connection.
    pub(super) async fn txn(&self, request: pb::TxnRequest) -> Result<pb::TxnResponse, Status> {
        Ok(self.inner.kv.txn(self.request(request)).await?.into_inner())
    }

    pub(super) async fn delete(&self, key: Bytes) -> Result<pb::DeleteRangeResponse, Status> {
        let request = pb::DeleteRangeRequest { key, ..Default::default() };
        Ok(self.inner.kv.delete_range(self.request(request)).await?.into_inner())
    }

    pub(super) async fn grant(&self, ttl: i64) -> Result<i64, Status> {
        let request = pb::LeaseGrantRequest { ttl, id: 0 };
        Ok(self.inner.lease.lease_grant(self.request(request)).await?.into_inner().id)
    }

    pub(super) async fn revoke(&self, id: i64) -> Result<(), Status> {
        self.inner.lease.lease_revoke(self.request(pb::LeaseRevokeRequest { id })).await?;
        Ok(())
    }

    /// Watches ranges from a revision on.
    pub(super) async fn watch(&self, creates: Vec<plain::WatchCreateRequest>) -> Result<Watching, Status> {
        let creates = creates
            .into_iter()
            .map(|create| plain::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) });
        // The end of the requests would end the watch once all its watchers are cancelled; its owner does that.
        let requests = stream::iter(creates).chain(stream::pending());
        let server = WatchServer::new(self.inner.watch.clone());
        let mut client = WatchClient::new(server).max_decoding_message_size(usize::MAX);
        Ok(Watching { responses: client.watch(self.request(requests)).await?.into_inner() })
    }
}

/// A watcher of a key's deletion.
pub(super) fn deletion(key: Bytes, start_revision: i64) -> plain::WatchCreateRequest {
    plain::WatchCreateRequest { filters: vec![FilterType::Noput.into()], ..changes(key, start_revision) }
}

/// A watcher of everything that happens to a key.
pub(super) fn changes(key: Bytes, start_revision: i64) -> plain::WatchCreateRequest {
    plain::WatchCreateRequest { key, start_revision, ..Default::default() }
}

/// An open watch; it ends when it is dropped.
pub(super) struct Watching {
    responses: Streaming<plain::WatchResponse>,
}

pub(super) enum Seen {
    Events(plain::WatchResponse),
    /// What happened since the revision that was asked for is not known any more.
    Compacted,
}

impl Watching {
    pub(super) async fn next(&mut self) -> Result<Seen, Status> {
        loop {
            let response = self.responses.message().await?;
            let response = response.ok_or_else(|| Status::unavailable("etcdserver: the watch has ended"))?;
            if response.compact_revision != 0 {
                return Ok(Seen::Compacted);
            }
            if response.canceled {
                return Err(Status::failed_precondition(response.cancel_reason));
            }
            if !response.events.is_empty() {
                return Ok(Seen::Events(response));
            }
        }
    }
}
