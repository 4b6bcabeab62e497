//! Data folders of upstream's server after our etcdutl, and what both etcdutl say.

use std::fs;

use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::{Ctl, Output};
use quorate_e2e::transcript::{Step, difference, record, step};

/// Before a file is looked at.
const USAGE: &[Step] = &[
    step("defrag --data-dir=/nowhere"),
    step("migrate --data-dir=/nowhere --target-version=3"),
    step("migrate --data-dir=/nowhere --target-version=3.4"),
    step("migrate --data-dir=/nowhere --target-version=a.b"),
    step("migrate --data-dir=/nowhere --target-version=3.6"),
    step("snapshot status"),
    step("snapshot status a b"),
    step("snapshot status /nowhere"),
    step("snapshot restore"),
    step("hashkv /nowhere"),
    step("hashkv /nowhere -w nonsense"),
];

async fn run(utl: Flavour, arguments: &[&str]) -> Output {
    Ctl::etcdutl(utl).unwrap().run(arguments).await.unwrap()
}

/// A stopped member of upstream's, whose database has much room that isn't in use.
async fn holey() -> Cluster {
    let mut cluster = Cluster::single(Flavour::Upstream).await.unwrap();
    let mut client = cluster.client().await.unwrap();
    for n in 0..400 {
        client.put(format!("k{}", n % 100), vec![b'x'; 4096], None).await.unwrap();
    }
    let last = client.put("last", "v", None).await.unwrap().header().unwrap().revision();
    let options = etcd_client::CompactionOptions::new().with_physical();
    client.compact(last, Some(options)).await.unwrap();
    cluster.member(0).terminate().await.unwrap();
    cluster
}

#[tokio::test]
async fn a_defragmented_folder_is_smaller_and_serves_the_same() {
    let mut cluster = holey().await;
    let data_dir = cluster.member(0).data_dir();
    let database = data_dir.join("member/snap/db");
    let hash = ["hashkv", database.to_str().unwrap(), "-w", "json"];
    let before = (run(Flavour::Upstream, &hash).await, fs::metadata(&database).unwrap().len());
    let defrag = ["defrag", "--data-dir", data_dir.to_str().unwrap()];
    let output = run(Flavour::under_test(), &defrag).await;
    assert!(output.stderr.contains("finished defragmenting directory"), "{output:?}");
    assert_eq!(output.code, 0);
    assert!(fs::metadata(&database).unwrap().len() < before.1 / 2, "{output:?}");
    assert_eq!(run(Flavour::Upstream, &hash).await, before.0);
    assert_eq!(run(Flavour::under_test(), &hash).await.stdout, before.0.stdout);
    cluster.launch(0).unwrap();
    cluster.member(0).ready().await.unwrap();
    let mut client = cluster.client().await.unwrap();
    assert_eq!(client.get("last", None).await.unwrap().kvs()[0].value_str().unwrap(), "v");
    client.put("after", "v", None).await.unwrap();
}

#[tokio::test]
async fn a_folder_in_use_is_not_defragmented() {
    let mut cluster = Cluster::single(Flavour::Upstream).await.unwrap();
    let data_dir = cluster.member(0).data_dir();
    let arguments = ["defrag", "--timeout=10ms", "--data-dir", data_dir.to_str().unwrap()];
    let output = run(Flavour::under_test(), &arguments).await;
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("timeout"), "{output:?}");
}

#[tokio::test]
async fn storage_versions_go_back_and_forth_between_both_etcdutl() {
    let mut cluster = holey().await;
    let data_dir = cluster.member(0).data_dir();
    let migrate = async |utl: Flavour, version: &str, said: &str| {
        let arguments = ["migrate", "--data-dir", data_dir.to_str().unwrap(), "--target-version", version];
        let output = run(utl, &arguments).await;
        assert!(output.stderr.contains(said), "{utl} to {version}: {output:?}");
        assert_eq!(output.code, 0);
    };
    migrate(Flavour::under_test(), "3.5", "updated storage version").await;
    migrate(Flavour::Upstream, "3.5", "storage version up-to-date").await;
    migrate(Flavour::Upstream, "3.6", "updated storage version").await;
    migrate(Flavour::under_test(), "3.6", "storage version up-to-date").await;
    migrate(Flavour::under_test(), "3.7", "updated storage version").await;
    migrate(Flavour::Upstream, "3.7", "storage version up-to-date").await;
    cluster.launch(0).unwrap();
    cluster.member(0).ready().await.unwrap();
}

#[tokio::test]
async fn wrong_command_lines_are_told_as_with_upstream() {
    let [expected, got] = [Flavour::Upstream, Flavour::under_test()]
        .map(|flavour| async move { record(&Ctl::etcdutl(flavour).unwrap(), USAGE).await.unwrap() });
    let differences = difference("usage", &expected.await, &got.await);
    assert!(differences.is_empty(), "{differences}");
}

/// What upstream says twice, we say once.
#[tokio::test]
async fn missing_flags_and_arguments_are_named() {
    for line in [
        "defrag",
        "migrate",
        "migrate --data-dir=x",
        "hashkv",
        "hashkv a b",
        "completion",
        "completion csh",
        "defrag --data-dir",
        "hashkv --rev=x f",
        "--timeout=3 version",
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let theirs = run(Flavour::Upstream, &arguments).await;
        let ours = run(Flavour::under_test(), &arguments).await;
        assert_eq!((ours.stderr.lines().next(), ours.code), (theirs.stderr.lines().next(), theirs.code), "{line}");
    }
}
