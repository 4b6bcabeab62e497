//! The store against a reference that keeps a whole copy of the keys for every revision and does everything the long way.

use std::collections::{BTreeMap, BTreeSet};

use pb::{
    compare::{CompareResult, CompareTarget, TargetUnion},
    range_request::{SortOrder, SortTarget},
    response_op::Response as OpResponse,
};
use proptest::{prelude::*, sample::select};

use super::*;
use crate::store::apply::header;

#[derive(Debug, Clone)]
pub(super) enum Action {
    Put(pb::PutRequest),
    Delete(pb::DeleteRangeRequest),
    Txn(pb::TxnRequest),
    /// At a revision from the generator: often refused.
    Compact(i64),
    Grant(i64),
    Revoke(i64),
    Read(pb::RangeRequest),
}

pub(super) fn to_request(action: &Action) -> pb::InternalRaftRequest {
    let none = pb::InternalRaftRequest::default();
    match action.clone() {
        Action::Put(request) => put_with(request),
        Action::Delete(request) => pb::InternalRaftRequest { delete_range: Some(request), ..none },
        Action::Txn(request) => pb::InternalRaftRequest { txn: Some(request), ..none },
        Action::Compact(revision) => compact(revision),
        Action::Grant(id) => grant(id),
        Action::Revoke(id) => revoke(id),
        Action::Read(request) => pb::InternalRaftRequest { range: Some(request), ..none },
    }
}

pub(super) fn actions(most: usize) -> impl Strategy<Value = Vec<Action>> {
    proptest::collection::vec(
        prop_oneof![
            6 => a_put().prop_map(Action::Put),
            2 => a_delete().prop_map(Action::Delete),
            4 => a_txn(2).prop_filter("a key may change once", once).prop_map(Action::Txn),
            1 => (0i64..40).prop_map(Action::Compact),
            1 => (1i64..3).prop_map(Action::Grant),
            1 => (1i64..3).prop_map(Action::Revoke),
            4 => a_range().prop_map(Action::Read),
        ],
        1..most,
    )
}

fn a_key() -> impl Strategy<Value = Bytes> {
    select(vec!["a", "b", "c", "cc", "d"]).prop_map(bytes)
}

fn an_end() -> impl Strategy<Value = Bytes> {
    select(vec!["", "", "b", "c", "d", "z", "\0"]).prop_map(bytes)
}

fn a_put() -> impl Strategy<Value = pb::PutRequest> {
    let flag = || prop::bool::weighted(0.15);
    (a_key(), select(vec!["", "x", "y", "longer"]), select(vec![0i64, 0, 0, 1, 2]), prop::bool::ANY, flag(), flag())
        .prop_map(|(key, value, lease, prev_kv, ignore_value, ignore_lease)| pb::PutRequest {
            key,
            value: bytes(value),
            lease,
            prev_kv,
            ignore_value,
            ignore_lease,
        })
}

fn a_delete() -> impl Strategy<Value = pb::DeleteRangeRequest> {
    (a_key(), an_end(), prop::bool::ANY).prop_map(|(key, range_end, prev_kv)| pb::DeleteRangeRequest {
        key,
        range_end,
        prev_kv,
    })
}

fn a_range() -> impl Strategy<Value = pb::RangeRequest> {
    let bound = || prop_oneof![3 => Just(0i64), 1 => 1i64..20];
    let what = (a_key(), an_end(), 0i64..4, prop_oneof![2 => Just(0i64), 1 => -1i64..30]);
    let how = (0i32..3, 0i32..5, prop::bool::ANY, prop::bool::weighted(0.1));
    (what, how, (bound(), bound(), bound(), bound())).prop_map(|(what, how, bounds)| pb::RangeRequest {
        key: what.0,
        range_end: what.1,
        limit: what.2,
        revision: what.3,
        sort_order: how.0,
        sort_target: how.1,
        serializable: false,
        keys_only: how.2,
        count_only: how.3,
        min_mod_revision: bounds.0,
        max_mod_revision: bounds.1,
        min_create_revision: bounds.2,
        max_create_revision: bounds.3,
    })
}

