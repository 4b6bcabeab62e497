#![allow(clippy::unwrap_used, reason = "a failed unwrap in a test is its report")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::observe::{Found, Gauges};

fn from<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn record(name: &str, leaves: Option<&str>) -> Value {
    json!({"apiVersion": "quorate.io/v1alpha1", "kind": "EtcdMember", "metadata": {"name": name}, "spec": {
        "cluster": "sample", "token": "t", "peerUrl": "https://x", "begins": "Joined", "id": "a1", "leaves": leaves}})
}

fn pod(name: &str, restarts: i32) -> Value {
    json!({"metadata": {"name": name}, "status": {"phase": "Running", "containerStatuses": [
        {"name": "etcd", "ready": true, "restartCount": restarts, "image": "i", "imageID": "i"}]}})
}

fn volume(member: &str, size: &str, asked: &str) -> Value {
    json!({"metadata": {"name": format!("data-{member}"), "creationTimestamp": "2026-11-20T12:00:00Z",
            "labels": {"quorate.io/cluster": "sample", "quorate.io/member": member}},
        "spec": {"resources": {"requests": {"storage": asked}}},
        "status": {"phase": "Bound", "capacity": {"storage": size}}})
}

fn event(kind: &str, name: &str, fields: Value) -> Value {
    let mut event = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": kind, "name": name},
        "type": "Normal", "reason": "Happened", "message": "something\n happened"});
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    event
}

fn certificate() -> Secret {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 11, 13);
    params.not_after = rcgen::date_time_ymd(2027, 2, 11);
    let pem = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    let mut secret: Secret = from(json!({"metadata": {"name": "sample-server-tls"}}));
    secret.data = Some([("tls.crt".to_owned(), ByteString(pem.into_bytes()))].into());
    secret
}

/// Three members, of which one is on its way out and one hasn't started.
fn found() -> Found {
    let cluster = json!({
        "apiVersion": "quorate.io/v1alpha1", "kind": "EtcdCluster",
        "metadata": {"name": "sample", "namespace": "db", "generation": 4, "creationTimestamp": "2026-11-20T12:00:00Z"},
        "spec": {"replicas": 3},
        "status": {
            "observedGeneration": 4, "phase": "Changing", "message": "sample-c is to join", "ready": "2/3",
            "leader": "sample-a", "version": "3.7.3", "image": "quorate:v3.7.3", "clusterId": "cdf8",
            "clientEndpoint": "https://sample-client.db.svc:2379", "clientSecret": "sample-client-tls",
            "recovery": {"number": 1, "survivor": "sample-a", "started": "2026-11-21T10:00:00Z", "isDone": true},
            "members": [
                {"name": "sample-a", "id": "a1", "role": "Leader", "ready": true, "version": "3.7.3",
                 "databaseSize": "16Mi", "node": "node-1"},
                {"name": "sample-b", "id": "b2", "role": "Follower", "ready": false,
                 "message": "ErrImagePull: no such image"},
            ],
            "step": {"kind": "Announce", "member": "sample-c", "reason": "sample-c is to join", "since": "2026-11-23T11:59:48Z"},
            "conditions": [
                {"type": "Available", "status": "True", "reason": "AsWanted", "message": "", "lastTransitionTime": "2026-11-20T12:00:00Z"},
                {"type": "Progressing", "status": "True", "reason": "Growing", "message": "", "lastTransitionTime": "2026-11-20T12:00:00Z"},
                {"type": "Degraded", "status": "True", "reason": "MembersMissing", "message": "", "lastTransitionTime": "2026-11-23T11:00:00Z"},
                {"type": "QuorumHealthy", "status": "False", "reason": "NoSpareMember", "message": "", "lastTransitionTime": "2026-11-23T11:50:00Z"},
            ],
        },
    });
    let gauges = |committed, applied| Gauges {
        committed: Some(committed),
        applied: Some(applied),
        database_bytes: Some(24 << 20),
        quota_bytes: Some(2 << 30),
    };
    Found {
        cluster: from(cluster),
        members: vec![
            from(record("sample-a", None)),
            from(record("sample-b", Some("Replaced"))),
            from(record("sample-c", None)),
        ],
        pods: vec![from(pod("sample-a", 0)), from(pod("sample-b", 7))],
        volumes: vec![
            from(volume("sample-a", "1Gi", "2Gi")),
            from(volume("sample-b", "1Gi", "1Gi")),
            from(volume("sample-old", "1Gi", "1Gi")),
        ],
        secrets: vec![certificate(), from(json!({"metadata": {"name": "no-certificate"}}))],
        events: vec![
            from(event("Pod", "somebody-else", json!({"lastTimestamp": "2026-11-23T11:59:00Z"}))),
            from(event(
                "EtcdCluster",
                "sample",
                json!({"eventTime": "2026-11-23T11:58:00.000000Z",
                "series": {"count": 3, "lastObservedTime": "2026-11-23T11:59:30.000000Z"}}),
            )),
            from(event("Pod", "sample-a", json!({"lastTimestamp": "2026-11-23T11:00:00Z", "count": 1}))),
        ],
        gauges: BTreeMap::from([
            ("sample-a".to_owned(), gauges(1000, 1000)),
            ("sample-b".to_owned(), gauges(990, 960)),
        ]),
        notes: Vec::new(),
        now: "2026-11-23T12:00:00Z".parse().unwrap(),
    }
}

