//! What happens to a cluster while clients write to it, and an operator that is killed again and again meanwhile: every
//! acknowledged write stays, and what the clients saw is linearizable.

use std::time::{Duration, Instant};

use hyper::Method;
use quorate_e2e::binaries::{self, Flavour};
use quorate_e2e::history::{Committed, Traffic, Verdict, check};
use quorate_e2e::kubernetes::api::is_true;
use quorate_e2e::kubernetes::operated::{AbortOnDrop, LIMIT};
use quorate_e2e::kubernetes::{Datastore, Inside, Operated};
use quorate_e2e::wait::{self, Look};
use serde_json::{Value, json};

use crate::etcdctl::etcdctl;

const PREFIX: &str = "history/";
const PODS: &str = "/api/v1/namespaces/default/pods";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";
/// A node's kubelet is taken for dead after 16 s or so in the tests' Kubernetes; members on it soon after.
const MANIFEST: &str = "
apiVersion: quorate.io/v1alpha1
kind: EtcdCluster
metadata: {name: sample}
spec:
  image: {pullPolicy: Never}
  storage: {size: 1Gi}
  repair: {memberUnreachableAfterSeconds: 15}
";

/// Kills the operator at a time that nobody chose, and starts it again.
async fn disturb(site: &mut Operated) {
    tokio::time::sleep(Duration::from_millis(rand::random_range(0..1500))).await;
    site.kill().await.unwrap();
    site.launch().unwrap();
}

/// The API server answers "too many requests" to everything that the operator asks.
const THROTTLE: &str = r#"
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: throttled}
spec:
  type: Limited
  limited: {nominalConcurrencyShares: 0, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse: {type: Reject}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: throttled}
spec:
  matchingPrecedence: 10
  priorityLevelConfiguration: {name: throttled}
  rules:
  - subjects: [{kind: Group, group: {name: "system:serviceaccounts:quorate-system"}}]
    resourceRules: [{verbs: ["*"], apiGroups: ["*"], resources: ["*"], namespaces: ["*"], clusterScope: true}]
"#;

/// Until it was refused some requests.
async fn throttle(site: &Operated) {
    site.kubernetes.apply(THROTTLE).await.unwrap();
    wait::until("requests that are refused", LIMIT, async || {
        let metrics = site.kubernetes.kubectl(&["get", "--raw", "/metrics"]).await?.success()?;
        let refused = metrics.lines().filter(|line| {
            line.starts_with("apiserver_flowcontrol_rejected_requests_total{")
                && line.contains("flow_schema=\"throttled\"")
        });
        let refused: f64 = refused.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
        Ok(if refused >= 5.0 { Look::Yes(()) } else { Look::NotYet(format!("{refused} refused")) })
    })
    .await
    .unwrap();
    let both = ["delete", "flowschema/throttled", "prioritylevelconfiguration/throttled"];
    site.kubernetes.kubectl(&both).await.unwrap().success().unwrap();
}

struct Writer {
    inside: Inside,
    traffic: Traffic,
    /// Its certificates are read again while they change.
    _follows: AbortOnDrop,
}

impl Writer {
    async fn start(site: &Operated) -> Writer {
        let inside = site.inside().unwrap();
        let (dial, follows) = site.dial_and_follow("sample").await.unwrap();
        let traffic = inside.enter(|| Traffic::start(dial, PREFIX, 3, 8, rand::random()));
        Writer { inside, traffic, _follows: follows }
    }

    async fn verdict(self, site: &Operated) -> Verdict {
        let operations = self.traffic.stop().await.unwrap();
        let dial = site.dial("sample").await.unwrap();
        let read = async move { Committed::read(&mut dial.connect(0).await.unwrap(), PREFIX).await.unwrap() };
        let committed = self.inside.run(read).await.unwrap();
        let verdict = check(&operations, &committed).unwrap();
        println!("{verdict:?}");
        verdict
    }
}

fn names(cluster: &Value) -> Vec<String> {
    let members = cluster["status"]["members"].as_array().unwrap();
    members.iter().map(|member| member["name"].as_str().unwrap().to_owned()).collect()
}

fn role(cluster: &Value, role: &str) -> (String, String) {
    let members = cluster["status"]["members"].as_array().unwrap();
    let member = members.iter().find(|member| member["role"] == role).unwrap();
    (member["name"].as_str().unwrap().to_owned(), member["node"].as_str().unwrap().to_owned())
}

/// A member that shares its node with no other: two of three would be a quorum.
fn alone(cluster: &Value) -> (String, String) {
    let members = cluster["status"]["members"].as_array().unwrap();
    let shares = |one: &Value| members.iter().filter(|other| other["node"] == one["node"]).count() > 1;
    let member = members.iter().find(|member| !shares(member)).unwrap();
    (member["name"].as_str().unwrap().to_owned(), member["node"].as_str().unwrap().to_owned())
}

