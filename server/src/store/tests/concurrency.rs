//! Readers beside the writer.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use pb::response_op::Response as OpResponse;

use super::*;

const KEYS: usize = 40;

/// Lets the readers go home, also when the writer fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Every transaction writes the same value to all keys and compaction follows closely: whoever lists must see one value, at
/// the revision in the header, and nobody who asked for now may hear of compaction.
fn readers_see_whole_revisions(mut subject: Subject, rounds: i64) {
    let all = || range("key-", "key.");
    let write = |round: i64| {
        let puts = (0..KEYS).map(|key| put_op(&format!("key-{key:02}"), &format!("{round}"))).collect();
        pb::InternalRaftRequest {
            txn: Some(pb::TxnRequest { success: puts, ..Default::default() }),
            ..Default::default()
        }
    };
    subject.apply(write(0)).unwrap();
    let done = AtomicBool::new(false);
    let check = |reply: &pb::RangeResponse| {
        let pairs = pairs(&reply.kvs);
        assert_eq!(pairs.len(), KEYS);
        assert!(pairs.iter().all(|pair| pair.value == pairs[0].value && pair.mod_revision == pairs[0].mod_revision));
        assert_eq!(pairs[0].mod_revision, reply.header.unwrap().revision);
    };
    let handle = subject.store.clone();
    thread::scope(|scope| {
        let (store, done) = (&handle, &done);
        let _end = End(done);
        scope.spawn(move || {
            while !done.load(Ordering::Acquire) {
                check(&store.range(&all()).unwrap());
            }
        });
        scope.spawn(move || {
            let twice = pb::TxnRequest { success: vec![range_op(all()), range_op(all())], ..Default::default() };
            while !done.load(Ordering::Acquire) {
                let reply = store.read_txn(&twice).unwrap();
                assert_eq!(reply.responses[0], reply.responses[1]);
                let Some(OpResponse::ResponseRange(range)) = &reply.responses[0].response else { panic!() };
                check(range);
                let pinned = range.header.unwrap().revision;
                match store.range(&pb::RangeRequest { revision: pinned, ..all() }) {
                    Ok(again) => assert_eq!(again.kvs, range.kvs),
                    Err(error) => assert!(matches!(error, Error::Refused(Refusal::Compacted))),
                }
                store.hash_kv(0).unwrap();
            }
        });
        for round in 1..=rounds {
            subject.apply(write(round)).unwrap();
            if round % 3 == 0 {
                subject.apply(compact(subject.store.revision())).unwrap();
            }
        }
    });
    subject.wait(subject.store.compact_revision());
    check(&subject.range(all()));
}

#[test]
fn readers_see_whole_revisions_while_others_write_and_compact() {
    let folder = tempfile::tempdir().unwrap();
    readers_see_whole_revisions(Subject::in_folder(folder.path()), 1500);
    readers_see_whole_revisions(Subject::in_memory(), 200);
}

#[test]
fn a_replaced_store_answers_readers_all_the_while() {
    let folder = tempfile::tempdir().unwrap();
    let mut leader = Subject::in_folder(&folder.path().join("leader"));
    let names: Vec<_> = (0..3000).map(|key| format!("key-{key:04}")).collect();
    leader.apply_all(names.iter().map(|name| put(name, "1")).collect());
    let mut follower = Subject::in_folder(&folder.path().join("follower"));
    follower.apply_all(names.iter().map(|name| put(name, "1")).collect());
    let done = AtomicBool::new(false);
    let handle = follower.store.clone();
    thread::scope(|scope| {
        let (store, done, names) = (&handle, &done, &names);
        let _end = End(done);
        scope.spawn(move || {
            while !done.load(Ordering::Acquire) {
                assert_eq!(keys(&store.range(&range("key-", "key.")).unwrap().kvs), *names);
            }
        });
        for round in 0..5 {
            leader.put("other", "1");
            let copy = folder.path().join(format!("copy-{round}"));
            leader.store.checkpoint(&copy).unwrap();
            follower.writer.replace_with(&copy).unwrap();
            assert_eq!(follower.store.revision(), leader.store.revision());
        }
    });
}
