//! Compaction and the hash that must not notice it.

use super::*;
use crate::store::{
    backend::{Backend, Family, View},
    kv::hash::HashKv,
    open::for_each,
};

fn rows(backend: &dyn Backend) -> Vec<String> {
    let mut rows = Vec::new();
    let row = |key: &[u8]| format!("{:?}", crate::store::kv::row::RowKey::parse(key).unwrap());
    for_each(backend, Family::Key, |key, _| {
        rows.push(row(key));
        Ok(())
    })
    .unwrap();
    rows
}

#[test]
fn compaction_refuses_what_is_done_or_not_there_yet() {
    on_each_backend(|mut subject| {
        for value in ["1", "2", "3"] {
            subject.put("a", value);
        }
        assert_eq!(subject.apply(compact(5)), Err(Refusal::FutureRevision));
        let Ok(Response::Compaction(reply)) = subject.apply(compact(3)) else { panic!() };
        assert_eq!(reply.header.unwrap().revision, 4);
        assert_eq!(subject.apply(compact(3)), Err(Refusal::Compacted));
        assert_eq!(subject.store.compact_revision(), 3);
        let at = |revision| pb::RangeRequest { revision, ..range("a", "") };
        assert_eq!(refusal(subject.store.range(&at(2))), Refusal::Compacted);
        assert_eq!(text(&pairs(&subject.range(at(3)).kvs)[0].value), "2");
    });
}

#[test]
fn compaction_keeps_the_newest_live_rows_and_a_tombstone_at_its_revision() {
    let memory = Memory::default();
    let mut subject = Subject::on(&memory);
    subject.put("stays", "1"); // 2
    subject.put("changes", "1"); // 3
    subject.put("goes", "1"); // 4
    subject.put("changes", "2"); // 5
    subject.delete("goes", ""); // 6
    subject.put("changes", "3"); // 7
    subject.compact(6);
    assert_eq!(rows(&memory), ["2_0", "5_0", "6_0t", "7_0"]);
    subject.put("stays", "2"); // 8
    subject.compact(8);
    assert_eq!(rows(&memory), ["7_0", "8_0"]);
    assert_eq!(subject.value("changes").unwrap(), "3");
}

#[test]
fn compaction_takes_a_lease_s_tombstones_and_many_keys_in_steps() {
    on_each_backend(|mut subject| {
        subject.grant(7);
        for round in 0..3 {
            for key in 0..20 {
                subject.apply(put_on(&format!("key-{key}"), &format!("{round}"), 7)).unwrap();
            }
        }
        subject.apply(revoke(7)).unwrap();
        let last = subject.put("end", "1");
        subject.compact(last);
        assert_eq!(subject.range(range("\0", "\0")).count, 1);
        let backend = subject.store.shared.read().backend.clone();
        assert_eq!(rows(&*backend), [format!("{last}_0")]);
        let only = subject.store.size().in_use;
        assert_eq!(only, Subject::in_memory().store.size().in_use + 4096);
    });
}

#[test]
fn an_interrupted_compaction_goes_on_after_a_restart() {
    let memory = Memory::default();
    let mut subject = Subject::on(&memory);
    for value in 0..50 {
        subject.put("a", &value.to_string());
    }
    // Without its thread nothing is removed.
    let Subject { store, mut writer, index } = subject;
    writer.stop_compaction();
    let entry = Entry { position: Position::new(2, index + 1), payload: Payload::Request(Box::new(compact(40))) };
    writer.apply(vec![entry]).unwrap();
    assert_eq!(rows(&memory).len(), 50);
    let hash = store.hash_kv(0).unwrap();
    drop((store, writer));

    let subject = Subject::on(&memory);
    assert_eq!(subject.store.compact_revision(), 40);
    subject.wait(40);
    assert_eq!(rows(&memory).len(), 12);
    assert_eq!(subject.store.hash_kv(0).unwrap(), hash);
}

#[test]
fn the_revision_never_goes_back_when_the_last_rows_are_gone() {
    let memory = Memory::default();
    let mut subject = Subject::on(&memory);
    subject.put("a", "1");
    subject.delete("a", "");
    subject.compact(3);
    let mut subject = Subject::on(&memory);
    assert_eq!((subject.store.revision(), subject.store.compact_revision()), (3, 3));
    assert_eq!(subject.put("a", "2"), 4);
    assert_eq!(subject.get("a").unwrap().version, 1);
}

