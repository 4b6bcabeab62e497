//! One cluster of two resources, as in two Kubernetes: here in two namespaces, which know each other's members by name alone.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use quorate_e2e::certs::{Authority, Wanted};
use quorate_e2e::kubernetes::Operated;
use quorate_e2e::kubernetes::operated::LIMIT;
use serde_json::{Value, json};

use crate::etcdctl::etcdctl;

/// An authority that both sides trust.
async fn give(site: &Operated, authority: &mut Authority, namespace: &str) {
    site.kubernetes.kubectl(&["create", "namespace", namespace]).await.unwrap().success().unwrap();
    let names = ["*.span-peers", "span-peers", "span-client"].map(|host| format!("{host}.{namespace}.svc")).to_vec();
    for secret in ["server", "client", "peer"] {
        let wanted = Wanted { common_name: "root".to_owned(), names: names.clone(), expired: false };
        let signed = authority.sign(&format!("{namespace}-{secret}"), &wanted).unwrap();
        let file = |path: &Path| STANDARD.encode(std::fs::read(path).unwrap());
        let data = json!({"tls.crt": file(&signed.cert), "tls.key": file(&signed.key), "ca.crt": file(&authority.certificate())});
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": secret, "namespace": namespace}, "data": data,
        });
        site.kubernetes.apply(&object.to_string()).await.unwrap();
    }
}

fn resource(namespace: &str, members: &[&str], list: &str) -> Value {
    let url = |port: u16| format!("https://$(MEMBER).span-peers.{namespace}.svc:{port}");
    json!({
        "apiVersion": "quorate.io/v1alpha1", "kind": "EtcdCluster",
        "metadata": {"name": "span", "namespace": namespace},
        "spec": {
            "replicas": members.len(), "image": {"pullPolicy": "Never"}, "storage": {"size": "1Gi"},
            "tls": {
                "client": {"mode": "Secret", "serverSecret": "server", "clientSecret": "client"},
                "peer": {"mode": "Secret", "secret": "peer"},
            },
            "bootstrap": {"spanning": {
                "peerUrl": url(2380), "clientUrl": url(2379), "members": members,
                "static": {"initialCluster": list, "token": "span"},
            }},
        },
    })
}

/// Until this part has its members, and the whole has this many voters.
async fn runs(site: &Operated, namespace: &str, ready: &str, voters: i64) -> Value {
    let path = format!("/apis/quorate.io/v1alpha1/namespaces/{namespace}/etcdclusters/span");
    let is_done = |cluster: &Value| {
        let status = &cluster["status"];
        status["ready"] == ready
            && status["phase"] == "Running"
            && status["voters"] == voters
            && status["observedGeneration"] == cluster["metadata"]["generation"]
    };
    site.kubernetes.api().until(&format!("{ready} in {namespace}"), LIMIT, &path, is_done).await.unwrap()
}

#[tokio::test]
async fn members_in_two_places_are_one_cluster_and_each_place_looks_after_its_own() {
    let site = Operated::start(1).await.unwrap();
    let folder = site.kubernetes.folder().join("authority");
    std::fs::create_dir(&folder).unwrap();
    let mut authority = Authority::new(&folder, "both").unwrap();
    let url = |member: &str, namespace: &str| format!("{member}=https://{member}.span-peers.{namespace}.svc:2380");
    let list = [url("e1", "east"), url("w1", "west"), url("w2", "west")].join(",");
    for (namespace, members) in [("east", &["e1"][..]), ("west", &["w1", "w2"])] {
        give(&site, &mut authority, namespace).await;
        site.kubernetes.apply(&resource(namespace, members, &list).to_string()).await.unwrap();
    }
    let east = runs(&site, "east", "1/1", 3).await;
    let west = runs(&site, "west", "2/2", 3).await;
    assert_eq!(east["status"]["clusterId"], west["status"]["clusterId"]);
    assert_eq!(etcdctl(&site.kubernetes, "span", "east", &["put", "greeting", "hello"]).await, "OK\n");
    assert_eq!(etcdctl(&site.kubernetes, "span", "west", &["get", "greeting"]).await, "greeting\nhello\n");

    // Both grow at once, and one loses a volume.
    for (namespace, replicas) in [("east", 2), ("west", 3)] {
        let path = format!("/apis/quorate.io/v1alpha1/namespaces/{namespace}/etcdclusters/span");
        let body = json!({"spec": {"replicas": replicas}});
        site.kubernetes.api().expect(Method::PATCH, &path, Some(&body)).await.unwrap();
    }
    runs(&site, "east", "2/2", 5).await;
    runs(&site, "west", "3/3", 5).await;
    for object in ["persistentvolumeclaims/data-e1", "pods/e1"] {
        let path = format!("/api/v1/namespaces/east/{object}");
        site.kubernetes.api().expect(Method::DELETE, &path, None).await.unwrap();
    }
    site.gone("/apis/quorate.io/v1alpha1/namespaces/east/etcdmembers/e1").await.unwrap();
    runs(&site, "east", "2/2", 5).await;
    assert_eq!(etcdctl(&site.kubernetes, "span", "east", &["get", "greeting"]).await, "greeting\nhello\n");
}
