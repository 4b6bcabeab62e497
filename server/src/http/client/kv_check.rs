//! Checks of KV requests that need nothing but the request.
//!
//! Source of the rules: etcd's `v3rpc/key.go`: empty keys, contradicting options, the number of operations of a
//! transaction and the intervals that one path through it may write.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::range_request::{SortOrder, SortTarget};
use quorate_proto::served::etcdserverpb::request_op::Request as Op;
use tonic::{Code, Status};

use crate::http::status::{Invalid, invalid};

pub fn range(request: &pb::RangeRequest) -> Result<(), Status> {
    if request.key.is_empty() {
        return Err(invalid(Invalid::EmptyKey));
    }
    if SortOrder::try_from(request.sort_order).is_err() || SortTarget::try_from(request.sort_target).is_err() {
        return Err(invalid(Invalid::SortOption));
    }
    Ok(())
}

pub fn range_stream(request: &pb::RangeRequest) -> Result<(), Status> {
    range(request)?;
    // Key order ascending is the order of a stream anyway.
    let natural = request.sort_order == SortOrder::None as i32
        || (request.sort_order == SortOrder::Ascend as i32 && request.sort_target == SortTarget::Key as i32);
    if !natural {
        return Err(Status::new(Code::Unimplemented, "RangeStream does not support custom sort orders"));
    }
    let filtered =
        [request.min_mod_revision, request.max_mod_revision, request.min_create_revision, request.max_create_revision];
    if filtered.iter().any(|bound| *bound != 0) {
        return Err(Status::new(Code::Unimplemented, "RangeStream does not support revision filters"));
    }
    Ok(())
}

pub fn put(request: &pb::PutRequest) -> Result<(), Status> {
    if request.key.is_empty() {
        return Err(invalid(Invalid::EmptyKey));
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(invalid(Invalid::ValueProvided));
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(invalid(Invalid::LeaseProvided));
    }
    Ok(())
}

pub fn delete_range(request: &pb::DeleteRangeRequest) -> Result<(), Status> {
    if request.key.is_empty() { Err(invalid(Invalid::EmptyKey)) } else { Ok(()) }
}

pub fn txn(request: &pb::TxnRequest, max_ops: usize) -> Result<(), Status> {
    content(request, max_ops, 1)?;
    // Deletions may overlap each other; a put may touch nothing that the same path puts or deletes.
    written(&request.success)?;
    written(&request.failure)?;
    Ok(())
}

/// Transactions within transactions. A reader of protobuf gives up at a hundred messages within each other, a level here
/// is two, and what is proposed must be readable in the log, where it lies deeper than in the request.
const MAX_TXN_DEPTH: usize = 40;

fn content(request: &pb::TxnRequest, max_ops: usize, depth: usize) -> Result<(), Status> {
    if depth > MAX_TXN_DEPTH {
        return Err(invalid(Invalid::TooManyOps));
    }
    let ops = request.compare.len().max(request.success.len()).max(request.failure.len());
    if ops > max_ops {
        return Err(invalid(Invalid::TooManyOps));
    }
    if request.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(invalid(Invalid::EmptyKey));
    }
    for op in request.success.iter().chain(&request.failure) {
        match &op.request {
            Some(Op::RequestRange(request)) => range(request)?,
            Some(Op::RequestPut(request)) => put(request)?,
            Some(Op::RequestDeleteRange(request)) => delete_range(request)?,
            Some(Op::RequestTxn(request)) => content(request, max_ops - ops, depth + 1)?,
            None => return Err(invalid(Invalid::EmptyOp)),
        }
    }
    Ok(())
}

/// Keys that one path may put, and spans that it may delete.
#[derive(Default)]
struct Written {
    puts: BTreeMap<Bytes, ()>,
    deletes: Vec<Span>,
}

struct Span {
    start: Bytes,
    /// `None`: no end.
    end: Option<Bytes>,
}

impl Span {
    fn of(request: &pb::DeleteRangeRequest) -> Self {
        let end = match &request.range_end[..] {
            [] => {
                // The key alone: up to its immediate successor.
                let mut next = request.key.to_vec();
                next.push(0);
                Some(next.into())
            }
            [0] => None,
            _ => Some(request.range_end.clone()),
        };
        Self { start: request.key.clone(), end }
    }

    fn contains(&self, key: &Bytes) -> bool {
        *key >= self.start && self.end.as_ref().is_none_or(|end| key < end)
    }
}

fn written(ops: &[pb::RequestOp]) -> Result<Written, Status> {
    let mut all = Written::default();
    for op in ops {
        if let Some(Op::RequestDeleteRange(request)) = &op.request {
            all.deletes.push(Span::of(request));
        }
    }
    let mut own_puts = BTreeMap::new();
    for op in ops {
        match &op.request {
            Some(Op::RequestPut(request)) if own_puts.insert(request.key.clone(), ()).is_some() => {
                return Err(invalid(Invalid::DuplicateKey));
            }
            Some(Op::RequestTxn(request)) => {
                // The two branches exclude each other, so that both may write the same key.
                let success = written(&request.success)?;
                let failure = written(&request.failure)?;
                let nested: BTreeMap<Bytes, ()> = success.puts.into_iter().chain(failure.puts).collect();
                for key in nested.keys() {
                    if all.puts.contains_key(key) || all.deletes.iter().any(|span| span.contains(key)) {
                        return Err(invalid(Invalid::DuplicateKey));
                    }
                }
                let deletes: Vec<Span> = success.deletes.into_iter().chain(failure.deletes).collect();
                if all.puts.keys().any(|key| deletes.iter().any(|span| span.contains(key))) {
                    return Err(invalid(Invalid::DuplicateKey));
                }
                all.puts.extend(nested);
                all.deletes.extend(deletes);
            }
            _ => {}
        }
    }
    for (key, ()) in own_puts {
        if all.puts.contains_key(&key) || all.deletes.iter().any(|span| span.contains(&key)) {
            return Err(invalid(Invalid::DuplicateKey));
        }
        all.puts.insert(key, ());
    }
    Ok(all)
}

