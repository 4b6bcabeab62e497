#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

use kube::ResourceExt;
use serde_json::{Value, json};

use super::{member, pod, services, volume};
use crate::crd::member::Begins;
use crate::crd::{EtcdCluster, EtcdMember, label};

fn cluster(spec: Value) -> EtcdCluster {
    let mut cluster = EtcdCluster::new("a", serde_json::from_value(spec).unwrap());
    cluster.metadata.namespace = Some("ns".to_owned());
    cluster.metadata.uid = Some("uid".to_owned());
    cluster
}

fn seed(cluster: &EtcdCluster) -> EtcdMember {
    let mut seed = member::first(cluster, "a-x7k2p");
    seed.metadata.uid = Some("member-uid".to_owned());
    seed
}

fn made(spec: Value) -> Value {
    let cluster = cluster(spec);
    serde_json::to_value(pod::pod(&cluster, &seed(&cluster), "image:1")).unwrap()
}

fn flags(pod: &Value) -> Vec<String> {
    serde_json::from_value(pod["spec"]["containers"][0]["args"].clone()).unwrap()
}

fn intent(pod: &Value) -> String {
    pod["metadata"]["annotations"][label::INTENT].as_str().unwrap().to_owned()
}

#[test]
fn a_member_is_told_who_it_is_and_how_it_begins() {
    let pod = made(json!({}));
    let flags = flags(&pod);
    for flag in [
        "--name=a-x7k2p",
        "--data-dir=/var/lib/etcd/data",
        "--advertise-client-urls=https://a-x7k2p.a-peers.ns.svc:2379",
        "--initial-advertise-peer-urls=https://a-x7k2p.a-peers.ns.svc:2380",
        "--listen-metrics-urls=http://0.0.0.0:2381",
        "--client-cert-auth=true",
        "--peer-client-cert-auth=true",
        "--peer-cert-file=/etc/etcd/peer-tls/tls.crt",
    ] {
        assert!(flags.iter().any(|found| found == flag), "{flag} in {flags:?}");
    }
    assert_eq!(
        pod["spec"]["containers"][0]["env"],
        json!([
            {"name": "ETCD_INITIAL_CLUSTER", "value": "a-x7k2p=https://a-x7k2p.a-peers.ns.svc:2380"},
            {"name": "ETCD_INITIAL_CLUSTER_STATE", "value": "new"},
            {"name": "ETCD_INITIAL_CLUSTER_TOKEN", "value": "a-uid"},
        ])
    );
}

#[test]
fn only_the_member_that_forms_the_cluster_begins_as_new() {
    let cluster = cluster(json!({}));
    for begins in [Begins::Joining, Begins::Joined] {
        let mut member = seed(&cluster);
        member.spec.begins = begins;
        let pod = serde_json::to_value(pod::pod(&cluster, &member, "image:1")).unwrap();
        assert_eq!(pod["spec"]["containers"][0]["env"][1]["value"], "existing");
    }
}

#[test]
fn settings_become_flags_and_the_users_own_come_last() {
    let pod = made(json!({
        "tls": {"client": {"mode": "Off"}, "peer": {"mode": "Off"}},
        "etcd": {"quotaBackendBytes": 4294967296i64, "heartbeatIntervalMs": 50, "autoCompaction": {"retention": "1h"},
            "extraArgs": ["--max-learners=2"]},
    }));
    let flags = flags(&pod);
    for flag in [
        "--quota-backend-bytes=4294967296",
        "--heartbeat-interval=50",
        "--auto-compaction-retention=1h",
        "--auto-compaction-mode=periodic",
    ] {
        assert!(flags.iter().any(|found| found == flag), "{flag} in {flags:?}");
    }
    assert_eq!(flags.last().unwrap(), "--max-learners=2");
    assert!(flags.iter().all(|flag| !flag.contains("https") && !flag.contains("cert")), "{flags:?}");
    assert_eq!(pod["spec"]["volumes"].as_array().unwrap().len(), 1);
}

#[test]
fn a_pod_fits_the_security_level_restricted() {
    let spec = &made(json!({}))["spec"];
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(spec["automountServiceAccountToken"], false);
    let own = &spec["containers"][0]["securityContext"];
    assert_eq!(
        *own,
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true})
    );
}

#[test]
fn the_intent_changes_with_what_needs_another_pod_and_not_with_how_the_member_began() {
    let same = intent(&made(json!({})));
    assert_eq!(intent(&made(json!({"replicas": 5}))), same);
    assert_eq!(intent(&made(json!({"podTemplate": {"labels": {"team": "x"}}}))), same, "labels are changed in place");
    assert_ne!(intent(&made(json!({"etcd": {"logLevel": "debug"}}))), same);
    assert_ne!(intent(&made(json!({"resources": {"limits": {"memory": "1Gi"}}}))), same);

    let cluster = cluster(json!({}));
    let mut joined = seed(&cluster);
    joined.spec.begins = Begins::Joined;
    assert_eq!(intent(&serde_json::to_value(pod::pod(&cluster, &joined, "image:1")).unwrap()), same);
}

#[test]
fn a_volume_is_nobodys_and_a_pod_is_its_members() {
    let cluster = cluster(json!({"storage": {"storageClassName": ""}}));
    let member = seed(&cluster);
    let claim = volume::claim(&cluster, &member);
    assert_eq!(claim.name_any(), "data-a-x7k2p");
    assert_eq!(claim.metadata.owner_references, None);
    assert_eq!(claim.spec.unwrap().storage_class_name.as_deref(), Some(""), "empty and not given are two things");
    let owners = pod::pod(&cluster, &member, "image:1").metadata.owner_references.unwrap();
    assert_eq!((owners[0].kind.as_str(), owners[0].uid.as_str()), ("EtcdMember", "member-uid"));
}

#[test]
fn a_memory_medium_is_bounded_by_the_size() {
    let pod = made(json!({"storage": {"medium": "Memory", "size": "2Gi"}}));
    assert_eq!(
        pod["spec"]["volumes"][0],
        json!({"name": "data", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}})
    );
}

#[test]
fn clients_reach_voters_alone_and_members_each_other_before_they_are_ready() {
    let cluster = cluster(json!({}));
    let client = services::client(&cluster).spec.unwrap();
    assert_eq!(client.selector.unwrap()[label::VOTER], "true");
    let peers = services::peers(&cluster).spec.unwrap();
    assert_eq!((peers.cluster_ip.as_deref(), peers.publish_not_ready_addresses), (Some("None"), Some(true)));
    assert!(!peers.selector.unwrap().contains_key(label::VOTER));
}

#[test]
fn the_budget_keeps_a_quorum_of_the_larger_of_what_is_and_what_is_wanted() {
    for (wanted, voting, floor) in [(3, 3, 2), (1, 5, 3), (5, 3, 3), (1, 1, 1), (2, 2, 2)] {
        let budget = services::budget(&cluster(json!({"replicas": wanted})), voting);
        let found = serde_json::to_value(budget.spec.unwrap().min_available).unwrap();
        assert_eq!(found, json!(floor), "{wanted} wanted, {voting} voting");
    }
}
