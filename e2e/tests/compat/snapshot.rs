//! A snapshot of either server restores with either etcdutl and starts either server, with equal HashKV.

use std::path::Path;

use etcd_client::{Client, GetOptions, PutOptions};
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;

const KEYS: usize = 300;

/// Writes something of everything that a snapshot carries.
async fn fill(client: &mut Client) {
    let lease = client.lease_grant(3600, None).await.unwrap().id();
    for n in 0..KEYS {
        let options = (n % 3 == 0).then(|| PutOptions::new().with_lease(lease));
        client.put(format!("key/{n:04}"), "v".repeat(n * 7), options).await.unwrap();
    }
    for n in (0..KEYS).step_by(5) {
        client.put(format!("key/{n:04}"), "again", None).await.unwrap();
    }
    for n in (0..KEYS).step_by(7) {
        client.delete(format!("key/{n:04}"), None).await.unwrap();
    }
    client.compact(150, None).await.unwrap();
}

/// What must survive.
#[derive(Debug, PartialEq)]
struct Contents {
    hash: u32,
    revision: i64,
    keys: i64,
    leases: usize,
}

async fn contents(cluster: &Cluster) -> Contents {
    let hash = cluster.hashes().await.unwrap()[0];
    let mut client = cluster.client().await.unwrap();
    let range = client.get("", Some(GetOptions::new().with_all_keys().with_count_only())).await.unwrap();
    Contents {
        hash,
        revision: range.header().unwrap().revision(),
        keys: range.count(),
        leases: client.leases().await.unwrap().leases().len(),
    }
}

async fn save(cluster: &Cluster, client: Flavour, file: &Path) {
    let ctl = Ctl::etcdctl(client, &cluster.endpoints()).unwrap();
    ctl.run(&["snapshot", "save", file.to_str().unwrap()]).await.unwrap().success().unwrap();
}

/// Restores into the data folder that the member of a prepared cluster expects, and starts it there.
async fn restore(server: Flavour, utl: Flavour, file: &Path) -> Cluster {
    let mut cluster = Cluster::builder(server, 1).prepare().unwrap();
    let peer_url = cluster.member(0).peer_url();
    let data_dir = cluster.member(0).data_dir();
    let initial = cluster.initial_cluster().to_owned();
    let arguments = [
        "snapshot",
        "restore",
        file.to_str().unwrap(),
        "--name",
        "m0",
        "--data-dir",
        data_dir.to_str().unwrap(),
        "--initial-cluster",
        &initial,
        "--initial-advertise-peer-urls",
        &peer_url,
    ];
    Ctl::etcdutl(utl).unwrap().run(&arguments).await.unwrap().success().unwrap();
    cluster.launch(0).unwrap();
    cluster.member(0).ready().await.unwrap();
    cluster
}

async fn check(from: Flavour, saved_by: Flavour, restored_by: Flavour, onto: Flavour) {
    let source = Cluster::single(from).await.unwrap();
    fill(&mut source.client().await.unwrap()).await;
    let file = source.folder().join("snapshot.db");
    save(&source, saved_by, &file).await;
    let expected = contents(&source).await;
    let restored = restore(onto, restored_by, &file).await;
    assert_eq!(contents(&restored).await, expected);
    // The restored member must live on, not only answer.
    let put = restored.client().await.unwrap().put("after", "v", None).await.unwrap();
    assert_eq!(put.header().unwrap().revision(), expected.revision + 1);
}

#[tokio::test]
async fn our_snapshot_restores_with_upstream_tools_onto_an_upstream_server() {
    check(Flavour::under_test(), Flavour::Upstream, Flavour::Upstream, Flavour::Upstream).await;
}

#[tokio::test]
async fn an_upstream_snapshot_restores_with_our_tools_onto_our_server() {
    check(Flavour::Upstream, Flavour::under_test(), Flavour::under_test(), Flavour::under_test()).await;
}

#[tokio::test]
async fn our_snapshot_restores_with_our_tools_onto_our_server() {
    check(Flavour::under_test(), Flavour::under_test(), Flavour::under_test(), Flavour::under_test()).await;
}

#[tokio::test]
async fn a_folder_restored_by_our_etcdutl_starts_an_upstream_server() {
    check(Flavour::Upstream, Flavour::Upstream, Flavour::under_test(), Flavour::Upstream).await;
}

#[tokio::test]
async fn a_folder_restored_by_upstream_etcdutl_starts_our_server() {
    check(Flavour::Upstream, Flavour::Upstream, Flavour::Upstream, Flavour::under_test()).await;
}

#[tokio::test]
async fn both_etcdutl_give_a_snapshot_the_same_status() {
    for from in [Flavour::under_test(), Flavour::Upstream] {
        let source = Cluster::single(from).await.unwrap();
        fill(&mut source.client().await.unwrap()).await;
        let file = source.folder().join("snapshot.db");
        save(&source, Flavour::Upstream, &file).await;
        for format in ["simple", "json", "table", "fields"] {
            let arguments = ["snapshot", "status", file.to_str().unwrap(), "-w", format];
            let upstream = Ctl::etcdutl(Flavour::Upstream).unwrap().run(&arguments).await.unwrap();
            let ours = Ctl::etcdutl(Flavour::under_test()).unwrap().run(&arguments).await.unwrap();
            assert_eq!((ours.stdout, ours.code), (upstream.stdout, upstream.code), "a snapshot of {from} as {format}");
        }
    }
}

#[tokio::test]
async fn a_snapshot_with_one_flipped_bit_is_refused() {
    let source = Cluster::single(Flavour::under_test()).await.unwrap();
    fill(&mut source.client().await.unwrap()).await;
    let file = source.folder().join("snapshot.db");
    save(&source, Flavour::under_test(), &file).await;
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    for (at, utl) in [Flavour::under_test(), Flavour::Upstream].into_iter().enumerate() {
        let data_dir = source.folder().join(format!("restored-{at}"));
        let arguments = ["snapshot", "restore", file.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()];
        let output = Ctl::etcdutl(utl).unwrap().run(&arguments).await.unwrap();
        assert_ne!(output.code, 0, "{utl} restored a damaged snapshot");
        assert!(output.stderr.contains("expected sha256"), "{utl}: {}", output.stderr);
    }
}
