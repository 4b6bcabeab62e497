//! What contenders ask of the store.

use bytes::Bytes;
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::served::etcdserverpb::range_request::{SortOrder, SortTarget};
use quorate_proto::served::etcdserverpb::request_op::Request;

/// Contenders for `name` have their keys under this.
pub(super) fn prefix(name: &[u8]) -> Bytes {
    [name, b"/"].concat().into()
}

/// The key of who contends with this lease.
pub(super) fn key(prefix: &[u8], lease: i64) -> Bytes {
    [prefix, format!("{lease:x}").as_bytes()].concat().into()
}

/// Puts a key that is not there, and then reads the key that has won; if the key is there, the transaction fails and reads it.
pub(super) fn enter(prefix: &Bytes, key: &Bytes, value: Bytes, lease: i64) -> pb::TxnRequest {
    let own = pb::RangeRequest { key: key.clone(), keys_only: true, ..Default::default() };
    pb::TxnRequest { failure: ops([Request::RequestRange(own)]), ..enter_again(prefix, key, 0, value, lease) }
}

/// As [`enter`], for a key of this create revision, which keeps its place in the queue.
pub(super) fn enter_again(
    prefix: &Bytes,
    key: &Bytes,
    create_revision: i64,
    value: Bytes,
    lease: i64,
) -> pb::TxnRequest {
    let oldest = pb::RangeRequest { keys_only: true, ..oldest(prefix) };
    let mut txn = proclaim(key, create_revision, value, lease);
    txn.success.extend(ops([Request::RequestRange(oldest)]));
    txn
}

/// Reads the newest key that is older than one of this create revision; fails if that one is gone.
pub(super) fn look(prefix: &Bytes, key: &Bytes, create_revision: i64) -> pb::TxnRequest {
    let older = pb::RangeRequest {
        sort_order: SortOrder::Descend.into(),
        max_create_revision: create_revision - 1,
        ..first_by_creation(prefix)
    };
    pb::TxnRequest {
        compare: vec![created_at(key, create_revision)],
        success: ops([Request::RequestRange(pb::RangeRequest { keys_only: true, ..older })]),
        failure: Vec::new(),
    }
}

/// Reads the key that has won.
pub(super) fn leader(prefix: &Bytes) -> pb::TxnRequest {
    pb::TxnRequest { success: ops([Request::RequestRange(oldest(prefix))]), ..Default::default() }
}

/// Puts a value if the key is still the one of this create revision.
pub(super) fn proclaim(key: &Bytes, create_revision: i64, value: Bytes, lease: i64) -> pb::TxnRequest {
    let put = pb::PutRequest { key: key.clone(), value, lease, ..Default::default() };
    pb::TxnRequest {
        compare: vec![created_at(key, create_revision)],
        success: ops([Request::RequestPut(put)]),
        failure: Vec::new(),
    }
}

/// Deletes a key if it is still the one of this create revision.
pub(super) fn resign(key: &Bytes, create_revision: i64) -> pb::TxnRequest {
    pb::TxnRequest {
        compare: vec![created_at(key, create_revision)],
        success: vec![deletion(key)],
        failure: Vec::new(),
    }
}

/// Deletes a key if nobody has put it since this revision.
pub(super) fn withdraw(key: &Bytes, mod_revision: i64) -> pb::TxnRequest {
    let unchanged = compare(key, CompareTarget::Mod, TargetUnion::ModRevision(mod_revision));
    pb::TxnRequest { compare: vec![unchanged], success: vec![deletion(key)], failure: Vec::new() }
}

/// The first key behind all those with the prefix, which ends in a slash.
pub(super) fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end.into()
}

fn oldest(prefix: &Bytes) -> pb::RangeRequest {
    pb::RangeRequest { sort_order: SortOrder::Ascend.into(), ..first_by_creation(prefix) }
}

fn first_by_creation(prefix: &Bytes) -> pb::RangeRequest {
    pb::RangeRequest {
        key: prefix.clone(),
        range_end: prefix_end(prefix),
        limit: 1,
        sort_target: SortTarget::Create.into(),
        ..Default::default()
    }
}

fn created_at(key: &Bytes, revision: i64) -> pb::Compare {
    compare(key, CompareTarget::Create, TargetUnion::CreateRevision(revision))
}

fn compare(key: &Bytes, target: CompareTarget, value: TargetUnion) -> pb::Compare {
    pb::Compare {
        result: CompareResult::Equal.into(),
        target: target.into(),
        key: key.clone(),
        target_union: Some(value),
        ..Default::default()
    }
}

fn deletion(key: &Bytes) -> pb::RequestOp {
    let request = pb::DeleteRangeRequest { key: key.clone(), ..Default::default() };
    pb::RequestOp { request: Some(Request::RequestDeleteRange(request)) }
}

fn ops<const N: usize>(requests: [Request; N]) -> Vec<pb::RequestOp> {
    requests.map(|request| pb::RequestOp { request: Some(request) }).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_name_and_the_lease_in_hexadecimal_digits_without_zeros_in_front() {
        assert_eq!(key(&prefix(b"jobs"), 0x0c5f), "jobs/c5f");
        assert_eq!(key(&prefix(b""), 1), "/1");
    }

    #[test]
    fn the_range_of_a_name_holds_its_contenders_and_nobody_elses() {
        let prefix = prefix(b"jobs");
        let range = prefix.clone()..prefix_end(&prefix);
        assert!(range.contains(&key(&prefix, 1)) && range.contains(&key(&prefix, i64::MAX)));
        assert!(!range.contains(&Bytes::from("jobs")) && !range.contains(&key(b"jobs-2/", 1)));
    }
}
