//! What the same calls do to the same numbers, on upstream's server and on ours.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use etcd_client::{Client, CompactionOptions, Compare, CompareOp, DeleteOptions, GetOptions, PutOptions, Txn, TxnOp};
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::health;
use quorate_e2e::wait::{self, Look};

/// Series that count what clients ask for. Those of times end in `_count`.
const COUNTED: &[&str] = &[
    "etcd_debugging_auth_revision",
    "etcd_debugging_lease_granted_total",
    "etcd_debugging_lease_renewed_total",
    "etcd_debugging_lease_revoked_total",
    "etcd_debugging_lease_ttl_total_count",
    "etcd_debugging_lease_ttl_total_sum",
    "etcd_debugging_mvcc_compact_revision",
    "etcd_debugging_mvcc_current_revision",
    "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds_count",
    "etcd_debugging_mvcc_delete_total",
    "etcd_debugging_mvcc_events_total",
    "etcd_debugging_mvcc_keys_total",
    "etcd_debugging_mvcc_put_total",
    "etcd_debugging_mvcc_txn_total",
    "etcd_debugging_mvcc_total_put_size_in_bytes",
    "etcd_debugging_mvcc_watch_stream_total",
    "etcd_debugging_mvcc_watcher_total",
    "etcd_debugging_server_alarms",
    "etcd_debugging_server_watch_send_loop_control_stream_duration_seconds_count",
    "etcd_disk_backend_defrag_duration_seconds_count",
    "etcd_disk_backend_snapshot_duration_seconds_count",
    "etcd_disk_defrag_inflight",
    "etcd_mvcc_delete_total",
    "etcd_mvcc_hash_duration_seconds_count",
    "etcd_mvcc_hash_rev_duration_seconds_count",
    "etcd_mvcc_put_total",
    "etcd_mvcc_txn_total",
    "etcd_server_apply_duration_seconds_count",
    "etcd_server_request_duration_seconds_count",
];

async fn use_it(client: &mut Client) {
    client.put("a", "1", None).await.unwrap();
    client.put("b", "22", None).await.unwrap();
    client.get("a", None).await.unwrap();
    client.get("a", Some(GetOptions::new().with_prefix().with_serializable())).await.unwrap();
    client.get("a", Some(GetOptions::new().with_revision(99))).await.unwrap_err();
    let is_1 = Compare::value("a", CompareOp::Equal, "1");
    let both = vec![TxnOp::put("c", "333", None), TxnOp::put("d", "4444", None)];
    client.txn(Txn::new().when(vec![is_1]).and_then(both)).await.unwrap();
    client.txn(Txn::new().and_then(vec![TxnOp::put("e", "5", None)])).await.unwrap();
    client.txn(Txn::new().and_then(vec![TxnOp::get("a", None), TxnOp::get("b", None)])).await.unwrap();
    client.delete("a", None).await.unwrap();
    client.delete("none", None).await.unwrap();
    client.delete("c", Some(DeleteOptions::new().with_range("e"))).await.unwrap();
    let lease = client.lease_grant(60, None).await.unwrap().id();
    for key in ["l1", "l2"] {
        client.put(key, "x", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    }
    let (mut keeper, mut kept) = client.lease_keep_alive(lease).await.unwrap();
    keeper.keep_alive().await.unwrap();
    kept.message().await.unwrap().unwrap();
    client.put("none", "x", Some(PutOptions::new().with_lease(7))).await.unwrap_err();
    client.lease_revoke(lease).await.unwrap();
    client.lease_revoke(7).await.unwrap_err();
    let mut watched = client.watch("b", None).await.unwrap();
    client.put("b", "now", None).await.unwrap();
    watched.message().await.unwrap().unwrap();
    client.compact(5, Some(CompactionOptions::new().with_physical())).await.unwrap();
    client.compact(5, None).await.unwrap_err();
    client.hash().await.unwrap();
    client.hash_kv(0).await.unwrap();
    client.defragment().await.unwrap();
    let mut snapshot = client.snapshot().await.unwrap();
    while snapshot.message().await.unwrap().is_some() {}
    client.user_add("u", "p", None).await.unwrap();
    client.role_add("r").await.unwrap();
}

/// The counted series, without what is in them of the member.
async fn counted(cluster: &Cluster) -> BTreeMap<String, String> {
    let address: SocketAddr = cluster.members()[0].endpoint().parse().unwrap();
    let (_, scraped) = health::get(address, "/metrics").await.unwrap();
    let series = scraped.lines().filter_map(|line| line.rsplit_once(' '));
    let is_counted = |series: &str| COUNTED.contains(&series.split('{').next().unwrap_or_default());
    let of_clients = |series: &str| {
        // What a member does at its start and by itself is its own business, and etcd's checks of health are ranges too.
        !["Cluster", "unknown", "AuthStatus", "success=\"true\",type=\"Range\""].iter().any(|own| series.contains(own))
    };
    let counted = series.filter(|(series, _)| is_counted(series) && of_clients(series));
    counted.map(|(series, value)| (series.to_owned(), value.to_owned())).collect()
}

#[tokio::test]
async fn the_same_calls_count_as_upstreams() {
    let mut all = Vec::new();
    for flavour in [Flavour::Upstream, Flavour::Quorate] {
        let cluster = Cluster::single(flavour).await.unwrap();
        let mut client = cluster.client().await.unwrap();
        use_it(&mut client).await;
        all.push((cluster, client));
    }
    // A scrape may come before the last of it is counted.
    let compared = wait::until("the same numbers", std::time::Duration::from_secs(10), async || {
        let (theirs, ours) = (counted(&all[0].0).await, counted(&all[1].0).await);
        let names: std::collections::BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
        let differ = |name: &&&String| theirs.get(**name) != ours.get(**name);
        let differences: Vec<String> = names
            .iter()
            .filter(differ)
            .map(|name| format!("{name}: {:?} there, {:?} here", theirs.get(*name), ours.get(*name)))
            .collect();
        assert!(theirs.len() > 20, "{theirs:?}");
        Ok(if differences.is_empty() { Look::Yes(()) } else { Look::NotYet(differences.join("\n")) })
    });
    compared.await.unwrap();
}
