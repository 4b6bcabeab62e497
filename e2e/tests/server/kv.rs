//! One member, seen by a client: what the key-value, watch and lease calls promise.

use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, EventType, GetOptions, PutOptions, SortOrder, SortTarget, Txn, TxnOp,
    WatchOptions,
};
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::wait::{self, Look};

const LIMIT: Duration = Duration::from_secs(20);

async fn member() -> (Cluster, Client) {
    let cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    let client = cluster.client().await.unwrap();
    (cluster, client)
}

async fn revision(client: &mut Client) -> i64 {
    client.get("any", None).await.unwrap().header().unwrap().revision()
}

#[tokio::test]
async fn a_fresh_member_is_at_revision_1_and_every_write_adds_1() {
    let (_cluster, mut client) = member().await;
    assert_eq!(revision(&mut client).await, 1);
    for expected in 2..5 {
        let put = client.put("k", "v", None).await.unwrap();
        assert_eq!(put.header().unwrap().revision(), expected);
    }
    assert_eq!(client.delete("missing", None).await.unwrap().header().unwrap().revision(), 4, "nothing deleted");
    assert_eq!(client.delete("k", None).await.unwrap().header().unwrap().revision(), 5);
}

#[tokio::test]
async fn a_deleted_key_restarts_at_version_1() {
    let (_cluster, mut client) = member().await;
    client.put("k", "1", None).await.unwrap();
    client.put("k", "2", None).await.unwrap();
    let before = client.get("k", None).await.unwrap().kvs()[0].clone();
    assert_eq!((before.version(), before.create_revision(), before.mod_revision()), (2, 2, 3));
    client.delete("k", None).await.unwrap();
    client.put("k", "3", None).await.unwrap();
    let after = client.get("k", None).await.unwrap().kvs()[0].clone();
    assert_eq!((after.version(), after.create_revision(), after.mod_revision()), (1, 5, 5));
}

#[tokio::test]
async fn a_limited_range_still_counts_everything() {
    let (_cluster, mut client) = member().await;
    for n in 0..25 {
        client.put(format!("p/{n:02}"), "v", None).await.unwrap();
    }
    client.put("q", "outside", None).await.unwrap();
    let options = GetOptions::new().with_prefix().with_limit(10);
    let page = client.get("p/", Some(options)).await.unwrap();
    assert_eq!((page.kvs().len(), page.count(), page.more()), (10, 25, true));
    let options = GetOptions::new().with_prefix().with_sort(SortTarget::Mod, SortOrder::Descend).with_limit(1);
    let newest = client.get("p/", Some(options)).await.unwrap();
    assert_eq!(newest.kvs()[0].key_str().unwrap(), "p/24");
    let options = GetOptions::new().with_prefix().with_count_only();
    let count = client.get("p/", Some(options)).await.unwrap();
    assert_eq!((count.kvs().len(), count.count()), (0, 25));
}

#[tokio::test]
async fn an_old_revision_is_readable_until_it_is_compacted() {
    let (_cluster, mut client) = member().await;
    client.put("k", "old", None).await.unwrap();
    client.put("k", "new", None).await.unwrap();
    let at_2 = GetOptions::new().with_revision(2);
    assert_eq!(client.get("k", Some(at_2.clone())).await.unwrap().kvs()[0].value(), b"old");
    client.compact(3, None).await.unwrap();
    let error = client.get("k", Some(at_2)).await.unwrap_err().to_string();
    assert!(error.contains("etcdserver: mvcc: required revision has been compacted"), "{error}");
    let error = client.get("k", Some(GetOptions::new().with_revision(9))).await.unwrap_err().to_string();
    assert!(error.contains("etcdserver: mvcc: required revision is a future revision"), "{error}");
}

#[tokio::test]
async fn a_transaction_is_one_revision_and_takes_one_branch() {
    let (_cluster, mut client) = member().await;
    client.put("k", "1", None).await.unwrap();
    let txn = |expected: &str| {
        Txn::new()
            .when([Compare::value("k", CompareOp::Equal, expected)])
            .and_then([TxnOp::put("a", "x", None), TxnOp::put("b", "y", None), TxnOp::delete("k", None)])
            .or_else([TxnOp::get("k", None)])
    };
    let refused = client.txn(txn("2")).await.unwrap();
    assert_eq!((refused.succeeded(), refused.header().unwrap().revision()), (false, 2));
    let taken = client.txn(txn("1")).await.unwrap();
    assert_eq!((taken.succeeded(), taken.header().unwrap().revision()), (true, 3));
    for key in ["a", "b"] {
        assert_eq!(client.get(key, None).await.unwrap().kvs()[0].mod_revision(), 3);
    }
}

