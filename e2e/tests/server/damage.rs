//! Data folders that lost a part, or are of another cluster: a member refuses to go on rather than forget what it acknowledged.

use std::path::Path;
use std::time::Duration;

use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::wait::{self, Look};

const END_LIMIT: Duration = Duration::from_secs(20);

async fn put_many(cluster: &Cluster, at: usize, from: u32, count: u32) {
    let mut client = cluster.members()[at].client().await.unwrap();
    for key in from..from + count {
        client.put(format!("key {key}"), "value", None).await.unwrap();
    }
}

/// Starts a member that should refuse, and returns what it said.
async fn refusal(cluster: &mut Cluster, at: usize) -> String {
    let member = cluster.member(at);
    let status = wait::until("the end of a member that refuses", END_LIMIT, async || {
        Ok(member.running()?.ended()?.map_or_else(|| Look::NotYet("it runs".to_owned()), Look::Yes))
    })
    .await
    .unwrap();
    assert_eq!(status.code(), Some(1));
    cluster.member(at).running().unwrap().log()
}

fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn a_store_without_its_log_is_refused() {
    // A store that was flushed, and one that holds nothing yet.
    for was_stopped in [true, false] {
        let mut cluster = Cluster::single(Flavour::Quorate).await.unwrap();
        put_many(&cluster, 0, 0, 10).await;
        match was_stopped {
            true => drop(cluster.member(0).terminate().await.unwrap()),
            false => cluster.member(0).kill().unwrap(),
        }
        std::fs::remove_dir_all(cluster.members()[0].data_dir().join("member/wal")).unwrap();
        cluster.launch(0).unwrap();
        let said = refusal(&mut cluster, 0).await;
        assert!(said.contains("a part of the data folder is gone") && said.contains("member/wal"), "{said}");
    }
}

#[tokio::test]
async fn a_member_that_began_with_another_token_ends_and_says_so() {
    let mut cluster = Cluster::builder(Flavour::Quorate, 3).prepare().unwrap();
    cluster.member(2).flag("--initial-cluster-token=another");
    for at in 0..3 {
        cluster.launch(at).unwrap();
    }
    let log = refusal(&mut cluster, 2).await;
    assert!(log.contains("belong to cluster") && log.contains("--initial-cluster-token"), "{log}");
    for at in 0..2 {
        cluster.member(at).ready().await.unwrap();
    }
    // Nor does it disturb the others when it comes again and again.
    for _ in 0..2 {
        cluster.launch(2).unwrap();
        refusal(&mut cluster, 2).await;
        put_many(&cluster, 0, 0, 10).await;
    }
}

#[tokio::test]
async fn a_log_that_was_cut_is_refused() {
    let mut cluster = Cluster::single(Flavour::Quorate).await.unwrap();
    put_many(&cluster, 0, 0, 50).await;
    cluster.member(0).kill().unwrap();
    let wal = cluster.members()[0].data_dir().join("member/wal");
    let segment = std::fs::read_dir(&wal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wal"))
        .max()
        .unwrap();
    std::fs::OpenOptions::new().write(true).open(&segment).unwrap().set_len(4096).unwrap();
    cluster.launch(0).unwrap();
    let said = refusal(&mut cluster, 0).await;
    assert!(said.contains("it has 4096 bytes and was made with") && said.contains(".wal"), "{said}");
}

#[tokio::test]
async fn a_member_with_an_older_copy_of_its_folder_ends_itself() {
    let mut cluster = Cluster::builder(Flavour::Quorate, 3).start().await.unwrap();
    let leader = cluster.leader().await.unwrap();
    let victim = (leader + 1) % 3;
    put_many(&cluster, leader, 0, 20).await;
    cluster.member(victim).terminate().await.unwrap();
    let folder = cluster.members()[victim].data_dir();
    let older = cluster.folder().join("older");
    copy(&folder, &older);
    cluster.launch(victim).unwrap();
    cluster.member(victim).ready().await.unwrap();
    put_many(&cluster, leader, 20, 200).await;
    cluster.hashes().await.unwrap();
    cluster.member(victim).kill().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::rename(&older, &folder).unwrap();
    cluster.launch(victim).unwrap();
    let said = refusal(&mut cluster, victim).await;
    assert!(said.contains("but it has acknowledged entry"), "{said}");
    // The others go on.
    put_many(&cluster, leader, 300, 5).await;
}
