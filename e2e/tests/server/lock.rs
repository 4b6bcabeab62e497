//! The Lock and Election services: one holder at a time whatever happens to members and clients, and nothing left behind.

use std::process::Command;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use etcd_client::{
    CampaignResponse, Client, Compare, CompareOp, ConnectOptions, GetOptions, LeaderKey, LockOptions, ObserveStream,
    ProclaimOptions, PutOptions, ResignOptions, Txn, TxnOp,
};
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::health;
use quorate_e2e::member::Member;
use quorate_e2e::port::Port;
use quorate_e2e::process::Process;
use quorate_e2e::wait::{self, Look};

const LIMIT: Duration = Duration::from_secs(30);
const CONTENDERS: usize = 12;
const ROUNDS: usize = 5;
/// Longer than any test.
const LONG_S: i64 = 600;

async fn three() -> Cluster {
    Cluster::builder(Flavour::under_test(), 3).start().await.unwrap()
}

/// A client whose calls may wait.
async fn patient(member: &Member) -> Client {
    Client::connect([member.endpoint()], None).await.unwrap()
}

async fn lease(client: &mut Client, ttl: i64) -> i64 {
    client.lease_grant(ttl, None).await.unwrap().id()
}

fn with(lease: i64) -> Option<LockOptions> {
    Some(LockOptions::new().with_lease(lease))
}

/// Keys of those who contend for a name.
async fn contenders(client: &mut Client, name: &str) -> i64 {
    let options = GetOptions::new().with_prefix().with_count_only();
    client.get(format!("{name}/"), Some(options)).await.unwrap().count()
}

async fn until_contenders(client: &mut Client, name: &str, expected: i64) {
    let what = format!("{expected} contenders for {name}");
    wait::until(&what, LIMIT, async || {
        let found = contenders(client, name).await;
        Ok(if found == expected { Look::Yes(()) } else { Look::NotYet(format!("{found}")) })
    })
    .await
    .unwrap();
}

/// What a lock protects, and what it has seen.
#[derive(Default)]
struct Guarded {
    holders: AtomicUsize,
    /// Create revision of the latest holder's key: each is newer than the one before.
    newest: AtomicI64,
    rounds: AtomicUsize,
}

impl Guarded {
    async fn visit(&self, client: &mut Client, key: &[u8]) {
        assert_eq!(self.holders.fetch_add(1, Ordering::SeqCst), 0, "two hold the lock");
        // Members may be electing a leader; the lock is held meanwhile.
        let created = retried(async || Ok(client.get(key, None).await?.kvs()[0].create_revision())).await;
        assert!(self.newest.swap(created, Ordering::SeqCst) < created, "holders have the order of their keys");
        self.rounds.fetch_add(1, Ordering::SeqCst);
        assert_eq!(self.holders.fetch_sub(1, Ordering::SeqCst), 1, "two hold the lock");
    }
}

/// Repeats a call whose repetition does no harm until it succeeds.
async fn retried<T>(mut call: impl AsyncFnMut() -> Result<T, etcd_client::Error>) -> T {
    wait::until("a call that succeeds", LIMIT, async || {
        Ok(call().await.map_or_else(|error| Look::NotYet(error.to_string()), Look::Yes))
    })
    .await
    .unwrap()
}

/// A contender that takes and leaves the lock in turns. Calls that fail are repeated with the same lease.
async fn contend(endpoints: Vec<String>, guarded: &Guarded) {
    let mut client = Client::connect(&endpoints, None).await.unwrap();
    let lease = retried(async || client.lease_grant(LONG_S, None).await).await.id();
    for _ in 0..ROUNDS {
        let locked = retried(async || client.lock("counter", with(lease)).await).await;
        guarded.visit(&mut client, locked.key()).await;
        retried(async || client.unlock(locked.key()).await).await;
    }
}

/// All contenders, each with another member first.
async fn contend_all(endpoints: &[String], guarded: &Guarded) {
    let all = (0..CONTENDERS).map(|at| {
        let mut endpoints = endpoints.to_vec();
        endpoints.rotate_left(at % 3);
        contend(endpoints, guarded)
    });
    futures::future::join_all(all).await;
    assert_eq!(guarded.rounds.load(Ordering::SeqCst), CONTENDERS * ROUNDS);
    let mut client = Client::connect(endpoints, None).await.unwrap();
    assert_eq!(contenders(&mut client, "counter").await, 0);
}