#[tokio::test]
async fn a_watch_from_an_old_revision_tells_history_and_then_the_present() {
    let (_cluster, mut client) = member().await;
    client.put("w/1", "a", None).await.unwrap();
    client.put("other", "x", None).await.unwrap();
    client.delete("w/", Some(DeleteOptions::new().with_prefix())).await.unwrap();
    let options = WatchOptions::new().with_prefix().with_start_revision(2).with_prev_key();
    let mut stream = client.watch("w/", Some(options)).await.unwrap();
    client.put("w/2", "b", None).await.unwrap();
    let mut told = Vec::new();
    while told.len() < 3 {
        let response = tokio::time::timeout(LIMIT, stream.message()).await.unwrap().unwrap().unwrap();
        for event in response.events() {
            let kv = event.kv().unwrap();
            told.push((event.event_type(), kv.key_str().unwrap().to_owned(), kv.mod_revision()));
        }
    }
    let expected = [
        (EventType::Put, "w/1".to_owned(), 2),
        (EventType::Delete, "w/1".to_owned(), 4),
        (EventType::Put, "w/2".to_owned(), 5),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_watch_behind_the_compaction_is_cancelled_with_its_revision() {
    let (_cluster, mut client) = member().await;
    for _ in 0..5 {
        client.put("k", "v", None).await.unwrap();
    }
    client.compact(5, None).await.unwrap();
    let mut stream = client.watch("k", Some(WatchOptions::new().with_start_revision(2))).await.unwrap();
    let response = loop {
        let response = tokio::time::timeout(LIMIT, stream.message()).await.unwrap().unwrap().unwrap();
        if response.canceled() {
            break response;
        }
        assert!(response.created(), "nothing but the creation comes before the cancellation");
    };
    assert_eq!(response.compact_revision(), 5);
}

#[tokio::test]
async fn a_lease_takes_its_keys_with_it_at_one_revision() {
    let (_cluster, mut client) = member().await;
    let lease = client.lease_grant(2, None).await.unwrap().id();
    let with_lease = || Some(PutOptions::new().with_lease(lease));
    client.put("l/1", "v", with_lease()).await.unwrap();
    client.put("l/2", "v", with_lease()).await.unwrap();
    let before = revision(&mut client).await;
    let options = || Some(GetOptions::new().with_prefix());
    wait::until("the expiry of a lease of 2 s", LIMIT, async || {
        let left = client.get("l/", options()).await.unwrap();
        Ok(if left.count() == 0 { Look::Yes(()) } else { Look::NotYet(format!("{} keys", left.count())) })
    })
    .await
    .unwrap();
    assert_eq!(revision(&mut client).await, before + 1);
}

#[tokio::test]
async fn an_unknown_lease_and_an_empty_key_are_refused() {
    let (_cluster, mut client) = member().await;
    let error = client.put("k", "v", Some(PutOptions::new().with_lease(42))).await.unwrap_err().to_string();
    assert!(error.contains("etcdserver: requested lease not found"), "{error}");
    let error = client.put("", "v", None).await.unwrap_err().to_string();
    assert!(error.contains("etcdserver: key is not provided"), "{error}");
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_kill_9() {
    let (mut cluster, mut client) = member().await;
    let lease = client.lease_grant(600, None).await.unwrap().id();
    for n in 0..200 {
        client.put(format!("k/{n}"), format!("{n}"), Some(PutOptions::new().with_lease(lease))).await.unwrap();
    }
    client.compact(100, None).await.unwrap();
    let before = cluster.hashes().await.unwrap();
    cluster.member(0).kill().unwrap();
    cluster.launch(0).unwrap();
    cluster.member(0).ready().await.unwrap();
    let mut client = cluster.client().await.unwrap();
    let all = client.get("k/", Some(GetOptions::new().with_prefix())).await.unwrap();
    assert_eq!((all.count(), all.header().unwrap().revision()), (200, 201));
    assert_eq!(cluster.hashes().await.unwrap(), before);
    assert_eq!(client.leases().await.unwrap().leases().len(), 1);
    let error = client.get("k", Some(GetOptions::new().with_revision(50))).await.unwrap_err().to_string();
    assert!(error.contains("compacted"), "{error}");
}

/// With thresholds that everything passes.
#[tokio::test]
async fn slow_calls_are_told() {
    let builder = Cluster::builder(Flavour::under_test(), 1)
        .flag("--warning-unary-request-duration=1ns")
        .flag("--warning-apply-duration=1ns");
    let mut cluster = builder.start().await.unwrap();
    let mut client = cluster.client().await.unwrap();
    client.put("a-key", "a-secret-value", None).await.unwrap();
    client.get("a-key", None).await.unwrap();
    let member = cluster.member(0);
    let log = member.running().unwrap().log();
    let of = |parts: &[&str]| log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(of(&["request stats", "/etcdserverpb.KV/Put", "time spent"]), "{log}");
    assert!(of(&["apply request took too long", "expected-duration", "\"prefix\":\"\""]), "{log}");
    assert!(of(&["apply request took too long", "read-only range ", "a-key"]), "{log}");
    assert!(!log.contains("a-secret-value"));
}
