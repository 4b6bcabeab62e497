//! What an `EtcdBackupSchedule` does next: pure.

use std::collections::BTreeMap;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::ResourceExt;

use super::backup::told;
use crate::crd::backup::{self, EtcdBackup, EtcdBackupSpec};
use crate::crd::label;
use crate::crd::rehearsal::{REHEARSED, RehearsalPhase, RehearsalStatus};
use crate::crd::schedule::{
    BACKED_UP, ConcurrencyPolicy, EtcdBackupSchedule, EtcdBackupScheduleStatus, Failure, Gap, Phase, RECORDING,
    RecorderPhase, RecorderStatus, SCHEDULED, Success,
};
use crate::observe::follower::Recorded;

/// While a recorder is to be asked how it is.
const LOOK: Duration = Duration::from_secs(15);
/// While something is under way that wakes this up when it ends.
const SELDOM: Duration = Duration::from_secs(600);
/// Revisions that a recorder may be behind, beyond what it gathers, before that is worth a word.
const LAG: i64 = 100_000;

/// Everything that it depends on.
pub struct Seen<'a> {
    pub schedule: &'a EtcdBackupSchedule,
    /// What keeps it from being followed: a word and a sentence.
    pub obstacle: Option<(&'static str, String)>,
    /// Of the cluster that is there now, as hexadecimal digits; none while it has not formed.
    pub cluster_id: Option<String>,
    /// Those that it made, as far as they are there.
    pub backups: Vec<EtcdBackup>,
    /// What the recorder says; an error is why it says nothing.
    pub recorder: Option<Result<Recorded, String>>,
    /// How the last rehearsal is.
    pub rehearsal: Option<RehearsalStatus>,
    pub now: Timestamp,
}

#[derive(Debug, Default)]
pub struct Decision {
    pub create: Option<EtcdBackup>,
    /// Names of EtcdBackups.
    pub delete: Vec<String>,
    pub status: EtcdBackupScheduleStatus,
    /// Look again after this.
    pub wait: Duration,
}

pub fn next(seen: &Seen<'_>) -> Decision {
    let schedule = seen.schedule;
    let mut decision = Decision { status: schedule.status.clone().unwrap_or_default(), ..Decision::default() };
    decision.status.observed_generation = schedule.metadata.generation;
    decision.status.rehearsal.clone_from(&seen.rehearsal);
    history(seen, &mut decision);
    recording(seen, &mut decision);
    decision.wait = if schedule.spec.recorder.is_some() { LOOK } else { SELDOM };
    let times = match times(seen) {
        Ok(times) => times,
        Err(message) => {
            decision.status.next_time = None;
            return end(seen, decision, Phase::Invalid, ("False", "InvalidSchedule"), message);
        }
    };
    if schedule.spec.suspend {
        decision.status.next_time = None;
        // What falls into the pause is not made up for.
        decision.status.last_time = times.due.map(Time).or(decision.status.last_time);
        let message = "spec.suspend is set: no backups are taken".to_owned();
        return end(seen, decision, Phase::Suspended, ("False", "Suspended"), message);
    }
    decision.status.next_time = Some(times.next.to_string());
    if let Some((reason, message)) = &seen.obstacle {
        return end(seen, decision, Phase::Waiting, ("False", reason), message.clone());
    }
    let note = begin(seen, &times, &mut decision);
    let until_next = times.next.duration_since(seen.now).unsigned_abs();
    decision.wait = decision.wait.min(until_next + Duration::from_millis(200));
    let is_running = decision.create.is_some() || seen.backups.iter().any(is_unfinished);
    let (phase, message) = match (is_running, decision.status.consecutive_failures, &decision.status.last_failure) {
        (true, _, _) => (Phase::Running, "a backup is under way".to_owned()),
        (false, 1.., Some(failure)) => (Phase::Failing, format!("{} failed: {}", failure.name, failure.message)),
        _ => (Phase::Waiting, format!("the next backup is due at {}", times.next)),
    };
    let message = note.map_or(message.clone(), |note| format!("{message}; {note}"));
    end(seen, decision, phase, ("True", "AsWanted"), message)
}

/// When a backup is to be taken.
struct Times {
    /// The last time that has come and was not dealt with.
    due: Option<Timestamp>,
    next: Timestamp,
}

