#![allow(clippy::unwrap_used, reason = "a failed unwrap in a test is its report")]

use serde_json::{Value, json};

use super::*;

fn schedule(spec: Value, status: Value) -> EtcdBackupSchedule {
    let mut all = json!({"clusterName": "a", "schedule": "0 * * * *", "store": {"s3": {"bucket": "c"}}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "quorate.io/v1alpha1", "kind": "EtcdBackupSchedule",
        "metadata": {"name": "s", "namespace": "ns", "creationTimestamp": "2026-11-28T04:30:00Z"},
        "spec": all, "status": status,
    }))
    .unwrap()
}

fn backup(name: &str, status: Value) -> EtcdBackup {
    serde_json::from_value(json!({
        "apiVersion": "quorate.io/v1alpha1", "kind": "EtcdBackup", "metadata": {"name": name},
        "spec": {"clusterName": "a", "store": {"s3": {"bucket": "c"}}}, "status": status,
    }))
    .unwrap()
}

fn good(name: &str, finished: &str, revision: i64) -> EtcdBackup {
    let catalogue = json!({"count": 2, "oldest": "20261128T040000Z", "storedSize": "3.0Ki"});
    let status = json!({"phase": "Completed", "id": finished.replace(['-', ':'], ""), "revision": revision, "finished": finished,
        "storedSize": "1.5Ki", "catalogue": catalogue});
    backup(name, status)
}

fn failed(name: &str, time: &str) -> EtcdBackup {
    let condition = json!({"type": "Complete", "status": "False", "reason": "StoreMissing", "message": "m", "lastTransitionTime": time});
    backup(name, json!({"phase": "Failed", "message": "no bucket", "conditions": [condition]}))
}

fn at(schedule: &EtcdBackupSchedule, now: &str, backups: Vec<EtcdBackup>) -> Decision {
    next(&Seen {
        schedule,
        obstacle: None,
        cluster_id: None,
        backups,
        recorder: None,
        rehearsal: None,
        now: now.parse().unwrap(),
    })
}

fn created(decision: &Decision) -> Option<String> {
    decision.create.as_ref().map(ResourceExt::name_any)
}

#[test]
fn a_backup_is_made_at_its_time_once() {
    let new = schedule(json!({}), json!({}));
    let early = at(&new, "2026-11-28T04:59:59Z", Vec::new());
    assert_eq!((created(&early), early.status.next_time.as_deref()), (None, Some("2026-11-28T05:00:00Z")));
    assert!(early.wait < Duration::from_secs(2));
    let due = at(&new, "2026-11-28T05:00:01Z", Vec::new());
    assert_eq!(created(&due).as_deref(), Some("s-20261128050000"));
    let dealt = schedule(json!({}), json!({"lastTime": due.status.last_time}));
    assert_eq!(created(&at(&dealt, "2026-11-28T05:00:02Z", Vec::new())), None);
    let immediate = schedule(json!({"immediate": true}), json!({}));
    assert_eq!(created(&at(&immediate, "2026-11-28T04:30:01Z", Vec::new())).as_deref(), Some("s-20261128043000"));
}

#[test]
fn of_missed_times_only_the_last_is_made_up_for_and_not_too_late() {
    let new = schedule(json!({}), json!({}));
    assert_eq!(created(&at(&new, "2026-11-28T09:10:00Z", Vec::new())).as_deref(), Some("s-20261128090000"));
    let strict = schedule(json!({"startingDeadlineSeconds": 60}), json!({}));
    let late = at(&strict, "2026-11-28T09:10:00Z", Vec::new());
    assert_eq!(created(&late), None);
    assert!(late.status.message.unwrap().contains("was missed by 600 s"));
    assert_eq!(late.status.last_time.unwrap().0.to_string(), "2026-11-28T09:00:00Z");
}

