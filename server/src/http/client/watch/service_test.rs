//! The service as a client sees it.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use quorate_proto::etcdserverpb as client;
use quorate_proto::etcdserverpb::watch_create_request::FilterType;
use quorate_proto::mvccpb::event::EventType;
use tonic::Code;

use super::Options;
use super::test_member::{Member, everything, mod_revisions, one, revision};
use crate::store::watch as store;

#[tokio::test]
async fn a_watcher_from_now_on_gets_later_events_only_with_their_headers() {
    let member = Member::usual().await;
    member.put("a", "1");
    let mut watching = member.watch().await;
    let created = watching.create(one("a")).await;
    assert_eq!((created.watch_id, revision(&created), created.canceled), (0, 2, false));
    member.put("b", "1");
    member.put("a", "2");
    let reply = watching.next().await;
    assert_eq!(mod_revisions(&reply), [4]);
    assert_eq!(reply.header, Some(client::ResponseHeader { cluster_id: 11, member_id: 22, revision: 4, raft_term: 2 }));
    assert_eq!(reply.events[0].r#type(), EventType::Put);
    assert_eq!(reply.events[0].prev_kv, None);
}

#[tokio::test]
async fn a_deletion_carries_key_and_revision_and_the_previous_pair_if_asked() {
    let member = Member::usual().await;
    let mut watching = member.watch().await;
    watching.create(client::WatchCreateRequest { prev_kv: true, ..everything() }).await;
    member.put("a", "1");
    member.write(&[("a", None)]);
    let mut events = Vec::new();
    while events.len() < 2 {
        events.extend(watching.next().await.events);
    }
    assert_eq!(events[0].prev_kv, None);
    let (kv, prev) = (events[1].kv.clone().unwrap(), events[1].prev_kv.clone().unwrap());
    assert_eq!(events[1].r#type(), EventType::Delete);
    assert_eq!((&kv.key[..], kv.mod_revision, kv.create_revision, kv.version), (&b"a"[..], 3, 0, 0));
    assert_eq!((&prev.value[..], prev.mod_revision), (&b"1"[..], 2));
}

#[tokio::test]
async fn a_start_in_the_past_present_or_future_begins_exactly_there() {
    let member = Member::usual().await;
    for value in ["1", "2", "3"] {
        member.put("a", value);
    }
    let mut past = member.watch().await;
    past.create(client::WatchCreateRequest { start_revision: 3, ..one("a") }).await;
    let caught_up = past.next().await;
    assert_eq!((mod_revisions(&caught_up), revision(&caught_up)), (vec![3, 4], 4));
    let mut present = member.watch().await;
    present.create(client::WatchCreateRequest { start_revision: 4, ..one("a") }).await;
    let mut future = member.watch().await;
    let created = future.create(client::WatchCreateRequest { start_revision: 6, ..one("a") }).await;
    assert_eq!(revision(&created), 4);
    for value in ["4", "5", "6"] {
        member.put("a", value);
    }
    assert_eq!(past.revisions(7).await, [5, 6, 7]);
    assert_eq!(present.revisions(7).await, [4, 5, 6, 7]);
    assert_eq!(future.revisions(7).await, [6, 7]);
}

#[tokio::test]
async fn ids_are_given_in_order_around_those_that_were_asked_for() {
    let member = Member::usual().await;
    let mut watching = member.watch().await;
    assert_eq!(watching.create(client::WatchCreateRequest { watch_id: 1, ..one("a") }).await.watch_id, 1);
    assert_eq!(watching.create(one("a")).await.watch_id, 0);
    assert_eq!(watching.create(one("a")).await.watch_id, 2);
    let refused = watching.create(client::WatchCreateRequest { watch_id: 2, ..one("a") }).await;
    assert_eq!((refused.watch_id, refused.canceled), (-1, true));
    assert_eq!(refused.cancel_reason, "mvcc: duplicate watch ID provided on the WatchStream");
    member.put("a", "1");
    let mut ids = BTreeSet::new();
    while ids.len() < 3 {
        assert!(ids.insert(watching.next().await.watch_id));
    }
    assert_eq!(ids, BTreeSet::from([0, 1, 2]));
}

#[tokio::test]
async fn a_request_that_cannot_be_served_is_created_and_canceled_and_the_stream_stays() {
    let member = Member::usual().await;
    member.put("a", "1");
    let mut watching = member.watch().await;
    let cases = [
        (
            client::WatchCreateRequest { start_revision: -1, ..one("a") },
            "etcdserver: mvcc: required revision has been compacted",
        ),
        (client::WatchCreateRequest { range_end: b"a"[..].into(), ..one("b") }, "mvcc: watcher range is empty"),
        (client::WatchCreateRequest { range_end: b"b"[..].into(), ..one("b") }, "mvcc: watcher range is empty"),
        (one("secret/1"), "rpc error: code = PermissionDenied desc = etcdserver: permission denied"),
    ];
    for (create, reason) in cases {
        let reply = watching.create(create).await;
        assert_eq!((reply.watch_id, reply.canceled, revision(&reply)), (-1, true, 2));
        assert_eq!(reply.cancel_reason, reason);
    }
    assert!(!watching.create(one("a")).await.canceled);
    assert_eq!(member.hub.counters().watchers(), 1);
}

#[tokio::test]
async fn watchers_beyond_the_limit_are_refused_with_the_limit() {
    let options = store::Options { max_watchers_per_stream: 2, max_watchers: 3, ..Default::default() };
    let member = Member::start(options, Options::default()).await;
    let (mut one_stream, mut other) = (member.watch().await, member.watch().await);
    one_stream.create(one("a")).await;
    one_stream.create(one("a")).await;
    assert!(one_stream.create(one("a")).await.cancel_reason.contains("this stream (limit 2)"));
    other.create(one("a")).await;
    assert!(other.create(one("a")).await.cancel_reason.contains("this member (limit 3)"));
    other.cancel(0).await;
    assert!(other.next().await.canceled);
    assert!(!other.create(one("a")).await.canceled);
}

#[tokio::test]
async fn a_compacted_start_is_created_then_canceled_with_the_compact_revision() {
    let member = Member::usual().await;
    for value in ["1", "2", "3", "4"] {
        member.put("a", value);
    }
    member.store.compact(4);
    let mut watching = member.watch().await;
    let created = watching.create(client::WatchCreateRequest { start_revision: 3, ..one("a") }).await;
    assert!(!created.canceled);
    let canceled = watching.next().await;
    assert_eq!((canceled.watch_id, canceled.canceled, canceled.created), (0, true, false));
    assert_eq!((canceled.compact_revision, revision(&canceled), &canceled.cancel_reason[..]), (4, 0, ""));
    watching.create(client::WatchCreateRequest { start_revision: 4, prev_kv: true, ..one("a") }).await;
    let reply = watching.next().await;
    assert_eq!(mod_revisions(&reply), [4, 5]);
    assert_eq!(reply.events[0].prev_kv, None, "revision 3 was compacted");
    assert_eq!(reply.events[1].prev_kv.as_ref().unwrap().mod_revision, 4);
}

#[tokio::test]
async fn a_canceled_watcher_says_so_once_and_hears_nothing_more() {
    let member = Member::usual().await;
    let mut watching = member.watch().await;
    watching.create(one("a")).await;
    watching.create(one("b")).await;
    watching.cancel(7).await;
    watching.cancel(0).await;
    let reply = watching.next().await;
    assert_eq!((reply.watch_id, reply.canceled, reply.created, &reply.cancel_reason[..]), (0, true, false, ""));
    watching.cancel(0).await;
    member.put("a", "1");
    member.put("b", "1");
    let reply = watching.next().await;
    assert_eq!((reply.watch_id, mod_revisions(&reply)), (1, vec![3]));
}

#[tokio::test]
async fn filtered_events_are_left_out_and_send_nothing() {
    let member = Member::usual().await;
    let mut watching = member.watch().await;
    watching.create(client::WatchCreateRequest { filters: vec![FilterType::Noput.into()], ..everything() }).await;
    watching.create(client::WatchCreateRequest { filters: vec![FilterType::Nodelete.into()], ..everything() }).await;
    member.put("a", "1");
    member.write(&[("a", None)]);
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let reply = watching.next().await;
        seen.push((reply.watch_id, mod_revisions(&reply)));
    }
    seen.sort();
    assert_eq!(seen, [(0, vec![3]), (1, vec![2])]);
}

#[tokio::test]
async fn a_revision_stays_in_one_message_unless_fragments_were_asked_for() {
    let options = Options { max_request_bytes: 0, ..Options::default() };
    let member = Member::start(store::Options::default(), options).await;
    let mut watching = member.watch().await;
    watching.create(everything()).await;
    let mut fragmented = member.watch().await;
    fragmented.create(client::WatchCreateRequest { fragment: true, ..everything() }).await;
    let value = "v".repeat(200 << 10);
    let keys: Vec<String> = (0..7).map(|number| format!("k{number}")).collect();
    member.write(&keys.iter().map(|key| (&key[..], Some(&value[..]))).collect::<Vec<_>>());
    let whole = watching.next().await;
    assert_eq!((whole.events.len(), whole.fragment), (7, false));
    let mut pieces = vec![fragmented.next().await];
    while pieces.last().unwrap().fragment {
        pieces.push(fragmented.next().await);
    }
    assert_eq!(pieces.iter().map(|piece| piece.events.len()).collect::<Vec<_>>(), [2, 2, 2, 1]);
    assert!(pieces.iter().all(|piece| revision(piece) == 2 && piece.watch_id == 0));
}

#[tokio::test]
async fn progress_is_answered_once_for_the_stream_after_the_events_before_it() {
    let member = Member::usual().await;
    let mut watching = member.watch().await;
    watching.ask_progress().await;
    watching.create(one("a")).await;
    member.put("a", "1");
    member.put("b", "1");
    watching.ask_progress().await;
    assert_eq!(watching.revisions(2).await, [2]);
    let reply = watching.next().await;
    assert_eq!((reply.watch_id, revision(&reply), reply.events.len()), (-1, 3, 0));
    assert!(!reply.created && !reply.canceled);
}

#[tokio::test]
async fn progress_waits_until_what_is_readable_was_published() {
    let member = Member::usual().await;
    let mut watching = member.watch().await;
    watching.create(one("a")).await;
    let unpublished = member.store.write(&[(b"a", Some(b"1"))]).unwrap();
    watching.ask_progress().await;
    watching.cancel(99).await;
    let early = tokio::time::timeout(Duration::from_millis(50), watching.replies.message()).await;
    assert!(early.is_err(), "nothing may be sent before revision 2 was published");
    member.hub.publish(vec![unpublished]);
    assert_eq!(watching.revisions(2).await, [2]);
    let reply = watching.next().await;
    assert_eq!((reply.watch_id, revision(&reply)), (-1, 2));
}

#[tokio::test]
async fn progress_is_not_answered_while_a_watcher_starts_in_the_future() {
    let member = Member::usual().await;
    let mut watching = member.watch().await;
    watching.create(one("a")).await;
    watching.create(client::WatchCreateRequest { start_revision: 3, ..one("b") }).await;
    watching.ask_progress().await;
    watching.cancel(0).await;
    assert!(watching.next().await.canceled, "the request before was dropped");
    member.put("x", "1");
    member.put("x", "2");
    watching.ask_progress().await;
    let reply = watching.next().await;
    assert_eq!((reply.watch_id, revision(&reply)), (-1, 3));
}

#[tokio::test]
async fn quiet_watchers_that_asked_for_it_get_progress_at_every_interval() {
    let options = Options { progress_interval: Duration::from_millis(100), ..Options::default() };
    let member = Member::start(store::Options::default(), options).await;
    let mut watching = member.watch().await;
    watching.create(client::WatchCreateRequest { progress_notify: true, ..one("a") }).await;
    watching.create(one("a")).await;
    member.put("b", "1");
    for _ in 0..2 {
        let reply = watching.next().await;
        assert_eq!((reply.watch_id, revision(&reply), reply.events.len()), (0, 2, 0));
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_overtaken_by_the_ring_and_still_gets_everything() {
    let options = store::Options { ring_bytes: 100_000, ..Default::default() };
    let member = Member::start(options, Options::default()).await;
    let mut watching = member.watch().await;
    watching.create(everything()).await;
    let value = "v".repeat(10_000);
    for number in 0..300 {
        member.put(&format!("k{}", number % 10), &value);
        tokio::task::yield_now().await;
    }
    assert!(member.hub.ring_bytes() <= 100_000);
    assert_eq!(watching.revisions(301).await, (2..=301).collect::<Vec<_>>());
    assert_eq!(member.hub.counters().pending_events(), 0);
}

#[tokio::test]
async fn a_client_that_sends_no_more_requests_keeps_its_watchers() {
    let member = Member::usual().await;
    let mut watching = member.watch().await;
    watching.create(one("a")).await;
    watching.requests = None;
    member.put("a", "1");
    assert_eq!(watching.revisions(2).await, [2]);
}

#[tokio::test]
async fn a_stream_that_can_never_have_a_watcher_again_ends() {
    let member = Member::usual().await;
    let mut watching = member.watch().await;
    watching.requests = None;
    assert_eq!(watching.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let member = Member::usual().await;
    let mut watching = member.watch().await;
    watching.create(one("a")).await;
    watching.create(everything()).await;
    assert_eq!((member.hub.counters().watchers(), member.hub.counters().streams()), (2, 1));
    drop(watching);
    member.until("the stream is gone", |counters| counters.streams() == 0).await;
    assert_eq!(member.hub.counters().watchers(), 0);
    member.put("a", "1");
}

#[tokio::test]
async fn streams_end_when_the_member_stops() {
    let member = Member::usual().await;
    let mut watching = member.watch().await;
    watching.create(one("a")).await;
    member.shutdown.cancel();
    let status = watching.message().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "etcdserver: server stopped"));
    let refused = member.open(false).await.err().unwrap();
    assert_eq!(refused.message(), "etcdserver: server stopped");
}

#[tokio::test]
async fn a_stream_that_requires_a_leader_needs_one_to_open_and_to_stay() {
    let options = Options { no_leader_timeout: Duration::from_millis(50), ..Options::default() };
    let member = Member::start(store::Options::default(), options).await;
    let mut watching = member.open(true).await.unwrap();
    watching.create(one("a")).await;
    let mut indifferent = member.watch().await;
    indifferent.create(one("a")).await;
    member.has_leader.send_replace(false);
    let status = watching.message().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "etcdserver: no leader"));
    assert_eq!(member.open(true).await.err().unwrap().message(), "etcdserver: no leader");
    member.put("a", "1");
    assert_eq!(indifferent.revisions(2).await, [2]);
}

#[tokio::test]
async fn an_empty_key_is_the_smallest_key() {
    let member = Member::usual().await;
    let mut watching = member.watch().await;
    watching
        .create(client::WatchCreateRequest { key: Bytes::new(), range_end: b"b"[..].into(), ..Default::default() })
        .await;
    member.put("a", "1");
    member.put("b", "1");
    member.put("a", "2");
    assert_eq!(watching.revisions(4).await, [2, 4]);
}
