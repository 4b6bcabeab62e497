//! The charts, with helm itself: what they refuse, what they make, and a cluster from install to uninstall.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use hyper::Method;
use quorate_e2e::binaries::{self, Flavour, tool};
use quorate_e2e::kubernetes::operated::LIMIT;
use quorate_e2e::kubernetes::{Image, Kubernetes};
use serde_json::Value;

use crate::etcdctl::etcdctl;

fn chart(name: &str) -> String {
    binaries::repository().join("charts").join(name).display().to_string()
}

/// What helm says without a Kubernetes: `Err` if it refuses.
fn helm(arguments: &[&str]) -> Result<String, String> {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(tool("helm").unwrap()).args(arguments).env("HOME", home.path()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr) + &text(&output.stdout)) }
}

fn template(name: &str, values: &[&str]) -> Result<String, String> {
    let chart = chart(name);
    let mut arguments = vec!["template", "release", &chart, "--kube-version", "1.36", "--namespace", "here"];
    arguments.extend(values.iter().flat_map(|value| ["--set", value]));
    helm(&arguments)
}

#[test]
fn helm_finds_nothing_to_complain_about() {
    for name in ["quorate-operator", "etcd-cluster"] {
        helm(&["lint", "--strict", &chart(name)]).unwrap();
    }
}

#[test]
fn every_value_has_an_effect() {
    for (value, effect) in [
        ("replicas=3", "replicas: 3"),
        ("image.repository=r.example/op", "image: r.example/op:v"),
        ("image.tag=x", "image: ghcr.io/quorate/quorate-operator:x"),
        ("image.pullPolicy=Always", "imagePullPolicy: Always"),
        ("imagePullSecrets={pull}", "- name: pull"),
        ("memberImage=r.example/etcd:v3.7.3", "--image=r.example/etcd:v3.7.3"),
        ("watchNamespace=team", "--namespace=team"),
        ("serviceAccount.name=robot", "serviceAccountName: robot"),
        ("serviceAccount.annotations.a=b", "a: b"),
        ("resources.limits.cpu=2", "cpu: 2"),
        ("nodeSelector.disk=fast", "disk: fast"),
        ("tolerations[0].key=k", "- key: k"),
        ("affinity.nodeAffinity.x=y", "x: \"y\""),
        ("priorityClassName=high", "priorityClassName: high"),
        ("podLabels.team=x", "team: x"),
        ("podAnnotations.note=x", "note: x"),
        ("metrics.port=9090", "--listen-address=0.0.0.0:9090"),
        ("metrics.podMonitor.enabled=true", "kind: PodMonitor"),
        ("metrics.rules.enabled=true", "kind: PrometheusRule"),
        ("metrics.rules.enabled=true,metrics.rules.labels.team=x", "team: x"),
        ("metrics.rules.enabled=true,metrics.rules.backupAgeSeconds=3600", "> 3600"),
        ("networkPolicy.enabled=true", "kind: NetworkPolicy"),
    ] {
        let made = template("quorate-operator", &[value]).unwrap();
        assert!(made.contains(effect), "{value}: no {effect:?} in {made}");
        assert!(!template("quorate-operator", &[]).unwrap().contains(effect), "{effect:?} is there without {value}");
    }
    for (value, gone) in [
        ("crds.install=false", "kind: CustomResourceDefinition"),
        ("crds.keep=false", "helm.sh/resource-policy: keep"),
        ("rbac.create=false", "kind: ClusterRole"),
        ("serviceAccount.create=false", "kind: ServiceAccount\nmetadata"),
        ("podDisruptionBudget.enabled=false", "kind: PodDisruptionBudget"),
        ("watchNamespace=team", "kind: ClusterRole"),
    ] {
        assert!(template("quorate-operator", &[]).unwrap().contains(gone), "{gone:?} is never there");
        assert!(!template("quorate-operator", &[value]).unwrap().contains(gone), "{value}: {gone:?} is still there");
    }
    let digest = format!("sha256:{}", "0".repeat(64));
    let pinned = template("quorate-operator", &[&format!("image.digest={digest}")]).unwrap();
    assert!(pinned.contains(&format!("image: ghcr.io/quorate/quorate-operator@{digest}")), "{pinned}");

    for (value, effect) in [
        ("name=other", "name: other"),
        ("spec.replicas=5", "replicas: 5"),
        ("spec.etcd.snapshotCount=7", "snapshotCount: 7"),
        ("networkPolicy.enabled=true", "quorate.io/client: \"true\""),
        ("spec=null", "spec:\n  {}"),
    ] {
        let made = template("etcd-cluster", &[value]).unwrap();
        assert!(made.contains(effect), "{value}: no {effect:?} in {made}");
        assert!(!template("etcd-cluster", &[]).unwrap().contains(effect), "{effect:?} is there without {value}");
    }
}

