//! Transactions.

use pb::{
    compare::{CompareResult, CompareTarget, TargetUnion},
    response_op::Response as OpResponse,
};

use super::*;

fn compare(key: &str, target: CompareTarget, result: CompareResult, union: TargetUnion) -> pb::Compare {
    pb::Compare {
        result: result as i32,
        target: target as i32,
        key: bytes(key),
        target_union: Some(union),
        range_end: Bytes::new(),
    }
}

fn version_is(key: &str, version: i64) -> pb::Compare {
    compare(key, CompareTarget::Version, CompareResult::Equal, TargetUnion::Version(version))
}

fn when(compare: Vec<pb::Compare>, success: Vec<pb::RequestOp>, failure: Vec<pb::RequestOp>) -> pb::TxnRequest {
    pb::TxnRequest { compare, success, failure }
}

fn holds(subject: &Subject, compare: pb::Compare) -> bool {
    subject.store.read_txn(&when(vec![compare], vec![], vec![])).unwrap().succeeded
}

#[test]
fn a_transaction_is_one_revision_and_its_reads_see_its_writes() {
    on_each_backend(|mut subject| {
        subject.put("a", "old");
        let reply = subject.txn(when(
            vec![],
            vec![
                range_op(range("a", "z")),
                put_op("a", "new"),
                put_op("b", "new"),
                range_op(range("a", "z")),
                range_op(pb::RangeRequest { revision: 2, ..range("a", "z") }),
                delete_op("c", ""),
                delete_op("a", ""),
                range_op(range("a", "z")),
            ],
            vec![],
        ));
        assert_eq!(reply.header.unwrap().revision, 3);
        let ranges: Vec<_> = reply
            .responses
            .iter()
            .filter_map(|op| match op.response.as_ref().unwrap() {
                OpResponse::ResponseRange(range) => {
                    let values: Vec<_> = pairs(&range.kvs).iter().map(|pair| text(&pair.value)).collect();
                    Some((range.header.unwrap().revision, values.join(","), range.count))
                }
                _ => None,
            })
            .collect();
        let expected = [(2, "old", 1), (3, "new,new", 2), (3, "old", 1), (3, "new", 1)];
        assert!(ranges.iter().map(|(a, b, c)| (*a, b.as_str(), *c)).eq(expected), "{ranges:?}");
        let Some(OpResponse::ResponseDeleteRange(nothing)) = &reply.responses[5].response else { panic!() };
        assert_eq!((nothing.deleted, nothing.header.unwrap().revision), (0, 3));
        assert_eq!(subject.get("b").unwrap().mod_revision, 3);
        assert_eq!(subject.get("a"), None);
    });
}

#[test]
fn compares_of_nested_transactions_see_the_store_as_it_was() {
    on_each_backend(|mut subject| {
        let nested = when(vec![version_is("a", 0)], vec![put_op("b", "was missing")], vec![put_op("b", "was there")]);
        let reply = subject.txn(when(vec![], vec![put_op("a", "1"), op(Request::RequestTxn(nested))], vec![]));
        assert_eq!(subject.value("b").unwrap(), "was missing");
        let Some(OpResponse::ResponseTxn(nested)) = &reply.responses[1].response else { panic!() };
        assert!(nested.succeeded);
        assert_eq!(nested.header.unwrap().revision, 0);
        let Some(OpResponse::ResponsePut(put)) = &nested.responses[0].response else { panic!() };
        assert_eq!(put.header.unwrap().revision, 2);
    });
}

#[test]
fn nested_branches_are_taken_in_order() {
    let mut subject = Subject::in_memory();
    subject.put("x", "1");
    let inner = |name: &str, version| {
        let leaf = when(vec![version_is("x", 1)], vec![put_op(&format!("{name}-leaf"), "1")], vec![]);
        when(
            vec![version_is("x", version)],
            vec![put_op(name, "then"), op(Request::RequestTxn(leaf.clone()))],
            vec![op(Request::RequestTxn(leaf)), put_op(name, "else")],
        )
    };
    subject.txn(when(
        vec![],
        vec![
            op(Request::RequestTxn(inner("a", 1))),
            op(Request::RequestTxn(inner("b", 2))),
            op(Request::RequestTxn(inner("c", 1))),
        ],
        vec![],
    ));
    let values: Vec<_> = ["a", "a-leaf", "b", "b-leaf", "c", "c-leaf"].map(|key| subject.value(key).unwrap()).into();
    assert_eq!(values, ["then", "1", "else", "1", "then", "1"]);
}