fn a_compare() -> impl Strategy<Value = pb::Compare> {
    let union = prop_oneof![
        (0i64..4).prop_map(TargetUnion::Version),
        (0i64..20).prop_map(TargetUnion::CreateRevision),
        (0i64..20).prop_map(TargetUnion::ModRevision),
        select(vec!["", "x"]).prop_map(|value| TargetUnion::Value(bytes(value))),
        (0i64..3).prop_map(TargetUnion::Lease),
    ];
    (0i32..4, 0i32..5, a_key(), an_end(), proptest::option::of(union)).prop_map(
        |(result, target, key, range_end, target_union)| pb::Compare { result, target, key, target_union, range_end },
    )
}

fn a_txn(depth: u32) -> BoxedStrategy<pb::TxnRequest> {
    let op = prop_oneof![
        3 => a_put().prop_map(Request::RequestPut),
        1 => a_delete().prop_map(Request::RequestDeleteRange),
        2 => a_range().prop_map(Request::RequestRange),
    ];
    let op = match depth {
        0 => op.boxed(),
        _ => prop_oneof![4 => op, 1 => a_txn(depth - 1).prop_map(Request::RequestTxn)].boxed(),
    };
    let ops = proptest::collection::vec(op.prop_map(super::op), 0..4);
    (proptest::collection::vec(a_compare(), 0..2), ops.clone(), ops)
        .prop_map(|(compare, success, failure)| pb::TxnRequest { compare, success, failure })
        .boxed()
}

/// No key is put twice or put and deleted on one path: what is checked before a request is proposed.
fn once(txn: &pb::TxnRequest) -> bool {
    [&txn.success, &txn.failure].into_iter().all(|branch| {
        let (mut puts, mut deletes) = (Vec::new(), Vec::new());
        gather(branch, &mut puts, &mut deletes);
        let distinct = puts.iter().collect::<BTreeSet<_>>().len() == puts.len();
        distinct && !puts.iter().any(|key| deletes.iter().any(|(from, end)| within(key, from, end)))
    })
}

/// Of nested transactions both branches, which is stricter than needed.
fn gather(ops: &[pb::RequestOp], puts: &mut Vec<Bytes>, deletes: &mut Vec<(Bytes, Bytes)>) {
    for op in ops {
        match op.request.as_ref().unwrap() {
            Request::RequestPut(put) => puts.push(put.key.clone()),
            Request::RequestDeleteRange(delete) => deletes.push((delete.key.clone(), delete.range_end.clone())),
            Request::RequestTxn(txn) => {
                gather(&txn.success, puts, deletes);
                gather(&txn.failure, puts, deletes);
            }
            Request::RequestRange(_) => {}
        }
    }
}

fn within(key: &[u8], from: &[u8], end: &[u8]) -> bool {
    match end {
        [] => key == from,
        [0] => key >= from,
        _ => key >= from && key < end,
    }
}

type Keys = BTreeMap<Bytes, KeyValue>;

/// The reference.
struct Model {
    /// The keys as of each revision; the first is revision 1.
    history: Vec<Keys>,
    compacted: i64,
    leases: BTreeSet<i64>,
    now: Keys,
    /// Changes of the entry at hand.
    changed: bool,
}

impl Model {
    fn new() -> Self {
        let history = vec![Keys::new()];
        Self { history, compacted: -1, leases: BTreeSet::new(), now: Keys::new(), changed: false }
    }

    fn revision(&self) -> i64 {
        self.history.len() as i64 + i64::from(self.changed)
    }

    fn apply(&mut self, action: &Action) -> Outcome {
        let outcome = self.carry_out(action);
        if std::mem::take(&mut self.changed) {
            self.history.push(self.now.clone());
        }
        outcome
    }

