//! Clients that reach a cluster through `etcd gateway`.

use std::process::Command;

use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;
use quorate_e2e::port::Port;
use quorate_e2e::process::Process;

#[tokio::test]
async fn clients_reach_the_members_that_are_there_and_never_the_gateway_itself() {
    let mut cluster = Cluster::builder(Flavour::Quorate, 3).start().await.unwrap();
    let port = Port::reserve().unwrap();
    let own = port.address().to_string();
    let gateway = |endpoints: &[String]| {
        let mut command = Command::new(Flavour::Quorate.etcd().unwrap());
        command.args(["gateway", "start", "--retry-delay=1s", "--listen-addr", &own]);
        command.arg(format!("--endpoints={}", endpoints.join(",")));
        Process::start("gateway", command, &cluster.folder().join("gateway.log")).unwrap()
    };
    let mut looping = gateway(&[cluster.endpoints()[0].clone(), own.clone()]);
    assert!(!looping.end().await.unwrap().success());
    assert!(looping.log().contains("call itself without end"), "{}", looping.log());

    let mut gateway = gateway(&cluster.endpoints());
    gateway.logs("ready to proxy client requests").await.unwrap();
    let through = |flavour| Ctl::etcdctl(flavour, std::slice::from_ref(&own)).unwrap();
    for flavour in [Flavour::Quorate, Flavour::Upstream] {
        through(flavour).run(&["put", "key", "value"]).await.unwrap().success().unwrap();
        assert_eq!(through(flavour).run(&["get", "key"]).await.unwrap().success().unwrap(), "key\nvalue\n");
    }
    // Any member may be the next one, and one of them is gone.
    let leader = cluster.leader().await.unwrap();
    cluster.member((leader + 1) % 3).kill().unwrap();
    for _ in 0..6 {
        through(Flavour::Upstream).run(&["put", "key", "value"]).await.unwrap().success().unwrap();
    }
}