#[test]
fn a_refused_transaction_changes_nothing() {
    on_each_backend(|mut subject| {
        subject.put("a", "1");
        let bad_ops = [
            (range_op(pb::RangeRequest { revision: 9, ..range("a", "") }), Refusal::FutureRevision),
            (
                op(Request::RequestPut(pb::PutRequest { key: bytes("b"), lease: 5, ..Default::default() })),
                Refusal::LeaseNotFound,
            ),
            (
                op(Request::RequestPut(pb::PutRequest { key: bytes("b"), ignore_value: true, ..Default::default() })),
                Refusal::KeyNotFound,
            ),
        ];
        for (bad, refusal) in bad_ops {
            let nested = op(Request::RequestTxn(when(vec![], vec![put_op("c", "1"), bad], vec![])));
            let request = when(vec![], vec![put_op("a", "2"), nested], vec![]);
            assert_eq!(
                subject.apply(pb::InternalRaftRequest { txn: Some(request), ..Default::default() }),
                Err(refusal)
            );
            assert_eq!((subject.value("a").unwrap().as_str(), subject.store.revision()), ("1", 2));
        }
        // On the branch that is not taken nothing is checked.
        let bad = range_op(pb::RangeRequest { revision: 9, ..range("a", "") });
        assert!(subject.txn(when(vec![], vec![put_op("a", "2")], vec![bad])).succeeded);
    });
}

#[test]
fn a_transaction_may_not_read_what_was_compacted() {
    on_each_backend(|mut subject| {
        for value in ["1", "2", "3"] {
            subject.put("a", value);
        }
        subject.compact(3);
        let at = |revision| when(vec![], vec![range_op(pb::RangeRequest { revision, ..range("a", "") })], vec![]);
        assert_eq!(refusal(subject.store.read_txn(&at(2))), Refusal::Compacted);
        assert_eq!(refusal(subject.store.read_txn(&at(-1))), Refusal::Compacted);
        assert_eq!(refusal(subject.store.read_txn(&at(5))), Refusal::FutureRevision);
        assert!(subject.store.read_txn(&at(3)).is_ok());
    });
}

#[test]
fn a_missing_key_compares_as_zero_but_its_value_as_nothing() {
    on_each_backend(|subject| {
        use CompareResult::*;
        use CompareTarget::*;
        for (target, union) in [
            (Version, TargetUnion::Version(0)),
            (Create, TargetUnion::CreateRevision(0)),
            (Mod, TargetUnion::ModRevision(0)),
            (Lease, TargetUnion::Lease(0)),
        ] {
            assert!(holds(&subject, compare("a", target, Equal, union.clone())));
            assert!(!holds(&subject, compare("a", target, Greater, union)));
        }
        for result in [Equal, NotEqual, Greater, Less] {
            assert!(!holds(&subject, compare("a", Value, result, TargetUnion::Value(Bytes::new()))));
        }
    });
}

#[test]
fn every_target_compares_every_way() {
    on_each_backend(|mut subject| {
        subject.grant(7);
        subject.put("a", "m");
        subject.apply(put_on("a", "m", 7)).unwrap();
        use CompareTarget::*;
        let union = |target, offset: i64| match target {
            Version => TargetUnion::Version(2 + offset),
            Create => TargetUnion::CreateRevision(2 + offset),
            Mod => TargetUnion::ModRevision(3 + offset),
            Lease => TargetUnion::Lease(7 + offset),
            Value => TargetUnion::Value(bytes(["l", "m", "n"][(offset + 1) as usize])),
        };
        for target in [Version, Create, Mod, Lease, Value] {
            for (offset, expected) in
                [(-1, [false, true, true, false]), (0, [true, false, false, false]), (1, [false, true, false, true])]
            {
                let results =
                    [CompareResult::Equal, CompareResult::NotEqual, CompareResult::Greater, CompareResult::Less];
                for (result, expected) in results.into_iter().zip(expected) {
                    assert_eq!(
                        holds(&subject, compare("a", target, result, union(target, offset))),
                        expected,
                        "{target:?} {result:?} {offset}"
                    );
                }
            }
        }
        // The union of another target is zero.
        assert!(holds(&subject, compare("a", Version, CompareResult::Greater, TargetUnion::Lease(100))));
    });
}

#[test]
fn a_compare_over_a_range_holds_for_every_key() {
    on_each_backend(|mut subject| {
        for key in ["a", "b", "c"] {
            subject.put(key, "same");
        }
        subject.put("c", "same");
        let over = |end: &str, compare: pb::Compare| holds(&subject, pb::Compare { range_end: bytes(end), ..compare });
        assert!(over("c", version_is("a", 1)));
        assert!(!over("d", version_is("a", 1)));
        let same = compare("a", CompareTarget::Value, CompareResult::Equal, TargetUnion::Value(bytes("same")));
        assert!(over("d", same.clone()));
        assert!(over("\0", same.clone()));
        // An empty range is one missing key.
        assert!(over("a", version_is("a", 0)));
        assert!(!over("a", same));
    });
}

#[test]
fn a_transaction_without_writes_keeps_the_revision() {
    on_each_backend(|mut subject| {
        subject.put("a", "1");
        let request = when(vec![version_is("a", 1)], vec![range_op(range("a", ""))], vec![]);
        assert_eq!(subject.txn(request.clone()), subject.store.read_txn(&request).unwrap());
        assert_eq!(subject.store.revision(), 2);
        let writes = when(vec![], vec![put_op("a", "2")], vec![]);
        assert!(matches!(refusal(subject.store.read_txn(&writes)), Refusal::NotSupported(_)));
        let unset = when(vec![], vec![pb::RequestOp { request: None }], vec![]);
        assert_eq!(subject.txn(unset).responses, [pb::ResponseOp { response: None }]);
    });
}