#[test]
fn bad_values_are_refused_by_their_names() {
    for (name, value, place) in [
        ("quorate-operator", "replicas=0", "/replicas"),
        ("quorate-operator", "replicaCount=2", "replicaCount"),
        ("quorate-operator", "image.digest=latest", "/image/digest"),
        ("quorate-operator", "memberImage=etcd", "/memberImage"),
        ("quorate-operator", "watchNamespace=Team", "/watchNamespace"),
        ("quorate-operator", "metrics.port=80", "/metrics/port"),
        ("quorate-operator", "metrics.rules.backupAgeSeconds=0", "/metrics/rules/backupAgeSeconds"),
        ("etcd-cluster", "spec.replicas=10", "/spec/replicas"),
        ("etcd-cluster", "name=Big", "/name"),
        ("etcd-cluster", "spec.nonsense=5", "nonsense"),
        ("etcd-cluster", "replicas=3", "replicas"),
    ] {
        let refusal = template(name, &[value]).expect_err(value);
        assert!(refusal.contains(place), "{value}: {refusal}");
    }
}

struct Site {
    kubernetes: Kubernetes,
}

impl Site {
    async fn start() -> Site {
        let kubernetes = Kubernetes::builder()
            .image(Image::server(Flavour::under_test()))
            .image(Image::Operator)
            .start()
            .await
            .unwrap();
        Site { kubernetes }
    }

    async fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubernetes.kubectl(arguments).await.unwrap().success().unwrap()
    }

    async fn helm(&self, arguments: &[&str]) -> String {
        self.kubernetes.helm(arguments).await.unwrap().success().unwrap()
    }

    /// Whose pods have to fit the strictest level of Pod Security.
    async fn namespace(&self, name: &str) {
        self.kubectl(&["create", "namespace", name]).await;
        self.kubectl(&["label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted"]).await;
    }

    async fn install_operator(&self, command: &str, release: &str, namespace: &str, values: &[&str]) {
        let (operator, member) = (Image::Operator.name(), Image::server(Flavour::under_test()).name());
        let (repository, tag) = operator.rsplit_once(':').unwrap();
        let image =
            format!("image.repository={repository},image.tag={tag},image.pullPolicy=Never,memberImage={member}");
        let chart = chart("quorate-operator");
        let mut arguments =
            vec![command, release, &chart, "--namespace", namespace, "--set", &image, "--wait", "--timeout=3m"];
        arguments.extend(values.iter().flat_map(|value| ["--set", value]));
        self.helm(&arguments).await;
    }

    async fn install_cluster(&self, release: &str, namespace: &str, replicas: u8) {
        let values = format!("spec.replicas={replicas},spec.image.pullPolicy=Never,spec.storage.size=1Gi");
        self.helm(&["install", release, &chart("etcd-cluster"), "--namespace", namespace, "--set", &values]).await;
        let ec = format!("ec/{release}");
        let ready = format!("--for=jsonpath={{.status.ready}}={replicas}/{replicas}");
        self.kubectl(&["wait", "--namespace", namespace, &ready, &ec, "--timeout=150s"]).await;
        self.kubectl(&["wait", "--namespace", namespace, "--for=condition=Available", &ec, "--timeout=10s"]).await;
    }

    async fn etcdctl(&self, cluster: &str, namespace: &str, arguments: &[&str]) -> String {
        etcdctl(&self.kubernetes, cluster, namespace, arguments).await
    }

    /// Whether an account may.
    async fn may(&self, account: &str, arguments: &[&str]) -> bool {
        let account = format!("--as=system:serviceaccount:{account}");
        let arguments = [&["auth", "can-i"], arguments, &[account.as_str()]].concat();
        self.kubernetes.kubectl(&arguments).await.unwrap().stdout.trim() == "yes"
    }

    /// What the operator's replicas have logged since they started.
    async fn nothing_was_forbidden(&self) -> String {
        let selector = "--selector=app.kubernetes.io/name=quorate-operator";
        let log = self.kubectl(&["logs", "--namespace=quorate-system", selector, "--prefix", "--tail=-1"]).await;
        assert!(!log.contains("forbidden"), "{log}");
        log
    }

    /// Names of what is left of these kinds.
    async fn left(&self, namespace: &str, kinds: &str) -> String {
        self.kubectl(&["get", kinds, "--namespace", namespace, "--output=name"]).await
    }

    async fn until_none(&self, namespace: &str, plural: &str, group: &str) {
        let path = format!("{group}/namespaces/{namespace}/{plural}");
        let none = |list: &Value| list["items"].as_array().is_some_and(Vec::is_empty);
        self.kubernetes.api().until(&format!("no {plural} any more"), LIMIT, &path, none).await.unwrap();
    }
}

