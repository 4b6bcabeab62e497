//! Members whose data differs, though all of them applied the same entries: found before they serve, by the clock, and by what
//! was kept of a compaction.

use std::path::Path;
use std::time::Duration;

use etcd_client::{AlarmAction, AlarmType, Client, Error as ClientError};
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;
use quorate_e2e::health;
use quorate_e2e::history::Traffic;
use quorate_e2e::wait::{self, Look};

const KEYS: usize = 20;
/// Several intervals of the checks under test.
const LIMIT: Duration = Duration::from_secs(30);
const INITIAL: &str = "--feature-gates=InitialCorruptCheck=true";
const PERIODIC: &str = "--corrupt-check-time=1s";
const COMPACTIONS: [&str; 2] = ["--feature-gates=CompactHashCheck=true", "--compact-hash-check-time=1s"];

/// A snapshot of a cluster in which one key has this value and everything else is always the same.
async fn snapshot(value: &str, file: &Path) {
    let cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    let mut client = cluster.client().await.unwrap();
    for n in 0..KEYS {
        client.put(format!("key {n}"), "the same", None).await.unwrap();
    }
    client.put("key", value, None).await.unwrap();
    let ctl = Ctl::etcdctl(Flavour::under_test(), &cluster.endpoints()).unwrap();
    ctl.run(&["snapshot", "save", file.to_str().unwrap()]).await.unwrap().success().unwrap();
}

/// A cluster whose members, not started yet, have data folders that differ in the value of one key. No log repairs that.
async fn differing(values: [&str; 3], flags: &[&str]) -> Cluster {
    let builder = flags.iter().fold(Cluster::builder(Flavour::under_test(), 3), |builder, flag| builder.flag(*flag));
    let cluster = builder.prepare().unwrap();
    for (member, value) in cluster.members().iter().zip(values) {
        let file = cluster.folder().join(format!("{value}.db"));
        if !file.is_file() {
            snapshot(value, &file).await;
        }
        let (data_dir, peer_url) = (member.data_dir(), member.peer_url());
        let arguments = [
            "snapshot",
            "restore",
            file.to_str().unwrap(),
            "--name",
            member.name(),
            "--data-dir",
            data_dir.to_str().unwrap(),
            "--initial-cluster",
            cluster.initial_cluster(),
            "--initial-advertise-peer-urls",
            &peer_url,
        ];
        let utl = Ctl::etcdutl(Flavour::under_test()).unwrap();
        utl.run(&arguments).await.unwrap().success().unwrap();
    }
    cluster
}

async fn corrupted(client: &mut Client) -> Vec<u64> {
    let alarms = client.alarm(AlarmAction::Get, AlarmType::Corrupt, None).await.unwrap();
    alarms.alarms().iter().map(|alarm| alarm.member_id()).collect()
}

async fn member_id(cluster: &Cluster, at: usize) -> u64 {
    let status = cluster.members()[at].client().await.unwrap().status().await.unwrap();
    status.header().unwrap().member_id()
}

async fn until_alarmed(cluster: &Cluster, at: usize) -> Vec<u64> {
    let mut client = cluster.members()[at].client().await.unwrap();
    wait::until("a CORRUPT alarm", LIMIT, async || {
        let found = corrupted(&mut client).await;
        Ok(if found.is_empty() { Look::NotYet("none".to_owned()) } else { Look::Yes(found) })
    })
    .await
    .unwrap()
}

async fn until_logged(cluster: &mut Cluster, at: usize, text: &str, times: usize) {
    wait::until(&format!("{times} times {text:?}"), LIMIT, async || {
        let count = cluster.member(at).running()?.log().matches(text).count();
        Ok(if count >= times { Look::Yes(()) } else { Look::NotYet(format!("{count} times")) })
    })
    .await
    .unwrap();
}

fn is_refused(outcome: Result<impl Sized, ClientError>) -> bool {
    match outcome {
        Err(ClientError::GRpcStatus(status)) => status.message() == "etcdserver: corrupt cluster",
        _ => false,
    }
}