    fn carry_out(&mut self, action: &Action) -> Outcome {
        Ok(match action {
            Action::Put(request) => {
                self.check_put(request)?;
                Response::Put(self.put(request))
            }
            Action::Delete(request) => Response::DeleteRange(self.delete(request)),
            Action::Txn(request) => {
                let taken = self.taken(request);
                self.check(request, &mut taken.iter())?;
                let reply = self.txn(request, &mut taken.iter());
                Response::Txn(pb::TxnResponse { header: header(self.revision()), ..reply })
            }
            Action::Compact(revision) if *revision <= self.compacted => return Err(Refusal::Compacted),
            Action::Compact(revision) if *revision > self.revision() => return Err(Refusal::FutureRevision),
            Action::Compact(revision) => {
                self.compacted = *revision;
                Response::Compaction(pb::CompactionResponse { header: header(self.revision()) })
            }
            Action::Grant(id) if !self.leases.insert(*id) => return Err(Refusal::LeaseExists),
            Action::Grant(id) => Response::LeaseGrant(pb::LeaseGrantResponse {
                header: header(self.revision()),
                id: *id,
                ttl: 60,
                ..Default::default()
            }),
            Action::Revoke(id) if !self.leases.remove(id) => return Err(Refusal::LeaseNotFound),
            Action::Revoke(id) => {
                let before = self.now.len();
                self.now.retain(|_, pair| pair.lease != *id);
                self.changed = self.now.len() != before;
                Response::LeaseRevoke(pb::LeaseRevokeResponse { header: header(self.revision()) })
            }
            Action::Read(request) => Response::Range(self.range(request)?),
        })
    }

    fn check_put(&self, request: &pb::PutRequest) -> Result<(), Refusal> {
        if request.lease != 0 && !self.leases.contains(&request.lease) {
            return Err(Refusal::LeaseNotFound);
        }
        if (request.ignore_value || request.ignore_lease) && !self.now.contains_key(&request.key) {
            return Err(Refusal::KeyNotFound);
        }
        Ok(())
    }

    fn put(&mut self, request: &pb::PutRequest) -> pb::PutResponse {
        self.changed = true;
        let revision = self.revision();
        let old = self.now.get(&request.key).cloned();
        let base = old.clone().unwrap_or(KeyValue {
            key: request.key.clone(),
            create_revision: revision,
            ..Default::default()
        });
        let pair = KeyValue {
            mod_revision: revision,
            version: base.version + 1,
            value: if request.ignore_value { base.value.clone() } else { request.value.clone() },
            lease: if request.ignore_lease { base.lease } else { request.lease },
            ..base
        };
        self.now.insert(request.key.clone(), pair);
        let prev_kv = old.filter(|_| request.prev_kv).as_ref().map(EncodedKeyValue::from);
        pb::PutResponse { header: header(revision), prev_kv }
    }

    fn delete(&mut self, request: &pb::DeleteRangeRequest) -> pb::DeleteRangeResponse {
        let gone: Vec<_> =
            self.now.values().filter(|pair| within(&pair.key, &request.key, &request.range_end)).cloned().collect();
        for pair in &gone {
            self.now.remove(&pair.key);
        }
        self.changed |= !gone.is_empty();
        let prev_kvs = if request.prev_kv { gone.iter().map(EncodedKeyValue::from).collect() } else { vec![] };
        pb::DeleteRangeResponse { header: header(self.revision()), deleted: gone.len() as i64, prev_kvs }
    }

    fn taken(&self, request: &pb::TxnRequest) -> Vec<bool> {
        let mut taken = vec![request.compare.iter().all(|compare| self.holds(compare))];
        for op in if taken[0] { &request.success } else { &request.failure } {
            if let Some(Request::RequestTxn(nested)) = &op.request {
                taken.extend(self.taken(nested));
            }
        }
        taken
    }