#[tokio::test]
async fn many_contenders_on_all_members_never_hold_a_lock_at_once() {
    let cluster = three().await;
    contend_all(&cluster.endpoints(), &Guarded::default()).await;
}

#[tokio::test]
async fn a_leader_that_is_killed_breaks_no_lock_that_is_held_or_waited_for() {
    let mut cluster = three().await;
    let guarded = Guarded::default();
    let endpoints = cluster.endpoints();
    let kills = async {
        for round in 1..=2 {
            wait::until("rounds of the contenders", LIMIT, async || {
                let rounds = guarded.rounds.load(Ordering::SeqCst);
                Ok(if rounds >= round * CONTENDERS { Look::Yes(()) } else { Look::NotYet(format!("{rounds}")) })
            })
            .await
            .unwrap();
            let leader = cluster.leader().await.unwrap();
            cluster.member(leader).kill().unwrap();
            cluster.launch(leader).unwrap();
            cluster.member(leader).ready().await.unwrap();
        }
    };
    tokio::join!(contend_all(&endpoints, &guarded), kills);
}

#[tokio::test]
async fn a_lock_passes_on_within_the_time_of_a_lease_that_nobody_renews() {
    const TTL_S: i64 = 2;
    let cluster = three().await;
    let mut holder = patient(&cluster.members()[0]).await;
    let mut next = patient(&cluster.members()[1]).await;
    let short = lease(&mut holder, TTL_S).await;
    let held = holder.lock("job", with(short)).await.unwrap();
    let granted = Instant::now();
    drop(holder);
    let long = lease(&mut next, LONG_S).await;
    let passed = next.lock("job", with(long)).await.unwrap();
    assert_ne!(passed.key(), held.key());
    // The leader looks for expired leases every half second.
    assert!(granted.elapsed() < Duration::from_secs(TTL_S as u64 + 2), "{:?}", granted.elapsed());
    assert_eq!(contenders(&mut next, "job").await, 1);
}

#[tokio::test]
async fn a_holder_that_lost_its_lock_cannot_write_behind_the_fence() {
    let cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    let mut client = patient(&cluster.members()[0]).await;
    let (first, second) = (lease(&mut client, LONG_S).await, lease(&mut client, LONG_S).await);
    let held = client.lock("job", with(first)).await.unwrap();
    let held_since = held.header().unwrap().revision();
    let fenced = |key: &[u8], since: i64, value: &str| {
        Txn::new()
            .when([Compare::create_revision(key, CompareOp::Equal, since)])
            .and_then([TxnOp::put("result", value, None)])
    };
    assert!(client.txn(fenced(held.key(), held_since, "first")).await.unwrap().succeeded());
    client.lease_revoke(first).await.unwrap();
    let passed = client.lock("job", with(second)).await.unwrap();
    assert!(passed.header().unwrap().revision() > held_since);
    assert!(!client.txn(fenced(held.key(), held_since, "stale")).await.unwrap().succeeded());
    assert_eq!(client.get("result", None).await.unwrap().kvs()[0].value(), b"first");
}

#[tokio::test]
async fn a_session_that_holds_a_lock_gets_it_again_at_once() {
    let cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    let mut client = patient(&cluster.members()[0]).await;
    let own = lease(&mut client, LONG_S).await;
    let first = client.lock("job", with(own)).await.unwrap();
    let again = client.lock("job", with(own)).await.unwrap();
    assert_eq!(first.key(), again.key());
    assert_eq!(first.key(), format!("job/{own:x}").as_bytes());
    assert_eq!(contenders(&mut client, "job").await, 1);
}

#[tokio::test]
async fn a_caller_that_leaves_while_it_waits_takes_its_key_with_it() {
    let cluster = three().await;
    let mut holder = patient(&cluster.members()[0]).await;
    let own = lease(&mut holder, LONG_S).await;
    holder.lock("job", with(own)).await.unwrap();
    for waits_with_lease in [true, false] {
        let mut waiting = patient(&cluster.members()[1]).await;
        let leases = holder.leases().await.unwrap().leases().len();
        let options = if waits_with_lease { with(lease(&mut waiting, LONG_S).await) } else { None };
        let call = tokio::spawn(async move { waiting.lock("job", options).await });
        until_contenders(&mut holder, "job", 2).await;
        call.abort();
        until_contenders(&mut holder, "job", 1).await;
        // Upstream leaves the lease that it made for the call to its time.
        if !waits_with_lease && Flavour::under_test() == Flavour::Quorate {
            assert_eq!(holder.leases().await.unwrap().leases().len(), leases);
        }
    }
}