#[test]
fn a_cluster_fits_on_one_screen() {
    let wanted = "\
db/sample: Changing
  sample-c is to join

  Doing     Announce sample-c for 12s
  Ready     2/3
  Leader    sample-a
  Version   3.7.3 (quorate:v3.7.3)
  Clients   https://sample-client.db.svc:2379 with the certificate in Secret sample-client-tls
  Quota     2Gi
  Recovery  number 1, from the data of sample-a, 2d ago
  Id        cdf8
  Age       3d

Not as it should be
  CONDITION      STATUS  REASON          FOR
  Degraded       True    MembersMissing  60m
  QuorumHealthy  False   NoSpareMember   10m

Members
  NAME      ID  ROLE      READY  VERSION  DB    LAG  RESTARTS  NODE    VOLUME         SIZE
  sample-a  a1  Leader    yes    3.7.3    24Mi  0    0         node-1  data-sample-a  1Gi, 2Gi asked for
  sample-b  b2  Follower  no     -        24Mi  40   7         -       data-sample-b  1Gi
  sample-c  a1  -         no     -        -     -    -         -       -              -

Members with something to say
  NAME      MESSAGE
  sample-b  ErrImagePull: no such image

Certificates
  SECRET             ENDS
  sample-server-tls  in 79d

Volumes that nobody uses
  NAME             STATUS  SIZE  AGE
  data-sample-old  Bound   1Gi   3d

Last events
  AGE       TYPE    OBJECT              REASON    MESSAGE
  60m       Normal  Pod/sample-a        Happened  something happened
  30s (x3)  Normal  EtcdCluster/sample  Happened  something happened
";
    assert_eq!(text::text(&report(&found())), wanted);
}

#[test]
fn a_cluster_that_nobody_looks_after_says_so() {
    let mut found = found();
    found.cluster.status = None;
    found.members.clear();
    found.pods.clear();
    found.volumes.clear();
    found.secrets.clear();
    found.events.clear();
    found.gauges.clear();
    found.notes = vec!["certificates are not shown: you may not list secrets in namespace db".to_owned()];
    let wanted = "\
db/sample: Unknown
  no operator has looked at it yet; is one running?

  Ready     0/3
  Age       3d

Note: certificates are not shown: you may not list secrets in namespace db
";
    assert_eq!(text::text(&report(&found)), wanted);
}

#[test]
fn a_change_that_the_operator_has_not_seen_is_said() {
    let mut found = found();
    assert!(!report(&found).is_behind);
    found.cluster.metadata.generation = Some(5);
    assert!(text::text(&report(&found)).contains("has not seen the last change"));
}

/// Whoever may not list the members would be told that all volumes are left over.
#[test]
fn volumes_count_as_unused_only_if_the_members_are_known() {
    let mut found = found();
    assert_eq!(report(&found).unused_volumes.len(), 1);
    found.members.clear();
    assert_eq!(report(&found).unused_volumes, []);
}

#[test]
fn programs_get_numbers_and_times() {
    let value = serde_json::to_value(report(&found())).unwrap();
    assert_eq!(value["members"][1]["lag"], 40);
    assert_eq!(value["members"][1]["databaseBytes"], 24 << 20);
    assert_eq!(value["members"][0]["role"], "Leader");
    assert_eq!(value["certificates"][0]["ends"], "2027-02-11T00:00:00Z");
    assert_eq!(value["events"][1]["count"], 3);
    assert_eq!(value["now"], "2026-11-23T12:00:00Z");
}

#[test]
fn only_the_last_events_are_shown_and_in_order() {
    let mut found = found();
    let minute = |minute: i64| Timestamp::from_second(60 * minute).unwrap().to_string();
    let many =
        (0..20).rev().map(|at| from(event("Pod", "sample-a", json!({"lastTimestamp": minute(at), "count": at}))));
    found.events = many.collect();
    let counts: Vec<i32> = report(&found).events.iter().map(|event| event.count).collect();
    assert_eq!(counts, [12, 13, 14, 15, 16, 17, 18, 19]);
}
