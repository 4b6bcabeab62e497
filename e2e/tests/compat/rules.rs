//! etcd's alerting rules and dashboard see on a cluster what they are for, and nothing else. promtool says so.
//!
//! A round is some work and a scrape, which counts as half a minute.

use std::process::Command;
use std::time::Duration;

use etcd_client::{Client, CompactionOptions, Compare, CompareOp, GetOptions, LeaseGrantOptions, Txn, TxnOp};
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::{Builder, Cluster};
use quorate_e2e::link::Link;
use quorate_e2e::process::Process;
use quorate_e2e::prometheus::Scrapes;
use quorate_e2e::wait::{self, Look};

const LIMIT: Duration = Duration::from_secs(30);
/// Longer than any rule waits, except the one for members that are down.
const ROUNDS: usize = 34;
/// Longer than the rule for members that are down waits.
const DOWN_ROUNDS: usize = 44;
/// More than half a second, which the rule for syncs allows.
const SLOW_SYNC: &str = "--inject=fsync,fdatasync:delay_enter=600ms";
const MIB: usize = 1 << 20;

const DOWN: (&str, &str) = ("etcdMembersDown", "warning");
const INSUFFICIENT: (&str, &str) = ("etcdInsufficientMembers", "critical");
const NO_LEADER: (&str, &str) = ("etcdNoLeader", "critical");
const LEADER_CHANGES: (&str, &str) = ("etcdHighNumberOfLeaderChanges", "warning");
const SOME_FAILED: (&str, &str) = ("etcdHighNumberOfFailedGRPCRequests", "warning");
const MANY_FAILED: (&str, &str) = ("etcdHighNumberOfFailedGRPCRequests", "critical");
const SLOW_REQUESTS: (&str, &str) = ("etcdGRPCRequestsSlow", "critical");
const SLOW_PEERS: (&str, &str) = ("etcdMemberCommunicationSlow", "warning");
const FAILED_PROPOSALS: (&str, &str) = ("etcdHighNumberOfFailedProposals", "warning");
const SLOW_FSYNC: (&str, &str) = ("etcdHighFsyncDurations", "warning");
const VERY_SLOW_FSYNC: (&str, &str) = ("etcdHighFsyncDurations", "critical");
const SLOW_COMMIT: (&str, &str) = ("etcdHighCommitDurations", "warning");
const LOW_SPACE: (&str, &str) = ("etcdDatabaseQuotaLowSpace", "critical");
const GROWTH: (&str, &str) = ("etcdExcessiveDatabaseGrowth", "warning");
const FRAGMENTED: (&str, &str) = ("etcdDatabaseHighFragmentationRatio", "warning");

/// The histograms of calls are there with this alone.
fn of(size: usize) -> Builder {
    Cluster::builder(Flavour::under_test(), size).flag("--metrics=extensive")
}

/// What a client may do all day.
async fn work(client: &mut Client) {
    for number in 0..10 {
        let key = format!("key {number}");
        client.put(key.clone(), "value", None).await.unwrap();
        client.get(key.clone(), None).await.unwrap();
        let is_new = Compare::version(key.clone(), CompareOp::Equal, 0);
        client.txn(Txn::new().when([is_new]).and_then([TxnOp::put(key, "value", None)])).await.unwrap();
    }
    client.get("key", Some(GetOptions::new().with_prefix())).await.unwrap();
    client.delete("key 0", None).await.unwrap();
    let lease = client.lease_grant(60, None).await.unwrap().id();
    client.lease_revoke(lease).await.unwrap();
}

async fn fill(client: &mut Client, name: &str, count: usize, size: usize) {
    for number in 0..count {
        client.put(format!("{name} {number:04}"), vec![0; size], None).await.unwrap();
    }
}

/// Half a minute after the other, with nothing done meanwhile.
async fn pass(scrapes: &mut Scrapes, rounds: usize) {
    for _ in 0..rounds {
        scrapes.take().await;
    }
}

#[tokio::test]
async fn a_busy_cluster_that_is_well_fires_nothing_and_fills_every_panel() {
    let cluster = of(3).start().await.unwrap();
    let mut scrapes = Scrapes::of(&cluster).unwrap();
    let mut client = cluster.client().await.unwrap();
    let _watch = client.watch("key", None).await.unwrap();
    let lease = client.lease_grant(60, None).await.unwrap().id();
    let (mut keeper, _kept) = client.lease_keep_alive(lease).await.unwrap();
    for _ in 0..DOWN_ROUNDS {
        work(&mut client).await;
        keeper.keep_alive().await.unwrap();
        scrapes.take().await;
    }
    scrapes.fired(&[]).await.unwrap();
    scrapes.answered().await.unwrap();
}

