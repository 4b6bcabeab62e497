//! Range, put and delete.

use pb::range_request::{SortOrder, SortTarget};

use super::*;

#[test]
fn a_fresh_store_is_at_revision_1_and_the_first_write_at_2() {
    on_each_backend(|mut subject| {
        assert_eq!(subject.store.revision(), 1);
        assert_eq!(subject.store.compact_revision(), -1);
        assert_eq!(subject.put("a", "1"), 2);
        assert_eq!(subject.store.revision(), 2);
    });
}

#[test]
fn a_deleted_key_restarts_at_version_1() {
    on_each_backend(|mut subject| {
        subject.put("a", "1");
        subject.put("a", "2");
        let pair = subject.get("a").unwrap();
        assert_eq!((pair.create_revision, pair.mod_revision, pair.version), (2, 3, 2));
        subject.delete("a", "");
        assert_eq!(subject.get("a"), None);
        subject.put("a", "3");
        let pair = subject.get("a").unwrap();
        assert_eq!((pair.create_revision, pair.mod_revision, pair.version), (5, 5, 1));
    });
}

#[test]
fn a_delete_of_nothing_keeps_the_revision() {
    on_each_backend(|mut subject| {
        subject.put("a", "1");
        let reply = subject.delete("b", "");
        assert_eq!((reply.deleted, reply.header.unwrap().revision), (0, 2));
        assert_eq!(subject.store.revision(), 2);
    });
}

#[test]
fn a_delete_of_a_range_is_one_revision_and_returns_the_pairs_in_key_order() {
    on_each_backend(|mut subject| {
        for key in ["c", "a", "b", "d"] {
            subject.put(key, key);
        }
        let reply = subject.delete("a", "d");
        assert_eq!(reply.deleted, 3);
        assert_eq!(keys(&reply.prev_kvs), ["a", "b", "c"]);
        assert_eq!(reply.header.unwrap().revision, 6);
        assert_eq!(keys(&subject.range(range("\0", "\0")).kvs), ["d"]);
    });
}

#[test]
fn ranges_end_as_etcds_do() {
    on_each_backend(|mut subject| {
        for key in ["a", "b", "c"] {
            subject.put(key, key);
        }
        let found = |key, end| keys(&subject.range(range(key, end)).kvs);
        assert_eq!(found("b", ""), ["b"]);
        assert_eq!(found("a", "c"), ["a", "b"]);
        assert_eq!(found("b", "\0"), ["b", "c"]);
        assert_eq!(found("\0", "\0"), ["a", "b", "c"]);
        assert!(found("c", "a").is_empty() && found("b", "b").is_empty());
    });
}

#[test]
fn a_read_at_an_old_revision_answers_with_the_current_one() {
    on_each_backend(|mut subject| {
        subject.put("a", "old");
        subject.put("b", "other");
        subject.put("a", "new");
        for (key, end) in [("a", ""), ("a", "z")] {
            let reply = subject.range(pb::RangeRequest { revision: 2, ..range(key, end) });
            assert_eq!(reply.header.unwrap().revision, 4);
            assert_eq!((reply.count, text(&pairs(&reply.kvs)[0].value)), (1, "old".to_owned()));
        }
        assert_eq!(
            refusal(subject.store.range(&pb::RangeRequest { revision: 5, ..range("a", "") })),
            Refusal::FutureRevision
        );
        // Not positive is now.
        assert_eq!(subject.range(pb::RangeRequest { revision: -5, ..range("a", "z") }).count, 2);
    });
}

#[test]
fn a_limit_cuts_the_pairs_but_not_the_count() {
    on_each_backend(|mut subject| {
        for key in ["a", "b", "c", "d"] {
            subject.put(key, key);
        }
        let reply = subject.range(pb::RangeRequest { limit: 2, ..range("a", "z") });
        assert_eq!((keys(&reply.kvs), reply.more, reply.count), (vec!["a".to_owned(), "b".to_owned()], true, 4));
        let reply = subject.range(pb::RangeRequest { limit: 4, ..range("a", "z") });
        assert_eq!((reply.kvs.len(), reply.more, reply.count), (4, false, 4));
        let reply = subject.range(pb::RangeRequest { limit: 2, revision: 4, ..range("a", "z") });
        assert_eq!((reply.kvs.len(), reply.more, reply.count), (2, true, 3));
        let reply = subject.range(pb::RangeRequest { count_only: true, limit: 1, ..range("a", "z") });
        assert_eq!((reply.kvs.len(), reply.more, reply.count), (0, false, 4));
        let descending = pb::RangeRequest { limit: 2, sort_order: SortOrder::Descend as i32, ..range("a", "z") };
        let reply = subject.range(descending);
        assert_eq!((keys(&reply.kvs), reply.more, reply.count), (vec!["d".to_owned(), "c".to_owned()], true, 4));
    });
}

