//! Upstream's etcdctl with the certificates that the operator made for clients.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use quorate_e2e::binaries::tool;
use quorate_e2e::kubernetes::Kubernetes;

/// What it prints.
pub async fn etcdctl(kubernetes: &Kubernetes, cluster: &str, namespace: &str, arguments: &[&str]) -> String {
    let path = format!("/api/v1/namespaces/{namespace}/secrets/{cluster}-client-tls");
    let secret = kubernetes.api().expect(Method::GET, &path, None).await.unwrap();
    let file = |key: &str| -> PathBuf {
        let path = kubernetes.folder().join(key);
        std::fs::write(&path, STANDARD.decode(secret["data"][key].as_str().unwrap()).unwrap()).unwrap();
        path
    };
    let mut command = kubernetes.command(&tool("etcdctl").unwrap());
    command.arg(format!("--endpoints=https://{cluster}-client.{namespace}.svc:2379"));
    for (flag, key) in [("cacert", "ca.crt"), ("cert", "tls.crt"), ("key", "tls.key")] {
        command.arg(format!("--{flag}={}", file(key).display()));
    }
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