#[tokio::test]
async fn a_member_whose_data_differs_ends_before_it_serves() {
    let mut cluster = differing(["a", "a", "b"], &[INITIAL]).await;
    for at in [0, 1] {
        cluster.launch(at).unwrap();
    }
    for at in [0, 1] {
        cluster.member(at).ready().await.unwrap();
    }
    cluster.launch(2).unwrap();
    let status = cluster.member(2).running().unwrap().end().await.unwrap();
    assert_eq!(status.code(), Some(1));
    let log = cluster.member(2).running().unwrap().log();
    assert!(log.contains("found data inconsistency with peers"), "{log}");
    assert!(!log.contains("ready to serve client requests"), "{log}");
    let mut client = cluster.members()[0].client().await.unwrap();
    client.put("after", "", None).await.unwrap();
    assert_eq!(corrupted(&mut client).await, Vec::<u64>::new());
}

/// With etcd every member ends that finds another one different.
#[tokio::test]
async fn a_member_that_agrees_with_the_majority_serves_beside_one_that_differs() {
    let mut cluster = differing(["a", "a", "b"], &[]).await;
    for at in [0, 1] {
        cluster.member(at).flag(INITIAL);
    }
    cluster.launch_all().await.unwrap();
    for at in [0, 1] {
        until_logged(&mut cluster, at, "found hash mismatch", 1).await;
        cluster.member(at).running().unwrap().must_run().unwrap();
    }
}

#[tokio::test]
async fn a_member_that_starts_first_compares_with_the_others_when_they_come() {
    let mut cluster = differing(["b", "a", "a"], &[INITIAL]).await;
    // Two that differ, and nobody to decide.
    cluster.member(0).flag("--feature-gates=InitialCorruptCheck=false");
    for at in [0, 1] {
        cluster.launch(at).unwrap();
    }
    let status = cluster.member(1).running().unwrap().end().await.unwrap();
    assert_eq!(status.code(), Some(1));
    let log = cluster.member(1).running().unwrap().log();
    assert!(log.contains("no more than half of the members agree"), "{log}");

    // Two that agree serve, and go on looking for the third, which then is the one that ends.
    let mut cluster = differing(["a", "a", "b"], &[INITIAL]).await;
    for at in [0, 1] {
        cluster.launch(at).unwrap();
    }
    for at in [0, 1] {
        cluster.member(at).ready().await.unwrap();
        until_logged(&mut cluster, at, "it could not compare with every member", 1).await;
    }
    cluster.member(2).flag("--feature-gates=InitialCorruptCheck=false");
    cluster.launch(2).unwrap();
    for at in [0, 1] {
        until_logged(&mut cluster, at, "found hash mismatch", 1).await;
    }
}

#[tokio::test]
async fn the_member_that_differs_is_named_by_an_alarm_which_refuses_keys_everywhere() {
    let mut cluster = differing(["a", "b", "a"], &[PERIODIC]).await;
    cluster.launch_all().await.unwrap();
    let differing = member_id(&cluster, 1).await;
    assert_eq!(until_alarmed(&cluster, 0).await, [differing]);
    for member in cluster.members() {
        let mut client = member.client().await.unwrap();
        assert!(is_refused(client.put("key", "value", None).await));
        assert!(is_refused(client.lease_grant(60, None).await));
        let (code, body) = health::get(member.endpoint().parse().unwrap(), "/readyz").await.unwrap();
        assert_eq!(code, 503);
        assert!(body.contains("[-]data_corruption failed: alarm activated: CORRUPT"), "{body}");
    }
    // Without the member that differs nothing does any more.
    cluster.member(1).kill().unwrap();
    let leader = cluster.leader().await.unwrap();
    let mut client = cluster.members()[leader].client().await.unwrap();
    let ctl = Ctl::etcdctl(Flavour::under_test(), &[cluster.members()[leader].endpoint()]).unwrap();
    wait::until("keys that are served again", LIMIT, async || {
        // Again and again: a comparison that was under way may still raise it.
        ctl.run(&["alarm", "disarm"]).await?.success()?;
        let outcome = client.put("key", "value", None).await;
        Ok(outcome.map_or_else(|error| Look::NotYet(error.to_string()), |_| Look::Yes(())))
    })
    .await
    .unwrap();
    let log = cluster.member(leader).running().unwrap().log();
    let before = log.matches("finished peer corruption check").count();
    until_logged(&mut cluster, leader, "finished peer corruption check", before + 2).await;
    assert_eq!(corrupted(&mut client).await, Vec::<u64>::new());
}

