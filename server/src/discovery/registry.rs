//! Tokens and registrations, as keys of a cluster.
//!
//! All keys of a token hang on one lease, so that they end together. A key of its own stands for each token, to count them by.

use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use quorate_proto::mvccpb::KeyValue;
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::{compare, request_op, watch_request};
use quorate_proto::served::mvccpb::event::EventType;
use tonic::{Request, Status};

use crate::proxy::grpc::Upstream;

/// All keys of etcd's discovery.
pub const PREFIX: &str = "/_etcd/registry/";
const TOKENS: &str = "/_quorate/discovery/";
const TOKENS_END: &str = "/_quorate/discovery0";
const TOKEN_BYTES: usize = 128;
/// Hexadecimal digits of a member's id.
const ID_DIGITS: usize = 16;
const VALUE_BYTES: usize = 4 << 10;
/// Those who come too late by the v2 protocol may be registered too, for a while.
const LATE: usize = 100;

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub max_size: u32,
    pub max_tokens: u32,
    pub token_ttl: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the token {0:?} is not made of up to {TOKEN_BYTES} letters, digits, dots, dashes and underscores")]
    Token(String),
    #[error("the member id {0:?} is not made of up to {ID_DIGITS} hexadecimal digits")]
    Id(String),
    #[error("the size {given:?} is not a number from 1 to {most} (--max-size)")]
    Size { given: String, most: u32 },
    #[error("the value of a registration must have from 1 to {VALUE_BYTES} bytes")]
    Value,
    #[error("there are {0} tokens already (--max-tokens); try again when some have expired")]
    TooManyTokens(u32),
    #[error("too many members have registered under this token")]
    TooManyMembers,
    /// With the revision that says so.
    #[error("{key} is not there")]
    NotFound { key: String, revision: i64 },
    #[error("{key} is there already")]
    Exists { key: String, revision: i64 },
    #[error("revision {0} is no longer known")]
    Compacted(i64),
    #[error("the cluster that keeps the registrations does not serve: {0}")]
    Away(Box<Status>),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Away(Box::new(status))
    }
}

/// A change below a token.
pub struct News {
    pub is_removal: bool,
    pub pair: KeyValue,
    pub revision: i64,
}

#[derive(Clone)]
pub struct Registry {
    upstream: Upstream,
    limits: Limits,
}

pub fn size_key(token: &str) -> String {
    format!("{PREFIX}{token}/_config/size")
}

pub fn member_key(token: &str, id: &str) -> String {
    format!("{PREFIX}{token}/members/{id}")
}

/// The keys of the members: from the first, up to the second.
fn members(token: &str) -> (String, String) {
    // The character behind the slash.
    (format!("{PREFIX}{token}/members/"), format!("{PREFIX}{token}/members0"))
}

pub fn check_token(token: &str) -> Result<(), Error> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_name = (1..=TOKEN_BYTES).contains(&token.len()) && token.bytes().all(is_plain);
    // Those with an underscore in front are the protocol's, and "new" is a command.
    match is_name && !token.starts_with('_') && token != "new" {
        true => Ok(()),
        false => Err(Error::Token(token.to_owned())),
    }
}

fn check_id(id: &str) -> Result<(), Error> {
    match (1..=ID_DIGITS).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(()),
        false => Err(Error::Id(id.to_owned())),
    }
}

impl Registry {
    pub fn new(upstream: Upstream, limits: Limits) -> Self {
        Self { upstream, limits }
    }

    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// A new token for so many members.
    pub async fn create(&self, size: &str) -> Result<String, Error> {
        let token: String = rand::random::<[u8; 16]>().iter().map(|byte| format!("{byte:02x}")).collect();
        self.set_size(&token, size).await?;
        Ok(token)
    }