    fn holds(&self, compare: &pb::Compare) -> bool {
        let one = |pair: &KeyValue| {
            let number = |actual: i64, given: Option<i64>| actual.cmp(&given.unwrap_or(0));
            let union = compare.target_union.clone();
            let ordering = match compare.target() {
                CompareTarget::Version => number(
                    pair.version,
                    union.and_then(|union| if let TargetUnion::Version(given) = union { Some(given) } else { None }),
                ),
                CompareTarget::Create => number(
                    pair.create_revision,
                    union.and_then(
                        |union| if let TargetUnion::CreateRevision(given) = union { Some(given) } else { None },
                    ),
                ),
                CompareTarget::Mod => number(
                    pair.mod_revision,
                    union
                        .and_then(|union| if let TargetUnion::ModRevision(given) = union { Some(given) } else { None }),
                ),
                CompareTarget::Lease => number(
                    pair.lease,
                    union.and_then(|union| if let TargetUnion::Lease(given) = union { Some(given) } else { None }),
                ),
                CompareTarget::Value => {
                    let given = if let Some(TargetUnion::Value(given)) = union { given } else { Bytes::new() };
                    pair.value.cmp(&given)
                }
            };
            match compare.result() {
                CompareResult::Equal => ordering.is_eq(),
                CompareResult::Greater => ordering.is_gt(),
                CompareResult::Less => ordering.is_lt(),
                CompareResult::NotEqual => ordering.is_ne(),
            }
        };
        let mut pairs = self.now.values().filter(|pair| within(&pair.key, &compare.key, &compare.range_end)).peekable();
        match pairs.peek() {
            None => compare.target() != CompareTarget::Value && one(&KeyValue::default()),
            Some(_) => pairs.all(one),
        }
    }