#[tokio::test]
async fn without_a_majority_the_alarm_names_no_member() {
    let mut cluster = differing(["a", "b", "c"], &[PERIODIC]).await;
    cluster.launch_all().await.unwrap();
    assert_eq!(until_alarmed(&cluster, 0).await, [0]);
}

#[tokio::test]
async fn what_was_kept_of_a_compaction_tells_members_apart() {
    let mut cluster = differing(["a", "a", "b"], &COMPACTIONS).await;
    cluster.launch_all().await.unwrap();
    let differing = member_id(&cluster, 2).await;
    let mut client = cluster.client().await.unwrap();
    let revision = client.put("key", "the same", None).await.unwrap().header().unwrap().revision();
    assert_eq!(corrupted(&mut client).await, Vec::<u64>::new());
    // After it the rows that differed are gone: what was kept is the only trace.
    client.compact(revision, None).await.unwrap();
    assert_eq!(until_alarmed(&cluster, 0).await, [differing]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_agree_are_never_blamed_through_kills_and_compactions() {
    let mut builder = Cluster::builder(Flavour::under_test(), 3).flag(PERIODIC).flag(COMPACTIONS[1]);
    builder = builder.flag("--feature-gates=InitialCorruptCheck=true,CompactHashCheck=true");
    let mut cluster = builder.start().await.unwrap();
    let traffic = Traffic::start(&cluster.endpoints(), "load/", 4, 12, rand::random());
    let progress = traffic.progress();
    for round in 0..6 {
        let goal = progress.acknowledged() + 100;
        wait::until("calls between two kills", LIMIT, async || {
            let now = progress.acknowledged();
            Ok(if now >= goal { Look::Yes(()) } else { Look::NotYet(format!("{} to go", goal - now)) })
        })
        .await
        .unwrap();
        let leader = cluster.leader().await.unwrap();
        let mut client = cluster.members()[leader].client().await.unwrap();
        let revision = client.status().await.unwrap().header().unwrap().revision();
        client.compact(revision - 10, None).await.unwrap();
        // Compared while all are there, and again while one is gone.
        until_logged(&mut cluster, leader, "finished peer corruption check", 1).await;
        let victim = if round % 2 == 0 { leader } else { (leader + 1) % 3 };
        cluster.member(victim).kill().unwrap();
        let leader = cluster.leader().await.unwrap();
        until_logged(&mut cluster, leader, "finished peer corruption check", 1).await;
        cluster.launch(victim).unwrap();
        cluster.member(victim).ready().await.unwrap();
        assert_eq!(corrupted(&mut cluster.client().await.unwrap()).await, Vec::<u64>::new());
    }
    drop(traffic.stop().await.unwrap());
    let mut client = cluster.client().await.unwrap();
    let revision = client.status().await.unwrap().header().unwrap().revision();
    client.compact(revision, None).await.unwrap();
    let leader = cluster.leader().await.unwrap();
    until_logged(&mut cluster, leader, "finished compaction hash check", 1).await;
    assert_eq!(corrupted(&mut client).await, Vec::<u64>::new());
    let hashes = cluster.hashes().await.unwrap();
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{hashes:?}");
}

#[tokio::test]
async fn the_members_port_hashes_for_tools() {
    let cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    let mut client = cluster.client().await.unwrap();
    for n in 0..KEYS {
        client.put(format!("key {n}"), "value", None).await.unwrap();
    }
    let expected = client.hash_kv(10).await.unwrap().hash();
    let address = cluster.members()[0].peer_url().trim_start_matches("http://").parse().unwrap();
    let ask = async |body: &str| health::get_with(address, "/members/hashkv", body).await.unwrap();
    let (code, body) = ask(r#"{"revision":10}"#).await;
    let expected =
        format!(r#"{{"header":{{"revision":21}},"hash":{expected},"compact_revision":-1,"hash_revision":10}}"#);
    assert_eq!((code, body.trim_end()), (200, expected.as_str()));
    client.compact(15, None).await.unwrap();
    for (asked, expected) in [
        (r#"{"revision":10}"#, "mvcc: required revision has been compacted\n"),
        (r#"{"revision":22}"#, "mvcc: required revision is a future revision\n"),
        (r#"{"revision":"10"}"#, "error unmarshalling request\n"),
        ("", "error unmarshalling request\n"),
    ] {
        assert_eq!(ask(asked).await, (400, expected.to_owned()), "{asked}");
    }
}