    /// Makes a token for so many members. The revision is returned.
    pub async fn set_size(&self, token: &str, size: &str) -> Result<i64, Error> {
        check_token(token)?;
        let most = self.limits.max_size;
        if !size.parse::<u32>().is_ok_and(|size| (1..=most).contains(&size)) {
            return Err(Error::Size { given: size.to_owned(), most });
        }
        let count = pb::RangeRequest {
            key: TOKENS.into(),
            range_end: TOKENS_END.into(),
            count_only: true,
            ..Default::default()
        };
        if self.range(count).await?.count >= i64::from(self.limits.max_tokens) {
            return Err(Error::TooManyTokens(self.limits.max_tokens));
        }
        let ttl = i64::try_from(self.limits.token_ttl.as_secs()).unwrap_or(i64::MAX);
        let grant = Request::new(pb::LeaseGrantRequest { ttl, id: 0 });
        let granted = self.upstream.unary::<_, pb::LeaseGrantResponse>("/etcdserverpb.Lease/LeaseGrant", grant).await?;
        let lease = granted.into_inner().id;
        let key = size_key(token);
        let puts = [put(&key, size, lease), put(&format!("{TOKENS}{token}"), "", lease)];
        let made = self.txn(absent(&key), puts.to_vec()).await;
        if !matches!(made, Ok((true, _))) {
            // The lease would end by itself; sooner is better.
            let revoke = Request::new(pb::LeaseRevokeRequest { id: lease });
            let path = "/etcdserverpb.Lease/LeaseRevoke";
            if let Err(status) = self.upstream.unary::<_, pb::LeaseRevokeResponse>(path, revoke).await {
                tracing::debug!(%status, "failed to revoke the lease of a token that was not made");
            }
        }
        match made? {
            (true, revision) => Ok(revision),
            (false, revision) => Err(Error::Exists { key, revision }),
        }
    }

    /// The size of a token's cluster.
    pub async fn size(&self, token: &str) -> Result<(KeyValue, i64), Error> {
        check_token(token)?;
        self.get(size_key(token)).await
    }

    pub async fn member(&self, token: &str, id: &str) -> Result<(KeyValue, i64), Error> {
        check_token(token)?;
        check_id(id)?;
        self.get(member_key(token, id)).await
    }

    /// The registrations and the revision that they are of.
    pub async fn list(&self, token: &str) -> Result<(Vec<KeyValue>, i64), Error> {
        // A token that nobody made has no list.
        self.size(token).await?;
        let (key, range_end) = members(token);
        let range = pb::RangeRequest { key: key.into(), range_end: range_end.into(), ..Default::default() };
        let found = self.range(range).await?;
        let revision = found.header.map(|header| header.revision).unwrap_or_default();
        let pairs = found.kvs.iter().map(|pair| pair.decode()).collect::<Result<_, _>>();
        Ok((pairs.map_err(|error| Status::internal(error.to_string()))?, revision))
    }

    /// Registers a member once; the revision is returned.
    pub async fn register(&self, token: &str, id: &str, value: &str) -> Result<i64, Error> {
        check_id(id)?;
        if value.is_empty() || value.len() > VALUE_BYTES {
            return Err(Error::Value);
        }
        let (size, _) = self.size(token).await?;
        let (members, _) = self.list(token).await?;
        let wanted: usize = String::from_utf8_lossy(&size.value).parse().unwrap_or_default();
        if members.len() >= wanted + LATE {
            return Err(Error::TooManyMembers);
        }
        let key = member_key(token, id);
        match self.txn(absent(&key), vec![put(&key, value, size.lease)]).await? {
            (true, revision) => Ok(revision),
            (false, revision) => Err(Error::Exists { key, revision }),
        }
    }

    pub async fn remove(&self, token: &str, id: &str) -> Result<(KeyValue, i64), Error> {
        let (pair, _) = self.member(token, id).await?;
        let delete = pb::DeleteRangeRequest { key: pair.key.clone(), ..Default::default() };
        let path = "/etcdserverpb.KV/DeleteRange";
        let deleted = self.upstream.unary::<_, pb::DeleteRangeResponse>(path, Request::new(delete)).await?.into_inner();
        Ok((pair, deleted.header.map(|header| header.revision).unwrap_or_default()))
    }