    fn check(&self, request: &pb::TxnRequest, taken: &mut std::slice::Iter<'_, bool>) -> Result<(), Refusal> {
        for op in if *taken.next().unwrap() { &request.success } else { &request.failure } {
            match op.request.as_ref().unwrap() {
                Request::RequestRange(range) if range.revision > self.revision() => {
                    return Err(Refusal::FutureRevision);
                }
                Request::RequestRange(range) if range.revision != 0 && range.revision < self.compacted => {
                    return Err(Refusal::Compacted);
                }
                Request::RequestPut(put) => self.check_put(put)?,
                Request::RequestTxn(nested) => self.check(nested, taken)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn txn(&mut self, request: &pb::TxnRequest, taken: &mut std::slice::Iter<'_, bool>) -> pb::TxnResponse {
        let succeeded = *taken.next().unwrap();
        let mut responses = Vec::new();
        for op in if succeeded { &request.success } else { &request.failure } {
            let response = match op.request.as_ref().unwrap() {
                Request::RequestRange(range) => OpResponse::ResponseRange(self.range(range).unwrap()),
                Request::RequestPut(put) => OpResponse::ResponsePut(self.put(put)),
                Request::RequestDeleteRange(delete) => OpResponse::ResponseDeleteRange(self.delete(delete)),
                Request::RequestTxn(nested) => OpResponse::ResponseTxn(self.txn(nested, taken)),
            };
            responses.push(pb::ResponseOp { response: Some(response) });
        }
        pb::TxnResponse { header: header(0), succeeded, responses }
    }

    /// Step by step as etcd: fetch, filter, sort, cut.
    fn range(&self, request: &pb::RangeRequest) -> Result<pb::RangeResponse, Refusal> {
        let at = if request.revision > 0 { request.revision } else { self.revision() };
        if at > self.revision() {
            return Err(Refusal::FutureRevision);
        }
        if at < self.compacted {
            return Err(Refusal::Compacted);
        }
        let keys = if request.revision > 0 && at <= self.history.len() as i64 {
            &self.history[at as usize - 1]
        } else {
            &self.now
        };
        let mut found: Vec<KeyValue> =
            keys.values().filter(|pair| within(&pair.key, &request.key, &request.range_end)).cloned().collect();
        let mut reply =
            pb::RangeResponse { header: header(self.revision()), count: found.len() as i64, ..Default::default() };
        if request.count_only {
            return Ok(reply);
        }
        let limit = request.limit as usize;
        let filters = [
            request.min_mod_revision,
            request.max_mod_revision,
            request.min_create_revision,
            request.max_create_revision,
        ];
        let (target, mut order) = (request.sort_target(), request.sort_order());
        let natural = order == SortOrder::None || (target == SortTarget::Key && order == SortOrder::Ascend);
        if limit > 0 && natural && filters == [0; 4] {
            found.truncate(limit + 1);
        }
        let most = |bound: i64| if bound == 0 { i64::MAX } else { bound };
        found.retain(|pair| {
            (request.min_mod_revision..=most(request.max_mod_revision)).contains(&pair.mod_revision)
                && (request.min_create_revision..=most(request.max_create_revision)).contains(&pair.create_revision)
        });
        if order == SortOrder::None {
            order = SortOrder::Ascend;
        }
        let compare = |a: &KeyValue, b: &KeyValue| match target {
            SortTarget::Key => a.key.cmp(&b.key),
            SortTarget::Version => a.version.cmp(&b.version),
            SortTarget::Create => a.create_revision.cmp(&b.create_revision),
            SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
            SortTarget::Value => a.value.cmp(&b.value),
        };
        match order {
            SortOrder::Descend => found.sort_by(|a, b| compare(b, a)),
            _ => found.sort_by(compare),
        }
        if limit > 0 && found.len() > limit {
            found.truncate(limit);
            reply.more = true;
        }
        for pair in &mut found {
            if request.keys_only {
                pair.value = Bytes::new();
                if target != SortTarget::Value {
                    pair.lease = 0;
                }
            }
        }
        reply.kvs = found.iter().map(EncodedKeyValue::from).collect();
        Ok(reply)
    }
}

fn check(actions: &[Action], mut subject: Subject) -> Result<(), TestCaseError> {
    let mut model = Model::new();
    for action in actions {
        if let Action::Read(request) = action {
            let expected = model.range(request);
            match subject.store.range(request) {
                Ok(reply) => prop_assert_eq!(Ok(reply), expected, "{:?}", request),
                Err(Error::Refused(refusal)) => prop_assert_eq!(Err(refusal), expected, "{:?}", request),
                Err(error) => prop_assert!(false, "{}", error),
            }
            // In the log it is the same, as a part of a transaction with nothing else too.
            let txn = pb::TxnRequest { success: vec![range_op(request.clone())], ..Default::default() };
            let expected = model.apply(&Action::Txn(txn.clone()));
            match subject.store.read_txn(&txn) {
                Ok(reply) => prop_assert_eq!(Ok(Response::Txn(reply)), expected),
                Err(Error::Refused(refusal)) => prop_assert_eq!(Err(refusal), expected),
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
        let expected = model.apply(action);
        prop_assert_eq!(subject.apply(to_request(action)), expected, "{:?}", action);
        prop_assert_eq!(subject.store.revision(), model.history.len() as i64);
        prop_assert_eq!(subject.store.leases(), model.leases.iter().copied().collect::<Vec<_>>());
        for id in &model.leases {
            let keys: Vec<Bytes> =
                model.now.values().filter(|pair| pair.lease == *id).map(|pair| pair.key.clone()).collect();
            prop_assert_eq!(subject.store.lease(*id).unwrap().keys, keys);
        }
    }
    // Every revision that is left, after the rows of the others are gone.
    subject.wait(subject.store.compact_revision());
    for revision in model.compacted.max(1)..=model.revision() {
        let all = pb::RangeRequest { revision, ..range("\0", "\0") };
        prop_assert_eq!(subject.range(all.clone()), model.range(&all).unwrap());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_store_does_what_the_reference_does(actions in actions(80)) {
        check(&actions, Subject::in_memory())?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_store_on_rocksdb_does_what_the_reference_does(actions in actions(120)) {
        let folder = tempfile::tempdir().unwrap();
        check(&actions, Subject::in_folder(folder.path()))?;
    }
}
