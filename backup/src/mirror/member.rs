use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use quorate_proto::etcdserverpb::{
    CompactionRequest, HashKvRequest, HashKvResponse, LeaseGrantRequest, LeaseLeasesRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse, RangeRequest, RangeResponse, ResponseHeader, TxnRequest,
    TxnResponse, kv_client::KvClient, lease_client::LeaseClient, maintenance_client::MaintenanceClient,
};
use quorate_proto::mvccpb::KeyValue;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use super::error::{Error, Side};
use super::fold::Deletion;
use crate::etcd::Members;

/// For an answer. etcd itself gives up a request after 7 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// For the hash of all keys, or a compaction.
const HASH_LIMIT: Duration = Duration::from_secs(120);
/// Of questions about leases that are asked at the same time.
const QUESTIONS_MAX: usize = 32;
/// Of one response: a list of leases has 11 bytes for each.
pub(super) const RESPONSE_BYTES_MAX: usize = 16 << 20;

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
const LEASE_EXISTS: &str = "etcdserver: lease already exists";
const LEASE_MISSING: &str = "etcdserver: requested lease not found";

/// A member that is connected, and in agreement with the others.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) side: Side,
    pub(super) channel: Channel,
    pub(super) endpoint: String,
    pub(super) cluster_id: u64,
}

/// A lease that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: i64,
    pub(super) granted_s: i64,
    pub(super) remaining_s: i64,
}

impl Member {
    /// One of the members; another each time, by number.
    pub(super) async fn connect(side: Side, members: &Members, number: usize) -> Result<(Self, i64), Error> {
        let endpoint = members.endpoints.get(number % members.endpoints.len().max(1)).ok_or(Error::NoEndpoint(side))?;
        let channel = members.connect(endpoint).await.map_err(|source| Error::Connect { side, source })?;
        let mut member = Self { side, channel, endpoint: endpoint.clone(), cluster_id: 0 };
        let ResponseHeader { cluster_id, revision, .. } = member.header().await?;
        member.cluster_id = cluster_id;
        Ok((member, revision))
    }

    /// The cluster's, not an older one of this member's.
    pub(super) async fn revision(&self) -> Result<i64, Error> {
        Ok(self.header().await?.revision)
    }

    async fn header(&self) -> Result<ResponseHeader, Error> {
        let none = RangeRequest { key: Bytes::from_static(b"\0"), count_only: true, ..RangeRequest::default() };
        Ok(self.range(none).await?.header.unwrap_or_default())
    }

    async fn range(&self, question: RangeRequest) -> Result<RangeResponse, Error> {
        self.within(ANSWER_LIMIT, self.kv().range(question)).await
    }

    /// How many keys there are in a range, now.
    pub(super) async fn count(&self, range: &Deletion) -> Result<usize, Error> {
        let (key, range_end) = (range.key.clone(), range.range_end.clone());
        let question = RangeRequest { key, range_end, count_only: true, ..RangeRequest::default() };
        Ok(usize::try_from(self.range(question).await?.count).unwrap_or(0))
    }

    pub(super) async fn get(&self, key: &Bytes) -> Result<Option<KeyValue>, Error> {
        let question = RangeRequest { key: key.clone(), ..RangeRequest::default() };
        Ok(self.range(question).await?.kvs.pop())
    }

    /// Without an answer, nobody knows whether it was done, or will be.
    pub(super) async fn txn(self, txn: TxnRequest) -> Result<TxnResponse, Error> {
        self.within(ANSWER_LIMIT, self.kv().txn(txn)).await
    }

    pub(super) async fn leases(&self) -> Result<(Vec<i64>, i64), Error> {
        let answer = self.within(ANSWER_LIMIT, self.lease().lease_leases(LeaseLeasesRequest {})).await?;
        let ids = answer.leases.into_iter().map(|lease| lease.id).collect();
        Ok((ids, answer.header.unwrap_or_default().revision))
    }

