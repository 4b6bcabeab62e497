//! `kubectl quorate` on a cluster that runs.

use std::path::PathBuf;

use hyper::Method;
use quorate_e2e::binaries;
use quorate_e2e::ctl::Output;
use quorate_e2e::kubernetes::Operated;
use quorate_e2e::process::Process;
use serde_json::Value;

const PODS: &str = "/api/v1/namespaces/default/pods";
const MANIFEST: &str = "
apiVersion: quorate.io/v1alpha1
kind: EtcdCluster
metadata: {name: sample}
spec:
  image: {pullPolicy: Never}
  storage: {size: 1Gi, reclaim: {onScaleDown: Retain}}
";
/// Somebody who may read clusters and nothing else.
const READER: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: default}
rules: [{apiGroups: [quorate.io], resources: [etcdclusters], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: default}]
";

struct Site {
    operated: Operated,
}

impl Site {
    async fn plugin(&self, arguments: &[&str]) -> Output {
        let kubernetes = &self.operated.kubernetes;
        kubernetes.plugin(&kubernetes.kubeconfig()).unwrap().run(arguments).await.unwrap()
    }

    async fn succeeds(&self, arguments: &[&str]) -> String {
        let Output { stdout, stderr, code } = self.plugin(arguments).await;
        assert_eq!(code, 0, "{arguments:?}: {stdout}{stderr}");
        stdout
    }

    async fn fails(&self, arguments: &[&str], words: &str) {
        let Output { stdout, stderr, code } = self.plugin(arguments).await;
        assert!(code == 1 && stderr.contains(words), "{arguments:?}: {code} {stdout}{stderr}");
    }

    async fn report(&self) -> Value {
        serde_json::from_str(&self.succeeds(&["status", "sample", "--output", "json"]).await).unwrap()
    }

    async fn spec(&self) -> Value {
        self.operated.cluster("sample").await.unwrap()["spec"].take()
    }

    async fn pods(&self) -> Vec<(String, String)> {
        let pods = self.operated.kubernetes.api().expect(Method::GET, PODS, None).await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let pods = pods["items"].as_array().unwrap().iter().map(|pod| &pod["metadata"]);
        pods.map(|metadata| (text(&metadata["name"]), text(&metadata["uid"]))).collect()
    }

    /// What a member itself says.
    async fn leads(&self, member: &str) -> bool {
        let path = format!("{PODS}/{member}:2381/proxy/metrics");
        let metrics = self.operated.kubernetes.api().expect(Method::GET, &path, None).await.unwrap();
        metrics.as_str().unwrap().lines().any(|line| line == "etcd_server_is_leader 1")
    }

    /// A kubeconfig of the reader.
    async fn reader(&self) -> PathBuf {
        let kubernetes = &self.operated.kubernetes;
        kubernetes.apply(READER).await.unwrap();
        let token = kubernetes.kubectl(&["create", "token", "reader"]).await.unwrap().success().unwrap();
        let theirs = std::fs::read_to_string(kubernetes.kubeconfig()).unwrap();
        let (before, after) = theirs.split_once("token: '").unwrap();
        let (_, after) = after.split_once('\'').unwrap();
        let file = kubernetes.folder().join("reader.kubeconfig");
        std::fs::write(&file, format!("{before}token: '{}'{after}", token.trim())).unwrap();
        file
    }
}

fn members(report: &Value) -> Vec<&Value> {
    report["members"].as_array().unwrap().iter().collect()
}

fn name(member: &Value) -> &str {
    member["name"].as_str().unwrap()
}

#[tokio::test]
async fn kubectl_quorate_shows_and_changes_a_cluster() {
    let mut site = Site { operated: Operated::start(2).await.unwrap() };
    site.operated.kubernetes.apply(MANIFEST).await.unwrap();
    site.operated.running("sample", 3).await.unwrap();

    shows(&site).await;
    explains_itself(&site).await;
    moves_leadership(&site).await;
    pauses_and_restarts(&mut site).await;
    prints_logs(&mut site).await;
    hibernates(&mut site).await;

    // A retained volume is somebody's to look at.
    site.operated.change("sample", serde_json::json!({"replicas": 1})).await.unwrap();
    site.operated.running("sample", 1).await.unwrap();
    let report = site.report().await;
    assert_eq!(report["unusedVolumes"].as_array().unwrap().len(), 2, "{report:#}");
    assert!(site.succeeds(&["status", "sample"]).await.contains("Volumes that nobody uses"));

    site.succeeds(&["certs", "rotate", "sample"]).await;
    let cluster = site.operated.cluster("sample").await.unwrap();
    assert!(cluster["metadata"]["annotations"]["quorate.io/rotate-ca"].is_string(), "{cluster:#}");
}

async fn shows(site: &Site) {
    let report = site.report().await;
    assert_eq!((&report["phase"], &report["step"]), (&Value::from("Running"), &Value::Null), "{report:#}");
    let text = site.succeeds(&["status", "sample"]).await;
    println!("{text}");
    assert!(text.starts_with("default/sample: Running\n"), "{text}");
    let members = members(&report);
    assert_eq!(members.len(), 3);
    for member in members {
        assert!(text.contains(name(member)), "{text}");
        assert_eq!(member["restarts"], 0, "{member:#}");
        assert_eq!(member["volume"]["size"], "1Gi", "{member:#}");
        // These come from the member itself, through the API server.
        assert!(member["databaseBytes"].as_u64().is_some_and(|bytes| bytes > 0), "{member:#}");
        assert!(member["lag"].as_u64().is_some_and(|lag| lag < 100), "{member:#}");
    }
    let certificates = report["certificates"].as_array().unwrap().iter().map(|one| one["secret"].as_str().unwrap());
    assert_eq!(
        certificates.collect::<Vec<_>>(),
        ["sample-ca", "sample-client-tls", "sample-peer-tls", "sample-server-tls"]
    );
    assert_eq!(report["notes"], serde_json::json!([]));
    assert!(!report["events"].as_array().unwrap().is_empty());
}

