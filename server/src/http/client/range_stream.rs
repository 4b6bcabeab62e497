//! RangeStream: a range in chunks, read at one revision, without holding the whole reply.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures::Stream;
use quorate_proto::served::etcdserverpb as pb;
use tonic::Status;

use super::member::Member;
use crate::http::status;

pub type Chunks = Pin<Box<dyn Stream<Item = Result<pb::RangeStreamResponse, Status>> + Send>>;

/// Pairs of the first chunk: soon on its way, and enough to learn the size of a pair.
const FIRST_CHUNK_KEYS: i64 = 10;
const MAX_CHUNK_KEYS: i64 = 16 << 10;

struct Cursor {
    member: Member,
    /// What remains to be read; the revision is pinned by the first chunk.
    rest: pb::RangeRequest,
    /// Pairs that the caller's limit still allows; 0 for no limit.
    limit: i64,
    chunk_keys: i64,
    /// Count and header of the whole range, from the first chunk.
    whole: Option<(i64, Option<pb::ResponseHeader>)>,
}

pub fn start(member: Member, request: pb::RangeRequest) -> Chunks {
    let cursor = Cursor { member, limit: request.limit, rest: request, chunk_keys: FIRST_CHUNK_KEYS, whole: None };
    Box::pin(futures::stream::unfold(Some(cursor), |cursor| async move {
        let cursor = cursor?;
        match cursor.next().await {
            Ok((chunk, cursor)) => Some((Ok(chunk), cursor)),
            Err(status) => Some((Err(status), None)),
        }
    }))
}

impl Cursor {
    async fn next(mut self) -> Result<(pb::RangeStreamResponse, Option<Self>), Status> {
        let mut request = self.rest.clone();
        request.limit = if self.limit > 0 { self.chunk_keys.min(self.limit) } else { self.chunk_keys };
        if request.count_only {
            request.limit = self.limit;
        }
        let store = self.member.store().clone();
        let mut part = tokio::task::spawn_blocking(move || store.range(&request))
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(status::store)?;
        if self.whole.is_none() {
            let revision = part.header.as_ref().map(|header| header.revision).unwrap_or_default();
            if self.rest.revision <= 0 {
                self.rest.revision = revision;
            }
            self.member.complete(&mut part.header);
            self.whole = Some((part.count, part.header));
        }
        let kvs = std::mem::take(&mut part.kvs);
        let sent = kvs.len() as i64;
        if self.limit > 0 {
            self.limit -= sent;
        }
        let limited = self.rest.limit > 0 && self.limit <= 0;
        let last = !part.more || limited || sent == 0;
        if last {
            let (count, header) = self.whole.take().unwrap_or_default();
            let whole = pb::RangeResponse { header, kvs, more: part.more, count };
            return Ok((pb::RangeStreamResponse { range_response: Some(whole) }, None));
        }
        let bytes: usize = kvs.iter().map(|kv| kv.as_bytes().len()).sum();
        let mean = (bytes as i64 / sent).max(1);
        self.chunk_keys = (self.member.limits().max_request_bytes as i64 / mean).clamp(1, MAX_CHUNK_KEYS);
        let last_key = kvs.last().map(|kv| kv.decode()).transpose();
        let last_key = last_key.map_err(|error| Status::internal(error.to_string()))?.map(|kv| kv.key);
        self.rest.key = after(&last_key.unwrap_or_default());
        let part = pb::RangeResponse { kvs, ..Default::default() };
        Ok((pb::RangeStreamResponse { range_response: Some(part) }, Some(self)))
    }
}

/// The smallest key that is greater.
fn after(key: &Bytes) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.extend_from_slice(&[0]);
    next.freeze()
}
