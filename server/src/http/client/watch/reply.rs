//! The messages of a watch stream.

use prost::Message;
use quorate_proto::EncodedKeyValue;
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::mvccpb::{Event, event::EventType};
use tonic::{Code, Status};

use super::Header;
use crate::store::watch::{Batch, Delivery, Kind};

/// The id of messages that concern no single watcher.
pub(super) const NO_WATCHER: i64 = -1;

/// A message without events: progress of one watcher or of all of the stream's.
pub(super) fn progress(header: &Header, watch_id: i64, revision: i64) -> pb::WatchResponse {
    pb::WatchResponse { header: Some(header(revision)), watch_id, ..Default::default() }
}

pub(super) fn created(header: &Header, watch_id: i64, revision: i64) -> pb::WatchResponse {
    pb::WatchResponse { created: true, ..progress(header, watch_id, revision) }
}

/// The watcher was never there.
pub(super) fn refused(header: &Header, revision: i64, reason: String) -> pb::WatchResponse {
    pb::WatchResponse { canceled: true, cancel_reason: reason, ..created(header, NO_WATCHER, revision) }
}

pub(super) fn canceled(header: &Header, watch_id: i64, revision: i64) -> pb::WatchResponse {
    pb::WatchResponse { canceled: true, ..progress(header, watch_id, revision) }
}

/// The messages for a batch: one, unless the watcher wants large ones in pieces of less than `limit_bytes`.
pub(super) fn batch(header: &Header, batch: Batch, limit_bytes: usize) -> Vec<pb::WatchResponse> {
    match batch {
        // Clients of etcd expect revision 0 here, and no reason.
        Batch::Compacted { watch_id, compact_revision } => {
            vec![pb::WatchResponse { compact_revision, ..canceled(header, watch_id, 0) }]
        }
        Batch::Events { watch_id, revision, fragment, events } => {
            let events = events.iter().map(event).collect();
            let whole = pb::WatchResponse { events, ..progress(header, watch_id, revision) };
            if fragment { pieces(whole, limit_bytes) } else { vec![whole] }
        }
    }
}

fn event(delivery: &Delivery) -> Event {
    let event = delivery.event();
    let kind = match event.kind {
        Kind::Put => EventType::Put,
        Kind::Delete => EventType::Delete,
    };
    Event {
        r#type: kind.into(),
        kv: Some(EncodedKeyValue::from(event.kv.clone())),
        prev_kv: delivery.previous().cloned().map(EncodedKeyValue::from),
    }
}

/// Splits a message at `limit_bytes`, at least one event in each piece; all but the last are flagged.
pub fn pieces(whole: pb::WatchResponse, limit_bytes: usize) -> Vec<pb::WatchResponse> {
    if whole.events.len() < 2 || whole.encoded_len() < limit_bytes {
        return vec![whole];
    }
    let head = pb::WatchResponse { events: Vec::new(), fragment: true, ..whole.clone() };
    let head_bytes = head.encoded_len();
    let mut pieces = Vec::new();
    let mut piece = head.clone();
    let mut piece_bytes = head_bytes;
    for event in whole.events {
        let event_bytes = field_bytes(event.encoded_len());
        if !piece.events.is_empty() && piece_bytes + event_bytes >= limit_bytes {
            pieces.push(std::mem::replace(&mut piece, head.clone()));
            piece_bytes = head_bytes;
        }
        piece.events.push(event);
        piece_bytes += event_bytes;
    }
    piece.fragment = false;
    pieces.push(piece);
    pieces
}

/// Bytes of an embedded message of this length in the `events` field: a tag of one byte, the length, the message.
fn field_bytes(message_bytes: usize) -> usize {
    1 + prost::length_delimiter_len(message_bytes) + message_bytes
}

/// A refusal as the text that etcd's own clients know: the way in which Go prints a gRPC status.
pub(super) fn reason(status: &Status) -> String {
    format!("rpc error: code = {} desc = {}", code_name(status.code()), status.message())
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(sizes: &[usize]) -> pb::WatchResponse {
        let events = sizes
            .iter()
            .map(|size| Event { kv: Some(EncodedKeyValue::from(Bytes::from(vec![0; *size]))), ..Default::default() })
            .collect();
        let header = Some(pb::ResponseHeader { revision: 7, ..Default::default() });
        pb::WatchResponse { header, watch_id: 3, events, ..Default::default() }
    }

    #[test]
    fn pieces_stay_under_the_limit_and_all_but_the_last_are_flagged() {
        let whole = message(&[100, 300, 300, 5, 5, 290, 300]);
        let pieces = pieces(whole.clone(), 650);
        assert!(pieces.len() > 1);
        for piece in &pieces {
            assert!(piece.encoded_len() < 650);
            assert_eq!((piece.header, piece.watch_id), (whole.header, 3));
        }
        let flags: Vec<bool> = pieces.iter().map(|piece| piece.fragment).collect();
        assert!(flags[..flags.len() - 1].iter().all(|flag| *flag));
        assert!(!flags[flags.len() - 1]);
        let events: Vec<_> = pieces.into_iter().flat_map(|piece| piece.events).collect();
        assert_eq!(events, whole.events);
    }

    #[test]
    fn an_event_larger_than_the_limit_is_a_piece_of_its_own() {
        let lengths: Vec<usize> =
            pieces(message(&[900, 10, 900]), 100).iter().map(|piece| piece.events.len()).collect();
        assert_eq!(lengths, [1, 1, 1]);
    }

    #[test]
    fn a_small_message_or_a_single_event_stays_whole() {
        assert_eq!(pieces(message(&[10, 10]), 650).len(), 1);
        assert_eq!(pieces(message(&[1000]), 650).len(), 1);
    }

    #[test]
    fn a_refusal_reads_as_go_prints_it() {
        let status = Status::permission_denied("etcdserver: permission denied");
        assert_eq!(reason(&status), "rpc error: code = PermissionDenied desc = etcdserver: permission denied");
    }
}