#[tokio::test]
async fn a_member_that_is_down_is_told_after_twenty_minutes() {
    let mut cluster = of(3).start().await.unwrap();
    let mut scrapes = Scrapes::of(&cluster).unwrap();
    let follower = (cluster.leader().await.unwrap() + 1) % 3;
    pass(&mut scrapes, 4).await;
    cluster.member(follower).kill().unwrap();
    pass(&mut scrapes, DOWN_ROUNDS / 2).await;
    scrapes.fired(&[]).await.unwrap();
    pass(&mut scrapes, DOWN_ROUNDS / 2).await;
    scrapes.fired(&[DOWN]).await.unwrap();
    assert!(scrapes.fired(&[]).await.is_err(), "promtool must see what has fired");
    assert!(scrapes.fired(&[DOWN, NO_LEADER]).await.is_err(), "promtool must miss what has not fired");
}

/// Until the scrapes say that a member has no leader.
async fn without_a_leader(scrapes: &mut Scrapes, member: &str) {
    wait::until("a member without a leader", LIMIT, async || {
        scrapes.take().await;
        let leaders = scrapes.latest(member, "etcd_server_has_leader");
        Ok(if leaders == Some(0.0) { Look::Yes(()) } else { Look::NotYet(format!("{leaders:?}")) })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_lost_quorum_is_told_and_so_are_the_proposals_that_fail() {
    let mut cluster = of(3).flag("--heartbeat-interval=20").flag("--election-timeout=200").start().await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..20 {
        // Without a limit of their own: the member gives up, not the caller.
        clients.push(Client::connect(&[cluster.members()[0].endpoint()], None).await.unwrap());
    }
    for at in [1, 2] {
        cluster.member(at).kill().unwrap();
    }
    let mut scrapes = Scrapes::of(&cluster).unwrap();
    without_a_leader(&mut scrapes, "m0").await;
    let mut early = Scrapes::of(&cluster).unwrap();
    pass(&mut early, 10).await;
    early.fired(&[INSUFFICIENT, NO_LEADER]).await.unwrap();

    // More than 5 a second over 15 minutes, twice, so that it is so for as long again.
    for _ in 0..2 {
        scrapes.take().await;
        let calls = (0..5000).map(|number| {
            let mut client = clients[number % clients.len()].clone();
            async move { client.put("key", "value", None).await.is_err() }
        });
        let failed = futures::future::join_all(calls).await;
        assert!(failed.iter().all(|failed| *failed));
        pass(&mut scrapes, ROUNDS / 2).await;
    }
    pass(&mut scrapes, ROUNDS).await;
    // Failed and slow requests must go on for longer than that to be told.
    scrapes.fired(&[DOWN, INSUFFICIENT, NO_LEADER, FAILED_PROPOSALS]).await.unwrap();
}

#[tokio::test]
async fn many_leader_changes_are_told() {
    let cluster = of(3).start().await.unwrap();
    let mut scrapes = Scrapes::of(&cluster).unwrap();
    pass(&mut scrapes, 4).await;
    for _ in 0..6 {
        let leader = cluster.leader().await.unwrap();
        let next = &cluster.members()[(leader + 1) % 3];
        let status = next.client().await.unwrap().status().await.unwrap();
        let id = status.header().unwrap().member_id();
        cluster.members()[leader].client().await.unwrap().move_leader(id).await.unwrap();
        pass(&mut scrapes, 2).await;
    }
    cluster.leader().await.unwrap();
    pass(&mut scrapes, 14).await;
    scrapes.fired(&[LEADER_CHANGES]).await.unwrap();
}

#[tokio::test]
async fn calls_that_fail_are_told_by_their_share() {
    let cluster = of(1).start().await.unwrap();
    let mut client = cluster.client().await.unwrap();
    let taken = || Some(LeaseGrantOptions::new().with_id(7));
    client.lease_grant(600, taken()).await.unwrap();
    // Of a hundred calls none, three or fifty.
    for (failing, expected) in [(0, &[][..]), (3, &[SOME_FAILED]), (50, &[SOME_FAILED, MANY_FAILED])] {
        let mut scrapes = Scrapes::of(&cluster).unwrap();
        for _ in 0..ROUNDS {
            for number in 0..100 {
                // The code of an id that is taken is FailedPrecondition; an unknown lease (NotFound) is no failure.
                if number < failing {
                    client.lease_grant(600, taken()).await.unwrap_err();
                } else {
                    let lease = client.lease_grant(600, None).await.unwrap().id();
                    client.lease_revoke(lease).await.unwrap();
                    client.lease_revoke(lease).await.unwrap_err();
                }
            }
            scrapes.take().await;
        }
        scrapes.fired(expected).await.unwrap();
    }
}

#[tokio::test]
async fn slow_ways_between_members_are_told_and_so_are_the_calls_that_wait_for_them() {
    // A heartbeat that takes longer than their interval is given up, and its round trip isn't counted.
    let mut cluster = of(3).flag("--heartbeat-interval=400").flag("--election-timeout=4000").prepare().unwrap();
    let mut links = Vec::new();
    let mut initial = Vec::new();
    for at in 0..3 {
        let member = cluster.member(at);
        let link = Link::start(member.peer_url().strip_prefix("http://").unwrap().parse().unwrap()).await.unwrap();
        member.flag(format!("--initial-advertise-peer-urls={}", link.url()));
        initial.push(format!("{}={}", member.name(), link.url()));
        links.push(link);
    }
    for at in 0..3 {
        cluster.member(at).start(&initial.join(",")).unwrap();
    }
    for at in 0..3 {
        cluster.member(at).ready().await.unwrap();
    }
    let leader = cluster.leader().await.unwrap();
    let mut client = cluster.members()[leader].client().await.unwrap();
    let mut scrapes = Scrapes::of(&cluster).unwrap();
    for (delay_ms, expected) in [(0, &[][..]), (120, &[SLOW_REQUESTS, SLOW_PEERS])] {
        links.iter().for_each(|link| link.delay(Duration::from_millis(delay_ms)));
        for _ in 0..ROUNDS {
            client.put("key", "value", None).await.unwrap();
            scrapes.take().await;
        }
        scrapes.fired(expected).await.unwrap();
    }
}

#[tokio::test]
async fn a_disk_that_syncs_slowly_is_told() {
    let mut cluster = of(1).start().await.unwrap();
    let mut client = cluster.client().await.unwrap();
    let mut scrapes = Scrapes::of(&cluster).unwrap();
    pass(&mut scrapes, 2).await;
    let mut strace = Command::new("strace");
    let member = cluster.member(0).running().unwrap().pid().as_raw_nonzero().to_string();
    strace.args(["--follow-forks", "--trace=fsync,fdatasync", SLOW_SYNC, "--attach", &member]);
    let mut strace = Process::start("strace", strace, &cluster.folder().join("strace.log")).unwrap();
    strace.logs("attached").await.unwrap();
    for round in 0..ROUNDS {
        if round % 4 == 0 {
            client.put("key", "value", None).await.unwrap();
        }
        scrapes.take().await;
    }
    strace.terminate().await.unwrap();
    let mut expected = vec![SLOW_REQUESTS, SLOW_FSYNC, VERY_SLOW_FSYNC];
    // What is committed is in the log, which has been synced; the store is synced later, and nobody waits for that.
    if Flavour::under_test() == Flavour::Upstream {
        expected.push(SLOW_COMMIT);
    }
    scrapes.fired(&expected).await.unwrap();
}

#[tokio::test]
async fn a_quota_that_is_nearly_used_up_is_told() {
    let cluster = of(1).flag(format!("--quota-backend-bytes={}", 32 * MIB)).start().await.unwrap();
    let mut client = cluster.client().await.unwrap();
    let mut filled = 0;
    for (share, expected) in [(0.90, &[][..]), (0.96, &[LOW_SPACE])] {
        let mut scrapes = Scrapes::of(&cluster).unwrap();
        scrapes.take().await;
        while scrapes.latest("m0", "etcd_mvcc_db_total_size_in_bytes").unwrap() < share * (32 * MIB) as f64 {
            fill(&mut client, &format!("{filled}"), 1, MIB / 4).await;
            filled += 1;
            scrapes.take().await;
        }
        // A prediction is made of what comes behind.
        let mut scrapes = Scrapes::of(&cluster).unwrap();
        pass(&mut scrapes, ROUNDS).await;
        scrapes.fired(expected).await.unwrap();
    }
}

#[tokio::test]
async fn growth_that_reaches_the_quota_within_four_hours_is_told() {
    let cluster = of(1).flag(format!("--quota-backend-bytes={}", 128 * MIB)).start().await.unwrap();
    let mut client = cluster.client().await.unwrap();
    // Four hours are 480 rounds: of 50 KiB they don't fill it, of 500 KiB they do.
    for (kib, expected) in [(50, &[][..]), (500, &[GROWTH])] {
        let mut scrapes = Scrapes::of(&cluster).unwrap();
        for round in 0..ROUNDS {
            fill(&mut client, &format!("{kib} {round}"), 1, kib << 10).await;
            scrapes.take().await;
        }
        scrapes.fired(expected).await.unwrap();
    }
}

#[tokio::test]
async fn a_store_of_which_less_than_half_is_in_use_is_told_until_it_is_defragmented() {
    let cluster = of(1).start().await.unwrap();
    let mut client = cluster.client().await.unwrap();
    fill(&mut client, "kept", 110, MIB).await;
    fill(&mut client, "deleted", 140, MIB).await;
    let mut scrapes = Scrapes::of(&cluster).unwrap();
    let deleted = client.delete("deleted", Some(etcd_client::DeleteOptions::new().with_prefix())).await.unwrap();
    assert_eq!(deleted.deleted(), 140);
    pass(&mut scrapes, ROUNDS).await;
    scrapes.fired(&[]).await.unwrap();

    let revision = deleted.header().unwrap().revision();
    client.compact(revision, Some(CompactionOptions::new().with_physical())).await.unwrap();
    pass(&mut scrapes, ROUNDS).await;
    scrapes.fired(&[FRAGMENTED]).await.unwrap();

    client.defragment().await.unwrap();
    let mut scrapes = Scrapes::of(&cluster).unwrap();
    pass(&mut scrapes, ROUNDS).await;
    scrapes.fired(&[]).await.unwrap();
}