/// etcd's rule written down plainly, over a copy of all rows ever written.
fn expected_hash(history: &[(Vec<u8>, Bytes)], compacted: i64, revision: i64) -> u32 {
    use crate::store::kv::row::{Pair, RowKey};
    let mut hash = crc32c::crc32c(b"key");
    for (key, value) in history {
        let row = RowKey::parse(key).unwrap();
        if row.revision().main > revision || (row.revision().main == compacted && row.is_tombstone()) {
            continue;
        }
        if row.revision().main <= compacted {
            let name = Pair::parse(value).unwrap().key;
            let newest = history.iter().rev().find(|(key, value)| {
                RowKey::parse(key).unwrap().revision().main <= revision && Pair::parse(value).unwrap().key == name
            });
            if row.is_tombstone() || newest.unwrap().0 != *key {
                continue;
            }
        }
        hash = crc32c::crc32c_append(crc32c::crc32c_append(hash, key), value);
    }
    hash
}

#[test]
fn the_hash_of_a_compaction_is_that_of_the_history_before_it() {
    let hashing = Options { compaction_hashes: true, ..options() };
    let mut subject = Subject::of(Store::open_on(Arc::new(Memory::default()), hashing).unwrap());
    let mut expected = Vec::new();
    for round in 0..12 {
        for key in ["a", "b", "c", "d"] {
            subject.put(key, &format!("{round}"));
        }
        subject.delete("b", "");
        let revision = subject.store.revision() - 2;
        expected.insert(0, subject.store.hash_kv(revision).unwrap());
        subject.compact(revision);
    }
    let kept = subject.store.compaction_hashes();
    let facts = |hash: &HashKv| (hash.hash, hash.compact_revision, hash.hash_revision);
    assert_eq!(kept.iter().map(facts).collect::<Vec<_>>(), expected.iter().take(10).map(facts).collect::<Vec<_>>());
}

#[test]
fn compactions_that_wait_are_hashed_one_by_one() {
    let hashing = Options { compaction_hashes: true, ..options() };
    let memory = Memory::default();
    let mut subject = Subject::of(Store::open_on(Arc::new(memory), hashing).unwrap());
    for round in 0..9 {
        subject.put("a", &format!("{round}"));
    }
    // In one batch: the compactor sees the last of them first.
    subject.apply_all([3, 5, 8].map(compact).to_vec());
    subject.wait(8);
    let spans: Vec<_> =
        subject.store.compaction_hashes().iter().map(|hash| (hash.compact_revision, hash.hash_revision)).collect();
    assert_eq!(spans, [(5, 8), (3, 5), (-1, 3)]);
}

#[test]
fn a_compaction_that_was_interrupted_has_no_hash() {
    let memory = Memory::default();
    let hashing = Options { compaction_hashes: true, ..options() };
    let open = || Subject::of(Store::open_on(Arc::new(memory.clone()), hashing.clone()).unwrap());
    let mut subject = open();
    for round in 0..9 {
        subject.put("a", &format!("{round}"));
    }
    subject.writer.stop_compaction();
    subject.apply(compact(4)).unwrap();
    drop(subject);
    let mut subject = open();
    subject.wait(4);
    assert_eq!(subject.store.compaction_hashes(), []);
    subject.compact(7);
    let spans: Vec<_> =
        subject.store.compaction_hashes().iter().map(|hash| (hash.compact_revision, hash.hash_revision)).collect();
    assert_eq!(spans, [(4, 7)]);
}

#[test]
fn the_hash_follows_etcds_rule_before_and_after_compaction() {
    let (memory, whole) = (Memory::default(), Memory::default());
    let (mut subject, mut copy) = (Subject::on(&memory), Subject::on(&whole));
    let mut both = |request: pb::InternalRaftRequest| {
        copy.apply(request.clone()).unwrap();
        subject.apply(request).unwrap();
    };
    for round in 0..4 {
        for key in ["a", "b", "c"] {
            both(put(key, &format!("{round}")));
        }
        both(delete("b", ""));
    }
    let mut history = Vec::new();
    for_each(&whole as &dyn View, Family::Key, |key, value| {
        history.push((key.to_vec(), Bytes::copy_from_slice(value)));
        Ok(())
    })
    .unwrap();
    assert_eq!(history.len(), 16);
    for revision in 2..=17 {
        let hash = subject.store.hash_kv(revision).unwrap();
        assert_eq!(
            (hash.hash, hash.compact_revision, hash.hash_revision),
            (expected_hash(&history, -1, revision), -1, revision)
        );
    }
    for compacted in [5, 8, 9, 17] {
        subject.compact(compacted);
        assert_eq!(refusal(subject.store.hash_kv(compacted - 1)), Refusal::Compacted);
        for revision in compacted..=17 {
            let hash = subject.store.hash_kv(revision).unwrap();
            assert_eq!(
                (hash.hash, hash.revision),
                (expected_hash(&history, compacted, revision), 17),
                "{compacted} {revision}"
            );
        }
    }
    assert_eq!(refusal(subject.store.hash_kv(18)), Refusal::FutureRevision);
}
