#![allow(clippy::unwrap_used, reason = "a failed unwrap in a test is its report")]

use serde_json::json;

use super::*;

fn backup(more: Value) -> EtcdBackup {
    let mut object = json!({
        "apiVersion": "quorate.io/v1alpha1", "kind": "EtcdBackup",
        "metadata": {"name": "b", "namespace": "ns", "uid": "4f3a9c1e-0000", "creationTimestamp": "2026-11-28T05:00:00Z"},
        "spec": {"clusterName": "a", "store": {"s3": {"bucket": "c"}}},
    });
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn decide(backup: &EtcdBackup, change: impl Fn(&mut Seen<'_>)) -> Decision {
    let mut seen = Seen {
        backup,
        obstacle: None,
        take: Outcome::Absent,
        delete: Outcome::Absent,
        is_ending: false,
        now: "2026-11-28T05:00:10Z".parse().unwrap(),
    };
    change(&mut seen);
    next(&seen)
}

#[test]
fn it_waits_runs_and_completes_with_what_its_pod_said() {
    let new = backup(json!({}));
    let waits = decide(&new, |seen| seen.obstacle = Some(("ClusterMissing", "there is no EtcdCluster a".to_owned())));
    assert_eq!((waits.act, waits.status.phase), (Act::Nothing, Some(Phase::Pending)));
    assert_eq!(waits.status.conditions[0].reason, "ClusterMissing");
    let begins = decide(&new, |_| {});
    assert_eq!((begins.act, begins.status.phase), (Act::Take, Some(Phase::Running)));
    assert_eq!(begins.status.id.as_deref(), Some("20261128T050000Z-4f3a9c1e"));
    let report = json!({"backup": {"revision": 7, "clusterId": "c1", "keys": 6, "databaseBytes": 20480, "storedBytes": 900,
        "sha256": "ab", "hash": {"hash": 5}, "finished": "2026-11-28T05:00:12Z"}});
    let running = backup(json!({"status": begins.status}));
    let done = decide(&running, |seen| seen.take = Outcome::Succeeded(Some(report.clone()))).status;
    assert_eq!((done.phase, done.revision, done.hash_kv), (Some(Phase::Completed), Some(7), Some(5)));
    assert_eq!((done.duration_seconds, done.stored_size.as_deref()), (Some(2), Some("900")));
    assert_eq!(done.location.as_deref(), Some("s3://c/ns/a/backups/20261128T050000Z-4f3a9c1e"));
    assert_eq!(done.conditions[0].status, "True");
    // A Job that is cleared away later changes nothing.
    let again = decide(&backup(json!({"status": done})), |_| {});
    assert_eq!((again.act, again.status), (Act::Nothing, done));
}

#[test]
fn a_failure_is_told_by_its_reason_and_is_not_begun_anew() {
    let failure = Failure { reason: "StoreMissing".to_owned(), message: "no bucket c".to_owned(), tries: 2 };
    let failed = decide(&backup(json!({})), |seen| seen.take = Outcome::Failed(failure.clone())).status;
    assert_eq!((failed.phase, failed.conditions[0].reason.as_str()), (Some(Phase::Failed), "StoreMissing"));
    assert_eq!(decide(&backup(json!({"status": failed})), |_| {}).act, Act::Nothing);
}

#[test]
fn its_data_goes_with_it_only_if_that_is_asked_for() {
    let metadata = |finalizers: Value| {
        json!({"name": "b", "namespace": "ns", "uid": "4f3a9c1e-0000", "creationTimestamp": "2026-11-28T05:00:00Z",
            "deletionTimestamp": "2026-11-28T06:00:00Z", "finalizers": finalizers})
    };
    let spec = json!({"clusterName": "a", "store": {"s3": {"bucket": "c"}}, "deletionPolicy": "Delete"});
    assert_eq!(decide(&backup(json!({"spec": spec})), |_| {}).act, Act::Protect);
    let leaving = backup(json!({"spec": spec, "metadata": metadata(json!([FINALIZER])), "status": {"id": "x"}}));
    assert_eq!(decide(&leaving, |_| {}).act, Act::Delete);
    assert_eq!(decide(&leaving, |seen| seen.delete = Outcome::Running { failed: 0, trouble: None }).act, Act::Nothing);
    assert_eq!(decide(&leaving, |seen| seen.delete = Outcome::Succeeded(None)).act, Act::Release);
    assert_eq!(decide(&leaving, |seen| seen.is_ending = true).act, Act::Release);
    assert_eq!(decide(&leaving, |seen| seen.take = Outcome::Running { failed: 0, trouble: None }).act, Act::Stop);
    let just_begun = backup(json!({"spec": spec, "metadata": metadata(json!([FINALIZER]))}));
    assert_eq!(decide(&just_begun, |_| {}).act, Act::Release);
    let noted = decide(&just_begun, |seen| seen.take = Outcome::Running { failed: 0, trouble: None });
    assert_eq!((noted.act, noted.status.id.is_some()), (Act::Nothing, true));
    let kept = backup(json!({"metadata": metadata(json!([])), "status": {"id": "x"}}));
    assert_eq!(decide(&kept, |_| {}).act, Act::Nothing);
}
