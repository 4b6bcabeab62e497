//! Members that come and go while clients never stop and members die in the middle of each change.

use std::time::Duration;

use quorate_e2e::Error;
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;
use quorate_e2e::history::{Committed, Progress, Traffic, check};
use quorate_e2e::wait::{self, Look};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const PREFIX: &str = "h/";
const CLIENTS: usize = 10;
const KEYS: u32 = 12;
/// A change is refused until every member has answered for five seconds; etcd's rule.
const CHANGE_LIMIT: Duration = Duration::from_secs(30);
const CALLS_BETWEEN_STEPS: u64 = 50;

/// A cluster whose members are changed by both etcdctls in turn.
struct Growing {
    cluster: Cluster,
    /// Places of the members that run.
    running: Vec<usize>,
    /// What each was started with: one that dies early needs it again.
    lists: [String; 5],
    random: StdRng,
    progress: Progress,
    calls: usize,
}

impl Growing {
    async fn ctl(&mut self, arguments: &[&str]) -> Result<String, Error> {
        let flavour = [Flavour::Quorate, Flavour::Upstream][self.calls % 2];
        self.calls += 1;
        let endpoints: Vec<String> = self.running.iter().map(|at| self.cluster.members()[*at].endpoint()).collect();
        Ctl::etcdctl(flavour, &endpoints)?.run(arguments).await?.success()
    }

    /// The line of `member list` about a member, if it is one.
    async fn listed(&mut self, at: usize) -> Result<Option<String>, Error> {
        let peer_url = self.cluster.members()[at].peer_url();
        let list = self.ctl(&["member", "list"]).await?;
        Ok(list.lines().find(|line| line.contains(&peer_url)).map(str::to_owned))
    }

    async fn id(&mut self, at: usize) -> Result<Option<String>, Error> {
        Ok(self.listed(at).await?.and_then(|line| line.split(", ").next().map(str::to_owned)))
    }

    /// Repeats a change until the list shows it: one whose leader died may or may not have taken effect.
    async fn until_listed(&mut self, what: &str, at: usize, arguments: &[&str], done: impl Fn(Option<&str>) -> bool) {
        let this = &mut *self;
        wait::until(what, CHANGE_LIMIT, async || {
            match this.listed(at).await {
                Ok(line) if done(line.as_deref()) => return Ok(Look::Yes(())),
                Ok(_) => {}
                Err(error) => return Ok(Look::NotYet(error.to_string())),
            }
            let changed = this.ctl(arguments).await;
            Ok(Look::NotYet(changed.err().map(|error| error.to_string()).unwrap_or_default()))
        })
        .await
        .unwrap();
    }

    async fn kill_one(&mut self) {
        let victim = self.running[self.random.random_range(0..self.running.len())];
        self.cluster.member(victim).kill().unwrap();
        self.cluster.member(victim).start(&self.lists[victim]).unwrap();
    }

    async fn more_calls(&self, after: &str) {
        let goal = self.progress.acknowledged() + CALLS_BETWEEN_STEPS;
        wait::until(&format!("{CALLS_BETWEEN_STEPS} calls after {after}"), CHANGE_LIMIT, async || {
            let now = self.progress.acknowledged();
            Ok(if now >= goal { Look::Yes(()) } else { Look::NotYet(format!("{} to go", goal - now)) })
        })
        .await
        .unwrap();
    }

    async fn add(&mut self, at: usize, as_learner: bool) {
        let (name, peer_url) = (self.cluster.members()[at].name().to_owned(), self.cluster.members()[at].peer_url());
        let peer_urls = format!("--peer-urls={peer_url}");
        let mut arguments = vec!["member", "add", &name, &peer_urls];
        if as_learner {
            arguments.push("--learner");
        }
        self.until_listed("a member added", at, &arguments, |line| line.is_some()).await;
        self.kill_one().await;
        self.more_calls("a kill between adding and starting").await;

        let list: Vec<String> =
            self.running.iter().chain([&at]).map(|at| self.cluster.members()[*at].initial_entry()).collect();
        self.cluster.member(at).flag("--initial-cluster-state=existing");
        self.lists[at] = list.join(",");
        self.cluster.member(at).start(&self.lists[at]).unwrap();
        self.running.push(at);
        self.kill_one().await;
        self.cluster.member(at).ready().await.unwrap();
        if as_learner {
            let id = self.id(at).await.unwrap().unwrap();
            let promote = ["member", "promote", id.as_str()];
            self.until_listed("a learner promoted", at, &promote, |line| {
                line.is_some_and(|line| line.ends_with("false"))
            })
            .await;
        }
        self.more_calls("a member joined").await;
    }