async fn explains_itself(site: &Site) {
    site.fails(&["status", "smaple"], "there are: sample").await;
    site.fails(&["status", "sample", "-n", "kube-system"], "there is one in default").await;
    site.fails(&["status", "sample", "--context", "elsewhere"], "kubectl config get-contexts").await;
    let kubernetes = &site.operated.kubernetes;
    let reader = kubernetes.plugin(&site.reader().await).unwrap();
    let Output { stdout, stderr, code } = reader.run(&["status", "sample"]).await.unwrap();
    assert_eq!(code, 0, "{stderr}");
    for note in ["you may not list secrets in namespace default", "you may not list pods in namespace default"] {
        assert!(stdout.contains(note), "{stdout}");
    }
    let Output { stderr, code, .. } = reader.run(&["pause", "sample"]).await.unwrap();
    let words = "you may not patch etcdclusters.quorate.io in namespace default";
    assert!(code == 1 && stderr.contains(words), "{stderr}");
    assert_eq!(site.spec().await["paused"], false);
}

async fn moves_leadership(site: &Site) {
    let report = site.report().await;
    let follower = members(&report).into_iter().find(|member| member["role"] == "Follower").unwrap();
    let follower = name(follower);
    assert!(!site.leads(follower).await);
    let said = site.succeeds(&["promote-leader", "sample", follower]).await;
    assert!(said.contains(&format!("{follower} leads; it was ")), "{said}");
    assert!(site.leads(follower).await);
    let said = site.succeeds(&["promote-leader", "sample", follower]).await;
    assert_eq!(said, format!("{follower} leads already\n"));
    site.fails(&["promote-leader", "sample", "nobody"], &format!("there are: {}", name(members(&report)[0]))).await;
}

async fn pauses_and_restarts(site: &mut Site) {
    site.succeeds(&["pause", "sample"]).await;
    site.operated.until("sample", "a pause", |status| status["phase"] == "Paused").await.unwrap();
    site.fails(&["restart", "sample"], "sample is paused").await;
    site.succeeds(&["unpause", "sample"]).await;
    site.operated.running("sample", 3).await.unwrap();

    let before = site.pods().await;
    let said = site.succeeds(&["restart", "sample", "--wait", "--timeout", "110s"]).await;
    assert!(said.contains("all members of sample have restarted in "), "{said}");
    let after = site.pods().await;
    let names = |pods: &[(String, String)]| pods.iter().map(|pod| pod.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after), "members keep their names");
    assert!(before.iter().zip(&after).all(|(before, after)| before.1 != after.1), "{before:?} {after:?}");
    site.operated.running("sample", 3).await.unwrap();
}

async fn prints_logs(site: &mut Site) {
    let pods = site.pods().await;
    let lines = site.succeeds(&["logs", "sample", "--tail", "2"]).await;
    assert_eq!(lines.lines().count(), 6, "{lines}");
    for (pod, _) in &pods {
        assert_eq!(lines.lines().filter(|line| line.starts_with(&format!("{pod}  "))).count(), 2, "{lines}");
    }
    let first = pods[0].0.clone();
    let only = site.succeeds(&["logs", "sample", "--member", &first]).await;
    assert!(only.lines().count() > 2 && only.lines().all(|line| line.starts_with(&first)), "{only}");
    site.fails(&["logs", "sample", "--member", "nobody"], "sample has no pod nobody").await;

    // A member that ends and starts again goes on being followed.
    let kubernetes = &site.operated.kubernetes;
    let mut command = kubernetes.command(&binaries::plugin().unwrap());
    command.args(["logs", "sample", "--follow", "--tail", "0"]);
    let mut follow = Process::start("logs", command, &kubernetes.folder().join("logs/follow.log")).unwrap();
    kubernetes.kubectl(&["delete", "pod", &first]).await.unwrap().success().unwrap();
    site.operated.running("sample", 3).await.unwrap();
    follow.logs(&format!("{first}  ")).await.unwrap();
    follow.logs("restarting local member").await.unwrap();
    follow.kill().unwrap();
}

async fn hibernates(site: &mut Site) {
    site.fails(&["hibernate", "sample"], "--yes").await;
    assert_eq!(site.spec().await["replicas"], 3);
    site.succeeds(&["hibernate", "sample", "--yes", "--wait"]).await;
    assert_eq!(site.pods().await, []);
    site.fails(&["restart", "sample"], "sample is hibernated").await;
    site.succeeds(&["resume", "sample", "--wait"]).await;
    assert_eq!(site.pods().await.len(), 3);
    site.operated.running("sample", 3).await.unwrap();
    site.fails(&["resume", "sample"], "sample is not hibernated: it is to have 3 members").await;
    let cluster = site.operated.cluster("sample").await.unwrap();
    assert!(cluster["metadata"]["annotations"]["quorate.io/replicas-before-hibernation"].is_null(), "{cluster:#}");
}
