#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

use kube::ResourceExt;
use serde_json::{Value, json};

use super::origin::From;
use super::{member, origin, pod, services, volume};
use crate::crd::member::Begins;
use crate::crd::tls::Mode;
use crate::crd::{EtcdCluster, EtcdMember, label};

const BUILD: pod::Build<'static> = pod::Build {
    image: "image:1",
    restart_for: None,
    certificates: None,
    has_peer_certificates: true,
    from: &From::Nothing,
    worker_image: "worker:1",
};

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
    let build = pod::Build { has_peer_certificates: cluster.spec.tls.peer.mode != Mode::Disabled, ..BUILD };
    serde_json::to_value(pod::pod(&cluster, &seed(&cluster), &build)).unwrap()
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
        let pod = serde_json::to_value(pod::pod(&cluster, &member, &BUILD)).unwrap();
        assert_eq!(pod["spec"]["containers"][0]["env"][1]["value"], "existing");
    }
}

#[test]
fn settings_become_flags_and_the_users_own_come_last() {
    let pod = made(json!({
        "tls": {"client": {"mode": "Disabled"}, "peer": {"mode": "Disabled"}},
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
fn a_volume_that_etcds_quota_would_fill_has_a_smaller_one() {
    for (size, quota) in [("1Gi", Some("536870912")), ("4Gi", None), ("8Gi", None)] {
        let flags = flags(&made(json!({"storage": {"size": size}})));
        let found = flags.iter().find_map(|flag| flag.strip_prefix("--quota-backend-bytes="));
        assert_eq!(found, quota, "of {size}");
    }
}

#[test]
fn one_port_serves_both_while_clients_move_to_tls() {
    let flags = flags(&made(json!({"tls": {"client": {"allowPlaintext": true}}})));
    let listen = "--listen-client-urls=https://0.0.0.0:2379,http://0.0.0.0:2379";
    assert!(flags.iter().any(|flag| flag == listen), "{flags:?}");
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
    // Others act on these when a pod is made.
    assert_ne!(intent(&made(json!({"podTemplate": {"labels": {"team": "x"}}}))), same);
    assert_ne!(intent(&made(json!({"podTemplate": {"annotations": {"quorate.io/restarted-at": "now"}}}))), same);
    assert_ne!(intent(&made(json!({"etcd": {"logLevel": "debug"}}))), same);
    assert_ne!(intent(&made(json!({"resources": {"limits": {"memory": "1Gi"}}}))), same);

    let cluster = cluster(json!({}));
    let mut joined = seed(&cluster);
    joined.spec.begins = Begins::Joined;
    assert_eq!(intent(&serde_json::to_value(pod::pod(&cluster, &joined, &BUILD)).unwrap()), same);
    // Members read other certificates by themselves; for other authorities some have to be made anew.
    let build = |build| serde_json::to_value(pod::pod(&cluster, &joined, &build)).unwrap();
    let noted = build(pod::Build { certificates: Some("c0ffee"), ..BUILD });
    assert_eq!(
        (intent(&noted), &noted["metadata"]["annotations"][label::CERTIFICATES]),
        (same.clone(), &json!("c0ffee"))
    );
    assert_ne!(intent(&build(pod::Build { restart_for: Some("c0ffee"), ..BUILD })), same);
}

#[test]
fn a_volume_is_nobodys_and_a_pod_is_its_members() {
    let cluster = cluster(json!({"storage": {"storageClassName": ""}}));
    let member = seed(&cluster);
    let claim = volume::claim(&cluster, &member);
    assert_eq!(claim.name_any(), "data-a-x7k2p");
    assert_eq!(claim.metadata.owner_references, None);
    assert_eq!(claim.spec.unwrap().storage_class_name.as_deref(), Some(""), "empty and not given are two things");
    let owners = pod::pod(&cluster, &member, &BUILD).metadata.owner_references.unwrap();
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
fn a_member_serves_while_clients_learn_that_it_stops() {
    for (given, seconds) in [(30, json!(3)), (6, json!(2)), (2, Value::Null)] {
        let pod = made(json!({"podTemplate": {"terminationGracePeriodSeconds": given}}));
        assert_eq!(pod["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"], seconds, "of {given}");
    }
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
        let budget = services::budget(&cluster(json!({"replicas": wanted})), voting, 0);
        let found = serde_json::to_value(budget.spec.unwrap().min_available).unwrap();
        assert_eq!(found, json!(floor), "{wanted} wanted, {voting} voting");
    }
}

fn spanning(how: Value) -> EtcdCluster {
    let mut bootstrap = json!({
        "peerUrl": "https://$(MEMBER).east.example.test:2380",
        "clientUrl": "https://$(MEMBER).east.example.test:2379",
        "members": ["east-1"],
    });
    bootstrap.as_object_mut().unwrap().extend(how.as_object().unwrap().clone());
    cluster(json!({"replicas": 1, "bootstrap": {"spanning": bootstrap}}))
}

#[test]
fn first_members_of_a_cluster_that_spans_several_kubernetes_are_told_where_to_find_the_others() {
    let list = "east-1=https://east-1.east.example.test:2380,west-1=https://west-1.west.example.test:2380";
    for (how, expected) in [
        (
            json!({"static": {"initialCluster": list, "token": "t"}}),
            json!([
                {"name": "ETCD_INITIAL_CLUSTER", "value": list},
                {"name": "ETCD_INITIAL_CLUSTER_STATE", "value": "new"},
                {"name": "ETCD_INITIAL_CLUSTER_TOKEN", "value": "t"},
            ]),
        ),
        (
            json!({"discovery": {"url": "https://discovery.test/t"}}),
            json!([{"name": "ETCD_DISCOVERY", "value": "https://discovery.test/t"}]),
        ),
        (
            json!({"dns": {"domain": "example.test", "token": "t"}}),
            json!([
                {"name": "ETCD_DISCOVERY_SRV", "value": "example.test"},
                {"name": "ETCD_INITIAL_CLUSTER_STATE", "value": "new"},
                {"name": "ETCD_INITIAL_CLUSTER_TOKEN", "value": "t"},
            ]),
        ),
    ] {
        let cluster = spanning(how);
        let mut member = member::founding(&cluster, cluster.spec.spanning().unwrap(), "east-1");
        let first = serde_json::to_value(pod::pod(&cluster, &member, &BUILD)).unwrap();
        let variables = first["spec"]["containers"][0]["env"].as_array().unwrap();
        assert_eq!(variables[0], json!({"name": "ETCD_PEER_SKIP_CLIENT_SAN_VERIFICATION", "value": "true"}));
        assert_eq!(variables[1..], *expected.as_array().unwrap());
        let advertised = "--initial-advertise-peer-urls=https://east-1.east.example.test:2380";
        assert!(flags(&first).iter().any(|flag| flag == advertised), "{first:#}");
        // Afterwards it is a member like any other.
        member.spec.begins = Begins::Joined;
        let later = serde_json::to_value(pod::pod(&cluster, &member, &BUILD)).unwrap();
        assert_eq!(later["spec"]["containers"][0]["env"][2]["value"], "existing");
        assert_eq!(intent(&first), intent(&later));
    }
}

#[test]
fn the_budget_of_a_part_of_a_cluster_leaves_the_whole_a_quorum() {
    let cluster = cluster(json!({"replicas": 1}));
    for (own, elsewhere, floor) in [(1, 2, 0), (2, 1, 1), (3, 2, 1), (3, 0, 2)] {
        let budget = serde_json::to_value(services::budget(&cluster, own, elsewhere)).unwrap();
        assert_eq!(budget["spec"]["minAvailable"], floor, "{own} here and {elsewhere} elsewhere");
    }
}

#[test]
fn data_with_authentication_is_refused_where_the_operator_has_no_certificate() {
    let arguments = |client: &str| {
        let cluster = cluster(json!({"tls": {"client": {"mode": client}}}));
        let store = json!({"store": {"volume": {"claimName": "c"}, "prefix": ""}});
        let source = origin::Source::of(&serde_json::from_value(store).unwrap(), &cluster, None).unwrap();
        origin::errand(&From::Backup(Box::new(source)), &seed(&cluster)).unwrap().0.arguments
    };
    let flag = "--refuse-authentication".to_owned();
    assert!(arguments("Disabled").contains(&flag) && !arguments("Auto").contains(&flag));
}