    async fn remove(&mut self, at: usize) {
        let id = self.id(at).await.unwrap().unwrap();
        let others: Vec<usize> = self.running.iter().copied().filter(|other| *other != at).collect();
        if others.len() > 2 {
            self.kill_one().await;
        }
        self.until_listed("a member removed", at, &["member", "remove", &id], |line| line.is_none()).await;
        self.running = others;
        let status = self.cluster.member(at).running().unwrap().end().await.unwrap();
        assert!(status.success(), "a removed member ends as one that was stopped: {status}");
        self.more_calls("a member left").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_grows_to_five_and_shrinks_to_one_under_load() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut cluster = Cluster::builder(Flavour::under_test(), 5).prepare().unwrap();
    let traffic = Traffic::start(&cluster.endpoints(), PREFIX, CLIENTS, KEYS, seed);
    let first = cluster.members()[0].initial_entry();
    cluster.member(0).start(&first).unwrap();
    cluster.member(0).ready().await.unwrap();
    let progress = traffic.progress();
    let mut growing = Growing {
        cluster,
        running: vec![0],
        lists: [first, String::new(), String::new(), String::new(), String::new()],
        random: StdRng::seed_from_u64(seed),
        progress,
        calls: 0,
    };
    growing.more_calls("the start").await;
    for at in 1..5 {
        growing.add(at, at % 2 == 0).await;
    }
    for left in (1..5).rev() {
        let at = match left % 2 {
            0 => growing.leader().await,
            _ => growing.running[growing.random.random_range(0..=left)],
        };
        growing.remove(at).await;
    }
    let operations = traffic.stop().await.unwrap();
    let last = growing.running[0];
    let list = growing.ctl(&["member", "list"]).await.unwrap();
    assert_eq!(list.lines().count(), 1, "{list}");
    let mut client = growing.cluster.member(last).client().await.unwrap();
    let history = Committed::read(&mut client, PREFIX).await.unwrap();
    let verdict = check(&operations, &history).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{verdict:?}");
    assert!(verdict.writes > 500, "too little traffic to mean anything: {verdict:?}");
}

impl Growing {
    async fn leader(&self) -> usize {
        let this = self;
        wait::until("a leader", CHANGE_LIMIT, async || {
            for at in &this.running {
                let Ok(mut client) = this.cluster.members()[*at].client().await else { continue };
                let Ok(status) = client.status().await else { continue };
                if status.header().map(|header| header.member_id()) == Some(status.leader()) {
                    return Ok(Look::Yes(*at));
                }
            }
            Ok(Look::NotYet("no member leads".to_owned()))
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn the_survivor_of_a_lost_quorum_goes_on_alone_and_the_cluster_grows_again() {
    let mut cluster = Cluster::builder(Flavour::under_test(), 3).start().await.unwrap();
    let leader = cluster.leader().await.unwrap();
    let mut client = cluster.members()[leader].client().await.unwrap();
    for key in 0..100 {
        client.put(format!("key {key}"), "value", None).await.unwrap();
    }
    cluster.hashes().await.unwrap();
    for at in 0..3 {
        cluster.member(at).kill().unwrap();
    }
    let survivor = (leader + 1) % 3;
    let list = cluster.initial_cluster().to_owned();
    cluster.member(survivor).flag("--force-new-cluster");
    // Twice: the flag must not hurt where it has worked already.
    for _ in 0..2 {
        cluster.member(survivor).start(&list).unwrap();
        cluster.member(survivor).ready().await.unwrap();
        cluster.member(survivor).terminate().await.unwrap();
    }
    cluster.member(survivor).flag("--force-new-cluster=false");
    cluster.member(survivor).start(&list).unwrap();
    cluster.member(survivor).ready().await.unwrap();
    let mut client = cluster.members()[survivor].client().await.unwrap();
    assert_eq!(client.get("key ", Some(etcd_client::GetOptions::new().with_prefix())).await.unwrap().count(), 100);
    assert_eq!(client.member_list().await.unwrap().members().len(), 1);

    // One of the lost comes back as a new member.
    let lost = (survivor + 1) % 3;
    let peer_url = cluster.members()[lost].peer_url();
    client.member_add([peer_url], None).await.unwrap();
    std::fs::remove_dir_all(cluster.members()[lost].data_dir()).unwrap();
    let list = [survivor, lost].map(|at| cluster.members()[at].initial_entry()).join(",");
    cluster.member(lost).flag("--initial-cluster-state=existing");
    cluster.member(lost).start(&list).unwrap();
    cluster.member(lost).ready().await.unwrap();
    let hashes = cluster.hashes().await.unwrap();
    assert!(hashes.len() == 2 && hashes[0] == hashes[1], "{hashes:?}");
}

/// The end of a removed member, which must not depend on what it was doing when it was removed.
#[tokio::test]
async fn a_member_that_is_removed_while_it_restarts_ends_and_a_new_one_takes_its_place() {
    const ROUNDS: usize = 8;
    let mut cluster = Cluster::builder(Flavour::under_test(), 3).start().await.unwrap();
    let list = cluster.initial_cluster().to_owned();
    let peer_url = cluster.members()[2].peer_url();
    let mut client = cluster.members()[0].client().await.unwrap();
    cluster.member(2).flag("--initial-cluster-state=existing");
    for _ in 0..ROUNDS {
        let members = client.member_list().await.unwrap();
        let id = members.members().iter().find(|member| member.peer_urls() == [peer_url.clone()]).unwrap().id();
        cluster.member(2).kill().unwrap();
        cluster.member(2).start(&list).unwrap();
        wait::until("a member removed", CHANGE_LIMIT, async || {
            Ok(match client.member_remove(id).await {
                Ok(_) => Look::Yes(()),
                Err(error) => Look::NotYet(error.to_string()),
            })
        })
        .await
        .unwrap();
        let status = cluster.member(2).running().unwrap().end().await.unwrap();
        assert!(status.success(), "a removed member ends as one that was stopped: {status}");

        std::fs::remove_dir_all(cluster.members()[2].data_dir()).unwrap();
        wait::until("a member added", CHANGE_LIMIT, async || {
            Ok(match client.member_add([peer_url.clone()], None).await {
                Ok(_) => Look::Yes(()),
                Err(error) => Look::NotYet(error.to_string()),
            })
        })
        .await
        .unwrap();
        cluster.member(2).start(&list).unwrap();
        cluster.member(2).ready().await.unwrap();
    }
    let hashes = cluster.hashes().await.unwrap();
    assert!(hashes.len() == 3 && hashes.windows(2).all(|pair| pair[0] == pair[1]), "{hashes:?}");
}

#[tokio::test]
async fn a_leader_is_removed_by_one_call() {
    let mut cluster = Cluster::builder(Flavour::under_test(), 3).start().await.unwrap();
    let leader = cluster.leader().await.unwrap();
    let mut client = cluster.members()[(leader + 1) % 3].client().await.unwrap();
    // Once a learner is let in, all have answered for as long as etcd's rules ask.
    let learner = wait::until("a cluster that lets a learner in", CHANGE_LIMIT, async || {
        let options = etcd_client::MemberAddOptions::new().with_is_learner();
        Ok(match client.member_add(["http://127.0.0.1:1"], Some(options)).await {
            Ok(added) => Look::Yes(added.member().unwrap().id()),
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
    .await
    .unwrap();
    client.member_remove(learner).await.unwrap();
    let peer_url = cluster.members()[leader].peer_url();
    let members = client.member_list().await.unwrap();
    let id = members.members().iter().find(|member| member.peer_urls() == [peer_url.clone()]).unwrap().id();
    client.member_remove(id).await.unwrap();
    assert!(cluster.member(leader).running().unwrap().end().await.unwrap().success());
}

#[tokio::test]
async fn a_member_whose_cluster_has_more_learners_than_its_flag_allows_does_not_start() {
    let mut cluster = Cluster::builder(Flavour::under_test(), 1).flag("--max-learners=2").start().await.unwrap();
    let mut client = cluster.client().await.unwrap();
    for port in 1..3 {
        let options = etcd_client::MemberAddOptions::new().with_is_learner();
        client.member_add([format!("http://127.0.0.1:{port}")], Some(options)).await.unwrap();
    }
    cluster.member(0).terminate().await.unwrap();
    cluster.member(0).flag("--max-learners=1");
    cluster.launch(0).unwrap();
    let refused = cluster.member(0).ready().await.unwrap_err().to_string();
    assert!(refused.contains("too many learners in cluster"), "{refused}");
}
