//! How the operator treats Kubernetes: it is quiet at rest, brings back what others took away, and leaves by one of two replicas.

use std::collections::BTreeMap;

use hyper::Method;
use quorate_e2e::health;
use quorate_e2e::kubernetes::operated::LIMIT;
use quorate_e2e::kubernetes::{Inside, Operated};
use quorate_e2e::wait::{self, Look};
use serde_json::{Value, json};

const MANIFEST: &str = "
apiVersion: quorate.io/v1alpha1
kind: EtcdCluster
metadata: {name: sample}
spec:
  replicas: 1
  image: {pullPolicy: Never}
  storage: {size: 1Gi}
";
const OPERATOR: u16 = 8080;

/// What the operator at a port says of itself.
async fn ask(inside: &Inside, port: u16, path: &'static str) -> (u16, String) {
    inside.run(health::get(([127, 0, 0, 1], port).into(), path)).await.unwrap().unwrap_or_default()
}

/// How often it has looked at a cluster.
async fn looks(inside: &Inside) -> u64 {
    let (code, text) = ask(inside, OPERATOR, "/metrics").await;
    assert_eq!(code, 200);
    let line = text.lines().find(|line| line.starts_with("quorate_operator_reconciles_total{result=\"ok\"}"));
    line.unwrap_or_else(|| panic!("{text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

/// Until it has looked once more.
async fn another_look(inside: &Inside) {
    let before = looks(inside).await;
    wait::until("another look at the cluster", LIMIT, async || {
        let now = looks(inside).await;
        Ok(if now > before { Look::Yes(()) } else { Look::NotYet(format!("{now} looks")) })
    })
    .await
    .unwrap();
}

/// Requests so far that the API server has counted about objects that the operator makes, by verb and kind. Leases and watches are
/// what an operator at rest does.
async fn requests(site: &Operated) -> BTreeMap<String, u64> {
    let text = site.kubernetes.kubectl(&["get", "--raw", "/metrics"]).await.unwrap().success().unwrap();
    let kinds = [
        "etcdclusters",
        "etcdmembers",
        "pods",
        "services",
        "secrets",
        "persistentvolumeclaims",
        "poddisruptionbudgets",
    ];
    let mut counts = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
        let label = |name: &str| {
            let at = line.find(&format!("{name}=\""))? + name.len() + 2;
            Some(line[at..].split('"').next().unwrap_or_default().to_owned())
        };
        let (verb, kind) = (label("verb").unwrap(), label("resource").unwrap());
        let subresource = label("subresource").unwrap_or_default();
        if kinds.contains(&kind.as_str()) && !["WATCH", "CONNECT"].contains(&verb.as_str()) {
            let count: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            *counts.entry(format!("{verb} {kind}/{subresource}")).or_default() += count as u64;
        }
    }
    counts
}

/// Those that change something.
fn writes(counts: &BTreeMap<String, u64>) -> u64 {
    let is_write = |name: &&String| !name.starts_with("GET") && !name.starts_with("LIST");
    counts.iter().filter(|(name, _)| is_write(name)).map(|(_, count)| count).sum()
}

#[tokio::test]
async fn at_rest_it_writes_nothing_and_what_others_take_away_comes_back() {
    let mut site = Operated::start(1).await.unwrap();
    site.kubernetes.apply(MANIFEST).await.unwrap();
    site.running("sample", 1).await.unwrap();

    // Without the kubelet's and the controllers' part, which is the same with and without an operator.
    let about = |counts: &BTreeMap<String, u64>| -> BTreeMap<String, u64> {
        let is_ours = |name: &str| {
            // The garbage collector looks for owners by GET.
            name.contains("etcdclusters") && !name.starts_with("GET")
                || name.contains("etcdmembers") && !name.starts_with("GET")
                || name.ends_with("secrets/")
                || (name.starts_with("LIST") || name.starts_with("APPLY") || name.starts_with("POST"))
                    && (name.ends_with("services/") || name.ends_with("poddisruptionbudgets/"))
        };
        counts.iter().filter(|(name, _)| is_ours(name)).map(|(name, count)| (name.clone(), *count)).collect()
    };
    let inside = site.inside().unwrap();
    assert_eq!(ask(&inside, OPERATOR, "/readyz").await, (200, "ok".to_owned()));
    another_look(&inside).await;
    let before = about(&requests(&site).await);
    another_look(&inside).await;
    let after = about(&requests(&site).await);
    assert_eq!(writes(&before), writes(&after), "{before:#?} {after:#?}");
    assert_eq!(before, after, "a reconcile at rest asks for nothing");

    for (path, field, edit) in [
        (
            "/api/v1/namespaces/default/services/sample-client",
            "/spec/ports/0/port",
            json!({"spec": {"ports": [{"name": "client", "port": 1}]}}),
        ),
        (
            "/apis/policy/v1/namespaces/default/poddisruptionbudgets/sample",
            "/spec/minAvailable",
            json!({"spec": {"minAvailable": 0}}),
        ),
    ] {
        let api = site.kubernetes.api();
        let object = api.expect(Method::GET, path, None).await.unwrap();
        let (uid, value) = (object["metadata"]["uid"].clone(), object.pointer(field).unwrap().clone());
        api.expect(Method::PATCH, path, Some(&edit)).await.unwrap();
        api.until("an edit undone", LIMIT, path, |object| object.pointer(field) == Some(&value)).await.unwrap();
        api.expect(Method::DELETE, path, None).await.unwrap();
        let is_new =
            |object: &Value| object["metadata"]["uid"] != uid && object["metadata"]["deletionTimestamp"].is_null();
        api.until("another in its place", LIMIT, path, is_new).await.unwrap();
    }

    let events = site.kubernetes.kubectl(&["events", "--for", "etcdcluster/sample"]).await.unwrap().success().unwrap();
    for reason in ["Intend", "Record", "Disarm", "AsWanted"] {
        assert!(events.contains(reason), "{reason} in {events}");
    }
}

#[tokio::test]
async fn of_two_replicas_one_acts_and_the_other_takes_over() {
    let mut site = Operated::start(1).await.unwrap();
    site.kill().await.unwrap();
    let inside = site.inside().unwrap();
    let first = site.replica("first", 8081).unwrap();
    until_leads(&inside, 8081).await;
    let second = site.replica("second", 8082).unwrap();
    wait::until("a replica that stands by", LIMIT, async || {
        let (code, _) = ask(&inside, 8082, "/readyz").await;
        Ok(if code == 200 { Look::Yes(()) } else { Look::NotYet(code.to_string()) })
    })
    .await
    .unwrap();
    site.kubernetes.apply(MANIFEST).await.unwrap();
    site.running("sample", 1).await.unwrap();
    assert!(!leads(&inside, 8082).await);

    first.kill().unwrap();
    until_leads(&inside, 8082).await;
    site.change("sample", json!({"replicas": 2})).await.unwrap();
    site.running("sample", 2).await.unwrap();

    // Told to stop, it gives the Lease back: nobody has to wait for its end.
    assert!(second.terminate().await.unwrap().success());
    let lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/quorate-operator";
    let lease = site.kubernetes.api().expect(Method::GET, lease, None).await.unwrap();
    assert!(lease["spec"]["holderIdentity"].as_str().is_none_or(str::is_empty), "{lease:#}");
}

async fn leads(inside: &Inside, port: u16) -> bool {
    ask(inside, port, "/metrics").await.1.lines().any(|line| line == "quorate_operator_leads 1")
}

async fn until_leads(inside: &Inside, port: u16) {
    wait::until("a replica that acts", LIMIT, async || {
        Ok(if leads(inside, port).await { Look::Yes(()) } else { Look::NotYet("it stands by".to_owned()) })
    })
    .await
    .unwrap();
}
