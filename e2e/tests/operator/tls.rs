//! Certificates change while clients and members use them, and nobody is refused on the way.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use quorate_e2e::Error;
use quorate_e2e::binaries::Flavour;
use quorate_e2e::certs::{Authority, Wanted};
use quorate_e2e::history::{Committed, Dial, Traffic, check};
use quorate_e2e::kubernetes::{Inside, Operated};
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const MEMBERS: &str = "/apis/quorate.io/v1alpha1/namespaces/default/etcdmembers";
const CLUSTER: &str = "/apis/quorate.io/v1alpha1/namespaces/default/etcdclusters/sample";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const CERTIFICATES: &str = "/apis/cert-manager.io/v1/namespaces/default/certificates";
/// Between two new connections.
const PACE: Duration = Duration::from_millis(50);
const MANIFEST: &str = "
apiVersion: quorate.io/v1alpha1
kind: EtcdCluster
metadata: {name: sample}
spec:
  image: {pullPolicy: Never}
  storage: {size: 1Gi}
  tls: {clientGraceSeconds: 6}
";

/// Makes one new connection after another, and writes by each.
struct Visitor {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(u64, Vec<String>)>,
}

impl Visitor {
    fn start(inside: &Inside, dial: Dial) -> Visitor {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let visit = async move {
            let (mut visits, mut refusals) = (0, Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                let visited = async {
                    let mut client = dial.connect(0).await.map_err(|error| format!("{error:?}"))?;
                    client.put("k", "v", None).await.map_err(|error| error.to_string())
                };
                match visited.await {
                    Ok(_) => visits += 1,
                    // A Service takes a moment to know its first member.
                    Err(_) if visits == 0 => {}
                    Err(error) => refusals.push(error),
                }
                tokio::time::sleep(PACE).await;
            }
            (visits, refusals)
        };
        Visitor { stop, task: inside.enter(|| tokio::spawn(visit)) }
    }

    /// How many there were, and what went wrong.
    async fn end(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn pods(site: &Operated) -> Vec<Value> {
    let pods = site.kubernetes.api().expect(Method::GET, PODS, None).await.unwrap();
    pods["items"].as_array().unwrap().iter().map(|pod| pod["metadata"]["uid"].clone()).collect()
}

fn authorities(status: &Value) -> Vec<Value> {
    let all = status["certificates"].as_array().into_iter().flatten();
    all.flat_map(|one| one["authorities"].as_array().cloned().unwrap_or_default()).collect()
}

fn condition(status: &Value) -> (String, String, String) {
    let all = status["conditions"].as_array().into_iter().flatten();
    let found = all.clone().find(|condition| condition["type"] == "TLSReady").cloned().unwrap_or_default();
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

/// All Secrets have one authority each, none of them of those before, and nothing waits.
fn has_changed(status: &Value, before: &[Value]) -> bool {
    let now = authorities(status);
    now.len() == 3 && !now.iter().any(|one| before.contains(one)) && condition(status).1 == "CertificatesValid"
}

#[tokio::test]
async fn an_authority_changes_and_nobody_is_refused() {
    let mut site = Operated::start(1).await.unwrap();
    site.kubernetes.apply(MANIFEST).await.unwrap();
    let cluster = site.running("sample", 3).await.unwrap();
    let (inside, before) = (site.inside().unwrap(), authorities(&cluster["status"]));
    assert_eq!(before.len(), 3, "{cluster:#}");
    let (members, former) = (pods(&site).await, site.dial("sample").await.unwrap());
    let (dial, _follows) = site.dial_and_follow("sample").await.unwrap();
    let visitor = Visitor::start(&inside, dial);

    // Asked for, with an operator that ends again and again.
    let ask = json!({"metadata": {"annotations": {"quorate.io/rotate-ca": "1"}}});
    site.kubernetes.api().expect(Method::PATCH, CLUSTER, Some(&ask)).await.unwrap();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(rand::random_range(500..4000))).await;
        site.kill().await.unwrap();
        site.launch().unwrap();
    }
    let cluster = site.until("sample", "another authority", |status| has_changed(status, &before)).await.unwrap();

    // And lost.
    let second = authorities(&cluster["status"]);
    site.kubernetes.api().expect(Method::DELETE, &format!("{SECRETS}/sample-ca"), None).await.unwrap();
    site.kill().await.unwrap();
    site.launch().unwrap();
    site.until("sample", "a third authority", |status| has_changed(status, &second)).await.unwrap();

    let (visits, refusals) = visitor.end().await;
    println!("{visits} visits");
    if Flavour::under_test() == Flavour::Quorate {
        assert!(visits > 100 && refusals.is_empty(), "{visits} visits: {refusals:#?}");
        assert_eq!(pods(&site).await, members, "members read it by themselves");
    }
    let refused =
        inside.run(async move { former.connect(0).await.unwrap().get("k", None).await.map(drop) }).await.unwrap();
    assert!(refused.is_err(), "the first authority is trusted no more");
    site.running("sample", 3).await.unwrap();
}

/// As cert-manager does it.
async fn issue(site: &Operated, authority: &mut Authority) {
    let list = site.kubernetes.api().expect(Method::GET, CERTIFICATES, None).await.unwrap();
    for certificate in list["items"].as_array().unwrap() {
        let spec = &certificate["spec"];
        let names =
            ["dnsNames", "ipAddresses"].into_iter().flat_map(|key| spec[key].as_array().cloned().unwrap_or_default());
        let names: Vec<String> = names.map(|name| name.as_str().unwrap().to_owned()).collect();
        give(site, spec["secretName"].as_str().unwrap(), authority, spec["commonName"].as_str().unwrap(), names).await;
    }
}

/// Signs a certificate, and puts it into a Secret.
async fn give(site: &Operated, secret: &str, authority: &mut Authority, common_name: &str, names: Vec<String>) {
    let wanted = Wanted { common_name: common_name.to_owned(), names, expired: false };
    let signed = authority.sign(secret, &wanted).unwrap();
    let file = |path: &Path| STANDARD.encode(std::fs::read(path).unwrap());
    let data =
        json!({"tls.crt": file(&signed.cert), "tls.key": file(&signed.key), "ca.crt": file(&authority.certificate())});
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": secret, "namespace": "default"}, "data": data,
    });
    site.kubernetes.apply(&object.to_string()).await.unwrap();
}

