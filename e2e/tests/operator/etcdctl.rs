//! Upstream's etcdctl with the certificates that the operator made for clients.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use quorate_e2e::ctl::Output;
use quorate_e2e::kubernetes::Kubernetes;

/// What it prints.
pub async fn etcdctl(kubernetes: &Kubernetes, cluster: &str, namespace: &str, arguments: &[&str]) -> String {
    run(kubernetes, cluster, namespace, arguments).await.success().unwrap()
}

/// The same, whether it succeeds or not.
pub async fn run(kubernetes: &Kubernetes, cluster: &str, namespace: &str, arguments: &[&str]) -> Output {
    let path = format!("/api/v1/namespaces/{namespace}/secrets/{cluster}-client-tls");
    let secret = kubernetes.api().expect(Method::GET, &path, None).await.unwrap();
    let file = |key: &str| -> PathBuf {
        let path = kubernetes.folder().join(key);
        std::fs::write(&path, STANDARD.decode(secret["data"][key].as_str().unwrap()).unwrap()).unwrap();
        path
    };
    let mut etcdctl = kubernetes.tool("etcdctl").unwrap();
    etcdctl = etcdctl.argument(format!("--endpoints=https://{cluster}-client.{namespace}.svc:2379"));
    for (flag, key) in [("cacert", "ca.crt"), ("cert", "tls.crt"), ("key", "tls.key")] {
        etcdctl = etcdctl.argument(format!("--{flag}={}", file(key).display()));
    }
    etcdctl.run(arguments).await.unwrap()
}