/// Prints how long each part of a long test took.
struct Watch(Instant);

impl Watch {
    fn lap(&mut self, what: &str) {
        println!("{what}: {:.1} s", self.0.elapsed().as_secs_f64());
        self.0 = Instant::now();
    }
}

/// Everything that a user does with a cluster and everything that happens to it, with an operator that ends again and again.
async fn life(flavour: Flavour, datastore: Datastore) {
    let mut watch = Watch(Instant::now());
    let mut site = Operated::install(3, flavour, datastore).await.unwrap();
    watch.lap("Kubernetes and the operator");
    let sample = binaries::repository().join("docs/operator/sample.yaml").display().to_string();
    site.kubernetes.kubectl(&["apply", "--filename", &sample]).await.unwrap().success().unwrap();
    let wait = ["wait", "--for=condition=Available", "etcdcluster/sample", "--timeout=150s"];
    site.kubernetes.kubectl(&wait).await.unwrap().success().unwrap();
    let quick = json!({"repair": {"memberUnreachableAfterSeconds": 15}, "tls": {"clientGraceSeconds": 6}});
    site.change("sample", quick).await.unwrap();
    site.running("sample", 3).await.unwrap();
    assert_eq!(etcdctl(&site.kubernetes, "sample", "default", &["put", "greeting", "hello"]).await, "OK\n");
    watch.lap("three members");
    let writer = Writer::start(&site).await;

    for replicas in [5, 3, 1, 3] {
        let size = format!("--replicas={replicas}");
        site.kubernetes.kubectl(&["scale", "ec/sample", &size]).await.unwrap().success().unwrap();
        if replicas == 5 {
            throttle(&site).await;
        }
        for _ in 0..3 {
            disturb(&mut site).await;
        }
        site.running("sample", replicas).await.unwrap();
        watch.lap(&format!("{replicas} members"));
    }

    site.change("sample", json!({"version": "3.7.3", "etcd": {"snapshotCount": 5000}})).await.unwrap();
    for _ in 0..3 {
        disturb(&mut site).await;
    }
    let rolled = site.running("sample", 3).await.unwrap();
    for name in names(&rolled) {
        let pod = site.kubernetes.api().expect(Method::GET, &format!("{PODS}/{name}"), None).await.unwrap();
        let container = &pod["spec"]["containers"][0];
        assert!(container["args"].to_string().contains("--snapshot-count=5000"), "{pod:#}");
        assert!(container["image"].as_str().unwrap().ends_with(":v3.7.3"), "{pod:#}");
    }
    watch.lap("another version");

    let authorities = rolled["status"]["certificates"].clone();
    let annotate = ["annotate", "etcdcluster", "sample", "quorate.io/rotate-ca=1"];
    site.kubernetes.kubectl(&annotate).await.unwrap().success().unwrap();
    for _ in 0..2 {
        disturb(&mut site).await;
    }
    let is_exchanged = |status: &Value| {
        let (all, before) = (status["certificates"].as_array(), authorities.as_array());
        let authorities = |one: &Value| one["authorities"].clone();
        all.zip(before).is_some_and(|(all, before)| {
            all.iter().all(|one| {
                one["authorities"].as_array().is_some_and(|list| list.len() == 1)
                    && before.iter().all(|old| authorities(old) != authorities(one))
            })
        })
    };
    // Others than ours read an authority at their start alone: the operator waits until that is certain, and restarts them.
    site.until_within("sample", "another authority", 3 * LIMIT, is_exchanged).await.unwrap();
    let rotated = site.running("sample", 3).await.unwrap();
    watch.lap("another authority");

    let (leader, _) = role(&rotated, "Leader");
    let pod = format!("{PODS}/{leader}");
    let before = site.kubernetes.api().expect(Method::GET, &pod, None).await.unwrap()["metadata"]["uid"].clone();
    let killed = ["delete", "pod", &leader, "--grace-period=0", "--force"];
    site.kubernetes.kubectl(&killed).await.unwrap().success().unwrap();
    let serves_again = |pod: &Value| pod["metadata"]["uid"] != before && is_true(pod, "Ready");
    site.kubernetes.api().until("another pod", LIMIT, &pod, serves_again).await.unwrap();
    let cluster = site.running("sample", 3).await.unwrap();
    assert!(names(&cluster).contains(&leader), "{leader} kept its volume");
    watch.lap("a pod killed");

    let (lost, _) = role(&cluster, "Follower");
    site.kubernetes.api().expect(Method::DELETE, &format!("{CLAIMS}/data-{lost}"), None).await.unwrap();
    site.kubernetes.api().expect(Method::DELETE, &format!("{PODS}/{lost}"), None).await.unwrap();
    disturb(&mut site).await;
    site.gone(&format!("/apis/quorate.io/v1alpha1/namespaces/default/etcdmembers/{lost}")).await.unwrap();
    let cluster = site.running("sample", 3).await.unwrap();
    assert!(!names(&cluster).contains(&lost), "{lost} lost its volume");
    watch.lap("a volume deleted");

    let (drained, node) = role(&cluster, "Follower");
    let drain = ["drain", &node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=100s"];
    site.kubernetes.kubectl(&drain).await.unwrap().success().unwrap();
    disturb(&mut site).await;
    site.gone(&format!("/apis/quorate.io/v1alpha1/namespaces/default/etcdmembers/{drained}")).await.unwrap();
    let cluster = site.running("sample", 3).await.unwrap();
    site.kubernetes.kubectl(&["uncordon", &node]).await.unwrap().success().unwrap();
    watch.lap("a node drained");

    let (gone, node) = alone(&cluster);
    let number = node.trim_start_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap();
    match flavour {
        Flavour::Quorate => site.kubernetes.cut(number).unwrap(),
        Flavour::Upstream => site.kubernetes.lose(number).unwrap(),
    }
    disturb(&mut site).await;
    site.gone(&format!("/apis/quorate.io/v1alpha1/namespaces/default/etcdmembers/{gone}")).await.unwrap();
    site.running("sample", 3).await.unwrap();
    watch.lap("a node cut off or lost");
    if flavour == Flavour::Quorate {
        // What ran on there all the time ends, and nobody listens to it.
        site.kubernetes.join(number).unwrap();
        site.gone(&format!("{PODS}/{gone}")).await.unwrap();
        site.running("sample", 3).await.unwrap();
        watch.lap("the node is back");
    }

    let verdict = writer.verdict(&site).await;
    assert!(verdict.writes > 1000 && verdict.reads > 1000, "{verdict:?}");
    assert_eq!(etcdctl(&site.kubernetes, "sample", "default", &["get", "greeting"]).await, "greeting\nhello\n");
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_on_a_kubernetes_that_runs_on_three_members_itself() {
    life(Flavour::Quorate, Datastore::Quorate).await;
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_by_members_of_upstreams() {
    life(Flavour::Upstream, Datastore::Upstream).await;
}

#[tokio::test]
async fn a_bad_image_stops_at_one_member_and_a_lost_quorum_waits_for_consent() {
    let mut watch = Watch(Instant::now());
    let mut site = Operated::start(1).await.unwrap();
    site.kubernetes.apply(MANIFEST).await.unwrap();
    let cluster = site.running("sample", 3).await.unwrap();
    let before = names(&cluster);
    watch.lap("three members");

    let image = cluster["status"]["image"].clone();
    site.change("sample", json!({"image": {"tag": "none-such"}})).await.unwrap();
    let stopped = |status: &Value| {
        status["message"].as_str().is_some_and(|message| message.contains("ErrImageNeverPull"))
            && status["ready"] == "2/3"
    };
    site.until("sample", "a roll that stops", stopped).await.unwrap();
    site.change("sample", json!({"image": {"tag": null}})).await.unwrap();
    let cluster = site.running("sample", 3).await.unwrap();
    assert_eq!((names(&cluster), &cluster["status"]["image"]), (before, &image));
    watch.lap("a bad image taken back");

    let writer = Writer::start(&site).await;
    let (survivor, _) = role(&cluster, "Follower");
    let lost: Vec<String> = names(&cluster).into_iter().filter(|name| *name != survivor).collect();
    for name in &lost {
        site.kubernetes.api().expect(Method::DELETE, &format!("{CLAIMS}/data-{name}"), None).await.unwrap();
        site.kubernetes.api().expect(Method::DELETE, &format!("{PODS}/{name}"), None).await.unwrap();
    }
    let id = cluster["status"]["clusterId"].as_str().unwrap();
    let consent = format!("{id}-1");
    let asks = |status: &Value| {
        status["phase"] == "Unavailable" && status["message"].as_str().is_some_and(|message| message.contains(&consent))
    };
    site.until("sample", "a lost quorum", asks).await.unwrap();
    drop(writer.traffic.stop().await.unwrap());
    watch.lap("a quorum lost");

    site.change("sample", json!({"recovery": {"consent": consent}})).await.unwrap();
    disturb(&mut site).await;
    let is_recovered = |status: &Value| status["recovery"]["isDone"] == true;
    site.until("sample", "the recovery", is_recovered).await.unwrap();
    disturb(&mut site).await;
    let cluster = site.running("sample", 3).await.unwrap();
    assert!(names(&cluster).contains(&survivor) && !lost.iter().any(|name| names(&cluster).contains(name)));
    assert_eq!(cluster["status"]["clusterId"], id);
    watch.lap("recovered");
}
