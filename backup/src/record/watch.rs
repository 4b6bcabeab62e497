use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use quorate_proto::etcdserverpb::{
    LeaseTimeToLiveRequest, RangeRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
    kv_client::KvClient, lease_client::LeaseClient, watch_client::WatchClient, watch_request::RequestUnion,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Streaming};

use super::Error;
use crate::changes::Lease;
use crate::etcd::Members;

/// For an answer to anything but the watch.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Of one response; a fragment has some 2 MiB, unless a single value is larger.
const RESPONSE_BYTES_MAX: usize = 16 << 20;
/// Of questions about leases that are asked at the same time.
const QUESTIONS_MAX: usize = 16;

/// A member that is connected, and in agreement with the others.
pub(super) struct Member {
    channel: Channel,
    /// The cluster's revision.
    pub(super) revision: i64,
}

/// A watch of all keys on one member.
pub(super) struct Watch {
    responses: Streaming<WatchResponse>,
    requests: mpsc::Sender<WatchRequest>,
    leases: LeaseClient<Channel>,
    /// The cluster's when it was connected.
    pub(super) revision: i64,
}

impl Member {
    pub(super) async fn connect(members: &Members, endpoint: &str, cluster_id: u64) -> Result<Self, Error> {
        let channel = members.connect(endpoint).await?;
        // Linearizable: a member that is behind answers when it isn't any more.
        let question = RangeRequest { key: Bytes::from_static(b"\0"), count_only: true, ..RangeRequest::default() };
        let answer = within(KvClient::new(channel.clone()).range(question)).await?.into_inner();
        let header = answer.header.unwrap_or_default();
        match header.cluster_id == cluster_id {
            true => Ok(Self { channel, revision: header.revision }),
            false => Err(Error::WrongCluster { wanted: cluster_id, found: header.cluster_id }),
        }
    }

    /// From a revision on, itself included.
    pub(super) async fn watch(self, start_revision: i64) -> Result<Watch, Error> {
        let create = WatchCreateRequest {
            key: Bytes::from_static(b"\0"),
            range_end: Bytes::from_static(b"\0"),
            start_revision,
            progress_notify: true,
            fragment: true,
            ..WatchCreateRequest::default()
        };
        let (requests, receiver) = mpsc::channel(4);
        let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        requests.send(create).await.map_err(|_| Error::Ended)?;
        let mut request = Request::new(ReceiverStream::new(receiver));
        // A member that has lost its leader ends the watch, rather than say that nothing happens.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        let mut client = WatchClient::new(self.channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX);
        let responses = within(client.watch(request)).await?.into_inner();
        Ok(Watch { responses, requests, leases: LeaseClient::new(self.channel), revision: self.revision })
    }
}

impl Watch {
    /// Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Result<WatchResponse, Error> {
        self.responses.message().await.map_err(Error::Call)?.ok_or(Error::Ended)
    }

    /// Has the member say up to which revision it has told everything; not if it is still asked.
    pub(super) fn ask_progress(&self) {
        let ask = WatchRequest { request_union: Some(RequestUnion::ProgressRequest(WatchProgressRequest {})) };
        // A member that takes no requests is found silent.
        let _ = self.requests.try_send(ask);
    }

    pub(super) async fn leases(&self, ids: Vec<i64>) -> Result<Vec<Lease>, Error> {
        let questions = ids.into_iter().map(|id| {
            let mut client = self.leases.clone();
            async move {
                let question = LeaseTimeToLiveRequest { id, keys: false };
                let answer = within(client.lease_time_to_live(question)).await?.into_inner();
                let is_alive = answer.ttl >= 0;
                Ok(Lease { id, ttl_s: if is_alive { answer.granted_ttl } else { 0 } })
            }
        });
        stream::iter(questions).buffered(QUESTIONS_MAX).try_collect().await
    }
}

async fn within<T>(answer: impl Future<Output = Result<T, tonic::Status>>) -> Result<T, Error> {
    tokio::time::timeout(ANSWER_LIMIT, answer).await.map_err(|_| Error::Silent)?.map_err(Error::Call)
}
