//! A member for tests of the service: a real connection, a store in memory.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use quorate_proto::etcdserverpb as client;
use quorate_proto::etcdserverpb::watch_client::WatchClient;
use quorate_proto::etcdserverpb::watch_request::RequestUnion;
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::watch_server::WatchServer;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Status, Streaming};

use super::{Access, Caller, Options, Service};
use crate::store::watch::{self as store, Hub, MemoryHistory};

/// Nobody may watch keys that begin with `secret`.
struct NoSecrets;

#[tonic::async_trait]
impl Access for NoSecrets {
    async fn check(&self, _: &Caller, key: &[u8], _: &[u8]) -> Result<(), Status> {
        if key.starts_with(b"secret") {
            Err(Status::permission_denied("etcdserver: permission denied"))
        } else {
            Ok(())
        }
    }
}

pub(super) struct Member {
    pub(super) store: Arc<MemoryHistory>,
    pub(super) hub: Hub,
    pub(super) has_leader: watch::Sender<bool>,
    pub(super) shutdown: CancellationToken,
    channel: Channel,
}

impl Member {
    pub(super) async fn start(hub_options: store::Options, options: Options) -> Self {
        let store = Arc::new(MemoryHistory::default());
        let hub = Hub::new(hub_options, 1);
        let (has_leader, leader) = watch::channel(true);
        let shutdown = CancellationToken::new();
        let header = |revision| pb::ResponseHeader { cluster_id: 11, member_id: 22, revision, raft_term: 2 };
        let service = Service::new(
            hub.clone(),
            Arc::clone(&store) as _,
            Arc::new(header),
            Arc::new(NoSecrets),
            leader,
            shutdown.clone(),
            options,
        );
        let (near, far) = tokio::io::duplex(1 << 16);
        let connections = tokio_stream::iter([Ok::<_, std::io::Error>(far)]);
        tokio::spawn(Server::builder().add_service(WatchServer::new(service)).serve_with_incoming(connections));
        let mut near = Some(near);
        let connect = tower::service_fn(move |_| {
            let near = near.take();
            async move { near.map(TokioIo::new).ok_or_else(|| std::io::Error::other("one connection only")) }
        });
        let channel = Endpoint::from_static("http://member").connect_with_connector(connect).await.unwrap();
        Self { store, hub, has_leader, shutdown, channel }
    }

    pub(super) async fn usual() -> Self {
        Self::start(store::Options::default(), Options::default()).await
    }

    pub(super) fn write(&self, changes: &[(&str, Option<&str>)]) {
        let changes: Vec<_> = changes.iter().map(|(key, value)| (key.as_bytes(), value.map(str::as_bytes))).collect();
        self.hub.publish(self.store.write(&changes).into_iter().collect());
    }

    pub(super) fn put(&self, key: &str, value: &str) {
        self.write(&[(key, Some(value))]);
    }

    pub(super) async fn open(&self, needs_leader: bool) -> Result<Watching, Status> {
        let (requests, receiver) = mpsc::channel(16);
        let mut request = Request::new(ReceiverStream::new(receiver));
        if needs_leader {
            request.metadata_mut().insert("hasleader", "true".parse().unwrap());
        }
        let replies = WatchClient::new(self.channel.clone()).watch(request).await?.into_inner();
        Ok(Watching { requests: Some(requests), replies })
    }

    pub(super) async fn watch(&self) -> Watching {
        self.open(false).await.unwrap()
    }

    pub(super) async fn until(&self, what: &str, condition: impl Fn(&store::Counters) -> bool) {
        for _ in 0..1000 {
            if condition(self.hub.counters()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("waited too long until {what}");
    }
}

pub(super) struct Watching {
    pub(super) requests: Option<mpsc::Sender<client::WatchRequest>>,
    pub(super) replies: Streaming<client::WatchResponse>,
}

impl Watching {
    pub(super) async fn send(&self, request: RequestUnion) {
        let request = client::WatchRequest { request_union: Some(request) };
        self.requests.as_ref().unwrap().send(request).await.unwrap();
    }

    pub(super) async fn create(&mut self, create: client::WatchCreateRequest) -> client::WatchResponse {
        self.send(RequestUnion::CreateRequest(create)).await;
        let reply = self.next().await;
        assert!(reply.created && reply.events.is_empty());
        reply
    }

    pub(super) async fn cancel(&self, watch_id: i64) {
        self.send(RequestUnion::CancelRequest(client::WatchCancelRequest { watch_id })).await;
    }

    pub(super) async fn ask_progress(&self) {
        self.send(RequestUnion::ProgressRequest(client::WatchProgressRequest {})).await;
    }

    pub(super) async fn message(&mut self) -> Result<Option<client::WatchResponse>, Status> {
        let message = tokio::time::timeout(Duration::from_secs(20), self.replies.message()).await;
        message.expect("a message in time")
    }

    pub(super) async fn next(&mut self) -> client::WatchResponse {
        self.message().await.unwrap().unwrap()
    }

    pub(super) async fn revisions(&mut self, until: i64) -> Vec<i64> {
        let mut revisions = Vec::new();
        while revisions.last() != Some(&until) {
            revisions.extend(mod_revisions(&self.next().await));
        }
        revisions
    }
}

pub(super) fn revision(reply: &client::WatchResponse) -> i64 {
    reply.header.as_ref().unwrap().revision
}

pub(super) fn mod_revisions(reply: &client::WatchResponse) -> Vec<i64> {
    reply.events.iter().map(|event| event.kv.as_ref().unwrap().mod_revision).collect()
}

pub(super) fn one(key: &'static str) -> client::WatchCreateRequest {
    client::WatchCreateRequest { key: key.into(), ..Default::default() }
}

pub(super) fn everything() -> client::WatchCreateRequest {
    client::WatchCreateRequest { key: b"\0"[..].into(), range_end: b"\0"[..].into(), ..Default::default() }
}