#[test]
fn a_backup_that_is_still_taken_keeps_the_next_away_or_gives_way() {
    let runs = || vec![backup("s-1", json!({"phase": "Running"}))];
    let left_out = at(&schedule(json!({}), json!({})), "2026-11-28T05:00:01Z", runs());
    assert_eq!(created(&left_out), None);
    assert!(left_out.status.message.unwrap().contains("left out, because s-1 is not finished"));
    let replaced = at(&schedule(json!({"concurrencyPolicy": "Replace"}), json!({})), "2026-11-28T05:00:01Z", runs());
    assert_eq!((created(&replaced).is_some(), replaced.delete), (true, vec!["s-1".to_owned()]));
}

#[test]
fn a_line_that_is_none_and_a_zone_that_is_none_are_named() {
    for (spec, words) in [
        (json!({"schedule": "0 3 * *"}), "it has 4 fields"),
        (json!({"schedule": "0 3 * * * *"}), "it has 6 fields"),
        (json!({"schedule": "61 3 * * *"}), "spec.schedule: \"61 3 * * *\" is no cron line"),
        (json!({"schedule": "0 3 31 2 *"}), "never comes"),
        (json!({"timeZone": "Europe/Nowhere"}), "spec.timeZone: \"Europe/Nowhere\" is no time zone"),
    ] {
        let told = at(&schedule(spec, json!({})), "2026-11-28T05:00:01Z", Vec::new());
        assert_eq!((created(&told), told.status.phase), (None, Some(Phase::Invalid)));
        assert!(told.status.message.as_ref().unwrap().contains(words), "{:?}", told.status.message);
    }
}

#[test]
fn times_are_those_of_the_zone_through_its_changes() {
    let berlin = |now: &str| {
        let schedule = schedule(json!({"schedule": "30 3 * * *", "timeZone": "Europe/Berlin"}), json!({}));
        at(&schedule, now, Vec::new()).status.next_time.unwrap()
    };
    assert_eq!(berlin("2026-11-28T05:00:00Z"), "2026-11-29T02:30:00Z");
    assert_eq!(berlin("2027-06-28T05:00:00Z"), "2027-06-29T01:30:00Z");
}

#[test]
fn a_pause_is_not_made_up_for() {
    let paused = at(&schedule(json!({"suspend": true}), json!({})), "2026-11-28T09:10:00Z", Vec::new());
    assert_eq!((created(&paused), paused.status.phase), (None, Some(Phase::Suspended)));
    let resumed = schedule(json!({}), json!({"lastTime": paused.status.last_time}));
    assert_eq!(created(&at(&resumed, "2026-11-28T09:11:00Z", Vec::new())), None);
}

#[test]
fn what_came_of_backups_is_told_and_resources_without_a_backup_go() {
    let backups = || {
        vec![
            good("old", "2026-11-28T03:00:05Z", 3),
            good("new", "2026-11-28T05:00:05Z", 9),
            failed("f1", "2026-11-28T05:10:00Z"),
            failed("f2", "2026-11-28T05:20:00Z"),
        ]
    };
    let one = schedule(
        json!({"failedHistoryLimit": 1, "schedule": "0 0 * * *"}),
        json!({"lastTime": "2026-11-28T05:00:00Z"}),
    );
    let told = at(&one, "2026-11-28T05:30:00Z", backups());
    let status = told.status;
    assert_eq!(told.delete, ["old", "f1"]);
    assert_eq!((status.backups, status.consecutive_failures, status.successes), (2, 2, 1));
    assert_eq!(status.last_success.as_ref().unwrap().name, "new");
    assert_eq!((status.phase, status.message.as_deref()), (Some(Phase::Failing), Some("f2 failed: no bucket")));
    let again = schedule(json!({}), json!(status));
    assert_eq!(at(&again, "2026-11-28T05:30:01Z", backups()).status.successes, 1);
}