/// A transaction of ranges alone needs no entry in the log. One that nests another counts as a write, as in etcd.
pub fn is_read_only(request: &pb::TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).all(|op| matches!(op.request, Some(Op::RequestRange(_))))
}

/// Every range of a read-only transaction accepts stale data.
pub fn is_serializable(request: &pb::TxnRequest) -> bool {
    request
        .success
        .iter()
        .chain(&request.failure)
        .all(|op| matches!(&op.request, Some(Op::RequestRange(range)) if range.serializable))
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn put_op(key: &'static str) -> pb::RequestOp {
        let put = pb::PutRequest { key: Bytes::from_static(key.as_bytes()), ..Default::default() };
        pb::RequestOp { request: Some(Op::RequestPut(put)) }
    }

    fn delete_op(key: &'static str, end: &'static str) -> pb::RequestOp {
        let delete = pb::DeleteRangeRequest { key: key.into(), range_end: end.into(), prev_kv: false };
        pb::RequestOp { request: Some(Op::RequestDeleteRange(delete)) }
    }

    fn txn_op(success: Vec<pb::RequestOp>, failure: Vec<pb::RequestOp>) -> pb::RequestOp {
        let txn = pb::TxnRequest { compare: vec![], success, failure };
        pb::RequestOp { request: Some(Op::RequestTxn(txn)) }
    }

    #[test]
    fn a_transaction_may_nest_as_deep_as_the_log_can_be_read() {
        let nested = |depth: usize| {
            let innermost = pb::TxnRequest { success: vec![put_op("k")], ..Default::default() };
            (1..depth).fold(innermost, |inner, _| pb::TxnRequest {
                success: vec![pb::RequestOp { request: Some(Op::RequestTxn(inner)) }],
                ..Default::default()
            })
        };
        let deepest = nested(MAX_TXN_DEPTH);
        assert!(txn(&deepest, 128).is_ok());
        let entry = pb::InternalRaftRequest { txn: Some(deepest), ..Default::default() };
        assert_eq!(pb::InternalRaftRequest::decode(&*entry.encode_to_vec()).unwrap(), entry);
        let refused = txn(&nested(MAX_TXN_DEPTH + 1), 128).unwrap_err();
        assert_eq!(refused.message(), "etcdserver: too many operations in txn request");
    }

    #[track_caller]
    fn check(success: Vec<pb::RequestOp>, refused: Option<&str>) {
        let request = pb::TxnRequest { compare: vec![], success, failure: vec![] };
        let answer = txn(&request, 4).map_err(|status| status.message().to_owned());
        assert_eq!(answer.err().as_deref(), refused);
    }

    const DUPLICATE: Option<&str> = Some("etcdserver: duplicate key given in txn request");

    #[test]
    fn one_path_may_put_a_key_once_and_not_into_what_it_deletes() {
        check(vec![put_op("a"), put_op("b")], None);
        check(vec![put_op("a"), put_op("a")], DUPLICATE);
        check(vec![delete_op("a", "c"), put_op("b")], DUPLICATE);
        check(vec![put_op("b"), delete_op("a", "c")], DUPLICATE);
        check(vec![put_op("c"), delete_op("a", "c")], None);
        check(vec![put_op("z"), delete_op("a", "\0")], DUPLICATE);
        check(vec![delete_op("a", "c"), delete_op("b", "d")], None);
    }

    #[test]
    fn branches_exclude_each_other_and_nesting_adds_up() {
        check(vec![txn_op(vec![put_op("a")], vec![put_op("a")])], None);
        check(vec![put_op("a"), txn_op(vec![], vec![put_op("a")])], DUPLICATE);
        check(vec![txn_op(vec![delete_op("a", "")], vec![]), put_op("a")], DUPLICATE);
        check(vec![txn_op(vec![put_op("a")], vec![]), txn_op(vec![put_op("a")], vec![])], DUPLICATE);
    }

    #[test]
    fn nested_operations_share_the_budget() {
        let wide = |n: usize| (0..n).map(|_| delete_op("a", "")).collect::<Vec<_>>();
        check(wide(4), None);
        check(wide(5), Some("etcdserver: too many operations in txn request"));
        check(vec![txn_op(wide(3), vec![])], None);
        check(vec![txn_op(wide(4), vec![])], Some("etcdserver: too many operations in txn request"));
    }

    #[test]
    fn an_operation_without_content_is_refused() {
        check(vec![pb::RequestOp { request: None }], Some("etcdserver: key not found"));
        check(vec![put_op("")], Some("etcdserver: key is not provided"));
    }
}