/// As after a time-out: the caller has called again, and its first call is taken back only then. Upstream takes the second
/// call's key with the first.
#[tokio::test]
async fn a_call_that_is_repeated_outlives_the_end_of_the_first() {
    let cluster = Cluster::single(Flavour::Quorate).await.unwrap();
    let mut holder = patient(&cluster.members()[0]).await;
    let held = holder.lock("job", None).await.unwrap();
    let own = lease(&mut holder, LONG_S).await;
    let calls = [holder.clone(), holder.clone()];
    let mut running = Vec::new();
    for mut client in calls {
        running.push(tokio::spawn(async move { client.lock("job", with(own)).await }));
        let what = format!("{} calls with one key", running.len());
        wait::until(&what, LIMIT, async || {
            let found = holder.get(format!("job/{own:x}"), None).await.unwrap();
            let version = found.kvs().first().map_or(0, |pair| pair.version());
            Ok(if version == running.len() as i64 { Look::Yes(()) } else { Look::NotYet(format!("{version}")) })
        })
        .await
        .unwrap();
    }
    running.remove(0).abort();
    let mut next = holder.clone();
    let last = tokio::spawn(async move { next.lock("job", None).await });
    until_contenders(&mut holder, "job", 3).await;
    holder.unlock(held.key()).await.unwrap();
    let locked = tokio::time::timeout(LIMIT, running.remove(0)).await.unwrap().unwrap().unwrap();
    assert_eq!(locked.key(), format!("job/{own:x}").as_bytes());
    assert!(!last.is_finished());
    last.abort();
}

#[tokio::test]
async fn a_caller_whose_connection_is_cut_takes_its_key_with_it() {
    let cluster = three().await;
    let mut holder = patient(&cluster.members()[0]).await;
    let own = lease(&mut holder, LONG_S).await;
    holder.lock("job", with(own)).await.unwrap();
    let port = Port::reserve().unwrap();
    let address = port.address().to_string();
    let mut command = Command::new(Flavour::Quorate.etcd().unwrap());
    let member = format!("--endpoints={}", cluster.members()[1].endpoint());
    command.args(["gateway", "start", "--listen-addr", &address, &member]);
    let gateway = Process::start("gateway", command, &cluster.folder().join("gateway.log")).unwrap();
    let mut waiting = Client::connect([&address], None).await.unwrap();
    retried(async || waiting.status().await).await;
    let call = tokio::spawn(async move { waiting.lock("job", None).await });
    until_contenders(&mut holder, "job", 2).await;
    gateway.kill().unwrap();
    until_contenders(&mut holder, "job", 1).await;
    assert!(call.await.unwrap().is_err());
}

