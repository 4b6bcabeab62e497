//! The Kubernetes of the tests is one: what an operator relies on is there, on upstream's etcd and on ours.

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::Method;
use quorate_e2e::binaries::Flavour;
use quorate_e2e::kubernetes::api::is_true;
use quorate_e2e::kubernetes::{Datastore, Image, Kubernetes};
use quorate_e2e::wait::{self, Look};
use serde_json::Value;

/// Until a pod runs, or has gone, on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

const PODS: &str = "/api/v1/namespaces/default/pods";

/// A pod on a node that says who it is at port 8080, and its Service.
fn greeter(name: &str, node: &str) -> String {
    let image = Image::Debug.name();
    format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers:
  - name: greeter
    image: {image}
    imagePullPolicy: Never
    command: [sh, -c, "echo this is {name} | tee /tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
    readinessProbe: {{httpGet: {{port: 8080}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{port: 80, targetPort: 8080}}]
"#
    )
}

/// A member with its claim, as strict as the standard for restricted pods asks for.
fn member() -> String {
    let image = Image::server(Flavour::under_test()).name();
    // Upstream's image runs as root if nobody says otherwise.
    let user = if Flavour::under_test() == Flavour::Upstream { "runAsUser: 65532, " } else { "" };
    format!(
        r#"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: data}}
spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: member}}
spec:
  securityContext: {{{user}runAsNonRoot: true, fsGroup: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: etcd
    image: {image}
    imagePullPolicy: Never
    command: [etcd, --listen-client-urls=http://0.0.0.0:2379, --advertise-client-urls=http://member:2379]
    securityContext: {{readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
    readinessProbe: {{httpGet: {{path: /readyz, port: 2379}}, periodSeconds: 1}}
    volumeMounts: [{{name: data, mountPath: /var/lib/etcd}}]
  volumes: [{{name: data, persistentVolumeClaim: {{claimName: data}}}}]
"#
    )
}

/// Three members that know each other by the names that a StatefulSet gives them.
fn members() -> String {
    let image = Image::server(Flavour::under_test()).name();
    let list: Vec<_> = (0..3).map(|at| format!("trio-{at}=http://trio-{at}.trio:2380")).collect();
    let list = list.join(",");
    format!(
        r#"
apiVersion: v1
kind: Service
metadata: {{name: trio}}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {{app: trio}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: trio}}
spec:
  serviceName: trio
  replicas: 3
  podManagementPolicy: Parallel
  selector: {{matchLabels: {{app: trio}}}}
  template:
    metadata: {{labels: {{app: trio}}}}
    spec:
      securityContext: {{fsGroup: 65532}}
      containers:
      - name: etcd
        image: {image}
        imagePullPolicy: Never
        env: [{{name: NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}]
        command:
        - etcd
        - --name=$(NAME)
        - --listen-client-urls=http://0.0.0.0:2379
        - --listen-peer-urls=http://0.0.0.0:2380
        - --advertise-client-urls=http://$(NAME).trio:2379
        - --initial-advertise-peer-urls=http://$(NAME).trio:2380
        - --initial-cluster={list}
        readinessProbe: {{httpGet: {{path: /readyz, port: 2379}}, periodSeconds: 1}}
        volumeMounts: [{{name: data, mountPath: /var/lib/etcd}}]
  volumeClaimTemplates:
  - metadata: {{name: data}}
    spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
"#
    )
}

async fn is_ready(kubernetes: &Kubernetes, pod: &str) -> Value {
    let what = format!("readiness of the pod {pod}");
    kubernetes.api().until(&what, LIMIT, &format!("{PODS}/{pod}"), |pod| is_true(pod, "Ready")).await.unwrap()
}

async fn exec(kubernetes: &Kubernetes, pod: &str, command: &[&str]) -> String {
    let arguments = [&["exec", pod, "--"], command].concat();
    kubernetes.kubectl(&arguments).await.unwrap().success().unwrap()
}

/// Asks until there is an answer: a Service or its name may be known a moment later than its pod.
async fn greeting(kubernetes: &Kubernetes, from: &str, address: &str) -> String {
    let url = format!("http://{address}/index.html");
    let arguments = ["exec", from, "--", "timeout", "3", "wget", "-qO-", &url];
    wait::until(&format!("an answer of {url}"), LIMIT, async || {
        let output = kubernetes.kubectl(&arguments).await?;
        Ok(if output.code == 0 { Look::Yes(output.stdout) } else { Look::NotYet(output.stderr) })
    })
    .await
    .unwrap()
}

async fn pods_reach_each_other(kubernetes: &Kubernetes) {
    for (name, node) in [("one", "node-1"), ("two", "node-2")] {
        kubernetes.apply(&greeter(name, node)).await.unwrap();
    }
    let one = is_ready(kubernetes, "one").await;
    let two = is_ready(kubernetes, "two").await;
    let address = |pod: &Value| format!("{}:8080", pod["status"]["podIP"].as_str().unwrap());
    assert_eq!(greeting(kubernetes, "one", &address(&two)).await, "this is two\n");
    assert_eq!(greeting(kubernetes, "two", &address(&one)).await, "this is one\n");
    // By the Service of the other, and by its own with a short name.
    assert_eq!(greeting(kubernetes, "one", "two.default.svc.cluster.local").await, "this is two\n");
    assert_eq!(greeting(kubernetes, "one", "one.default").await, "this is one\n");
    let log = wait::until("the line of a log", LIMIT, async || {
        let line = kubernetes.kubectl(&["logs", "two"]).await?.success()?;
        Ok(if line.is_empty() { Look::NotYet(line) } else { Look::Yes(line) })
    });
    assert_eq!(log.await.unwrap(), "this is two\n");

    // So do programs that run beside the control plane, by the same names.
    let url = "http://two.default.svc.cluster.local/index.html";
    let answer = wait::until("an answer beside the control plane", LIMIT, async || {
        let mut command = kubernetes.command("curl".as_ref());
        command.args(["--silent", "--show-error", "--fail", "--max-time", "10", url]);
        let output = tokio::process::Command::from(command).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(if output.status.success() { Look::Yes(text(&output.stdout)) } else { Look::NotYet(text(&output.stderr)) })
    });
    assert_eq!(answer.await.unwrap(), "this is two\n");
    let releases = kubernetes.helm(&["list", "--output=json"]).await.unwrap().success().unwrap();
    assert_eq!(releases.trim(), "[]");
}

async fn a_member_keeps_its_data(kubernetes: &Kubernetes) {
    kubernetes.apply(&member()).await.unwrap();
    is_ready(kubernetes, "member").await;
    assert_eq!(exec(kubernetes, "member", &["etcdctl", "put", "key", "value"]).await, "OK\n");

    // The claim grows while it is used.
    let claim = "/api/v1/namespaces/default/persistentvolumeclaims/data";
    let more = serde_json::json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    kubernetes.api().expect(Method::PATCH, claim, Some(&more)).await.unwrap();
    let has_grown = |claim: &Value| claim["status"]["capacity"]["storage"] == "2Gi";
    kubernetes.api().until("the growth of a claim", LIMIT, claim, has_grown).await.unwrap();

    kubernetes.kubectl(&["delete", "pod", "member"]).await.unwrap().success().unwrap();
    kubernetes.apply(&member().replace("1Gi", "2Gi")).await.unwrap();
    is_ready(kubernetes, "member").await;
    assert_eq!(exec(kubernetes, "member", &["etcdctl", "get", "key"]).await, "key\nvalue\n");

    // What nobody claims any more is gone.
    kubernetes.kubectl(&["delete", "pod/member", "pvc/data"]).await.unwrap().success().unwrap();
    let volumes = "/api/v1/persistentvolumes";
    let is_empty = |volumes: &Value| volumes["items"].as_array().is_some_and(Vec::is_empty);
    kubernetes.api().until("the end of a volume", LIMIT, volumes, is_empty).await.unwrap();
}

async fn members_find_each_other(kubernetes: &Kubernetes) {
    kubernetes.apply(&members()).await.unwrap();
    let mut nodes = BTreeSet::new();
    for at in 0..3 {
        let pod = is_ready(kubernetes, &format!("trio-{at}")).await;
        nodes.insert(pod["spec"]["nodeName"].as_str().unwrap().to_owned());
    }
    assert_eq!(nodes.len(), 2, "all members are on one node");
    let health = exec(kubernetes, "trio-0", &["etcdctl", "endpoint", "health", "--cluster"]).await;
    assert_eq!(health.matches("is healthy").count(), 3, "{health}");
    let all = ["delete", "statefulset/trio", "service/trio", "pvc/data-trio-0", "pvc/data-trio-1", "pvc/data-trio-2"];
    kubernetes.kubectl(&all).await.unwrap().success().unwrap();
}

async fn a_lost_node_comes_back(kubernetes: &mut Kubernetes) {
    kubernetes.cut(2).unwrap();
    kubernetes.unready(2).await.unwrap();
    kubernetes.join(2).unwrap();
    kubernetes.ready(2).await.unwrap();

    kubernetes.lose(2).unwrap();
    kubernetes.unready(2).await.unwrap();
    kubernetes.restart(2).await.unwrap();
    kubernetes.ready(2).await.unwrap();
    kubernetes.apply(&greeter("three", "node-2")).await.unwrap();
    is_ready(kubernetes, "three").await;
    assert_eq!(greeting(kubernetes, "one", "three").await, "this is three\n");
}

/// Processes that were started for a folder or see mounts of it, and its control groups.
fn users(folder: &str) -> Vec<String> {
    let mut users = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "mountinfo"] {
            let text = std::fs::read(process.path().join(file)).unwrap_or_default();
            if String::from_utf8_lossy(&text).contains(folder) {
                users.push(process.path().join(file).display().to_string());
            }
        }
    }
    for controller in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        let groups = std::fs::read_dir(controller.path()).into_iter().flatten().flatten();
        let names = groups.map(|group| group.path().display().to_string());
        users.extend(names.filter(|name| name.contains(folder)));
    }
    users
}

async fn check(mut kubernetes: Kubernetes) {
    pods_reach_each_other(&kubernetes).await;
    a_member_keeps_its_data(&kubernetes).await;
    members_find_each_other(&kubernetes).await;
    a_lost_node_comes_back(&mut kubernetes).await;
    kubernetes.must_run().unwrap();

    let folder = kubernetes.folder().file_name().unwrap().to_string_lossy().into_owned();
    assert!(!users(&folder).is_empty());
    drop(kubernetes);
    assert_eq!(users(&folder), [""; 0], "something is left");
}

async fn start(datastore: Datastore) -> Kubernetes {
    let server = Image::server(Flavour::under_test());
    let builder = Kubernetes::builder().nodes(2).datastore(datastore).image(server).image(Image::Debug);
    builder.start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_names_disks_and_lost_nodes_are_as_anywhere() {
    check(start(Datastore::Upstream).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubernetes_runs_pods_on_three_members_of_which_one_dies() {
    let mut kubernetes = start(Datastore::Quorate).await;
    kubernetes.kill_member(0).unwrap();
    check(kubernetes).await;
}
