//! Another etcd, at work, moves into a cluster of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use etcd_client::{Txn, TxnOp};
use hyper::Method;
use quorate_e2e::history::Dial;
use quorate_e2e::kubernetes::operated::LIMIT;
use quorate_e2e::kubernetes::{Image, Operated};
use quorate_e2e::wait::{self, Look};
use serde_json::{Value, json};

use crate::etcdctl::etcdctl;

const KEYS: usize = 100_000;
const KEYS_PER_TRANSACTION: usize = 100;
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

fn cluster(name: &str, more: &Value) -> String {
    let mut spec = json!({"replicas": 3, "storage": {"size": "2Gi"}});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"apiVersion": "quorate.io/v1alpha1", "kind": "EtcdCluster", "metadata": {"name": name}, "spec": spec})
        .to_string()
}

async fn fill(dial: Dial) {
    let mut client = dial.connect(0).await.unwrap();
    for first in (0..KEYS).step_by(KEYS_PER_TRANSACTION) {
        let puts = (first..first + KEYS_PER_TRANSACTION)
            .map(|key| TxnOp::put(format!("kept/{key:06}"), "x".repeat(100), None));
        client.txn(Txn::new().and_then(puts.collect::<Vec<_>>())).await.unwrap();
    }
}

/// One that writes, deletes and writes again, until it is told to stop.
async fn write(dial: Dial, stop: Arc<AtomicBool>, acknowledged: Arc<AtomicU64>) {
    let mut client = dial.connect(0).await.unwrap();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        client.put(format!("live/{}", number % 1000), number.to_string(), None).await.unwrap();
        if number % 10 == 0 {
            client.delete(format!("live/{}", (number * 7) % 1000), None).await.unwrap();
        }
        acknowledged.store(number, Ordering::Relaxed);
    }
}

async fn hash(site: &Operated, name: &str, revision: i64) -> Vec<i64> {
    let arguments = ["endpoint", "hashkv", &format!("--rev={revision}"), "--cluster", "--write-out=json"];
    let said: Value = serde_json::from_str(&etcdctl(&site.kubernetes, name, "default", &arguments).await).unwrap();
    said.as_array().unwrap().iter().map(|one| one["HashKV"]["hash"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn an_etcd_under_load_moves_in_and_nothing_of_it_is_missing() {
    let mut site = Operated::with_images(1, &[Image::UpstreamEtcd]).await.unwrap();
    let image = Image::UpstreamEtcd.name();
    let (repository, tag) = image.rsplit_once(':').unwrap();
    let upstream = json!({"image": {"repository": repository, "tag": tag, "pullPolicy": "Never"}});
    site.kubernetes.apply(&cluster("old", &upstream)).await.unwrap();
    site.running("old", 3).await.unwrap();
    let old = site.dial("old").await.unwrap();
    let inside = site.inside().unwrap();
    inside.run(fill(old.clone())).await.unwrap();
    let lease = etcdctl(&site.kubernetes, "old", "default", &["lease", "grant", "4000"]).await;
    let lease = lease.split(' ').nth(1).unwrap().to_owned();
    etcdctl(&site.kubernetes, "old", "default", &["put", "leased", "x", &format!("--lease={lease}")]).await;

    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (inside, writes) = (site.inside().unwrap(), write(old, stop.clone(), acknowledged.clone()));
    let writer = tokio::spawn(async move { inside.run(writes).await });
    let migrate = json!({
        "image": {"pullPolicy": "Never"},
        "bootstrap": {"migrate": {"endpoints": ["https://old-client.default.svc:2379"], "tlsSecret": "old-client-tls"}},
    });
    site.kubernetes.apply(&cluster("new", &migrate)).await.unwrap();
    let follows = |status: &Value| {
        status["ready"] == "3/3" && status["migration"]["phase"] == "Following" && status["migration"]["lag"] == 0
    };
    let following = site.until("new", "the mirror", follows).await.unwrap();
    let is_available = |status: &Value| {
        status["conditions"].as_array().unwrap().iter().any(|one| one["type"] == "Available" && one["status"] == "True")
    };
    assert!(!is_available(&following["status"]), "clients are not let in: {following:#}");

    // Nobody writes any more, and nobody has to wait for long.
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap().unwrap();
    let last = acknowledged.load(Ordering::Relaxed);
    let stopped = Instant::now();
    site.change("new", json!({"cutOver": true})).await.unwrap();
    let done = site.until("new", "the cut", |status| status["migration"]["phase"] == "Done").await.unwrap();
    println!("taken over {:?} after the last write", stopped.elapsed());
    let migration = &done["status"]["migration"];
    let (revision, said) = (migration["revision"].as_i64().unwrap(), migration["hashKv"].as_i64().unwrap());
    for name in ["old", "new"] {
        assert_eq!(hash(&site, name, revision).await, [said; 3], "{name} at {revision}");
    }
    site.running("new", 3).await.unwrap();
    let count = etcdctl(
        &site.kubernetes,
        "new",
        "default",
        &["get", "--prefix", "kept/", "--count-only", "--write-out=fields"],
    )
    .await;
    assert!(count.contains(&format!("\"Count\" : {KEYS}")), "{count}");
    let newest =
        etcdctl(&site.kubernetes, "new", "default", &["get", &format!("live/{}", last % 1000), "--print-value-only"])
            .await;
    assert_eq!(newest.trim(), last.to_string());
    let leased = etcdctl(&site.kubernetes, "new", "default", &["lease", "timetolive", &lease, "--keys"]).await;
    assert!(leased.contains("leased"), "{leased}");
    assert_eq!(etcdctl(&site.kubernetes, "new", "default", &["put", "after", "the cut"]).await, "OK\n");
    wait::until("the end of the mirror", LIMIT, async || {
        let left = site.kubernetes.api().expect(Method::GET, DEPLOYMENTS, None).await?;
        let left = left["items"].as_array().map_or(0, Vec::len);
        Ok(if left == 0 { Look::Yes(()) } else { Look::NotYet(format!("{left} deployments")) })
    })
    .await
    .unwrap();
}