#[test]
fn a_rehearsals_line_is_checked_and_what_came_of_it_is_a_condition() {
    let wrong = schedule(json!({"rehearsal": {"schedule": "61 0 * * *"}}), json!({}));
    let told = at(&wrong, "2026-11-28T05:30:00Z", Vec::new()).status;
    assert_eq!(told.phase, Some(Phase::Invalid));
    assert!(told.message.unwrap().starts_with("spec.rehearsal.schedule: \"61 0 * * *\" is no cron line"));
    let fine = schedule(json!({"rehearsal": {"schedule": "0 5 * * *"}}), json!({}));
    assert_eq!(rehearsal_due(&fine, "2026-11-28T04:59:00Z".parse().unwrap()), None);
    assert_eq!(rehearsal_due(&fine, "2026-11-28T05:30:00Z".parse().unwrap()), "2026-11-28T05:00:00Z".parse().ok());
    for (phase, holds, reason) in
        [("Passed", "True", "Passed"), ("Failed", "False", "RehearsalFailed"), ("Running", "Unknown", "Running")]
    {
        let time = "2026-11-28T05:00:00Z";
        let rehearsal = serde_json::from_value(json!({"phase": phase, "due": time, "backup": "b", "started": time}));
        let now = "2026-11-28T05:30:00Z".parse().unwrap();
        let seen = Seen {
            schedule: &fine,
            obstacle: None,
            cluster_id: None,
            backups: Vec::new(),
            recorder: None,
            rehearsal: rehearsal.ok(),
            now,
        };
        let conditions = next(&seen).status.conditions;
        let rehearsed = conditions.iter().find(|one| one.type_ == REHEARSED).unwrap();
        assert_eq!((rehearsed.status.as_str(), rehearsed.reason.as_str()), (holds, reason));
    }
}

#[test]
fn a_gap_is_told_and_closed_by_a_backup() {
    let spec = json!({"recorder": {}, "schedule": "0 0 * * *"});
    let with = |status: Value, backups: Vec<EtcdBackup>| {
        let schedule = schedule(spec.clone(), status);
        let gap = Gap { after: 10, resumed_at: 20, why: "compacted".to_owned() };
        let recorder = Some(Ok(Recorded { gap: Some(gap), ..Recorded::default() }));
        next(&Seen {
            cluster_id: None,
            schedule: &schedule,
            obstacle: None,
            backups,
            recorder,
            rehearsal: None,
            now: "2026-11-28T05:30:00Z".parse().unwrap(),
        })
    };
    let first = || good("one", "2026-11-28T05:00:05Z", 9);
    let open = with(json!({"lastTime": "2026-11-28T05:00:00Z"}), vec![first()]);
    assert_eq!(created(&open).as_deref(), Some("s-gap-20"));
    let recording = open.status.conditions.iter().find(|one| one.type_ == RECORDING).unwrap();
    assert_eq!((recording.status.as_str(), recording.reason.as_str()), ("False", "Gap"));
    assert!(recording.message.contains("revisions 11 to 20 were not recorded: compacted"));
    let closed = with(json!(open.status), vec![first(), good("two", "2026-11-28T05:29:00Z", 25)]);
    assert_eq!((created(&closed), closed.status.recorder.unwrap().gap), (None, None));
}

#[test]
fn a_cluster_that_took_the_place_of_another_is_backed_up_at_once() {
    let status = json!({"lastTime": "2026-11-28T05:00:00Z"});
    let schedule = schedule(json!({}), status);
    let mut last = good("s-1", "2026-11-28T05:00:10Z", 7);
    last.status.as_mut().unwrap().cluster_id = Some("a1".to_owned());
    let with = |now: Option<&str>, backups: Vec<EtcdBackup>| {
        let now = now.map(str::to_owned);
        created(&next(&Seen {
            schedule: &schedule,
            obstacle: None,
            cluster_id: now,
            backups,
            recorder: None,
            rehearsal: None,
            now: "2026-11-28T05:10:00Z".parse().unwrap(),
        }))
    };
    assert_eq!(with(Some("b2"), vec![last.clone()]).as_deref(), Some("s-of-b2"));
    assert_eq!(with(Some("a1"), vec![last.clone()]), None);
    assert_eq!(with(None, vec![last.clone()]), None);
    assert_eq!(with(Some("b2"), vec![last.clone(), backup("s-of-b2", json!({"phase": "Running"}))]), None);
    assert_eq!(with(Some("b2"), vec![last, failed("s-of-b2", "2026-11-28T05:09:00Z")]), None);
}
