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
    let parts = [
        "image",
        "storage",
        "resources",
        "etcd",
        "tls",
        "auth",
        "podTemplate",
        "services",
        "disruption",
        "monitoring",
        "repair",
    ];
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
        (json!({"etcd": {"extraArgs": ["--unsafe-no-fsync"]}}), "its data from the disk"),
        (json!({"etcd": {"extraArgs": ["--version"]}}), "keeps a member from serving"),
        (json!({"etcd": {"extraEnv": [{"name": "ETCD_NAME", "value": "x"}]}}), "etcd.extraEnv: a variable"),
        (json!({"etcd": {"autoCompaction": {"mode": "Revision", "retention": "5m"}}}), "a number of revisions"),
        (json!({"version": "3.7.3", "image": {"tag": "v3.6.4"}}), "image.tag names another release"),
        (json!({"version": "3.7.3", "image": {"tag": "3.7.30-amd64"}}), "image.tag names another release"),
        (json!({"storage": {"size": "0"}}), "storage.size must be from 64Mi"),
        (json!({"storage": {"size": "1"}}), "storage.size must be from 64Mi"),
        (json!({"storage": {"size": "9".repeat(32)}}), "to 64Ti"),
        (json!({"tls": {"client": {"mode": "Disabled", "allowPlaintext": true}}}), "tls.client.allowPlaintext"),
        (json!({"cutOver": true}), "cutOver goes with bootstrap.migrate"),
        (
            json!({"bootstrap": {"migrate": {"endpoints": ["https://a:1"]}}, "etcd": {"autoCompaction": {"retention": "1h"}}}),
            "etcd.autoCompaction has to wait",
        ),
    ] {
        let refusal = refusal(spec.clone(), None).unwrap_or_else(|| panic!("{spec} is taken"));
        assert!(refusal.contains(words), "{spec}: {refusal}");
    }
    for tag in ["v3.7.3", "3.7.3", "v3.7.3-amd64", "latest"] {
        assert_eq!(refusal(json!({"version": "3.7.3", "image": {"tag": tag}}), None), None, "{tag}");
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

/// Kubernetes' tools read YAML 1.1, in which some words are no texts.
#[test]
fn no_value_is_read_as_a_boolean() {
    fn values(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                let words = fields.get("enum").and_then(Value::as_array).into_iter().flatten();
                found.extend(words.filter_map(Value::as_str).map(str::to_lowercase));
                fields.values().for_each(|field| values(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| values(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for (_, definition) in definitions() {
        values(&serde_json::to_value(definition).unwrap(), &mut found);
    }
    assert!(found.contains(&"disabled".to_owned()), "{found:?}");
    for word in ["y", "n", "yes", "no", "on", "off", "true", "false", "null"] {
        assert!(!found.contains(&word.to_owned()), "{word}");
    }
}

#[test]
fn a_cluster_that_spans_several_kubernetes_says_how_in_one_way() {
    let bootstrap = |more: Value| {
        let mut bootstrap = json!({
            "peerUrl": "https://$(MEMBER).east.test:2380", "clientUrl": "https://$(MEMBER).east.test:2379", "members": ["a"],
        });
        bootstrap.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"bootstrap": {"spanning": bootstrap}})
    };
    let list = json!({"static": {"initialCluster": "a=https://a.east.test:2380", "token": "t"}});
    assert_eq!(refusal(bootstrap(list.clone()), None), None);
    assert!(refusal(bootstrap(json!({})), None).unwrap().contains("give one of static, discovery and dns"));
    let both = json!({"static": list["static"], "discovery": {"url": "u"}});
    assert!(refusal(bootstrap(both), None).unwrap().contains("give one of static, discovery and dns"));
    let nobody = json!({"static": list["static"], "members": []});
    assert!(refusal(bootstrap(nobody), None).unwrap().contains("bootstrap.spanning.members"));
    let twice = json!({"static": list["static"], "members": ["a", "a"]});
    assert!(refusal(bootstrap(twice), None).unwrap().contains("each name once"));
    let half = json!({"discovery": {"token": "t"}});
    assert!(refusal(bootstrap(half), None).unwrap().contains("url, or token and endpoints"));
    let other = json!({"static": {"initialCluster": "b=https://b.east.test:2380", "token": "t"}});
    let changed = refusal(bootstrap(other), Some(bootstrap(list.clone()))).unwrap();
    assert!(changed.contains("bootstrap can't be changed"), "{changed}");
    assert!(refusal(json!({}), Some(bootstrap(list))).unwrap().contains("bootstrap can't be changed"));
}

#[test]
fn who_may_do_what_is_said_without_contradiction() {
    let role = |permission: Value| json!({"auth": {"roles": [{"name": "r", "permissions": [permission]}]}});
    for (spec, words) in [
        (json!({"auth": {"enabled": true}, "tls": {"client": {"mode": "Disabled"}}}), "auth.enabled needs tls.client"),
        (
            json!({"auth": {"enabled": true}, "tls": {"client": {"allowPlaintext": true}}}),
            "auth.enabled needs tls.client",
        ),
        (json!({"auth": {"users": [{"name": "root"}]}}), "auth.users: root is always there"),
        (json!({"auth": {"roles": [{"name": "root"}]}}), "auth.roles: root may do everything"),
        (json!({"auth": {"users": [{"name": "u", "roles": ["r"]}]}}), "must be declared in auth.roles"),
        (role(json!({"access": "Read"})), "give either key or prefix"),
        (role(json!({"access": "Read", "key": "a", "prefix": "b"})), "give either key or prefix"),
        (role(json!({"access": "Read", "prefix": "a", "rangeEnd": "b"})), "rangeEnd goes with key"),
        (role(json!({"access": "Read", "key": "b", "rangeEnd": "a"})), "rangeEnd must come after key"),
    ] {
        let refusal = refusal(spec.clone(), None).unwrap_or_else(|| panic!("{spec} is taken"));
        assert!(refusal.contains(words), "{spec}: {refusal}");
    }
    let fine = json!({"auth": {"enabled": true, "roles": [{"name": "r", "permissions": [{"access": "ReadWrite", "prefix": ""}]}],
        "users": [{"name": "u", "roles": ["r", "root"]}, {"name": "v", "passwordSecret": {"name": "s"}}]}});
    assert_eq!(refusal(fine, None), None);
}