/// What cert-manager installs, as far as the operator uses it.
fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "certificates.cert-manager.io"},
        "spec": {
            "group": "cert-manager.io", "scope": "Namespaced",
            "names": {"kind": "Certificate", "listKind": "CertificateList", "plural": "certificates", "singular": "certificate"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

#[tokio::test]
async fn certificates_may_come_from_cert_manager_or_from_given_secrets() {
    let mut site = Operated::start(1).await.unwrap();
    let folder = site.kubernetes.folder().join("authorities");
    std::fs::create_dir(&folder).unwrap();
    let (mut first, mut second) =
        (Authority::new(&folder, "first").unwrap(), Authority::new(&folder, "second").unwrap());
    let issuer = json!({"mode": "CertManager", "issuerRef": {"name": "ours"}});
    let spec = json!({"tls": {"client": issuer, "peer": issuer}, "replicas": 1});
    site.kubernetes.apply(MANIFEST).await.unwrap();
    site.change("sample", spec).await.unwrap();
    let says = |words: &'static str| {
        move |status: &Value| status["message"].as_str().is_some_and(|message| message.contains(words))
    };
    site.until("sample", "a word about cert-manager", says("cert-manager is not installed")).await.unwrap();

    site.kubernetes.apply(&definition().to_string()).await.unwrap();
    let established = |definition: &Value| quorate_e2e::kubernetes::api::is_true(definition, "Established");
    let path = format!("{DEFINITIONS}/certificates.cert-manager.io");
    site.kubernetes.api().until("the kind", Duration::from_secs(60), &path, established).await.unwrap();
    site.until("sample", "a word about the issuer", says("is not issued")).await.unwrap();
    issue(&site, &mut first).await;
    let cluster = site.running("sample", 1).await.unwrap();
    let before = authorities(&cluster["status"]);

    // Another source, in place.
    let members = pods(&site).await;
    let (dial, _follows) = site.dial_and_follow("sample").await.unwrap();
    let inside = site.inside().unwrap();
    let visitor = Visitor::start(&inside, dial);
    let names = |hosts: &[&str]| hosts.iter().map(|host| format!("{host}.default.svc")).collect::<Vec<_>>();
    give(&site, "client", &mut second, "root", Vec::new()).await;
    give(&site, "peer", &mut second, "peer", names(&["*.sample-peers", "sample-peers"])).await;
    give(&site, "server", &mut second, "server", names(&["*.sample-peers"])).await;
    let tls = json!({
        "client": {"mode": "Secret", "serverSecret": "server", "clientSecret": "client", "issuerRef": null},
        "peer": {"mode": "Secret", "secret": "peer", "issuerRef": null},
    });
    site.change("sample", json!({"tls": tls})).await.unwrap();
    let is_pending = |status: &Value| condition(status).1 == "CertificatesPending";
    let cluster = site.until("sample", "a word about the Secret", is_pending).await.unwrap();
    let (status, _, message) = condition(&cluster["status"]);
    assert_eq!(status, "False");
    assert!(message.starts_with("Secret server: tls.crt can't be shown as sample-client.default.svc"), "{message}");
    assert_eq!(cluster["status"]["ready"], "1/1", "it serves on with what it has: {cluster:#}");
    give(&site, "server", &mut second, "server", names(&["*.sample-peers", "sample-client"])).await;
    let cluster = site.until("sample", "the other source", |status| has_changed(status, &before)).await.unwrap();

    // Back to the operator's own.
    let before = authorities(&cluster["status"]);
    let tls = json!({
        "client": {"mode": "Auto", "serverSecret": null, "clientSecret": null},
        "peer": {"mode": "Auto", "secret": null},
    });
    site.change("sample", json!({"tls": tls})).await.unwrap();
    site.until("sample", "the operator's own", |status| has_changed(status, &before)).await.unwrap();
    let (visits, refusals) = visitor.end().await;
    println!("{visits} visits");
    if Flavour::under_test() == Flavour::Quorate {
        assert!(visits > 100 && refusals.is_empty(), "{visits} visits: {refusals:#?}");
        assert_eq!(pods(&site).await, members);
    }
    let left = site.kubernetes.api().expect(Method::GET, CERTIFICATES, None).await.unwrap();
    assert_eq!(left["items"].as_array().unwrap().len(), 0, "{left:#}");
}

/// How the others reach each member, as the operator's records have it.
async fn schemes(site: &Operated) -> Vec<String> {
    let records = site.kubernetes.api().expect(Method::GET, MEMBERS, None).await.unwrap();
    let url = |record: &Value| record["spec"]["peerUrl"].as_str().unwrap().split(':').next().unwrap().to_owned();
    records["items"].as_array().unwrap().iter().map(url).collect()
}

#[tokio::test]
async fn tls_is_switched_on_and_off_while_the_cluster_serves() {
    let mut site = Operated::start(1).await.unwrap();
    let off = json!({"mode": "Disabled"});
    let manifest = MANIFEST.replace("clientGraceSeconds: 6", &format!("client: {off}, peer: {off}"));
    site.kubernetes.apply(&manifest).await.unwrap();
    site.running("sample", 3).await.unwrap();
    assert_eq!(schemes(&site).await, ["http"; 3]);
    let (inside, plain) = (site.inside().unwrap(), site.plain_dial("sample").await.unwrap());
    let traffic = inside.enter(|| Traffic::start(plain.clone(), "history/", 2, 4, rand::random()));

    site.change("sample", json!({"tls": {"peer": {"mode": "Auto"}}})).await.unwrap();
    tokio::time::sleep(Duration::from_millis(rand::random_range(500..20_000))).await;
    site.kill().await.unwrap();
    site.launch().unwrap();
    site.running("sample", 3).await.unwrap();
    assert_eq!(schemes(&site).await, ["https"; 3]);

    site.change("sample", json!({"tls": {"client": {"mode": "Auto", "allowPlaintext": true}}})).await.unwrap();
    site.running("sample", 3).await.unwrap();
    let secured = site.dial("sample").await.unwrap();
    let put = |dial: Dial| async move {
        dial.connect(0)
            .await?
            .put("k", "v", None)
            .await
            .map(drop)
            .map_err(|error| Error::Answer { what: "a put".into(), answer: error.to_string() })
    };
    inside.run(put(secured.clone())).await.unwrap().unwrap();
    inside.run(put(plain.clone())).await.unwrap().unwrap();

    // Everything off again, but for the clients that still come by TLS.
    site.change("sample", json!({"tls": {"peer": off}})).await.unwrap();
    site.running("sample", 3).await.unwrap();
    assert_eq!(schemes(&site).await, ["http"; 3]);
    let operations = traffic.stop().await.unwrap();
    let read = async move { Committed::read(&mut secured.connect(0).await.unwrap(), "history/").await.unwrap() };
    let verdict = check(&operations, &inside.run(read).await.unwrap()).unwrap();
    println!("{verdict:?}");
    assert!(verdict.writes > 500, "{verdict:?}");

    site.change("sample", json!({"tls": {"client": {"allowPlaintext": false}}})).await.unwrap();
    site.running("sample", 3).await.unwrap();
    assert!(inside.run(put(plain)).await.unwrap().is_err(), "plain text is refused");
}
