//! The commands of docs/recovery.md, from each disaster to a healthy cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quorate_e2e::binaries::{Flavour, repository};
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;
use quorate_e2e::health;
use quorate_e2e::process::Process;
use quorate_e2e::wait::{self, Look};

const LIMIT: Duration = Duration::from_secs(60);
const KEYS: i64 = 200;

/// The code blocks below a heading, in their order.
fn commands(heading: &str) -> Vec<String> {
    let page = fs::read_to_string(repository().join("docs/recovery.md")).unwrap();
    let (_, section) = page.split_once(&format!("## {heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let section = section.split("\n## ").next().unwrap();
    section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// What the page's variables stand for.
#[derive(Clone, Default)]
struct Values(Vec<(&'static str, String)>);

impl Values {
    fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    fn of_member(cluster: &Cluster, at: usize, folder: &Path) -> Self {
        let member = &cluster.members()[at];
        Self::default()
            .set("NAME", member.name())
            .set("PEER_URL", member.peer_url())
            .set("CLIENT_URL", member.client_url())
            .set("FOLDER", folder.display().to_string())
    }

    fn shell(&self, script: &str) -> Command {
        let bin = Flavour::Quorate.etcd().unwrap();
        let path = format!("{}:{}", bin.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["-euc", script]).env_clear().env("PATH", path).envs(self.0.iter().cloned());
        command
    }

    /// Runs commands to their end and returns what they print.
    fn run(&self, script: &str) -> Result<String, String> {
        let output = self.shell(script).output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Starts a server in the shell's place.
    fn serve(&self, script: &str, log: &Path) -> Process {
        Process::start("a member of the runbook", self.shell(&format!("exec {script}")), log).unwrap()
    }
}

async fn healthy(cluster: &Cluster, at: usize, process: &mut Process) {
    let address = cluster.members()[at].endpoint().parse().unwrap();
    wait::until("health after the runbook", LIMIT, async || {
        process.must_run()?;
        Ok(health::is_healthy(address).await.map_or_else(Look::NotYet, Look::Yes))
    })
    .await
    .unwrap();
}

/// Every key is there, and a new one can be written.
async fn whole(cluster: &Cluster, at: usize) {
    let mut client = cluster.members()[at].client().await.unwrap();
    let all = etcd_client::GetOptions::new().with_prefix().with_count_only();
    assert_eq!(client.get("key ", Some(all)).await.unwrap().count(), KEYS);
    client.put("afterwards", "", None).await.unwrap();
}

async fn filled() -> Cluster {
    let cluster = Cluster::builder(Flavour::Quorate, 3).start().await.unwrap();
    let mut client = cluster.client().await.unwrap();
    for key in 0..KEYS {
        client.put(format!("key {key}"), "value", None).await.unwrap();
    }
    cluster.hashes().await.unwrap();
    cluster
}

fn new_folder(cluster: &Cluster, name: &str) -> PathBuf {
    cluster.folder().join(name)
}

#[tokio::test]
async fn a_member_whose_disk_is_gone_is_replaced() {
    let mut cluster = filled().await;
    let endpoints = [0, 1].map(|at| cluster.members()[at].endpoint()).join(",");
    let lost = cluster.members()[2].name().to_owned();
    let ctl = Ctl::etcdctl(Flavour::Quorate, std::slice::from_ref(&endpoints)).unwrap();
    let list = ctl.run(&["member", "list"]).await.unwrap().success().unwrap();
    let id = list.lines().find(|line| line.contains(&lost)).unwrap().split(", ").next().unwrap().to_owned();
    cluster.member(2).kill().unwrap();
    fs::remove_dir_all(cluster.members()[2].data_dir()).unwrap();

    let blocks = commands("One member is gone, the others have their quorum");
    let [change, start] = blocks.as_slice() else { panic!("{blocks:?}") };
    let values = Values::of_member(&cluster, 2, &new_folder(&cluster, "new"));
    let change_values = values.clone().set("ENDPOINTS", endpoints).set("ID", id);
    let mut printed = String::new();
    for line in change.lines() {
        printed += &wait::until(line, LIMIT, async || {
            Ok(match change_values.run(line) {
                Ok(printed) => Look::Yes(printed),
                // As the page says: not before the others have answered each other for a while.
                Err(text) => {
                    assert!(text.contains("unhealthy cluster"), "{text}");
                    Look::NotYet(text)
                }
            })
        })
        .await
        .unwrap();
    }
    let list = printed.split("ETCD_INITIAL_CLUSTER=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut member = values.set("LIST", list).serve(start, &cluster.folder().join("new.log"));
    healthy(&cluster, 2, &mut member).await;
    whole(&cluster, 2).await;
}

#[tokio::test]
async fn the_last_data_folder_becomes_a_cluster() {
    let mut cluster = filled().await;
    for at in 0..3 {
        cluster.member(at).kill().unwrap();
    }
    for at in 1..3 {
        fs::remove_dir_all(cluster.members()[at].data_dir()).unwrap();
    }
    let blocks = commands("The quorum is gone for good, one data folder is left");
    let [start] = blocks.as_slice() else { panic!("{blocks:?}") };
    let values = Values::of_member(&cluster, 0, &cluster.members()[0].data_dir());
    let mut member = values.serve(start, &cluster.folder().join("forced.log"));
    healthy(&cluster, 0, &mut member).await;
    whole(&cluster, 0).await;
    let members = cluster.members()[0].client().await.unwrap().member_list().await.unwrap();
    assert_eq!(members.members().len(), 1);
}

#[tokio::test]
async fn a_snapshot_becomes_a_cluster_of_three() {
    let mut cluster = filled().await;
    let snapshot = cluster.folder().join("snapshot.db");
    let ctl = Ctl::etcdctl(Flavour::Upstream, &cluster.endpoints()[..1]).unwrap();
    ctl.run(&["snapshot", "save", &snapshot.display().to_string()]).await.unwrap().success().unwrap();
    for at in 0..3 {
        cluster.member(at).kill().unwrap();
        fs::remove_dir_all(cluster.members()[at].data_dir()).unwrap();
    }
    let blocks = commands("Everything is gone, a snapshot is left");
    let [restore, start] = blocks.as_slice() else { panic!("{blocks:?}") };
    let mut members = Vec::new();
    for at in 0..3 {
        let values = Values::of_member(&cluster, at, &new_folder(&cluster, &format!("restored{at}")))
            .set("SNAPSHOT", snapshot.display().to_string())
            .set("LIST", cluster.initial_cluster())
            .set("TOKEN", "restored");
        values.run(restore).unwrap();
        members.push(values.serve(start, &cluster.folder().join(format!("restored{at}.log"))));
    }
    for (at, member) in members.iter_mut().enumerate() {
        healthy(&cluster, at, member).await;
    }
    for at in 0..3 {
        whole(&cluster, at).await;
    }
}
