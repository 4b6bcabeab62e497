use quorate_proto::etcdserverpb::ResponseHeader;

use super::*;

fn put(revision: i64, key: &str, lease: i64) -> Event {
    let key = Bytes::copy_from_slice(key.as_bytes());
    let value = Bytes::from(format!("value {revision}"));
    let kv = KeyValue { key, create_revision: 2, mod_revision: revision, version: 3, value, lease };
    Event { r#type: EventType::Put as i32, kv: Some(kv), prev_kv: None }
}

fn delete(revision: i64, key: &str) -> Event {
    let key = Bytes::copy_from_slice(key.as_bytes());
    let kv = KeyValue { key, mod_revision: revision, ..KeyValue::default() };
    Event { r#type: EventType::Delete as i32, kv: Some(kv), prev_kv: None }
}

fn response(revision: i64, events: Vec<Event>) -> WatchResponse {
    let header = ResponseHeader { revision, raft_term: 3, ..ResponseHeader::default() };
    WatchResponse { header: Some(header), events, ..WatchResponse::default() }
}

fn link(event: Event) -> Link {
    let mut gatherer = Gatherer::new(7, Start { revision: 1, link: None }, 0);
    gatherer.before = Revision::new(event.kv.as_ref().unwrap().mod_revision - 1, 0);
    gatherer.start = None;
    gatherer.event(event).unwrap();
    gatherer.last_link.unwrap()
}

/// At revision 4, where the record ends.
fn gatherer(link: Option<Link>) -> Gatherer {
    Gatherer::new(7, Start { revision: 4, link }, 0)
}

fn mains(chunk: &Chunk) -> Vec<(i64, i64)> {
    chunk.rows.iter().map(|row| row.revision().unwrap()).map(|revision| (revision.main, revision.sub)).collect()
}

fn open(chunk: Option<Chunk>) -> Chunk {
    Chunk::open(chunk.unwrap().encode_to_vec().into()).unwrap()
}

#[test]
fn events_become_the_rows_that_etcd_stores() {
    let mut gatherer = gatherer(None);
    gatherer.take(response(4, vec![put(4, "a", 0)]), 100).unwrap();
    gatherer.take(response(6, vec![put(5, "a", 0), put(5, "b", 0), delete(6, "a"), delete(6, "b")]), 200).unwrap();
    let chunk = open(gatherer.cut(Vec::new()));
    assert_eq!((chunk.after, chunk.last, chunk.raft_term), (4, 6, 3));
    assert_eq!(chunk.link, Some(link(put(4, "a", 0))));
    assert_eq!(mains(&chunk), [(5, 0), (5, 1), (6, 0), (6, 1)]);
    assert_eq!(chunk.rows[1].value, put(5, "b", 0).kv.unwrap().encode_to_vec());
    // Field 1, 1 byte: only the key.
    assert_eq!((chunk.rows[3].key[17], chunk.rows[3].value.as_ref()), (b't', b"\x0a\x01b".as_slice()));
    assert_eq!(chunk.moments, [Moment { revision: 6, unix_ms: 200 }]);
    assert_eq!(gatherer.cut(Vec::new()), None);
}

#[test]
fn progress_says_that_nothing_happened() {
    let mut gatherer = gatherer(None);
    gatherer.take(response(4, vec![put(4, "a", 0)]), 100).unwrap();
    for now_ms in [200, 300, 400] {
        gatherer.take(response(4, Vec::new()), now_ms).unwrap();
    }
    let chunk = open(gatherer.cut(Vec::new()));
    let moments: Vec<i64> = chunk.moments.iter().map(|moment| moment.unix_ms).collect();
    assert_eq!((chunk.after, chunk.last, moments), (4, 4, vec![200, 400]));
    // A clock that has gone back.
    gatherer.take(response(5, vec![put(5, "a", 0)]), 50).unwrap();
    assert_eq!(open(gatherer.cut(Vec::new())).moments, [Moment { revision: 5, unix_ms: 401 }]);
}

#[test]
fn another_row_than_the_recorded_one_is_a_gap() {
    let begin = |recorded: Event, events: Vec<Event>| {
        let mut gatherer = gatherer(Some(link(recorded)));
        gatherer
            .take(response(9, events), 100)
            .and_then(|()| gatherer.take(response(gatherer.before.main, Vec::new()), 101))
    };
    let same = put(4, "a", 0);
    assert_eq!(begin(same.clone(), vec![same.clone(), put(5, "b", 0)]), Ok(()));
    for events in
        [vec![put(4, "b", 0), put(5, "b", 0)], vec![put(5, "b", 0)], vec![delete(4, "a")], vec![put(4, "b", 0)]]
    {
        assert_eq!(begin(same.clone(), events), Err(Trouble::Diverged(4)));
    }
    // A compaction at revision 4 has removed the deletion.
    assert_eq!(begin(delete(4, "a"), vec![put(5, "b", 0)]), Ok(()));
    let mut gatherer = gatherer(None);
    assert!(gatherer.check(3).unwrap_err().is_gap());
    let compacted = WatchResponse { canceled: true, compact_revision: 9, ..response(12, Vec::new()) };
    assert_eq!(gatherer.take(compacted, 100), Err(Trouble::Compacted { from: 4, compacted: 9 }));
}

#[test]
fn a_skipped_revision_is_noticed() {
    let mut gatherer = gatherer(None);
    gatherer.take(response(4, vec![put(4, "a", 0)]), 100).unwrap();
    let trouble = gatherer.take(response(6, vec![put(6, "a", 0)]), 200).unwrap_err();
    assert_eq!(trouble, Trouble::Skipped { before: Revision::new(4, 0), got: 6 });
}

#[test]
fn a_revision_in_fragments_is_done_with_its_last() {
    let mut gatherer = gatherer(None);
    let fragment = |events| WatchResponse { fragment: true, ..response(5, events) };
    gatherer.take(response(4, vec![put(4, "a", 0)]), 100).unwrap();
    gatherer.take(fragment(vec![put(5, "a", 0), put(5, "b", 0)]), 200).unwrap();
    assert_eq!(gatherer.done(), 4);
    let first = open(gatherer.cut(Vec::new()));
    assert_eq!(first.moments, [Moment { revision: 5, unix_ms: 200 }]);
    assert_eq!((first.after, first.last, first.unfinished, mains(&first)), (4, 5, true, vec![(5, 0), (5, 1)]));
    gatherer.take(response(5, vec![put(5, "c", 0)]), 300).unwrap();
    let second = open(gatherer.cut(Vec::new()));
    assert_eq!((second.after, second.last, second.unfinished, mains(&second)), (4, 5, false, vec![(5, 2)]));
    assert_eq!(second.link, Some(first.rows[1].link()));
}

#[test]
fn a_watch_that_ended_goes_on_where_the_chunk_ends() {
    let mut gatherer = gatherer(None);
    gatherer.take(response(5, vec![put(4, "a", 0), put(5, "a", 0)]), 100).unwrap();
    gatherer.take(WatchResponse { fragment: true, ..response(6, vec![put(6, "a", 0)]) }, 200).unwrap();
    assert_eq!(gatherer.resume(), 5);
    // Twice, before anything came.
    assert_eq!(gatherer.resume(), 5);
    gatherer.take(response(6, vec![put(5, "a", 0), put(6, "a", 0), put(6, "b", 0)]), 300).unwrap();
    let chunk = open(gatherer.cut(Vec::new()));
    assert_eq!(mains(&chunk), [(5, 0), (6, 0), (6, 1)]);
    assert_eq!(chunk.link, Some(link(put(4, "a", 0))));

    gatherer.resume();
    let trouble = gatherer.take(response(7, vec![put(6, "a", 0), put(7, "b", 0)]), 400).unwrap_err();
    assert_eq!(trouble, Trouble::Diverged(6));
}

#[test]
fn a_lease_is_told_once() {
    let mut gatherer = gatherer(None);
    gatherer.take(response(6, vec![put(4, "a", 8), put(5, "a", 9), put(6, "b", 9)]), 100).unwrap();
    assert_eq!(gatherer.unknown_leases(), [9]);
    let lease = Lease { id: 9, ttl_s: 30 };
    assert_eq!(open(gatherer.cut(vec![lease])).leases, [lease]);
    gatherer.take(response(7, vec![put(7, "a", 9)]), 200).unwrap();
    assert!(gatherer.unknown_leases().is_empty());
}
