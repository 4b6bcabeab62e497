//! A range reply that is too large to be encoded into one buffer.
//!
//! A buffer that grows to hold a reply of hundreds of megabytes holds it twice, beside the rows it is made of. Such a
//! reply leaves the rows as they are and encodes them frame by frame as the client reads; what has left is freed.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use quorate_proto::EncodedKeyValue;
use quorate_proto::served::etcdserverpb as pb;
use tonic::{Response, Status};

/// Replies with more bytes of pairs than this are encoded in frames.
const LARGE_BYTES: usize = 256 << 10;
/// Bytes of a frame, if no single pair is larger.
const FRAME_BYTES: usize = 64 << 10;
/// gRPC over HTTP/2: one byte for compression, four for the length.
const GRPC_HEADER_BYTES: usize = 5;
/// The largest message that Go's clients take by default; etcd's servers send no larger one either.
const MESSAGE_LIMIT_BYTES: usize = i32::MAX as usize;
/// `RangeResponse.kvs`.
const KVS_TAG: u32 = 2;

/// The answer to a range: the reply itself, or if that is large an empty one with the reply beside it, for [`unfold`].
pub fn answer(reply: pb::RangeResponse) -> Result<Response<pb::RangeResponse>, Status> {
    let pairs_bytes: usize = reply.kvs.iter().map(field_len).sum();
    if pairs_bytes <= LARGE_BYTES {
        return Ok(Response::new(reply));
    }
    let head = pb::RangeResponse { kvs: Vec::new(), header: reply.header, more: reply.more, count: reply.count };
    let message_bytes = head.encoded_len() + pairs_bytes;
    if message_bytes > MESSAGE_LIMIT_BYTES {
        return Err(Status::resource_exhausted(format!(
            "grpc: trying to send message larger than max ({message_bytes} vs. {MESSAGE_LIMIT_BYTES})"
        )));
    }
    let mut start = BytesMut::with_capacity(GRPC_HEADER_BYTES + head.encoded_len());
    start.put_u8(0);
    start.put_u32(message_bytes as u32);
    // Protobuf's fields may come in any order: all others first, then the pairs.
    start.extend_from_slice(&head.encode_to_vec());
    let mut answer = Response::new(pb::RangeResponse::default());
    answer.extensions_mut().insert(Large { start, pairs: reply.kvs.into_iter() });
    Ok(answer)
}

/// Gives a response whose reply is large the body that encodes it.
pub fn unfold(response: http::Response<tonic::body::Body>) -> http::Response<tonic::body::Body> {
    let (mut parts, body) = response.into_parts();
    let body = match parts.extensions.remove::<Large>() {
        Some(Large { start, pairs }) => tonic::body::Body::new(Frames { next: start, pairs, ended: false }),
        None => body,
    };
    http::Response::from_parts(parts, body)
}

/// Travels through tonic as an extension, which has to be `Clone` and is never cloned.
#[derive(Clone)]
struct Large {
    start: BytesMut,
    pairs: vec::IntoIter<EncodedKeyValue>,
}

struct Frames {
    /// The start of the message, until it has left.
    next: BytesMut,
    pairs: vec::IntoIter<EncodedKeyValue>,
    ended: bool,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut frame = std::mem::take(&mut self.next);
        frame.reserve(FRAME_BYTES);
        while let Some(pair) = self.pairs.as_slice().first() {
            if !frame.is_empty() && frame.len() + field_len(pair) > FRAME_BYTES {
                break;
            }
            put_field(pair, &mut frame);
            self.pairs.next();
        }
        if !frame.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(frame.freeze()))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        self.ended = true;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(Status::ok("").add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }
}

fn field_len(pair: &EncodedKeyValue) -> usize {
    let length = pair.as_bytes().len();
    key_len(KVS_TAG) + encoded_len_varint(length as u64) + length
}

fn put_field(pair: &EncodedKeyValue, frame: &mut BytesMut) {
    encode_key(KVS_TAG, WireType::LengthDelimited, frame);
    encode_varint(pair.as_bytes().len() as u64, frame);
    frame.extend_from_slice(pair.as_bytes());
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use quorate_proto::mvccpb::KeyValue;

    use super::*;

    fn reply(pairs: usize, value_bytes: usize) -> pb::RangeResponse {
        let pair = |at: usize| KeyValue {
            key: Bytes::from(format!("key {at}")),
            value: Bytes::from(vec![7; value_bytes]),
            ..KeyValue::default()
        };
        pb::RangeResponse {
            header: Some(pb::ResponseHeader { revision: 9, ..Default::default() }),
            kvs: (0..pairs).map(|at| EncodedKeyValue::from(&pair(at))).collect(),
            more: true,
            count: 1 << 40,
        }
    }

    async fn sent(reply: pb::RangeResponse) -> (usize, Bytes, HeaderMap) {
        let large = answer(reply).unwrap().extensions_mut().remove::<Large>().unwrap();
        let mut frames = Frames { next: large.start, pairs: large.pairs, ended: false };
        let (mut count, mut message, mut trailers) = (0, BytesMut::new(), HeaderMap::new());
        while let Some(frame) = frames.frame().await {
            match frame.unwrap().into_data() {
                Ok(data) => {
                    count += 1;
                    message.extend_from_slice(&data);
                }
                Err(frame) => trailers = frame.into_trailers().unwrap(),
            }
        }
        (count, message.freeze(), trailers)
    }

    #[tokio::test]
    async fn a_large_reply_reads_as_it_was_whatever_its_pairs_sizes() {
        for (pairs, value_bytes) in [(5_000, 100), (3, 200 << 10), (20_000, 8)] {
            let whole = reply(pairs, value_bytes);
            let (frames, message, trailers) = sent(whole.clone()).await;
            assert!(frames > 1);
            assert_eq!(message[..5], [[0].as_slice(), &((message.len() - 5) as u32).to_be_bytes()].concat());
            assert_eq!(pb::RangeResponse::decode(message.slice(5..)).unwrap(), whole);
            assert_eq!(trailers["grpc-status"], "0");
        }
    }

    #[test]
    fn a_small_reply_stays_as_it_is() {
        let small = reply(10, 100);
        assert_eq!(answer(small.clone()).unwrap().into_inner(), small);
    }
}
