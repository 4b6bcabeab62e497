//! A downgrade from its beginning to its end: what members, probes and snapshots say meanwhile.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Method;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;
use quorate_e2e::wait::{self, Look};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

async fn ask(method: Method, url: &str) -> (u16, String) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = hyper::Request::builder().method(method).uri(url).body(Empty::<Bytes>::new()).unwrap();
    let response = client.request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// What every member says: its server's version, the cluster's and the storage's, the downgrade's target if there is one, and
/// whether a member of the target may join.
async fn told(cluster: &Cluster, ctl: &Ctl) -> Vec<String> {
    let printed = ctl.run(&["endpoint", "status", "-w", "json"]).await.unwrap().success().unwrap();
    let statuses: Value = serde_json::from_str(&printed).unwrap();
    let mut told = Vec::new();
    for (member, status) in cluster.members().iter().zip(statuses.as_array().unwrap()) {
        let (_, versions) = ask(Method::GET, &format!("http://{}/version", member.endpoint())).await;
        let versions: Value = serde_json::from_str(&versions).unwrap();
        let (_, joins) = ask(Method::GET, &format!("{}/downgrade/enabled", member.peer_url())).await;
        let downgrade = &status["Status"]["downgradeInfo"];
        told.push(format!(
            "{} {} {} {} {} {joins}",
            versions["etcdserver"].as_str().unwrap(),
            versions["etcdcluster"].as_str().unwrap(),
            status["Status"]["storageVersion"].as_str().unwrap_or("no storage version"),
            downgrade["enabled"].as_bool().unwrap_or_default(),
            downgrade["targetVersion"].as_str().unwrap_or("no target"),
        ));
    }
    told
}

async fn until_told(cluster: &Cluster, ctl: &Ctl, expected: &str) {
    wait::until(expected, LIMIT, async || {
        let told = told(cluster, ctl).await;
        Ok(if told.iter().all(|told| told == expected) { Look::Yes(()) } else { Look::NotYet(format!("{told:?}")) })
    })
    .await
    .unwrap();
}

/// The version in a snapshot's file.
async fn saved(cluster: &Cluster, flavour: Flavour) -> String {
    let file = cluster.folder().join("snapshot.db").display().to_string();
    let ctl = Ctl::etcdctl(flavour, &cluster.endpoints()[..1]).unwrap();
    ctl.run(&["snapshot", "save", &file]).await.unwrap().success().unwrap();
    let status = Ctl::etcdutl(flavour).unwrap().run(&["snapshot", "status", &file, "-w", "json"]).await.unwrap();
    let status: Value = serde_json::from_str(&status.success().unwrap()).unwrap();
    status["version"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_downgrade_lowers_the_clusters_version_until_it_is_cancelled() {
    let flavour = Flavour::under_test();
    let mut cluster = Cluster::builder(flavour, 3).start().await.unwrap();
    let ctl = Ctl::etcdctl(flavour, &cluster.endpoints()).unwrap();
    until_told(&cluster, &ctl, "3.7.3 3.7.0 3.7.0 false no target false").await;
    assert_eq!(saved(&cluster, flavour).await, "3.7.0");

    ctl.run(&["downgrade", "enable", "3.6"]).await.unwrap().success().unwrap();
    let lowered = "3.7.3 3.6.0 3.6.0 true 3.6.0 true";
    until_told(&cluster, &ctl, lowered).await;
    assert_eq!(saved(&cluster, flavour).await, "3.6.0");
    let again = ctl.run(&["downgrade", "enable", "3.5"]).await.unwrap();
    assert!(again.stderr.contains("cluster has a downgrade job in progress"), "{}", again.stderr);

    cluster.kill_all().unwrap();
    cluster.launch_all().await.unwrap();
    until_told(&cluster, &ctl, lowered).await;
    ctl.run(&["put", "k", "v"]).await.unwrap().success().unwrap();

    ctl.run(&["downgrade", "cancel"]).await.unwrap().success().unwrap();
    until_told(&cluster, &ctl, "3.7.3 3.7.0 3.7.0 false no target false").await;
    assert_eq!(saved(&cluster, flavour).await, "3.7.0");
}

#[tokio::test]
async fn whether_a_downgrade_goes_on_is_answered_to_get_only() {
    let cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    let url = format!("{}/downgrade/enabled", cluster.members()[0].peer_url());
    assert_eq!(ask(Method::GET, &url).await, (200, "false".to_owned()));
    assert_eq!(ask(Method::POST, &url).await, (405, "Method Not Allowed\n".to_owned()));
}
