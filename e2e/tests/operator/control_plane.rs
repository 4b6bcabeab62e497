//! A kube-apiserver on a cluster of the operator, with the manifest and the flags of docs/operator/control-plane.md as they stand there.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use quorate_e2e::binaries::{repository, tool};
use quorate_e2e::kubernetes::{Kubernetes, Operated, api_server};
use quorate_e2e::process::Process;
use quorate_e2e::wait::{self, Look};
use serde_json::Value;

/// Its first start writes a few hundred objects.
const READY: Duration = Duration::from_secs(120);
const PORT: &str = "16443";
const TOKEN: &str = "token-of-the-tenant";

/// The fenced block of the page that contains a text.
fn block(page: &str, text: &str) -> String {
    page.split("```").find(|block| block.contains(text)).unwrap().trim_start_matches("yaml\n").to_owned()
}

/// Runs kubectl against the API server under test.
async fn tenant(kubernetes: &Kubernetes, arguments: &[&str]) -> Result<String, quorate_e2e::Error> {
    let (server, token) = (format!("--server=https://127.0.0.1:{PORT}"), format!("--token={TOKEN}"));
    let mut all = vec!["--kubeconfig=/dev/null", "--insecure-skip-tls-verify", &server, &token];
    all.extend(arguments);
    kubernetes.kubectl(&all).await?.success()
}

/// The files of the Secret, where the page mounts them.
async fn files(kubernetes: &Kubernetes, folder: &Path) {
    let secret = "/api/v1/namespaces/default/secrets/tenant-client-tls";
    let secret = kubernetes.api().expect(Method::GET, secret, None).await.unwrap();
    for file in ["ca.crt", "tls.crt", "tls.key"] {
        let bytes = STANDARD.decode(secret["data"][file].as_str().unwrap()).unwrap();
        std::fs::write(folder.join(file), bytes).unwrap();
    }
}

fn start(kubernetes: &Kubernetes, page: &str, folder: &Path) -> Process {
    let args = block(page, "--etcd-servers=");
    let flags =
        args.lines().filter_map(|line| line.trim().strip_prefix("- ")).filter(|line| line.starts_with("--etcd-"));
    let here = |flag: &str| {
        flag.replace(".tenants.svc", ".default.svc").replace("/etc/kubernetes/etcd", &folder.display().to_string())
    };
    let flags: Vec<String> = flags.map(here).collect();
    assert_eq!(flags.len(), 4, "{flags:?}");
    let key = folder.join("service-account.key");
    api_server::make_key(&key).unwrap();
    let tokens = folder.join("tokens.csv");
    std::fs::write(&tokens, format!("{TOKEN},admin,admin,system:masters\n")).unwrap();
    let mut command = kubernetes.command(&tool("kube-apiserver").unwrap());
    command.args(flags);
    command.args([
        "--bind-address=127.0.0.1",
        "--advertise-address=10.0.0.1",
        &format!("--secure-port={PORT}"),
        &format!("--cert-dir={}", folder.display()),
        &format!("--token-auth-file={}", tokens.display()),
        "--service-account-issuer=https://kubernetes.default.svc",
        &format!("--service-account-key-file={}", key.display()),
        &format!("--service-account-signing-key-file={}", key.display()),
        "--service-cluster-ip-range=10.97.0.0/24",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",
    ]);
    Process::start("the tenant's kube-apiserver", command, &kubernetes.folder().join("logs/tenant.log")).unwrap()
}

#[tokio::test]
async fn a_control_plane_runs_on_a_cluster_and_through_the_loss_of_its_leader() {
    let page = std::fs::read_to_string(repository().join("docs/operator/control-plane.md")).unwrap();
    let mut site = Operated::start(1).await.unwrap();
    let manifest = block(&page, "kind: EtcdCluster").replace("spec:\n", "spec:\n  image: {pullPolicy: Never}\n");
    site.kubernetes.apply(&manifest).await.unwrap();
    let cluster = site.running("tenant", 3).await.unwrap();
    assert_eq!(cluster["status"]["clientEndpoint"], "https://tenant-client.default.svc:2379");
    assert_eq!(cluster["status"]["clientSecret"], "tenant-client-tls");

    let folder = site.kubernetes.folder().join("tenant");
    std::fs::create_dir(&folder).unwrap();
    files(&site.kubernetes, &folder).await;
    let mut server = start(&site.kubernetes, &page, &folder);
    wait::until("the tenant's API server", READY, async || {
        server.must_run()?;
        Ok(match tenant(&site.kubernetes, &["get", "--raw", "/readyz"]).await {
            Ok(_) => Look::Yes(()),
            Err(error) => Look::NotYet(format!("{error:?}")),
        })
    })
    .await
    .unwrap();
    tenant(&site.kubernetes, &["create", "namespace", "before"]).await.unwrap();

    let leader = cluster["status"]["leader"].as_str().unwrap();
    site.kubernetes.kubectl(&["delete", "pod", leader, "--now"]).await.unwrap().success().unwrap();
    tenant(&site.kubernetes, &["create", "namespace", "after"]).await.unwrap();
    site.running("tenant", 3).await.unwrap();
    let names = tenant(&site.kubernetes, &["get", "namespaces", "--output", "json"]).await.unwrap();
    let names: Value = serde_json::from_str(&names).unwrap();
    let names: Vec<&str> =
        names["items"].as_array().unwrap().iter().map(|one| one["metadata"]["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"before") && names.contains(&"after"), "{names:?}");
    server.must_run().unwrap();
}
