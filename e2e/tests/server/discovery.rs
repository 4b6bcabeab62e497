//! Members that find each other through the keys of another cluster.

use std::time::Duration;

use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::wait::{self, Look};

const LIMIT: Duration = Duration::from_secs(30);

/// A running discovery service, with room for so many members below a token.
async fn service(flavour: Flavour, token: &str, size: &str) -> Cluster {
    let service = Cluster::single(flavour).await.unwrap();
    let key = format!("/_etcd/registry/{token}/_config/size");
    service.client().await.unwrap().put(key, size, None).await.unwrap();
    service
}

/// Members that know nothing but the service.
fn members(flavour: Flavour, size: usize, service: &Cluster, token: &str) -> Cluster {
    Cluster::builder(flavour, size)
        .flag(format!("--discovery-token={token}"))
        .flag(format!("--discovery-endpoints=http://{}", service.endpoints()[0]))
        .prepare()
        .unwrap()
}

async fn forms(members: &mut Cluster, size: usize) {
    for at in 0..size {
        members.member(at).start("").unwrap();
    }
    for at in 0..size {
        members.member(at).ready().await.unwrap();
    }
    let mut client = members.members()[0].client().await.unwrap();
    client.put("key", "value", None).await.unwrap();
    assert_eq!(client.member_list().await.unwrap().members().len(), size);
}

#[tokio::test]
async fn three_members_find_each_other_and_a_fourth_hears_that_the_cluster_is_full() {
    for by in [Flavour::Upstream, Flavour::Quorate] {
        let service = service(by, "tkn", "3").await;
        let mut cluster = members(Flavour::Quorate, 4, &service, "tkn");
        forms(&mut cluster, 3).await;

        cluster.member(3).start("").unwrap();
        let refused = cluster.member(3).ready().await.unwrap_err().to_string();
        assert!(refused.contains("discovery: cluster is full"), "{refused}");
        let mut keys = service.client().await.unwrap();
        let registered = etcd_client::GetOptions::new().with_prefix().with_count_only();
        let registered = keys.get("/_etcd/registry/tkn/members/", Some(registered)).await.unwrap().count();
        assert_eq!(registered, 3, "whoever is refused leaves nothing behind");

        // A member that has data doesn't ask again.
        drop(service);
        cluster.member(1).kill().unwrap();
        cluster.member(1).start("").unwrap();
        cluster.member(1).ready().await.unwrap();
    }
}

#[tokio::test]
async fn upstreams_members_find_each_other_through_ours() {
    let service = service(Flavour::Quorate, "tkn", "3").await;
    let mut cluster = members(Flavour::Upstream, 3, &service, "tkn");
    forms(&mut cluster, 3).await;
}

#[tokio::test]
async fn a_size_that_is_no_number_is_refused_and_a_service_that_is_away_is_waited_for() {
    let mut service = service(Flavour::Upstream, "bad", "three").await;
    let mut cluster = members(Flavour::Quorate, 1, &service, "bad");
    cluster.member(0).start("").unwrap();
    let refused = cluster.member(0).ready().await.unwrap_err().to_string();
    assert!(refused.contains("discovery: size key is bad") && refused.contains("_config/size"), "{refused}");

    let mut cluster = members(Flavour::Quorate, 1, &service, "none");
    cluster.member(0).start("").unwrap();
    let refused = cluster.member(0).ready().await.unwrap_err().to_string();
    assert!(refused.contains("discovery: size key /_etcd/registry/none/_config/size not found"), "{refused}");

    service.client().await.unwrap().put("/_etcd/registry/late/_config/size", "1", None).await.unwrap();
    service.member(0).terminate().await.unwrap();
    let mut cluster = members(Flavour::Quorate, 1, &service, "late");
    cluster.member(0).start("").unwrap();
    wait::until("a try that failed", LIMIT, async || {
        let log = cluster.member(0).running()?.log();
        Ok(if log.contains("the discovery service failed") { Look::Yes(()) } else { Look::NotYet(log) })
    })
    .await
    .unwrap();
    service.launch(0).unwrap();
    cluster.member(0).ready().await.unwrap();
}