    /// The first change of a token's registrations, or of one, from a revision on; 0: the next.
    pub async fn next(&self, token: &str, id: Option<&str>, from: i64) -> Result<News, Error> {
        check_token(token)?;
        let (key, range_end) = match id {
            Some(id) => {
                check_id(id)?;
                (member_key(token, id), String::new())
            }
            None => members(token),
        };
        let create = pb::WatchCreateRequest {
            key: key.into(),
            range_end: range_end.into(),
            start_revision: from,
            ..Default::default()
        };
        let create = pb::WatchRequest { request_union: Some(watch_request::RequestUnion::CreateRequest(create)) };
        // The requests must not end before the answers do.
        let requests = stream::StreamExt::chain(stream::iter([create]), stream::pending());
        let mut messages =
            self.upstream.stream::<_, pb::WatchResponse>("/etcdserverpb.Watch/Watch", Request::new(requests)).await?;
        while let Some(message) = messages.message().await? {
            if message.compact_revision > 0 {
                return Err(Error::Compacted(from));
            }
            if message.canceled {
                return Err(Status::unavailable(message.cancel_reason).into());
            }
            let Some(event) = message.events.first() else { continue };
            let pair = event.kv.as_ref().map(|pair| pair.decode()).transpose();
            let pair = pair.map_err(|error| Status::internal(error.to_string()))?.unwrap_or_default();
            let revision = pair.mod_revision;
            return Ok(News { is_removal: event.r#type == EventType::Delete as i32, pair, revision });
        }
        Err(Status::unavailable("the watch of the registrations ended").into())
    }

    /// That the cluster serves.
    pub async fn ping(&self) -> Result<(), Error> {
        self.range(pb::RangeRequest { key: TOKENS.into(), count_only: true, ..Default::default() }).await.map(drop)
    }

    async fn range(&self, range: pb::RangeRequest) -> Result<pb::RangeResponse, Error> {
        Ok(self.upstream.unary("/etcdserverpb.KV/Range", Request::new(range)).await?.into_inner())
    }

    async fn get(&self, key: String) -> Result<(KeyValue, i64), Error> {
        let found = self.range(pb::RangeRequest { key: key.clone().into(), ..Default::default() }).await?;
        let revision = found.header.map(|header| header.revision).unwrap_or_default();
        let Some(pair) = found.kvs.first() else { return Err(Error::NotFound { key, revision }) };
        Ok((pair.decode().map_err(|error| Status::internal(error.to_string()))?, revision))
    }

    /// Whether the comparison held, and the revision afterwards.
    async fn txn(&self, compare: pb::Compare, success: Vec<pb::RequestOp>) -> Result<(bool, i64), Error> {
        let txn = pb::TxnRequest { compare: vec![compare], success, failure: Vec::new() };
        let done = self.upstream.unary::<_, pb::TxnResponse>("/etcdserverpb.KV/Txn", Request::new(txn)).await?;
        let done = done.into_inner();
        Ok((done.succeeded, done.header.map(|header| header.revision).unwrap_or_default()))
    }
}

fn absent(key: &str) -> pb::Compare {
    pb::Compare {
        result: compare::CompareResult::Equal as i32,
        target: compare::CompareTarget::Create as i32,
        key: Bytes::copy_from_slice(key.as_bytes()),
        target_union: Some(compare::TargetUnion::CreateRevision(0)),
        ..Default::default()
    }
}

fn put(key: &str, value: &str, lease: i64) -> pb::RequestOp {
    let put = pb::PutRequest {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        lease,
        ..Default::default()
    };
    pb::RequestOp { request: Some(request_op::Request::RequestPut(put)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_ids_are_plain() {
        for token in ["a", "6c007a14875d53d9bf0ef5a6fc0257c817f0fb83", "my-cluster_1.0"] {
            assert!(check_token(token).is_ok(), "{token}");
        }
        for token in ["", "new", "_config", "a/b", "a b", "ü", &"x".repeat(129)] {
            assert!(check_token(token).is_err(), "{token}");
        }
        assert!(check_id("8e9e05c52164694d").is_ok() && check_id("").is_err() && check_id("xyz").is_err());
    }
}
