//! Three members, clients that never stop, and members that die, pause and come back.

use std::time::{Duration, Instant};

use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::history::{Committed, Progress, Traffic, Verdict, check};
use quorate_e2e::wait::{self, Look};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const PREFIX: &str = "h/";
const CLIENTS: usize = 8;
const KEYS: u32 = 12;
/// How long faults are injected.
const FAULTS: Duration = Duration::from_secs(25);
/// Two members of three must acknowledge again within this time.
const RECOVERY_LIMIT: Duration = Duration::from_secs(20);
/// Calls that must succeed between two faults, so that every fault meets traffic.
const CALLS_BETWEEN_FAULTS: u64 = 200;

async fn more_calls(progress: &Progress, after: &str) {
    let goal = progress.acknowledged() + CALLS_BETWEEN_FAULTS;
    wait::until(&format!("{CALLS_BETWEEN_FAULTS} calls after {after}"), RECOVERY_LIMIT, async || {
        let now = progress.acknowledged();
        Ok(if now >= goal { Look::Yes(()) } else { Look::NotYet(format!("{} to go", goal - now)) })
    })
    .await
    .unwrap();
}

/// Ends the traffic, reads every member's committed events, and judges.
async fn judge(cluster: &Cluster, traffic: Traffic) -> Verdict {
    let operations = traffic.stop().await.unwrap();
    let hashes = cluster.hashes().await.unwrap();
    let mut histories = Vec::new();
    for member in cluster.members() {
        let mut client = member.client().await.unwrap();
        histories.push(Committed::read(&mut client, PREFIX).await.unwrap());
    }
    let verdict = check(&operations, &histories[0]).unwrap_or_else(|violation| panic!("{violation}"));
    for (member, history) in cluster.members().iter().zip(&histories) {
        assert!(history.events == histories[0].events, "{} tells another history by watch", member.name());
    }
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "HashKV differs: {hashes:?}");
    println!("{verdict:?}");
    verdict
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_members_loses_nothing_and_reads_stay_linearizable() {
    let mut cluster = Cluster::builder(Flavour::under_test(), 3).start().await.unwrap();
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let traffic = Traffic::start(&cluster.endpoints(), PREFIX, CLIENTS, KEYS, seed);
    let progress = traffic.progress();
    more_calls(&progress, "the start").await;
    let start = Instant::now();
    let mut kills = 0;
    while start.elapsed() < FAULTS {
        // Every second victim is the leader.
        let victim = if kills % 2 == 0 { cluster.leader().await.unwrap() } else { random.random_range(0..3) };
        cluster.member(victim).kill().unwrap();
        more_calls(&progress, "kill -9 of one member").await;
        cluster.launch(victim).unwrap();
        cluster.member(victim).ready().await.unwrap();
        more_calls(&progress, "its return").await;
        kills += 1;
    }
    let verdict = judge(&cluster, traffic).await;
    println!("{kills} kills");
    assert!(verdict.writes > 1000 && verdict.reads > 500, "too little traffic to mean anything: {verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_leader_answers_nothing_stale_when_it_wakes() {
    let mut cluster = Cluster::builder(Flavour::under_test(), 3).start().await.unwrap();
    let traffic = Traffic::start(&cluster.endpoints(), PREFIX, CLIENTS, KEYS, rand::random());
    let progress = traffic.progress();
    more_calls(&progress, "the start").await;
    for _ in 0..3 {
        let leader = cluster.leader().await.unwrap();
        cluster.member(leader).running().unwrap().pause().unwrap();
        more_calls(&progress, "SIGSTOP of the leader").await;
        cluster.member(leader).running().unwrap().resume().unwrap();
        cluster.member(leader).ready().await.unwrap();
        more_calls(&progress, "SIGCONT").await;
    }
    judge(&cluster, traffic).await;
}

#[tokio::test]
async fn a_member_that_lost_its_quorum_says_that_it_has_no_leader() {
    let mut cluster = Cluster::builder(Flavour::under_test(), 3).start().await.unwrap();
    // Once the one that is left led, once it followed.
    for leads in [true, false] {
        let leader = cluster.leader().await.unwrap();
        let left = if leads { leader } else { (leader + 1) % 3 };
        for at in (0..3).filter(|at| *at != left) {
            cluster.member(at).kill().unwrap();
        }
        let mut client = cluster.members()[left].client().await.unwrap();
        wait::until("a member that knows no leader", RECOVERY_LIMIT, async || {
            let status = client.status().await.unwrap();
            Ok(match status.leader() {
                0 => Look::Yes(()),
                leader => Look::NotYet(format!("leader {leader:x}")),
            })
        })
        .await
        .unwrap();
        for at in (0..3).filter(|at| *at != left) {
            cluster.launch(at).unwrap();
            cluster.member(at).ready().await.unwrap();
        }
        client.put("after", "value", None).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_all_members_at_once_loses_nothing() {
    let mut cluster = Cluster::builder(Flavour::under_test(), 3).start().await.unwrap();
    let traffic = Traffic::start(&cluster.endpoints(), PREFIX, CLIENTS, KEYS, rand::random());
    let progress = traffic.progress();
    for _ in 0..3 {
        more_calls(&progress, "the start of all members").await;
        cluster.kill_all().unwrap();
        cluster.launch_all().await.unwrap();
    }
    more_calls(&progress, "the last start").await;
    judge(&cluster, traffic).await;
}