fn times(seen: &Seen<'_>) -> Result<Times, String> {
    let schedule = seen.schedule;
    if let Some(rehearsal) = &schedule.spec.rehearsal {
        times_of(schedule, "spec.rehearsal.schedule", &rehearsal.schedule, None, seen.now)?;
    }
    let dealt = schedule.status.as_ref().and_then(|status| status.last_time.as_ref());
    times_of(schedule, "spec.schedule", &schedule.spec.schedule, dealt, seen.now)
}

/// The last time that has come for a rehearsal. A line that is none is told by [`next`].
pub fn rehearsal_due(schedule: &EtcdBackupSchedule, now: Timestamp) -> Option<Timestamp> {
    let line = &schedule.spec.rehearsal.as_ref()?.schedule;
    times_of(schedule, "spec.rehearsal.schedule", line, None, now).ok()?.due
}

/// `dealt`: the last time that was dealt with.
fn times_of(
    schedule: &EtcdBackupSchedule,
    field: &str,
    line: &str,
    dealt: Option<&Time>,
    now: Timestamp,
) -> Result<Times, String> {
    let zone = &schedule.spec.time_zone;
    let zone = TimeZone::get(zone)
        .map_err(|_| format!("spec.timeZone: {zone:?} is no time zone; use a name such as Europe/Berlin"))?;
    let cron = parse(field, line)?;
    let never = |_| format!("{field}: {line:?} never comes");
    let zoned = now.to_zoned(zone);
    let next = cron.find_next_occurrence(&zoned, false).map_err(never)?.timestamp();
    let made = schedule.metadata.creation_timestamp.as_ref();
    let dealt = dealt.or(made).map_or(now, |time| time.0);
    // Before the first time of all there is none.
    let last = cron.find_previous_occurrence(&zoned, true).ok().map(|time| time.timestamp());
    Ok(Times { due: last.filter(|last| *last > dealt), next })
}

