//! What watchers are told, at once and from history.

use super::*;
use crate::store::{
    kv::revision::Revision,
    watch::{History, Kind},
};

#[test]
fn history_repeats_what_was_published() {
    on_each_backend(|mut subject| {
        subject.put("a", "1"); // 2
        subject.put("a", "2"); // 3
        let request = pb::TxnRequest {
            success: vec![put_op("b", "1"), delete_op("a", ""), put_op("c", "1")],
            ..Default::default()
        };
        subject.txn(request); // 4
        let frames = subject.store.events(2, 4, usize::MAX).unwrap();
        assert_eq!(frames.iter().map(|frame| frame.revision).collect::<Vec<_>>(), [2, 3, 4]);
        let [first] = &*frames[0].events else { panic!() };
        assert_eq!((first.kind, &first.key[..], first.create, first.prev), (Kind::Put, &b"a"[..], true, None));
        let [second] = &*frames[1].events else { panic!() };
        assert_eq!((second.create, second.prev), (false, Some(Revision::new(2, 0))));
        let [_, deleted, third] = &*frames[2].events else { panic!() };
        assert_eq!(
            (deleted.kind, &deleted.key[..], deleted.prev),
            (Kind::Delete, &b"a"[..], Some(Revision::new(3, 0)))
        );
        let pair = EncodedKeyValue::from(deleted.kv.clone()).decode().unwrap();
        assert_eq!(pair, KeyValue { key: bytes("a"), mod_revision: 4, ..Default::default() });
        assert!(third.create);
        let old = subject.store.kv_at(deleted.prev.unwrap()).unwrap().unwrap();
        assert_eq!(text(&EncodedKeyValue::from(old).decode().unwrap().value), "2");

        // Whole revisions, and at least one.
        assert_eq!(subject.store.events(2, 4, 1).unwrap().len(), 1);
        assert_eq!(subject.store.events(4, 4, 1).unwrap()[0].events.len(), 3);
        assert!(subject.store.events(5, 9, 1).unwrap().is_empty());
    });
}

#[test]
fn a_deletion_at_the_compact_revision_is_still_told_and_older_versions_are_not() {
    on_each_backend(|mut subject| {
        subject.put("a", "1");
        subject.delete("a", "");
        subject.put("b", "1");
        subject.compact(3);
        let frames = subject.store.events(3, 4, usize::MAX).unwrap();
        assert_eq!(frames.len(), 2);
        let event = &frames[0].events[0];
        assert_eq!((event.kind, event.prev), (Kind::Delete, None));
        assert_eq!(subject.store.kv_at(Revision::new(2, 0)).unwrap(), None);
    });
}

#[test]
fn a_frame_is_published_when_its_revision_is_readable() {
    let mut subject = Subject::in_memory();
    let hub = subject.store.watch().clone();
    assert_eq!(hub.revision(), 1);
    subject.apply_all(vec![put("a", "1"), delete("missing", ""), put("b", "1")]);
    assert_eq!((hub.revision(), subject.store.revision()), (3, 3));
}
