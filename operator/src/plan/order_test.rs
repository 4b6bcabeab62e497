#![allow(clippy::unwrap_used, reason = "a failed unwrap in a test is its report")]

use serde_json::{Value, json};

use super::*;

fn order(spec: Value, status: Value) -> EtcdRestore {
    let mut spec = spec;
    spec["clusterName"] = json!("a");
    spec["origin"] = json!({"backupName": "b"});
    let object = json!({"apiVersion": "quorate.io/v1alpha1", "kind": "EtcdRestore", "metadata": {"name": "r"}, "spec": spec, "status": status});
    serde_json::from_value(object).unwrap()
}

fn cluster(spec: Value, status: Value) -> EtcdCluster {
    let object = json!({"apiVersion": "quorate.io/v1alpha1", "kind": "EtcdCluster", "metadata": {"name": "a"}, "spec": spec, "status": status});
    serde_json::from_value(object).unwrap()
}

fn decide(restore: &EtcdRestore, cluster: Option<&EtcdCluster>, change: impl Fn(&mut Seen<'_>)) -> Decision {
    let now = "2026-11-28T05:00:10Z".parse().unwrap();
    let mut seen = Seen { restore, cluster, other: None, missing: None, check: Outcome::Absent, retired: 0, now };
    change(&mut seen);
    next(&seen)
}

#[test]
fn nothing_happens_to_a_cluster_without_the_word_and_a_good_backup() {
    let running = cluster(json!({}), json!({"clusterId": "c1", "phase": "Running"}));
    let reason = |decision: &Decision| decision.status.conditions[0].reason.clone();
    for (given, wanted) in [(json!({}), "set spec.confirm to \"c1\":"), (json!({"confirm": "c2"}), "(it says \"c2\")")]
    {
        let waits = decide(&order(given, json!({})), Some(&running), |_| {});
        assert_eq!((reason(&waits).as_str(), waits.checks), ("ConfirmationMissing", false));
        assert!(waits.status.message.unwrap().contains(wanted));
    }
    let given = order(json!({"confirm": "c1"}), json!({}));
    assert_eq!(reason(&decide(&given, None, |_| {})), "ClusterMissing");
    assert_eq!(reason(&decide(&given, Some(&running), |seen| seen.other = Some("x".to_owned()))), "WaitingForAnother");
    assert_eq!(reason(&decide(&given, Some(&running), |seen| seen.missing = Some("none".to_owned()))), "BackupMissing");
    let paused = cluster(json!({"paused": true}), json!({"clusterId": "c1"}));
    assert_eq!(reason(&decide(&given, Some(&paused), |_| {})), "ClusterPaused");
    assert!(decide(&given, Some(&running), |_| {}).checks);
    let bad = Failure { reason: "BackupDamaged".to_owned(), message: "part 3".to_owned(), tries: 1 };
    let failed = decide(&given, Some(&running), |seen| seen.check = Outcome::Failed(bad.clone()));
    assert_eq!((failed.status.phase, reason(&failed).as_str()), (Some(Phase::Failed), "BackupDamaged"));
}

#[test]
fn it_is_complete_when_the_new_cluster_runs_and_the_old_members_are_cleared_away() {
    let given = order(json!({"confirm": "c1"}), json!({"phase": "Restoring"}));
    let phase = |cluster: &EtcdCluster, retired: usize| {
        decide(&given, Some(cluster), |seen| seen.retired = retired).status.phase
    };
    let old = cluster(json!({}), json!({"clusterId": "c1", "phase": "Running"}));
    assert_eq!(phase(&old, 0), Some(Phase::Restoring));
    let growing = cluster(json!({}), json!({"clusterId": "c2", "phase": "Changing"}));
    assert_eq!(phase(&growing, 3), Some(Phase::Restoring));
    let new = cluster(json!({}), json!({"clusterId": "c2", "phase": "Running"}));
    assert_eq!((phase(&new, 1), phase(&new, 0)), (Some(Phase::Restoring), Some(Phase::Completed)));
}

#[test]
fn what_could_not_be_kept_is_not_replaced_without_consent() {
    let memory = cluster(json!({"storage": {"medium": "Memory"}}), json!({"clusterId": "c1"}));
    let kept = decide(&order(json!({"confirm": "c1"}), json!({})), Some(&memory), |_| {});
    assert_eq!(kept.status.phase, Some(Phase::Failed));
    assert!(kept.status.message.unwrap().contains("spec.oldVolumes"));
    let agreed = order(json!({"confirm": "c1", "oldVolumes": "Delete"}), json!({}));
    assert!(decide(&agreed, Some(&memory), |_| {}).checks);
}
