//! What stands in a cluster's way is named, and progress goes on as soon as it is gone; what others delete comes back, or is mourned.

use std::time::Duration;

use hyper::Method;
use quorate_e2e::binaries;
use quorate_e2e::history::Dial;
use quorate_e2e::kubernetes::operated::LIMIT;
use quorate_e2e::kubernetes::{Image, Operated};
use quorate_e2e::wait::{self, Look};
use serde_json::{Value, json};

use crate::etcdctl::{self, etcdctl};
use crate::quickstart;

const MANIFEST: &str = "
apiVersion: quorate.io/v1alpha1
kind: EtcdCluster
metadata: {name: sample}
spec:
  image: {pullPolicy: Never}
  storage: {size: 1Gi}
";
const QUOTA: &str = "
apiVersion: v1
kind: ResourceQuota
metadata: {name: few, namespace: default}
spec: {hard: {pods: 1}}
";
const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas/few";
const MEMBERS: &str = "/apis/quorate.io/v1alpha1/namespaces/default/etcdmembers";
const CLUSTER: &str = "/apis/quorate.io/v1alpha1/namespaces/default/etcdclusters/sample";
const PODS: &str = "/api/v1/namespaces/default/pods";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

fn says(status: &Value, words: &str) -> bool {
    let members = status["members"].as_array().into_iter().flatten().map(|member| &member["message"]);
    members.chain([&status["message"]]).any(|message| message.as_str().is_some_and(|text| text.contains(words)))
}

#[tokio::test]
async fn what_stands_in_the_way_is_named_and_its_cure_works() {
    let mut site = Operated::start(1).await.unwrap();
    let quota_is_known = |quota: &Value| quota["status"]["hard"]["pods"] == "1";
    site.kubernetes.apply(QUOTA).await.unwrap();
    site.kubernetes.api().until("the quota", LIMIT, QUOTAS, quota_is_known).await.unwrap();
    let manifest = MANIFEST.replace("  storage:", "  etcd: {quotaBackendBytes: 16777216}\n  storage:");
    site.kubernetes.apply(&manifest).await.unwrap();
    site.until("sample", "a word about the quota", |status| says(status, "exceeded quota")).await.unwrap();
    site.kubernetes.api().expect(Method::DELETE, QUOTAS, None).await.unwrap();
    site.running("sample", 3).await.unwrap();

    site.change("sample", json!({"podTemplate": {"nodeSelector": {"disk": "fast"}}})).await.unwrap();
    let stops = |status: &Value| says(status, "Unschedulable") && status["ready"] == "2/3";
    site.until("sample", "a word about the selector", stops).await.unwrap();
    assert_eq!(etcdctl(&site.kubernetes, "sample", "default", &["put", "k", "v"]).await, "OK\n");
    site.kubernetes.kubectl(&["label", "node", "node-1", "disk=fast"]).await.unwrap().success().unwrap();
    site.running("sample", 3).await.unwrap();

    site.change("sample", json!({"podTemplate": {"priorityClassName": "none-such"}})).await.unwrap();
    site.until("sample", "a word about the class", |status| says(status, "none-such")).await.unwrap();
    site.change("sample", json!({"podTemplate": {"priorityClassName": null}})).await.unwrap();
    site.running("sample", 3).await.unwrap();

    // A full database doesn't end a member, and is cured as the message says.
    let dial = site.dial("sample").await.unwrap();
    let refusal = async move {
        for number in 0..64 {
            if let Err(refusal) = put(&dial, number).await {
                return refusal;
            }
        }
        "none".to_owned()
    };
    let refusal = site.inside().unwrap().run(refusal).await.unwrap();
    assert!(refusal.contains("database space exceeded"), "{refusal}");
    site.until("sample", "a word about the database", |status| says(status, "raise spec.etcd.quotaBackendBytes"))
        .await
        .unwrap();
    site.change("sample", json!({"etcd": {"quotaBackendBytes": 1 << 28}})).await.unwrap();
    let has_quota = |status: &Value| status["phase"] == "Degraded" && status["ready"] == "3/3";
    site.until("sample", "the other quota", has_quota).await.unwrap();
    etcdctl(&site.kubernetes, "sample", "default", &["alarm", "disarm"]).await;
    site.running("sample", 3).await.unwrap();
    assert_eq!(etcdctl(&site.kubernetes, "sample", "default", &["put", "k", "v"]).await, "OK\n");
}

