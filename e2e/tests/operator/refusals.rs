//! What Kubernetes refuses is told by object and field, and nothing else waits for it; no member goes for a pod that would not be taken.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::Method;
use quorate_e2e::binaries::{self, Flavour};
use quorate_e2e::kubernetes::api::Api;
use quorate_e2e::kubernetes::operated::LIMIT;
use quorate_e2e::kubernetes::{Image, Operated};
use quorate_e2e::wait::{self, Look};
use serde_json::{Value, json};

use crate::etcdctl::etcdctl;

const PODS: &str = "/api/v1/namespaces/default/pods";
const SAMPLES_EVERY: Duration = Duration::from_millis(50);

/// A cluster whose pods have a second container, which ends as soon as it has started.
fn manifest() -> Value {
    let image = Image::server(Flavour::under_test()).name();
    json!({
        "apiVersion": "quorate.io/v1alpha1", "kind": "EtcdCluster", "metadata": {"name": "sample"},
        "spec": {
            "image": {"pullPolicy": "Never"},
            "storage": {"size": "1Gi"},
            "podTemplate": {"containers": [{
                "name": "side", "image": image, "imagePullPolicy": "Never", "command": ["/usr/local/bin/etcdctl", "nonsense"],
            }]},
        },
    })
}

async fn pods(api: &Api) -> Vec<Value> {
    let list = api.expect(Method::GET, PODS, None).await.unwrap();
    list["items"].as_array().unwrap().clone()
}

async fn uids(api: &Api) -> BTreeSet<String> {
    pods(api).await.iter().map(|pod| pod["metadata"]["uid"].as_str().unwrap().to_owned()).collect()
}

fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let statuses = pod["status"]["containerStatuses"].as_array();
    statuses.into_iter().flatten().find(|status| status["name"] == name).unwrap_or(&Value::Null)
}

fn refuses(status: &Value, words: &[&str]) -> bool {
    let message = status["message"].as_str().unwrap_or_default();
    message.contains("Kubernetes refuses: ") && words.iter().all(|word| message.contains(word))
}

/// The fewest members whose server ran at a time, while `change` went on.
async fn fewest(site: &mut Operated, change: impl AsyncFnOnce(&mut Operated)) -> usize {
    let least = Arc::new(AtomicUsize::new(usize::MAX));
    let (api, seen) = (site.kubernetes.api().clone(), least.clone());
    let samples = tokio::spawn(async move {
        loop {
            let runs = |pod: &&Value| {
                pod["metadata"]["deletionTimestamp"].is_null() && container(pod, "etcd")["state"]["running"].is_object()
            };
            seen.fetch_min(pods(&api).await.iter().filter(runs).count(), Ordering::Relaxed);
            tokio::time::sleep(SAMPLES_EVERY).await;
        }
    });
    change(site).await;
    samples.abort();
    least.load(Ordering::Relaxed)
}

/// Every resource that a page shows, as it stands there.
async fn the_guides_examples_are_taken(site: &Operated) {
    let mut count = 0;
    for page in std::fs::read_dir(binaries::repository().join("docs/operator")).unwrap() {
        let page = page.unwrap().path();
        let text = std::fs::read_to_string(&page).unwrap();
        // A block may stand in a list.
        let lines = text.lines().map(|line| (line.trim_start(), line.len() - line.trim_start().len()));
        let mut block: Option<(usize, String)> = None;
        for (line, indent) in lines {
            match &mut block {
                None if line == "```yaml" => block = Some((indent, String::new())),
                None => {}
                Some((outer, example)) if line != "```" => {
                    *example += &" ".repeat(indent.saturating_sub(*outer));
                    *example += line;
                    *example += "\n";
                }
                Some((_, example)) => {
                    if example.contains("apiVersion:") {
                        let checks = ["create", "--dry-run=server", "--validate=strict", "--filename=-"];
                        let taken = site.kubernetes.kubectl_with_input(&checks, example).await.unwrap();
                        assert_eq!(taken.code, 0, "{}:\n{example}\n{taken:?}", page.display());
                        count += 1;
                    }
                    block = None;
                }
            }
        }
    }
    assert!(count >= 10, "{count}");
}

#[tokio::test]
async fn what_kubernetes_refuses_is_told_and_costs_no_member() {
    let mut site = Operated::start(1).await.unwrap();
    the_guides_examples_are_taken(&site).await;
    site.kubernetes.apply(&manifest().to_string()).await.unwrap();
    let all_vote = |status: &Value| status["ready"] == "3/3";
    site.until("sample", "three members", all_vote).await.unwrap();
    let api = site.kubernetes.api().clone();
    wait::until("three containers that crash", LIMIT, async || {
        let waits = |pod: &&Value| container(pod, "side")["state"]["waiting"]["reason"] == "CrashLoopBackOff";
        let crash = pods(&api).await.iter().filter(waits).count();
        Ok(if crash == 3 { Look::Yes(()) } else { Look::NotYet(format!("{crash} crash")) })
    })
    .await
    .unwrap();

    // All three are not ready for something beside the members: they are mended one by one.
    let least = fewest(&mut site, async |site| {
        site.change("sample", json!({"podTemplate": {"containers": null}})).await.unwrap();
        site.running("sample", 3).await.unwrap();
    })
    .await;
    assert_eq!(least, 2);
    assert_eq!(etcdctl(&site.kubernetes, "sample", "default", &["put", "k", "v"]).await, "OK\n");

    // A Service that can't be as it is wanted: pods that go come back all the same.
    let before = uids(&api).await;
    let bad = json!({"services": {"client": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["foo"]}}});
    site.change("sample", bad).await.unwrap();
    let told = |status: &Value| status["phase"] == "Invalid" && refuses(status, &["Service", "foo"]);
    site.until("sample", "a word about the Service", told).await.unwrap();
    site.kubernetes.kubectl(&["delete", "pods", "--all", "--wait=false"]).await.unwrap().success().unwrap();
    wait::until("other pods", LIMIT, async || {
        let pods = pods(&api).await;
        let is_new = |pod: &Value| {
            let uid = pod["metadata"]["uid"].as_str().unwrap();
            !before.contains(uid) && container(pod, "etcd")["ready"] == true
        };
        let ready = pods.iter().filter(|pod| is_new(pod)).count();
        Ok(if ready == 3 { Look::Yes(()) } else { Look::NotYet(format!("{ready} of 3")) })
    })
    .await
    .unwrap();
    let still = |status: &Value| status["ready"] == "3/3" && told(status);
    site.until("sample", "all members, and still a word about the Service", still).await.unwrap();
    site.change("sample", json!({"services": {"client": null}})).await.unwrap();
    site.running("sample", 3).await.unwrap();

    // A pod that would not be taken: nobody makes room for it.
    let before = uids(&api).await;
    let bad = json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}});
    site.change("sample", bad).await.unwrap();
    let told = |status: &Value| status["ready"] == "3/3" && refuses(status, &["cpu limit"]);
    site.until("sample", "a word about the pod", told).await.unwrap();
    site.change("sample", json!({"replicas": 5})).await.unwrap();
    let told = |status: &Value| refuses(status, &["cpu limit"]) && status["members"].as_array().unwrap().len() == 4;
    site.until("sample", "a member without a pod", told).await.unwrap();
    assert_eq!(uids(&api).await, before);
    site.change("sample", json!({"replicas": 3, "resources": null})).await.unwrap();
    site.running("sample", 3).await.unwrap();
    assert_eq!(uids(&api).await, before);
}