fn parse(field: &str, text: &str) -> Result<Cron, String> {
    let bad = |why: String| {
        format!(
            "{field}: {text:?} is no cron line of five fields (minute hour day month weekday), such as \"0 3 * * *\": {why}"
        )
    };
    if text.split_whitespace().count() != 5 {
        return Err(bad(format!("it has {} fields", text.split_whitespace().count())));
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(text).map_err(|error| bad(error.to_string()))
}

fn is_unfinished(backup: &EtcdBackup) -> bool {
    let phase = backup.status.as_ref().and_then(|status| status.phase);
    backup.metadata.deletion_timestamp.is_none()
        && !matches!(phase, Some(backup::Phase::Completed | backup::Phase::Failed))
}

/// Begins a backup if one is due. Returns what else there is to say.
fn begin(seen: &Seen<'_>, times: &Times, decision: &mut Decision) -> Option<String> {
    let spec = &seen.schedule.spec;
    let name = seen.schedule.name_any();
    let made = seen.schedule.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let is_first = spec.immediate && decision.status.last_time.is_none();
    let unfinished: Vec<String> =
        seen.backups.iter().filter(|one| is_unfinished(one)).map(ResourceExt::name_any).collect();
    let gap = uncovered_gap(decision).map(|gap| {
        (format!("{name}-gap-{}", gap.resumed_at), format!("revisions after {} were not recorded", gap.after))
    });
    let at_once = gap.or_else(|| {
        let why = "the cluster is another than the one that was backed up last".to_owned();
        another_cluster(seen, decision).map(|id| (format!("{name}-of-{id}"), why))
    });
    if let Some((name, why)) = at_once
        && unfinished.is_empty()
        && decision.status.consecutive_failures == 0
    {
        decision.create = Some(of(seen, name));
        return Some(format!("one is taken at once, because {why}"));
    }
    let due = match (times.due, made) {
        (Some(due), _) => due,
        (None, Some(made)) if is_first => made,
        _ => return None,
    };
    decision.status.last_time = Some(Time(due));
    let late = seen.now.duration_since(due);
    if late > SignedDuration::from_secs(spec.starting_deadline_seconds) && !is_first {
        return Some(format!(
            "the backup of {due} was missed by {} s, see spec.startingDeadlineSeconds",
            late.as_secs()
        ));
    }
    match spec.concurrency_policy {
        ConcurrencyPolicy::Forbid if !unfinished.is_empty() => {
            return Some(format!(
                "the backup of {due} was left out, because {} is not finished",
                unfinished.join(", ")
            ));
        }
        ConcurrencyPolicy::Replace => decision.delete.extend(unfinished),
        ConcurrencyPolicy::Forbid => {}
    }
    decision.create = Some(of(seen, format!("{name}-{}", due.strftime("%Y%m%d%H%M%S"))));
    None
}

/// Revisions that no backup has and nobody recorded.
fn uncovered_gap(decision: &Decision) -> Option<&Gap> {
    let gap = decision.status.recorder.as_ref()?.gap.as_ref()?;
    let covered = decision.status.last_success.as_ref().map_or(0, |success| success.revision);
    (gap.resumed_at > covered).then_some(gap)
}

/// The cluster of now, if the last backup is of one that had its name before.
fn another_cluster<'a>(seen: &'a Seen<'_>, decision: &Decision) -> Option<&'a String> {
    let last = decision.status.last_success.as_ref()?;
    let of = seen.backups.iter().find(|backup| backup.name_any() == last.name)?.status.as_ref()?.cluster_id.as_ref()?;
    seen.cluster_id.as_ref().filter(|now| *now != of)
}

/// Its name says for when it is: made twice, it is one.
fn of(seen: &Seen<'_>, name: String) -> EtcdBackup {
    let spec = seen.schedule.spec.clone();
    let labels = BTreeMap::from([
        (label::MANAGED_BY.0.to_owned(), label::MANAGED_BY.1.to_owned()),
        (label::SCHEDULE.to_owned(), seen.schedule.name_any()),
    ]);
    EtcdBackup {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: seen.schedule.namespace(),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: EtcdBackupSpec {
            cluster_name: spec.cluster_name,
            store: spec.store,
            compression: spec.compression,
            encryption: spec.encryption,
            worker: spec.worker,
            deadline_seconds: spec.deadline_seconds,
            retries: spec.retries,
            deletion_policy: backup::DeletionPolicy::Retain,
        },
        status: None,
    }
}

/// What came of those that were made, and which resources say nothing any more: the store has no such backup.
fn history(seen: &Seen<'_>, decision: &mut Decision) {
    let status = &mut decision.status;
    let ended = |phase: backup::Phase| {
        let mut ended: Vec<(&Time, &EtcdBackup)> = seen
            .backups
            .iter()
            .filter(|backup| backup.status.as_ref().is_some_and(|status| status.phase == Some(phase)))
            .filter_map(|backup| Some((ended_at(backup)?, backup)))
            .collect();
        ended.sort_by_key(|(time, _)| time.0);
        ended
    };
    let (good, failed) = (ended(backup::Phase::Completed), ended(backup::Phase::Failed));
    if let Some((finished, newest)) = good.last()
        && let Some(told) = &newest.status
        && status.last_success.as_ref().is_none_or(|last| last.finished.0 < finished.0)
    {
        status.successes += 1;
        status.last_success = Some(Success {
            name: newest.name_any(),
            id: told.id.clone().unwrap_or_default(),
            revision: told.revision.unwrap_or_default(),
            finished: (*finished).clone(),
            duration_seconds: told.duration_seconds.unwrap_or_default(),
            stored_size: told.stored_size.clone().unwrap_or_default(),
        });
        if let Some(catalogue) = &told.catalogue {
            status.backups = catalogue.count;
            status.stored_size = Some(catalogue.stored_size.clone());
            let is_gone = |backup: &&EtcdBackup| {
                backup.status.as_ref().and_then(|status| status.id.as_ref()).is_some_and(|id| *id < catalogue.oldest)
            };
            decision.delete.extend(good.iter().map(|(_, backup)| *backup).filter(is_gone).map(ResourceExt::name_any));
        }
    }
    let since = status.last_success.as_ref().map(|success| success.finished.0);
    let newer = |time: &Time| since.is_none_or(|since| time.0 > since);
    status.consecutive_failures =
        i32::try_from(failed.iter().filter(|(time, _)| newer(time)).count()).unwrap_or(i32::MAX);
    if let Some((time, newest)) = failed.last() {
        let message = newest.status.as_ref().and_then(|status| status.message.clone()).unwrap_or_default();
        status.last_failure = Some(Failure { name: newest.name_any(), time: (*time).clone(), message });
    }
    let limit = usize::try_from(seen.schedule.spec.failed_history_limit).unwrap_or_default();
    let surplus = failed.len().saturating_sub(limit);
    decision.delete.extend(failed.iter().take(surplus).map(|(_, backup)| backup.name_any()));
}

/// When it was finished, or failed.
fn ended_at(backup: &EtcdBackup) -> Option<&Time> {
    let status = backup.status.as_ref()?;
    let failed = status.conditions.iter().find(|one| one.type_ == backup::COMPLETE);
    status.finished.as_ref().or_else(|| failed.map(|one| &one.last_transition_time))
}

fn recording(seen: &Seen<'_>, decision: &mut Decision) {
    let status = &mut decision.status;
    if seen.schedule.spec.recorder.is_none() || seen.schedule.spec.suspend {
        status.recorder = None;
        return;
    }
    let before = status.recorder.take();
    let kept = before.as_ref().and_then(|before| before.gap.clone());
    let of = |phase, message, gap| Some(RecorderStatus { phase, message, gap });
    status.recorder = match &seen.recorder {
        None => of(RecorderPhase::Starting, None, kept),
        Some(Err(why)) => match before {
            Some(before) if before.phase != RecorderPhase::Starting => {
                of(RecorderPhase::Behind, Some(why.clone()), kept)
            }
            _ => of(RecorderPhase::Starting, None, kept),
        },
        Some(Ok(told)) => {
            let gap = told.gap.clone().or(kept);
            match &told.trouble {
                Some(trouble) => of(RecorderPhase::Behind, Some(trouble.clone()), gap),
                None if told.lag_revisions > LAG => {
                    of(RecorderPhase::Behind, Some("it is catching up".to_owned()), gap)
                }
                None if status.last_success.is_none() => {
                    of(RecorderPhase::Waiting, Some("there is no backup yet to record changes after".to_owned()), gap)
                }
                None => of(RecorderPhase::Recording, None, gap),
            }
        }
    };
    // What a backup has got is no gap any more.
    let covered = status.last_success.as_ref().map_or(0, |success| success.revision);
    if let Some(recorder) = &mut status.recorder {
        recorder.gap.take_if(|gap| gap.resumed_at <= covered);
    }
}

fn end(
    seen: &Seen<'_>,
    mut decision: Decision,
    phase: Phase,
    (scheduled, reason): (&str, &str),
    message: String,
) -> Decision {
    let status = &mut decision.status;
    let (generation, now) = (seen.schedule.metadata.generation, seen.now);
    let before = std::mem::take(&mut status.conditions);
    let mut say = |type_, what: (&str, &str, &str)| status.conditions.push(told(&before, type_, what, generation, now));
    say(SCHEDULED, (scheduled, reason, &message));
    match (&status.last_success, &status.last_failure, status.consecutive_failures) {
        (_, Some(failure), 1..) => say(BACKED_UP, ("False", "BackupFailed", &failure.message)),
        (Some(success), _, _) => {
            let words = format!("{} has all up to revision {}", success.name, success.revision);
            say(BACKED_UP, ("True", "Completed", &words));
        }
        (None, _, _) => say(BACKED_UP, ("Unknown", "NoBackupYet", "no backup was finished yet")),
    }
    if let Some(rehearsal) = &status.rehearsal {
        let words = rehearsal.message.clone().unwrap_or_default();
        match (rehearsal.phase, &rehearsal.last_passed) {
            (RehearsalPhase::Passed, _) => say(REHEARSED, ("True", "Passed", &words)),
            (RehearsalPhase::Failed, _) => say(REHEARSED, ("False", "RehearsalFailed", &words)),
            (RehearsalPhase::Running, Some(_)) => say(REHEARSED, ("True", "Running", "another one is under way")),
            (RehearsalPhase::Running, None) => say(REHEARSED, ("Unknown", "Running", "the first one is under way")),
        }
    }
    if let Some(recorder) = &status.recorder {
        let words = recorder.message.clone().unwrap_or_default();
        match (&recorder.gap, recorder.phase) {
            (Some(gap), _) => {
                let words = format!("revisions {} to {} were not recorded: {}", gap.after + 1, gap.resumed_at, gap.why);
                say(RECORDING, ("False", "Gap", &words));
            }
            (None, RecorderPhase::Recording) => say(RECORDING, ("True", "Recording", "changes are recorded")),
            (None, RecorderPhase::Behind) => say(RECORDING, ("False", "Behind", &words)),
            (None, RecorderPhase::Starting) => say(RECORDING, ("Unknown", "Starting", "its pod starts")),
            (None, RecorderPhase::Waiting) => say(RECORDING, ("Unknown", "NoBackupYet", &words)),
        }
    }
    status.phase = Some(phase);
    status.message = Some(message);
    decision
}

#[cfg(test)]
#[path = "schedule_test.rs"]
mod schedule_test;
