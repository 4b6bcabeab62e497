#![allow(clippy::unwrap_used, reason = "a failed unwrap in a test is its report")]

use serde_json::{Value, json};

use super::*;

const DUE: &str = "2026-11-28T05:00:00Z";

fn schedule(status: &Value) -> EtcdBackupSchedule {
    serde_json::from_value(json!({
        "apiVersion": "quorate.io/v1alpha1", "kind": "EtcdBackupSchedule",
        "metadata": {"name": "s", "namespace": "ns", "uid": "u"},
        "spec": {"clusterName": "a", "schedule": "0 3 * * *", "store": {"s3": {"bucket": "c"}},
            "rehearsal": {"schedule": "0 5 * * *", "deadlineSeconds": 60}},
        "status": {"rehearsal": status},
    }))
    .unwrap()
}

fn backup() -> EtcdBackup {
    serde_json::from_value(json!({
        "apiVersion": "quorate.io/v1alpha1", "kind": "EtcdBackup", "metadata": {"name": "s-1"},
        "spec": {"clusterName": "a", "store": {"s3": {"bucket": "c"}}},
        "status": {"phase": "Completed", "finished": "2026-11-28T03:00:09Z", "revision": 7, "hashKv": 42},
    }))
    .unwrap()
}

fn cluster() -> EtcdCluster {
    let spec = json!({"replicas": 3, "storage": {"size": "3Gi"}, "podTemplate": {"labels": {"app": "shop"}}});
    EtcdCluster::new("a", serde_json::from_value(spec).unwrap())
}

fn at(status: &Value, rehearsed: Option<&EtcdCluster>, hash: Option<Result<i64, String>>, now: &str) -> Decision {
    let (schedule, backup, cluster) = (schedule(status), backup(), cluster());
    let now: Timestamp = now.parse().unwrap();
    let due: Timestamp = DUE.parse().unwrap();
    next(&Seen {
        schedule: &schedule,
        cluster: Some(&cluster),
        backup: Some(&backup),
        rehearsed,
        hash,
        due: (now >= due).then_some(due),
        now,
    })
}

fn running() -> Value {
    json!({"phase": "Running", "due": DUE, "backup": "s-1", "started": DUE})
}

#[test]
fn the_newest_backup_is_restored_into_one_member_that_nobody_takes_for_the_cluster() {
    assert_eq!(at(&Value::Null, None, None, "2026-11-28T04:59:59Z"), Decision::default());
    let begun = at(&Value::Null, None, None, "2026-11-28T05:00:01Z");
    let made = begun.create.unwrap();
    assert!(made.name_any().starts_with("rehearsal-"));
    assert_eq!((made.spec.replicas, made.spec.storage.size.0.as_str()), (1, "3Gi"));
    assert!(made.spec.pod_template.labels.is_empty());
    let origin = made.spec.origin().unwrap();
    assert_eq!((origin.backup_name.as_deref(), origin.bump_revision), (Some("s-1"), 0));
    let status = begun.status.unwrap();
    assert_eq!((status.phase, status.backup.as_str()), (RehearsalPhase::Running, "s-1"));
    // What was made and is not seen yet is made once: its name says so.
    let again = at(&running(), None, None, "2026-11-28T05:00:02Z");
    assert_eq!(again.create.unwrap().name_any(), made.name_any());
}

#[test]
fn it_passes_with_the_backups_hash_and_fails_with_another_or_in_silence() {
    let made = cluster();
    let waits = at(&running(), Some(&made), None, "2026-11-28T05:00:30Z");
    assert_eq!((waits.create, waits.delete, waits.status.unwrap().finished), (None, false, None));
    for (hash, now, phase, words) in [
        (Some(Ok(42)), "2026-11-28T05:00:30Z", RehearsalPhase::Passed, "restored in 30 s"),
        (Some(Ok(41)), "2026-11-28T05:00:30Z", RehearsalPhase::Failed, "hash 41 at revision 7"),
        (None, "2026-11-28T05:01:01Z", RehearsalPhase::Failed, "doesn't serve after 60 s"),
        (Some(Err("no answer".to_owned())), "2026-11-28T05:01:01Z", RehearsalPhase::Failed, "no answer"),
    ] {
        let over = at(&running(), Some(&made), hash, now);
        let status = over.status.unwrap();
        assert!(over.delete && over.create.is_none());
        assert_eq!((status.phase, status.last_passed.is_some()), (phase, phase == RehearsalPhase::Passed));
        assert!(status.message.as_ref().unwrap().contains(words), "{status:?}");
    }
}

#[test]
fn what_is_left_goes_and_the_same_time_comes_once() {
    let passed =
        json!({"phase": "Passed", "due": DUE, "backup": "s-1", "started": DUE, "finished": DUE, "lastPassed": DUE});
    let made = cluster();
    let left = at(&passed, Some(&made), None, "2026-11-28T05:02:00Z");
    assert!(left.delete && left.create.is_none());
    let calm = at(&passed, None, None, "2026-11-28T05:02:00Z");
    assert!(!calm.delete && calm.create.is_none() && calm.status.unwrap().phase == RehearsalPhase::Passed);
}
