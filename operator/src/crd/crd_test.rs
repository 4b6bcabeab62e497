#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

use std::path::Path;

use serde_json::{Value, json};

use super::*;

/// What the API server says to a resource with this spec; `old` is the one before.
fn refusal(spec: Value, old: Option<Value>) -> Option<String> {
    let cluster = |spec: Value| -> EtcdCluster {
        let object = json!({"apiVersion": "quorate.io/v1alpha1", "kind": "EtcdCluster", "metadata": {"name": "a"}, "spec": spec});
        serde_json::from_value(object).unwrap()
    };
    let result = match old {
        Some(old) => cluster(spec).validate_cel_update(&cluster(old)),
        None => cluster(spec).validate_cel(),
    };
    result.err().map(|errors| errors.to_string())
}

#[test]
fn the_files_are_what_the_types_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds");
    for (file, definition) in definitions() {
        let wanted = yaml(&definition).unwrap();
        let found = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        assert!(found == wanted, "crds/{file} is not what the types say; `make fix` writes it");
    }
}

#[test]
fn an_empty_spec_is_a_cluster_of_three() {
    assert_eq!(refusal(json!({}), None), None);
    let spec: EtcdClusterSpec = serde_json::from_value(json!({})).unwrap();
    assert_eq!(spec.replicas, 3);
    assert_eq!(spec.storage.size.0, "8Gi");
    assert_eq!(spec.tls.client.mode, tls::Mode::Auto);
}

/// A part that is not given and one that is given empty are the same: two sources of defaults would differ one day.
#[test]
fn defaults_have_one_source() {
    let spec: EtcdClusterSpec = serde_json::from_value(json!({})).unwrap();
    let parts = ["image", "storage", "resources", "etcd", "tls", "podTemplate", "repair"];
    let empty = parts.iter().map(|part| ((*part).to_owned(), json!({}))).collect::<serde_json::Map<_, _>>();
    assert_eq!(serde_json::from_value::<EtcdClusterSpec>(Value::Object(empty)).unwrap(), spec);
    assert_eq!(serde_json::from_value::<storage::Reclaim>(json!({})).unwrap(), storage::Reclaim::default());
}

#[test]
fn contradictions_are_refused_by_the_name_of_the_field() {
    for (spec, words) in [
        (json!({"replicas": 0, "storage": {"medium": "Memory"}}), "replicas can't be 0"),
        (
            json!({"image": {"tag": "v3.7.3", "digest": format!("sha256:{}", "0".repeat(64))}}),
            "image.tag or image.digest",
        ),
        (json!({"etcd": {"quotaBackendBytes": 8589934592i64}}), "etcd.quotaBackendBytes must be less"),
        (json!({"etcd": {"heartbeatIntervalMs": 300}}), "needs etcd.electionTimeoutMs"),
        (json!({"etcd": {"heartbeatIntervalMs": 100, "electionTimeoutMs": 400}}), "at least 5 times"),
        (json!({"etcd": {"extraArgs": ["--data-dir=/x"]}}), "etcd.extraArgs: the operator sets"),
        (json!({"etcd": {"extraArgs": ["--initial-cluster-state=new"]}}), "etcd.extraArgs: the operator sets"),
        (json!({"etcd": {"extraEnv": [{"name": "ETCD_NAME", "value": "x"}]}}), "etcd.extraEnv: a variable"),
    ] {
        let refusal = refusal(spec.clone(), None).unwrap_or_else(|| panic!("{spec} is taken"));
        assert!(refusal.contains(words), "{spec}: {refusal}");
    }
    let fine = json!({"etcd": {"extraArgs": ["--max-learners=2"], "extraEnv": [{"name": "TZ", "value": "UTC"}],
        "quotaBackendBytes": 4294967296i64, "heartbeatIntervalMs": 300, "electionTimeoutMs": 1500}});
    assert_eq!(refusal(fine, None), None);
}

#[test]
fn what_would_lose_data_cannot_be_changed() {
    for (spec, old, words) in [
        (json!({"storage": {"size": "4Gi"}}), json!({}), "storage.size may grow but not shrink"),
        (json!({"storage": {"medium": "Memory"}}), json!({}), "storage.medium can't be changed"),
        (json!({"storage": {"storageClassName": "fast"}}), json!({}), "storage.storageClassName can't be changed"),
        (json!({}), json!({"storage": {"storageClassName": ""}}), "storage.storageClassName can't be changed"),
    ] {
        let refusal = refusal(spec.clone(), Some(old)).unwrap_or_else(|| panic!("{spec} is taken"));
        assert!(refusal.contains(words), "{spec}: {refusal}");
    }
    assert_eq!(refusal(json!({"storage": {"size": "16Gi"}, "replicas": 5}), Some(json!({}))), None);
}