#[tokio::test]
async fn a_cluster_comes_and_goes_by_helm_and_so_does_the_operator() {
    let site = Site::start().await;
    site.namespace("quorate-system").await;
    site.namespace("prod").await;
    site.install_operator("install", "quorate-operator", "quorate-system", &[]).await;
    site.install_cluster("sample", "prod", 3).await;
    assert_eq!(site.etcdctl("sample", "prod", &["put", "greeting", "hello"]).await.trim(), "OK");
    assert_eq!(site.etcdctl("sample", "prod", &["get", "greeting"]).await.trim(), "greeting\nhello");

    site.kubectl(&["scale", "ec/sample", "--namespace=prod", "--replicas=1"]).await;
    let one = "--for=jsonpath={.status.ready}=1/1";
    site.kubectl(&["wait", "--namespace=prod", one, "ec/sample", "--timeout=150s"]).await;
    let settled = "--for=jsonpath={.status.phase}=Running";
    site.kubectl(&["wait", "--namespace=prod", settled, "ec/sample", "--timeout=150s"]).await;
    assert_eq!(site.etcdctl("sample", "prod", &["get", "greeting"]).await.trim(), "greeting\nhello");

    assert!(site.nothing_was_forbidden().await.contains("Promote"));
    let notes = site.helm(&["get", "notes", "quorate-operator", "--namespace=quorate-system"]).await;
    let example = notes.split_once("<<EOF\n").and_then(|(_, rest)| rest.split_once("  EOF")).unwrap().0;
    let checks = ["create", "--dry-run=server", "--filename=-"];
    site.kubernetes.kubectl_with_input(&checks, example).await.unwrap().success().unwrap();

    // Somebody's older definition is brought up with the chart.
    let definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/etcdclusters.quorate.io";
    let api = site.kubernetes.api();
    let columns = |object: &Value| object["spec"]["versions"][0]["additionalPrinterColumns"].clone();
    let before = api.expect(Method::GET, definition, None).await.unwrap();
    let mut older = before.clone();
    older["spec"]["versions"][0]["additionalPrinterColumns"].as_array_mut().unwrap().truncate(1);
    api.expect(Method::PUT, definition, Some(&older)).await.unwrap();
    site.install_operator("upgrade", "quorate-operator", "quorate-system", &["replicas=1"]).await;
    let after = api.expect(Method::GET, definition, None).await.unwrap();
    assert_eq!(columns(&after), columns(&before));
    assert_eq!(site.etcdctl("sample", "prod", &["get", "greeting"]).await.trim(), "greeting\nhello");

    let account = "quorate-system:quorate-operator";
    for (may, arguments) in [
        (true, ["get", "secrets", "--all-namespaces"]),
        (false, ["list", "secrets", "--all-namespaces"]),
        (false, ["watch", "secrets", "--all-namespaces"]),
        (false, ["delete", "secrets", "--all-namespaces"]),
        (false, ["get", "configmaps", "--all-namespaces"]),
        (false, ["create", "pods", "--subresource=exec"]),
        (false, ["update", "etcdclusters.quorate.io", "--all-namespaces"]),
        (false, ["create", "clusterroles", "--all-namespaces"]),
        (false, ["get", "leases", "--namespace=prod"]),
    ] {
        assert_eq!(site.may(account, &arguments).await, may, "{arguments:?}");
    }
    site.nothing_was_forbidden().await;

    site.helm(&["uninstall", "sample", "--namespace=prod", "--wait"]).await;
    site.until_none("prod", "pods", "/api/v1").await;
    site.until_none("prod", "etcdmembers", "/apis/quorate.io/v1alpha1").await;
    site.until_none("prod", "services", "/api/v1").await;
    site.until_none("prod", "secrets", "/api/v1").await;
    assert_eq!(site.left("prod", "poddisruptionbudgets").await, "");
    // Volumes are data: they stay unless storage.reclaim.onDelete says otherwise.
    assert_eq!(site.left("prod", "persistentvolumeclaims").await.lines().count(), 1);
    site.helm(&["uninstall", "quorate-operator", "--namespace=quorate-system", "--wait"]).await;
    site.until_none("quorate-system", "pods", "/api/v1").await;
    assert_eq!(
        site.left("quorate-system", "deployments,pods,services,serviceaccounts").await.trim(),
        "serviceaccount/default"
    );
    let left = site.kubectl(&["get", "clusterroles,clusterrolebindings", "--output=name"]).await;
    assert!(!left.contains("quorate"), "{left}");
    let kept = site.kubectl(&["get", "crds", "--output=name"]).await;
    assert!(kept.contains("etcdclusters.quorate.io") && kept.contains("etcdmembers.quorate.io"), "{kept}");

    // The definitions are there; operators for one namespace each take them over, and don't stand by for each other.
    for team in ["red", "blue"] {
        site.namespace(team).await;
        let release = format!("{team}-operator");
        let values = [&format!("watchNamespace={team}"), "crds.install=false", "replicas=1"];
        site.install_operator("install", &release, "quorate-system", &values).await;
        site.install_cluster("small", team, 1).await;
        let account = format!("quorate-system:{release}-quorate-operator");
        assert!(site.may(&account, &["list", "pods", &format!("--namespace={team}")]).await);
        assert!(!site.may(&account, &["list", "pods", "--namespace=prod"]).await);
    }
    let cluster = chart("etcd-cluster");
    let renamed = ["upgrade", "small", &cluster, "--namespace=red", "--set", "name=other"];
    let refusal = site.kubernetes.helm(&renamed).await.unwrap();
    assert!(refusal.code != 0 && refusal.stderr.contains("can't be renamed"), "{refusal:?}");
    // A namespace goes as a whole, at once.
    site.kubectl(&["delete", "namespace", "red", "--timeout=120s"]).await;
}