#[test]
fn filters_come_before_the_limit() {
    on_each_backend(|mut subject| {
        for key in ["a", "b", "c", "d"] {
            subject.put(key, key);
        }
        subject.put("a", "again");
        let filtered = |request: pb::RangeRequest| {
            let reply = subject.range(request);
            (keys(&reply.kvs).concat(), reply.more, reply.count)
        };
        let all = || range("a", "z");
        assert_eq!(filtered(pb::RangeRequest { min_mod_revision: 4, limit: 1, ..all() }), ("a".to_owned(), true, 4));
        assert_eq!(filtered(pb::RangeRequest { max_mod_revision: 4, ..all() }), ("bc".to_owned(), false, 4));
        assert_eq!(filtered(pb::RangeRequest { min_create_revision: 4, ..all() }), ("cd".to_owned(), false, 4));
        assert_eq!(filtered(pb::RangeRequest { max_create_revision: 2, ..all() }), ("a".to_owned(), false, 4));
    });
}

#[test]
fn every_target_sorts_both_ways_and_before_the_limit() {
    on_each_backend(|mut subject| {
        for (key, value) in [("a", "3"), ("b", "1"), ("c", "2"), ("b", "1"), ("b", "1"), ("a", "3")] {
            subject.put(key, value);
        }
        let sorted = |target: SortTarget, order: SortOrder, limit| {
            let request =
                pb::RangeRequest { sort_target: target as i32, sort_order: order as i32, limit, ..range("a", "z") };
            keys(&subject.range(request).kvs).concat()
        };
        let cases = [
            (SortTarget::Key, "abc"),
            (SortTarget::Version, "cab"),
            (SortTarget::Create, "abc"),
            (SortTarget::Mod, "cba"),
            (SortTarget::Value, "bca"),
        ];
        for (target, ascending) in cases {
            let descending: String = ascending.chars().rev().collect();
            assert_eq!(sorted(target, SortOrder::Ascend, 0), ascending, "{target:?}");
            assert_eq!(sorted(target, SortOrder::Descend, 0), descending, "{target:?}");
            assert_eq!(sorted(target, SortOrder::Ascend, 2), ascending[..2], "{target:?}");
            assert_eq!(sorted(target, SortOrder::Descend, 2), descending[..2], "{target:?}");
        }
    });
}

#[test]
fn without_an_order_the_limit_takes_keys_first_and_sorts_one_more_than_it_gives() {
    on_each_backend(|mut subject| {
        for (key, value) in [("a", "3"), ("b", "2"), ("c", "1"), ("d", "0")] {
            subject.put(key, value);
        }
        let request = pb::RangeRequest { sort_target: SortTarget::Value as i32, limit: 2, ..range("a", "z") };
        let reply = subject.range(request);
        // a, b and c are taken; c and b are the lowest of them.
        assert_eq!((keys(&reply.kvs).concat(), reply.more, reply.count), ("cb".to_owned(), true, 4));
    });
}

#[test]
fn without_an_order_but_with_a_filter_all_keys_are_sorted_before_the_limit() {
    on_each_backend(|mut subject| {
        for (key, value) in [("a", "3"), ("b", "2"), ("c", "1"), ("d", "0")] {
            subject.put(key, value);
        }
        let request = pb::RangeRequest {
            sort_target: SortTarget::Value as i32,
            limit: 2,
            min_create_revision: 1,
            ..range("a", "z")
        };
        assert_eq!(keys(&subject.range(request).kvs).concat(), "dc");
    });
}

#[test]
fn keys_only_leaves_out_value_and_lease_but_not_the_lease_when_values_sort() {
    on_each_backend(|mut subject| {
        subject.grant(7);
        subject.apply(put_on("a", "1", 7)).unwrap();
        let bare = pb::RangeRequest { keys_only: true, ..range("a", "z") };
        let pair = pairs(&subject.range(bare.clone()).kvs).remove(0);
        assert_eq!((text(&pair.key), pair.version, pair.mod_revision, pair.create_revision), ("a".to_owned(), 1, 2, 2));
        assert!(pair.value.is_empty() && pair.lease == 0);
        let pair =
            pairs(&subject.range(pb::RangeRequest { sort_target: SortTarget::Value as i32, ..bare }).kvs).remove(0);
        assert!(pair.value.is_empty() && pair.lease == 7);
        let pair = pairs(&subject.range(pb::RangeRequest { keys_only: true, ..range("a", "") }).kvs).remove(0);
        assert_eq!(text(&pair.key), "a");
    });
}