/// A megabyte, by a connection of its own.
async fn put(dial: &Dial, number: u32) -> Result<(), String> {
    let mut client = dial.connect(0).await.map_err(|error| error.to_string())?;
    let put = client.put(format!("k{number}"), vec![b'v'; 1 << 20], None).await;
    put.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_member_with_a_full_volume_says_so_while_the_others_serve() {
    let mut site = Operated::start(1).await.unwrap();
    let shell = Image::Debug.name();
    site.kubernetes.load(Image::Debug).await.unwrap();
    let manifest = json!({
        "apiVersion": "quorate.io/v1alpha1", "kind": "EtcdCluster", "metadata": {"name": "sample"},
        "spec": {
            "image": {"pullPolicy": "Never"},
            "storage": {"medium": "Memory", "size": "1Gi"},
            "podTemplate": {"containers": [{
                "name": "shell", "image": shell, "imagePullPolicy": "Never", "command": ["sleep", "infinity"],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }]},
        },
    });
    site.kubernetes.apply(&manifest.to_string()).await.unwrap();
    let cluster = site.running("sample", 3).await.unwrap();
    let members = cluster["status"]["members"].as_array().unwrap();
    let follower = members.iter().find(|member| member["role"] == "Follower").unwrap()["name"].as_str().unwrap();

    let fill = ["exec", follower, "-c", "shell", "--", "dd", "if=/dev/zero", "of=/data/filler", "bs=1M"];
    let filled = site.kubernetes.kubectl(&fill).await.unwrap();
    assert!(filled.code != 0 && filled.stderr.contains("No space left"), "{filled:?}");
    // What was set aside for the log takes some time to use up. Clients that were with the member go to another.
    let dial = site.dial("sample").await.unwrap();
    let puts = async move {
        for number in 0..100 {
            while let Err(error) = put(&dial, number).await {
                eprintln!("k{number} again: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    };
    let puts = tokio::time::timeout(LIMIT, puts);
    site.inside().unwrap().run(puts).await.unwrap().unwrap();
    site.until("sample", "a word about the volume", |status| says(status, "No space left")).await.unwrap();
    assert_eq!(etcdctl(&site.kubernetes, "sample", "default", &["put", "k", "v"]).await, "OK\n");
    let free = ["exec", follower, "-c", "shell", "--", "rm", "/data/filler"];
    site.kubernetes.kubectl(&free).await.unwrap().success().unwrap();
    let cluster = site.running("sample", 3).await.unwrap();
    let members = cluster["status"]["members"].as_array().unwrap();
    assert!(members.iter().any(|member| member["name"] == follower), "{follower} kept its volume");
}

#[tokio::test]
async fn the_api_server_may_go_in_the_middle_of_a_change() {
    let mut site = Operated::start(1).await.unwrap();
    site.kubernetes.apply(MANIFEST).await.unwrap();
    site.running("sample", 3).await.unwrap();
    for replicas in [5, 3] {
        site.change("sample", json!({"replicas": replicas})).await.unwrap();
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(rand::random_range(500..4000))).await;
            let away = Duration::from_millis(rand::random_range(100..5000));
            site.kubernetes.interrupt_api_server(away).await.unwrap();
        }
        site.running("sample", replicas).await.unwrap();
    }
    assert_eq!(etcdctl(&site.kubernetes, "sample", "default", &["put", "k", "v"]).await, "OK\n");
}

#[tokio::test]
async fn what_users_delete_is_made_again_or_told() {
    let mut site = Operated::start(1).await.unwrap();
    site.kubernetes.apply(MANIFEST).await.unwrap();
    let cluster = site.running("sample", 3).await.unwrap();
    assert_eq!(etcdctl(&site.kubernetes, "sample", "default", &["put", "greeting", "hello"]).await, "OK\n");

    // A record: the member is still in the cluster's list, and only a user may say that it is not meant to be.
    let members = cluster["status"]["members"].as_array().unwrap();
    let follower = members.iter().find(|member| member["role"] == "Follower").unwrap();
    let (name, id) = (follower["name"].as_str().unwrap(), follower["id"].as_str().unwrap());
    site.kubernetes.api().expect(Method::DELETE, &format!("{MEMBERS}/{name}"), None).await.unwrap();
    let remedy = format!("etcdctl member remove {id}");
    site.until("sample", "a word about the member", |status| says(status, &remedy)).await.unwrap();
    // etcd refuses until all members have been connected for five seconds.
    wait::until("the removal", LIMIT, async || {
        let output = etcdctl::run(&site.kubernetes, "sample", "default", &["member", "remove", id]).await;
        Ok(output.success().map_or_else(|refusal| Look::NotYet(refusal.to_string()), |_| Look::Yes(())))
    })
    .await
    .unwrap();
    site.running("sample", 3).await.unwrap();
    assert_eq!(etcdctl(&site.kubernetes, "sample", "default", &["get", "greeting"]).await, "greeting\nhello\n");

    // All pods at once: they come back to their volumes.
    site.kubernetes
        .kubectl(&["delete", "pods", "--all", "--grace-period=0", "--force"])
        .await
        .unwrap()
        .success()
        .unwrap();
    let comes_back = |status: &Value| status["phase"] != "Running";
    site.until("sample", "the loss of all pods", comes_back).await.unwrap();
    site.running("sample", 3).await.unwrap();
    assert_eq!(etcdctl(&site.kubernetes, "sample", "default", &["get", "greeting"]).await, "greeting\nhello\n");

    // The cluster alone: nothing begins beside what it left, until that is given to another.
    site.kubernetes.kubectl(&["delete", "etcdcluster", "sample", "--cascade=orphan"]).await.unwrap().success().unwrap();
    site.kubernetes.apply(MANIFEST).await.unwrap();
    site.until("sample", "a word about what was left", |status| says(status, "didn't make")).await.unwrap();
    let page = std::fs::read_to_string(binaries::repository().join("docs/operator/failure-modes.md")).unwrap();
    let (_, section) = page.split_once("### An orphaned cluster").unwrap();
    let folder = site.kubernetes.folder().display().to_string();
    std::fs::write(site.kubernetes.folder().join("sample.yaml"), format!("{MANIFEST}  paused: true\n")).unwrap();
    let mut adopt = quickstart::shell(&site.kubernetes);
    adopt.args(["-euc", &format!("cd {folder}\n{}", quickstart::blocks(section)[0])]);
    let output = tokio::task::spawn_blocking(move || adopt.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let adopted = site.running("sample", 3).await.unwrap();
    assert_eq!(adopted["status"]["clusterId"], cluster["status"]["clusterId"]);
    assert_eq!(etcdctl(&site.kubernetes, "sample", "default", &["get", "greeting"]).await, "greeting\nhello\n");

    // The cluster in the middle of a change; another of its name has nothing of it but keeps its volumes.
    site.change("sample", json!({"replicas": 5})).await.unwrap();
    site.until("sample", "a fourth member", |status| status["members"].as_array().is_some_and(|all| all.len() > 3))
        .await
        .unwrap();
    site.kubernetes.api().expect(Method::DELETE, CLUSTER, None).await.unwrap();
    let none = |list: &Value| list["items"].as_array().is_some_and(Vec::is_empty);
    site.kubernetes.api().until("the end of all members", LIMIT, MEMBERS, none).await.unwrap();
    site.kubernetes.api().until("the end of all pods", LIMIT, PODS, none).await.unwrap();
    let volumes = site.kubernetes.api().expect(Method::GET, CLAIMS, None).await.unwrap();
    assert!(volumes["items"].as_array().unwrap().len() >= 3, "{volumes:#}");
    site.kubernetes.apply(MANIFEST).await.unwrap();
    site.running("sample", 3).await.unwrap();
    assert_eq!(etcdctl(&site.kubernetes, "sample", "default", &["get", "greeting"]).await, "");
}