#[tokio::test]
async fn a_waiting_caller_without_a_leader_is_told_so_if_it_asked_for_that() {
    let mut cluster = three().await;
    let leader = cluster.leader().await.unwrap();
    let rest = (leader + 1) % 3;
    let mut holder = patient(&cluster.members()[rest]).await;
    holder.lock("job", None).await.unwrap();
    let needs_leader = ConnectOptions::new().with_require_leader(true);
    let mut waiting = Client::connect([cluster.members()[rest].endpoint()], Some(needs_leader)).await.unwrap();
    let mut refused = waiting.clone();
    // Upstream asks for the leader at the begin of the call only.
    let call = (Flavour::under_test() == Flavour::Quorate)
        .then(|| tokio::spawn(async move { waiting.lock("job", None).await }));
    if call.is_some() {
        until_contenders(&mut holder, "job", 2).await;
    }
    for at in [leader, (leader + 2) % 3] {
        cluster.member(at).kill().unwrap();
    }
    if let Some(call) = call {
        let error = tokio::time::timeout(LIMIT, call).await.unwrap().unwrap().unwrap_err().to_string();
        assert!(error.contains("etcdserver: no leader"), "{error}");
    }
    wait::until("a refusal for want of a leader", LIMIT, async || {
        let error = refused.lock("other", None).await.unwrap_err().to_string();
        Ok(if error.contains("etcdserver: no leader") { Look::Yes(()) } else { Look::NotYet(error) })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_contender_whose_lease_ends_while_it_waits_is_told_so() {
    let cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    let mut client = patient(&cluster.members()[0]).await;
    let (own, other) = (lease(&mut client, LONG_S).await, lease(&mut client, LONG_S).await);
    let held = client.lock("job", with(own)).await.unwrap();
    let mut waiting = client.clone();
    let call = tokio::spawn(async move { waiting.lock("job", with(other)).await });
    until_contenders(&mut client, "job", 2).await;
    client.lease_revoke(other).await.unwrap();
    // Upstream notices when its turn has come.
    if Flavour::under_test() == Flavour::Upstream {
        client.unlock(held.key()).await.unwrap();
    }
    let error = tokio::time::timeout(LIMIT, call).await.unwrap().unwrap().unwrap_err().to_string();
    assert!(error.contains("mutex: session is expired"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_done_is_said_in_etcds_words() {
    let cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    let mut client = patient(&cluster.members()[0]).await;
    let mut refused = Vec::new();
    refused.push(client.lock("job", with(4711)).await.unwrap_err());
    refused.push(client.unlock("").await.unwrap_err());
    refused.push(client.campaign("e", "v", 4711).await.unwrap_err());
    refused.push(client.leader("e").await.unwrap_err());
    refused.push(client.proclaim("v", None).await.unwrap_err());
    refused.push(client.resign(None).await.unwrap_err());
    let stale = LeaderKey::new().with_name("e").with_key("e/1").with_rev(7).with_lease(LONG_S);
    refused.push(client.proclaim("v", Some(ProclaimOptions::new().with_leader(stale.clone()))).await.unwrap_err());
    let refused: Vec<(i32, String)> = refused
        .into_iter()
        .map(|error| match error {
            etcd_client::Error::GRpcStatus(status) => (status.code() as i32, status.message().to_owned()),
            other => panic!("{other}"),
        })
        .collect();
    let expected = [
        "etcdserver: requested lease not found",
        "etcdserver: key is not provided",
        "etcdserver: requested lease not found",
        "election: no leader",
        "\"leader\" field must be provided",
        "\"leader\" field must be provided",
        "election: not leader",
    ];
    // Whatever the code of the call inside: 2 is `Unknown`.
    assert_eq!(refused, expected.map(|text| (2, text.to_owned())));
    client.unlock("nobody's").await.unwrap();
    client.resign(Some(ResignOptions::new().with_leader(stale))).await.unwrap();
    assert_eq!(contenders(&mut client, "e").await, 0);
}

fn won(campaign: CampaignResponse) -> LeaderKey {
    campaign.leader().unwrap().clone()
}

async fn next_value(leaders: &mut ObserveStream) -> String {
    let leader = tokio::time::timeout(LIMIT, leaders.message()).await.unwrap().unwrap().unwrap();
    leader.kv().unwrap().value_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_election_goes_on_from_leader_to_leader_and_observers_see_it() {
    let cluster = three().await;
    let mut a = patient(&cluster.members()[0]).await;
    let mut b = patient(&cluster.members()[1]).await;
    let mut observer = patient(&cluster.members()[2]).await;
    let mut leaders = observer.observe("president").await.unwrap();
    let (lease_a, lease_b) = (lease(&mut a, LONG_S).await, lease(&mut b, LONG_S).await);
    let leader_a = won(a.campaign("president", "a", lease_a).await.unwrap());
    assert_eq!(leader_a.key_str().unwrap(), format!("president/{lease_a:x}"));
    assert_eq!((leader_a.lease(), leader_a.name_str().unwrap()), (lease_a, "president"));
    assert_eq!(next_value(&mut leaders).await, "a");
    let mut campaigning = b.clone();
    let elected = tokio::spawn(async move { campaigning.campaign("president", "b", lease_b).await });
    until_contenders(&mut b, "president", 2).await;

    // A proclamation is newer than the successor's key, which is told nevertheless.
    let options = || Some(ProclaimOptions::new().with_leader(leader_a.clone()));
    a.proclaim("a again", options()).await.unwrap();
    assert_eq!(next_value(&mut leaders).await, "a again");
    assert_eq!(b.leader("president").await.unwrap().kv().unwrap().value(), b"a again");
    assert!(!elected.is_finished());

    a.resign(Some(ResignOptions::new().with_leader(leader_a.clone()))).await.unwrap();
    let leader_b = won(tokio::time::timeout(LIMIT, elected).await.unwrap().unwrap().unwrap());
    assert!(leader_b.rev() > leader_a.rev());
    assert_eq!(next_value(&mut leaders).await, "b");
    let error = a.proclaim("a as if nothing had happened", options()).await.unwrap_err().to_string();
    assert!(error.contains("election: not leader"), "{error}");
    assert_eq!(a.leader("president").await.unwrap().kv().unwrap().value(), b"b");

    // Who leads and campaigns again only changes the value.
    let again = won(b.campaign("president", "b again", lease_b).await.unwrap());
    assert_eq!((again.rev(), again.key()), (leader_b.rev(), leader_b.key()));
    assert_eq!(next_value(&mut leaders).await, "b again");
}

#[tokio::test]
async fn an_observer_follows_leaders_through_compactions_and_beyond_a_vacancy() {
    let cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    let mut client = patient(&cluster.members()[0]).await;
    let mut leaders = client.observe("president").await.unwrap();
    for round in 0..3 {
        let value = format!("leader {round}");
        let own = lease(&mut client, LONG_S).await;
        let leader = won(client.campaign("president", value.as_str(), own).await.unwrap());
        assert_eq!(next_value(&mut leaders).await, value);
        for _ in 0..5 {
            client.put("elsewhere", "x", None).await.unwrap();
        }
        client.resign(Some(ResignOptions::new().with_leader(leader))).await.unwrap();
        let revision = client.put("elsewhere", "y", None).await.unwrap().header().unwrap().revision();
        client.compact(revision, None).await.unwrap();
    }
    let own = lease(&mut client, LONG_S).await;
    client.campaign("president", "last", own).await.unwrap();
    assert_eq!(next_value(&mut leaders).await, "last");
}

#[tokio::test]
async fn a_proclamation_may_be_as_large_as_a_request() {
    let cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    let mut client = patient(&cluster.members()[0]).await;
    let value = "v".repeat(1 << 20);
    let own = lease(&mut client, LONG_S).await;
    client.campaign("president", "short", own).await.unwrap();
    client.campaign("president", value.as_str(), own).await.unwrap();
    assert_eq!(client.leader("president").await.unwrap().kv().unwrap().value(), value.as_bytes());
    assert_eq!(next_value(&mut client.observe("president").await.unwrap()).await, value);
}

#[tokio::test]
async fn an_election_survives_the_members_that_everybody_was_connected_to() {
    let mut cluster = three().await;
    let leader = cluster.leader().await.unwrap();
    let mut a = patient(&cluster.members()[leader]).await;
    let own = lease(&mut a, LONG_S).await;
    let leader_a = won(a.campaign("president", "a", own).await.unwrap());
    cluster.member(leader).kill().unwrap();
    let mut b = patient(&cluster.members()[(leader + 1) % 3]).await;
    let found = retried(async || b.leader("president").await).await;
    assert_eq!(found.kv().unwrap().value(), b"a");
    let options = ProclaimOptions::new().with_leader(leader_a);
    retried(async || b.proclaim("a, by way of b", Some(options.clone())).await).await;
    assert_eq!(b.leader("president").await.unwrap().kv().unwrap().value(), b"a, by way of b");
}

#[tokio::test]
async fn a_key_that_stands_in_the_queue_by_hand_counts() {
    let cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    let mut client = patient(&cluster.members()[0]).await;
    let own = lease(&mut client, LONG_S).await;
    client.put(format!("job/{own:x}"), "", Some(PutOptions::new().with_lease(own))).await.unwrap();
    let mut waiting = client.clone();
    let call = tokio::spawn(async move { waiting.lock("job", None).await });
    until_contenders(&mut client, "job", 2).await;
    assert!(!call.is_finished());
    client.lease_revoke(own).await.unwrap();
    tokio::time::timeout(LIMIT, call).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code() {
    let cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    let mut client = patient(&cluster.members()[0]).await;
    client.lock("job", None).await.unwrap();
    client.leader("president").await.unwrap_err();
    let address = cluster.members()[0].endpoint().parse().unwrap();
    let (_, metrics) = health::get(address, "/metrics").await.unwrap();
    for line in [
        r#"grpc_server_handled_total{grpc_code="OK",grpc_method="Lock",grpc_service="v3lockpb.Lock",grpc_type="unary"} 1"#,
        r#"grpc_server_handled_total{grpc_code="Unknown",grpc_method="Leader",grpc_service="v3electionpb.Election",grpc_type="unary"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}