#[test]
fn a_put_can_keep_value_or_lease_and_return_the_old_pair() {
    on_each_backend(|mut subject| {
        subject.grant(7);
        subject.apply(put_on("a", "1", 7)).unwrap();
        let kept_value = pb::PutRequest { key: bytes("a"), ignore_value: true, prev_kv: true, ..Default::default() };
        let Ok(Response::Put(reply)) = subject.apply(put_with(kept_value)) else { panic!() };
        assert_eq!(reply.prev_kv.unwrap().decode().unwrap().lease, 7);
        let pair = subject.get("a").unwrap();
        assert_eq!((text(&pair.value), pair.lease), ("1".to_owned(), 0));

        subject.apply(put_on("a", "2", 7)).unwrap();
        let kept_lease =
            pb::PutRequest { key: bytes("a"), value: bytes("3"), ignore_lease: true, ..Default::default() };
        subject.apply(put_with(kept_lease)).unwrap();
        let pair = subject.get("a").unwrap();
        assert_eq!((text(&pair.value), pair.lease), ("3".to_owned(), 7));

        let missing = pb::PutRequest { key: bytes("b"), ignore_value: true, ..Default::default() };
        assert_eq!(subject.apply(put_with(missing)), Err(Refusal::KeyNotFound));
        let missing = pb::PutRequest { key: bytes("b"), ignore_lease: true, ..Default::default() };
        assert_eq!(subject.apply(put_with(missing)), Err(Refusal::KeyNotFound));
        assert_eq!(subject.store.revision(), 5);
    });
}

#[test]
fn entries_of_one_batch_see_each_other() {
    on_each_backend(|mut subject| {
        let old = |key: &str| {
            put_with(pb::PutRequest { key: bytes(key), value: bytes("2"), prev_kv: true, ..Default::default() })
        };
        let outcomes = subject.apply_all(vec![put("a", "1"), old("a"), delete("a", ""), old("a")]);
        let Ok(Response::Put(second)) = &outcomes[1] else { panic!() };
        assert_eq!(text(&second.prev_kv.as_ref().unwrap().decode().unwrap().value), "1");
        let Ok(Response::DeleteRange(deleted)) = &outcomes[2] else { panic!() };
        assert_eq!(text(&deleted.prev_kvs[0].decode().unwrap().value), "2");
        let Ok(Response::Put(last)) = &outcomes[3] else { panic!() };
        assert_eq!((last.prev_kv.is_none(), last.header.unwrap().revision), (true, 5));
    });
}

#[test]
fn an_entry_that_was_applied_is_not_taken_again() {
    let mut subject = Subject::in_memory();
    subject.put("a", "1");
    let again = Entry { position: Position::new(2, 1), payload: Payload::Request(Box::new(put("a", "2"))) };
    assert!(matches!(subject.writer.apply(vec![again]), Err(Error::OutOfOrder { .. })));
    assert_eq!(subject.value("a").unwrap(), "1");
}

#[test]
fn a_refused_request_leaves_nothing_but_its_position() {
    let mut subject = Subject::in_memory();
    let request = pb::InternalRaftRequest { auth_enable: Some(Default::default()), ..Default::default() };
    assert_eq!(subject.apply(request), Err(Refusal::Auth(crate::store::auth::Refusal::RootUserMissing)));
    assert!(matches!(subject.apply(Default::default()), Err(Refusal::NotSupported(_))));
    assert_eq!((subject.store.revision(), subject.store.applied().index), (1, 2));
}

#[test]
fn a_list_longer_than_one_hold_of_the_lock_is_whole_both_ways() {
    on_each_backend(|mut subject| {
        let names: Vec<String> = (0..5000).map(|number| format!("key-{number:05}")).collect();
        subject.apply_all(names.iter().map(|name| put(name, name)).collect());
        assert_eq!(keys(&subject.range(range("key-", "key.")).kvs), names);
        let backwards = pb::RangeRequest { sort_order: SortOrder::Descend as i32, ..range("key-", "key.") };
        let found = keys(&subject.range(backwards).kvs);
        assert!(found.iter().rev().eq(&names));
    });
}
