//! Long commands of etcdctl go on when the server has restarted.

use std::process::Command;
use std::time::Duration;

use etcd_client::Client;
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;
use quorate_e2e::process::Process;
use quorate_e2e::wait::{Look, until};

const LIMIT: Duration = Duration::from_secs(30);
const CLIENTS: [Flavour; 2] = [Flavour::Upstream, Flavour::Quorate];

fn started(client: Flavour, cluster: &Cluster, arguments: &[&str]) -> Process {
    let mut command = Command::new(client.etcdctl().unwrap());
    command.arg(format!("--endpoints={}", cluster.endpoints().join(","))).args(arguments);
    let name = format!("{client} {}", arguments.join(" "));
    let log = cluster.folder().join(format!("{client}-{}.log", arguments[0]));
    Process::start(&name, command, &log).unwrap()
}

async fn restart(cluster: &mut Cluster) {
    cluster.member(0).kill().unwrap();
    cluster.launch(0).unwrap();
    cluster.member(0).ready().await.unwrap();
}

/// Puts until the watch shows something, since nobody says when it has begun.
async fn seen_by(watch: &mut Process, client: &mut Client, value: &str) {
    until(&format!("{value} in a watch"), LIMIT, async || {
        watch.must_run()?;
        client.put("k", value, None).await.unwrap();
        Ok(if watch.log().contains(value) { Look::Yes(()) } else { Look::NotYet(watch.log()) })
    })
    .await
    .unwrap();
}

async fn keepalives(process: &mut Process, more_than: usize) -> usize {
    until("renewals of a lease", LIMIT, async || {
        process.must_run()?;
        let count = process.log().matches("keepalived with TTL").count();
        Ok(if count > more_than { Look::Yes(count) } else { Look::NotYet(process.log()) })
    })
    .await
    .unwrap()
}

async fn check_watch(server: Flavour) {
    let mut cluster = Cluster::single(server).await.unwrap();
    for flavour in CLIENTS {
        let mut watch = started(flavour, &cluster, &["watch", "k"]);
        let mut client = cluster.client().await.unwrap();
        seen_by(&mut watch, &mut client, &format!("{flavour}-before")).await;
        restart(&mut cluster).await;
        let mut client = cluster.client().await.unwrap();
        client.put("k", format!("{flavour}-missed-by-nobody"), None).await.unwrap();
        watch.logs(&format!("{flavour}-missed-by-nobody")).await.unwrap();
    }
}

async fn check_keep_alive(server: Flavour) {
    let mut cluster = Cluster::single(server).await.unwrap();
    for flavour in CLIENTS {
        let mut client = cluster.client().await.unwrap();
        let id = format!("{:x}", client.lease_grant(6, None).await.unwrap().id());
        let mut process = started(flavour, &cluster, &["lease", "keep-alive", &id]);
        let before = keepalives(&mut process, 0).await;
        restart(&mut cluster).await;
        let after = keepalives(&mut process, before).await;
        keepalives(&mut process, after).await;
        cluster.client().await.unwrap().lease_revoke(i64::from_str_radix(&id, 16).unwrap()).await.unwrap();
        let status = process.end().await.unwrap();
        assert!(status.success(), "{flavour}");
        assert!(process.log().contains("expired or revoked"), "{flavour}: {}", process.log());
    }
}

#[tokio::test]
async fn a_watch_misses_nothing_when_upstreams_server_restarts() {
    check_watch(Flavour::Upstream).await;
}

#[tokio::test]
async fn a_watch_misses_nothing_when_our_server_restarts() {
    check_watch(Flavour::under_test()).await;
}

#[tokio::test]
async fn a_lease_is_kept_alive_when_upstreams_server_restarts() {
    check_keep_alive(Flavour::Upstream).await;
}

#[tokio::test]
async fn a_lease_is_kept_alive_when_our_server_restarts() {
    check_keep_alive(Flavour::under_test()).await;
}

/// Tokens of the simple kind are lost with the process that gave them.
#[tokio::test]
async fn a_token_that_a_restart_has_lost_is_renewed() {
    let mut cluster = Cluster::single(Flavour::Upstream).await.unwrap();
    let ctl = Ctl::etcdctl(Flavour::Upstream, &cluster.endpoints()).unwrap();
    for line in ["user add root:secret", "auth enable"] {
        ctl.run(&line.split(' ').collect::<Vec<_>>()).await.unwrap().success().unwrap();
    }
    for flavour in CLIENTS {
        let as_root = Ctl::etcdctl(Flavour::Upstream, &cluster.endpoints()).unwrap().argument("--user=root:secret");
        let put = async |value: &str| as_root.run(&["put", "k", value]).await.unwrap().success().unwrap();
        let mut watch = started(flavour, &cluster, &["watch", "k", "--user=root:secret"]);
        let first = format!("{flavour}-before");
        until("an event", LIMIT, async || {
            put(&first).await;
            Ok(if watch.log().contains(&first) { Look::Yes(()) } else { Look::NotYet(watch.log()) })
        })
        .await
        .unwrap();
        restart(&mut cluster).await;
        put(&format!("{flavour}-after")).await;
        watch.logs(&format!("{flavour}-after")).await.unwrap();
    }
}