    /// What is said about these leases; nothing about those that are gone.
    pub(super) async fn found(&self, ids: Vec<i64>) -> Result<Vec<Found>, Error> {
        let questions = ids.into_iter().map(|id| async move {
            let answer = self.time_to_live(id, false).await?;
            let found = Found { id, granted_s: answer.granted_ttl, remaining_s: answer.ttl };
            Ok((answer.ttl >= 0).then_some(found))
        });
        let found = stream::iter(questions).buffered(QUESTIONS_MAX).try_filter_map(|found| async move { Ok(found) });
        found.try_collect().await
    }

    /// Whether there is such a lease, without any keys.
    pub(super) async fn is_bare(&self, id: i64) -> Result<bool, Error> {
        let answer = self.time_to_live(id, true).await?;
        Ok(answer.ttl >= 0 && answer.keys.is_empty())
    }

    async fn time_to_live(&self, id: i64, keys: bool) -> Result<LeaseTimeToLiveResponse, Error> {
        let question = LeaseTimeToLiveRequest { id, keys };
        match self.within(ANSWER_LIMIT, self.lease().lease_time_to_live(question)).await {
            Err(Error::Call { status, .. }) if status.message() == LEASE_MISSING => {
                Ok(LeaseTimeToLiveResponse { id, ttl: -1, ..LeaseTimeToLiveResponse::default() })
            }
            answer => answer,
        }
    }

    /// Fine if it is there.
    pub(super) async fn grant(&self, id: i64, ttl_s: i64) -> Result<(), Error> {
        let granted = self.within(ANSWER_LIMIT, self.lease().lease_grant(LeaseGrantRequest { ttl: ttl_s, id })).await;
        fine_if(LEASE_EXISTS, granted)
    }

    pub(super) async fn grant_all(&self, leases: &[(i64, i64)]) -> Result<(), Error> {
        let grants = leases.iter().map(|(id, ttl_s)| self.grant(*id, *ttl_s));
        stream::iter(grants).buffered(QUESTIONS_MAX).try_collect().await
    }

    /// Fine if it is gone.
    pub(super) async fn revoke(&self, id: i64) -> Result<(), Error> {
        let revoked = self.within(ANSWER_LIMIT, self.lease().lease_revoke(LeaseRevokeRequest { id })).await;
        fine_if(LEASE_MISSING, revoked)
    }

    /// Fine if it has been done, or more.
    pub(super) async fn compact(&self, revision: i64) -> Result<(), Error> {
        let request = CompactionRequest { revision, physical: false };
        fine_if(COMPACTED, self.within(HASH_LIMIT, self.kv().compact(request)).await)
    }

    /// Of everything up to a revision.
    pub(super) async fn hash(&self, revision: i64) -> Result<HashKvResponse, Error> {
        let mut client = MaintenanceClient::new(self.channel.clone());
        self.within(HASH_LIMIT, client.hash_kv(HashKvRequest { revision })).await
    }

    fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX)
    }

    pub(super) fn lease(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX)
    }

    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Error> {
        let side = self.side;
        let answer = tokio::time::timeout(limit, answer).await.map_err(|_| Error::Silent(side))?;
        answer.map(Response::into_inner).map_err(|status| self.refused(status))
    }

    pub(super) fn refused(&self, status: Status) -> Error {
        Error::Call { side: self.side, status: Box::new(status) }
    }
}

fn fine_if<T>(message: &str, answer: Result<T, Error>) -> Result<(), Error> {
    match answer {
        Err(Error::Call { status, .. }) if status.message() == message => Ok(()),
        answer => answer.map(drop),
    }
}

/// The target takes no transaction with so many operations.
pub(super) fn has_too_many_operations(status: &Status) -> bool {
    status.code() == Code::InvalidArgument && status.message() == "etcdserver: too many operations in txn request"
}

/// The target, or gRPC on the way, takes no request as large.
pub(super) fn is_too_large(status: &Status) -> bool {
    let by_grpc =
        status.code() == Code::ResourceExhausted && status.message().contains("received message larger than max");
    by_grpc || status.code() == Code::InvalidArgument && status.message() == "etcdserver: request is too large"
}