#[test]
fn the_chart_of_a_cluster_knows_every_field() {
    let read = |file: &str| std::fs::read_to_string(binaries::repository().join(file)).unwrap();
    let schema: Value = serde_json::from_str(&read("charts/etcd-cluster/values.schema.json")).unwrap();
    let known: BTreeSet<_> = schema["properties"]["spec"]["properties"].as_object().unwrap().keys().collect();
    // As the reference has it, which follows from the types.
    let reference = read("docs/operator/reference.md");
    let (_, spec) = reference.split_once("### EtcdCluster spec\n").unwrap();
    let (spec, _) = spec.split_once("\n###").unwrap();
    let fields = spec.lines().filter_map(|line| line.strip_prefix("| `spec.")?.split(['`', '.', '[']).next());
    let fields: BTreeSet<String> = fields.map(str::to_owned).collect();
    assert_eq!(known, fields.iter().collect());
}

#[test]
fn the_charts_definitions_are_those_of_the_operator() {
    let folder = binaries::repository();
    for file in
        ["etcdclusters.yaml", "etcdmembers.yaml", "etcdbackups.yaml", "etcdbackupschedules.yaml", "etcdrestores.yaml"]
    {
        let read = |folder: &Path| std::fs::read_to_string(folder.join(file)).unwrap();
        let same = read(&folder.join("crds")) == read(&folder.join("charts/quorate-operator/files/crds"));
        assert!(same, "{file} in the chart is not the one in crds/; `make fix` writes both");
    }
}
