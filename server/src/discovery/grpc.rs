//! The v3 protocol: the registrations as keys, and nothing but them. This is what etcd's discovery of today calls.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::kv_server::Kv;
use quorate_proto::served::etcdserverpb::watch_request::RequestUnion;
use quorate_proto::served::etcdserverpb::watch_server::Watch;
use tonic::{Request, Response, Status, Streaming};

use super::registry::{Error, PREFIX, Registry};

#[derive(Clone)]
pub struct Service(pub Registry);

/// Of one token: a key, or a range that does not leave it. Who doesn't know a token must not find it.
fn check(key: &[u8], range_end: &[u8]) -> Result<(), Status> {
    let prefix = PREFIX.as_bytes();
    let token = key.strip_prefix(prefix).and_then(|rest| rest.split(|byte| *byte == b'/').next()).unwrap_or_default();
    let own = [prefix, token, b"/"].concat();
    let is_inside = !token.is_empty() && key.starts_with(&own) && (range_end.is_empty() || range_end.starts_with(&own));
    match is_inside {
        true => Ok(()),
        false => {
            Err(Status::permission_denied(format!("this service serves the keys below {PREFIX}TOKEN/ and no others")))
        }
    }
}

/// `TOKEN/members/ID`.
fn member(key: &[u8]) -> Option<(&str, &str)> {
    let (token, id) = std::str::from_utf8(key).ok()?.strip_prefix(PREFIX)?.split_once("/members/")?;
    Some((token, id))
}

fn refused(error: Error) -> Status {
    match error {
        Error::NotFound { key, .. } => Status::not_found(format!("{key} is not there: no such token")),
        Error::Exists { key, .. } => Status::already_exists(format!("another member has registered at {key}")),
        Error::TooManyMembers | Error::TooManyTokens(_) => Status::resource_exhausted(error.to_string()),
        Error::Away(status) => *status,
        _ => Status::invalid_argument(error.to_string()),
    }
}

#[tonic::async_trait]
impl Kv for Service {
    type RangeStreamStream = Pin<Box<dyn Stream<Item = Result<pb::RangeStreamResponse, Status>> + Send>>;

    async fn range(&self, request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        check(&request.get_ref().key, &request.get_ref().range_end)?;
        self.0.upstream().unary("/etcdserverpb.KV/Range", request).await
    }

    /// A registration; it ends with its token.
    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        let put = request.into_inner();
        let value = std::str::from_utf8(&put.value).map_err(|_| Status::invalid_argument("the value is no text"))?;
        let Some((token, id)) = member(&put.key) else {
            return Err(Status::permission_denied(format!("only {PREFIX}TOKEN/members/ID can be written here")));
        };
        let registered = match self.0.register(token, id, value).await {
            // The same member once more.
            Err(Error::Exists { key, revision }) => match self.0.member(token, id).await.map_err(refused)? {
                (pair, _) if pair.value == value => Ok(revision),
                _ => Err(Error::Exists { key, revision }),
            },
            registered => registered,
        };
        let revision = registered.map_err(refused)?;
        let header = pb::ResponseHeader { revision, ..Default::default() };
        Ok(Response::new(pb::PutResponse { header: Some(header), prev_kv: None }))
    }

    async fn range_stream(&self, _: Request<pb::RangeRequest>) -> Result<Response<Self::RangeStreamStream>, Status> {
        Err(not_served())
    }

    async fn delete_range(
        &self,
        _: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        Err(not_served())
    }

    async fn txn(&self, _: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        Err(not_served())
    }

    async fn compact(&self, _: Request<pb::CompactionRequest>) -> Result<Response<pb::CompactionResponse>, Status> {
        Err(not_served())
    }
}

fn not_served() -> Status {
    Status::unimplemented("this service answers Range, Put and Watch of registrations")
}

type Answers = Pin<Box<dyn Stream<Item = Result<pb::WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Watch for Service {
    type WatchStream = Answers;

    async fn watch(&self, request: Request<Streaming<pb::WatchRequest>>) -> Result<Response<Answers>, Status> {
        let (metadata, extensions, mut requests) = request.into_parts();
        // The first request decides; a stream with another one ends.
        let Some(first) = requests.message().await? else { return Err(Status::invalid_argument("nothing to watch")) };
        check_watch(&first)?;
        let rest = requests.take_while(|request| {
            std::future::ready(request.as_ref().is_ok_and(|request| check_watch(request).is_ok()))
        });
        let requests = futures::stream::iter([first]).chain(rest.filter_map(async |request| request.ok()));
        let request = Request::from_parts(metadata, extensions, requests);
        let answers = self.0.upstream().stream::<_, pb::WatchResponse>("/etcdserverpb.Watch/Watch", request).await?;
        Ok(Response::new(Box::pin(answers)))
    }
}

fn check_watch(request: &pb::WatchRequest) -> Result<(), Status> {
    match &request.request_union {
        Some(RequestUnion::CreateRequest(create)) => check(&create.key, &create.range_end),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registrations_are_served() {
        assert!(check(b"/_etcd/registry/t/_config/size", b"").is_ok());
        assert!(check(b"/_etcd/registry/t/members/", b"/_etcd/registry/t/members0").is_ok());
        for (key, end) in [
            (&b"/_etcd/registry/"[..], &b"/_etcd/registry0"[..]),
            (b"/_etcd/registry/t/", b"/_etcd/registry/u/"),
            (b"/_etcd/registry/t/", b"\0"),
            (b"/_etcd/registry//", b""),
            (b"/_etcd/registry/t", b""),
            (b"/_etcd", b""),
            (b"a", b"z"),
            (b"", b""),
        ] {
            assert!(check(key, end).is_err(), "{key:?}");
        }
        assert_eq!(member(b"/_etcd/registry/t/members/8e9e"), Some(("t", "8e9e")));
        assert_eq!((member(b"/_etcd/registry/t/_config/size"), member(b"/other")), (None, None));
    }
}
