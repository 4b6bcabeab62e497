//! The verdict over a history.

use std::collections::HashMap;

use super::committed::{Committed, Event, Versions};
use super::operation::{Call, Operation, Outcome, Version};

/// What an accepted history consisted of, so that a test can demand enough of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged writes.
    pub writes: usize,
    /// Answered reads.
    pub reads: usize,
    /// Writes without an answer that appeared all the same.
    pub appeared: usize,
    /// Writes without an answer that did not.
    pub vanished: usize,
}

/// Something that no strictly serializable store can have answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("the committed events are out of order: {after:?} follows revision {before}")]
    Disorder { before: i64, after: Event },
    #[error("an acknowledged write is missing: {0:?}")]
    Lost(Box<Operation>),
    #[error("no client wrote this: {0:?}")]
    Phantom(Event),
    #[error("a refused write appeared: {0:?}")]
    RefusedAppeared(Event),
    #[error("a write was applied more than once: {0:?}")]
    Repeated(Event),
    #[error("an answer at revision {revision} began after one at revision {floor} had ended: {operation:?}")]
    TimeTravel { operation: Box<Operation>, revision: i64, floor: i64 },
    #[error("a read at its revision should have found {expected:?}: {operation:?}")]
    WrongRead { operation: Box<Operation>, expected: Option<Version> },
    #[error("a condition was judged wrongly; the key was {actual:?}: {operation:?}")]
    WrongCondition { operation: Box<Operation>, actual: Option<Version> },
    #[error("an answer is newer than the whole history, which ends at revision {end}: {operation:?}")]
    Future { operation: Box<Operation>, end: i64 },
    #[error("an answer that does not fit its call: {0:?}")]
    Misfit(Box<Operation>),
    #[error("two writes have the same value; the history cannot be judged: {0}")]
    AmbiguousValue(String),
}

/// Judges a history against the committed events.
pub fn check(operations: &[Operation], committed: &Committed) -> Result<Verdict, Violation> {
    in_order(committed)?;
    let appeared = explain_events(operations, committed)?;
    let versions = committed.by_key();
    let mut verdict = Verdict::default();
    for (at, operation) in operations.iter().enumerate() {
        check_answer(operation, &versions, committed.revision)?;
        match &operation.outcome {
            Outcome::Written { .. } | Outcome::Deleted { .. } => verdict.writes += 1,
            Outcome::Read { .. } => verdict.reads += 1,
            Outcome::Unknown if appeared.contains_key(&at) => verdict.appeared += 1,
            Outcome::Unknown => verdict.vanished += 1,
            Outcome::Failed => {}
        }
    }
    check_real_time(operations, &appeared)?;
    Ok(verdict)
}

/// Every revision of this traffic changes one key, so revisions must rise strictly.
fn in_order(committed: &Committed) -> Result<(), Violation> {
    let mut before = 0;
    for event in &committed.events {
        if event.revision <= before {
            return Err(Violation::Disorder { before, after: event.clone() });
        }
        before = event.revision;
    }
    Ok(())
}

/// Finds the operation behind every event and the event of every acknowledged write. Returns the revisions of the
/// operations without an answer that appeared, by their place in the history.
fn explain_events(operations: &[Operation], committed: &Committed) -> Result<HashMap<usize, i64>, Violation> {
    let by_value = writers(operations)?;
    let mut known: HashMap<i64, usize> = HashMap::new();
    for (at, operation) in operations.iter().enumerate() {
        let revision = match operation.outcome {
            Outcome::Written { revision } | Outcome::Deleted { revision, deleted: 1.. } => revision,
            _ => continue,
        };
        if known.insert(revision, at).is_some() {
            // Two writes were told the same revision: it can hold one of them only.
            return Err(Violation::Lost(Box::new(operation.clone())));
        }
    }

    let mut appeared = HashMap::new();
    let mut open_deletes = OpenDeletes::new(operations);
    for event in &committed.events {
        let writer = match &event.value {
            Some(value) => by_value.get(value.as_str()).copied(),
            None => known.get(&event.revision).copied().or_else(|| open_deletes.take(&event.key)),
        };
        let Some(at) = writer else { return Err(Violation::Phantom(event.clone())) };
        let operation = &operations[at];
        if operation.call.key() != event.key || operation.call.value() != event.value.as_deref() {
            return Err(Violation::Phantom(event.clone()));
        }
        match operation.outcome {
            Outcome::Unknown => {
                if appeared.insert(at, event.revision).is_some() {
                    return Err(Violation::Repeated(event.clone()));
                }
            }
            Outcome::Failed | Outcome::Read { .. } => return Err(Violation::RefusedAppeared(event.clone())),
            Outcome::Written { revision } | Outcome::Deleted { revision, .. } if revision == event.revision => {
                known.remove(&event.revision);
            }
            // The acknowledged revision is another one: either this event is a second application, or that one is lost.
            Outcome::Written { .. } | Outcome::Deleted { .. } => return Err(Violation::Repeated(event.clone())),
        }
    }
    match known.values().min() {
        Some(&at) => Err(Violation::Lost(Box::new(operations[at].clone()))),
        None => Ok(appeared),
    }
}

fn writers(operations: &[Operation]) -> Result<HashMap<&str, usize>, Violation> {
    let mut by_value = HashMap::new();
    for (at, operation) in operations.iter().enumerate() {
        let Some(value) = operation.call.value() else { continue };
        if by_value.insert(value, at).is_some() {
            return Err(Violation::AmbiguousValue(value.to_owned()));
        }
    }
    Ok(by_value)
}

/// Deletes without an answer: their events carry no value that names them, so each takes the earliest one of its key.
struct OpenDeletes<'a> {
    by_key: HashMap<&'a str, Vec<usize>>,
}

impl<'a> OpenDeletes<'a> {
    fn new(operations: &'a [Operation]) -> OpenDeletes<'a> {
        let mut by_key: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, operation) in operations.iter().enumerate() {
            if let (Call::Delete { key }, Outcome::Unknown) = (&operation.call, &operation.outcome) {
                by_key.entry(key).or_default().push(at);
            }
        }
        // Taken from the end: latest first in the list. The earliest is the least constrained by real time.
        for open in by_key.values_mut() {
            open.sort_by_key(|&at| std::cmp::Reverse(operations[at].invoked_ns));
        }
        OpenDeletes { by_key }
    }

    fn take(&mut self, key: &str) -> Option<usize> {
        self.by_key.get_mut(key)?.pop()
    }
}

/// One answer against the replay of the committed events.
fn check_answer(operation: &Operation, versions: &Versions<'_>, end: i64) -> Result<(), Violation> {
    if operation.outcome.revision().is_some_and(|revision| revision > end) {
        return Err(Violation::Future { operation: Box::new(operation.clone()), end });
    }
    let key = operation.call.key();
    match (&operation.call, &operation.outcome) {
        (_, Outcome::Failed | Outcome::Unknown) | (Call::Put { .. }, Outcome::Written { .. }) => Ok(()),
        (Call::Delete { .. }, Outcome::Deleted { revision, deleted }) => {
            let before = versions.at(key, revision - i64::from(*deleted > 0));
            if before.is_some() == (*deleted > 0) { Ok(()) } else { Err(wrong_read(operation, before)) }
        }
        (Call::Get { .. }, Outcome::Read { revision, found }) => {
            let expected = versions.at(key, *revision);
            if *found == expected { Ok(()) } else { Err(wrong_read(operation, expected)) }
        }
        (Call::PutIf { expected, .. }, Outcome::Written { revision }) => {
            judged(operation, *expected, versions.at(key, revision - 1), true)
        }
        (Call::PutIf { expected, .. }, Outcome::Read { revision, found }) => {
            let actual = versions.at(key, *revision);
            if *found != actual {
                return Err(wrong_read(operation, actual));
            }
            judged(operation, *expected, actual, false)
        }
        (Call::Put { .. } | Call::Delete { .. } | Call::Get { .. } | Call::PutIf { .. }, _) => {
            Err(Violation::Misfit(Box::new(operation.clone())))
        }
    }
}

fn wrong_read(operation: &Operation, expected: Option<Version>) -> Violation {
    Violation::WrongRead { operation: Box::new(operation.clone()), expected }
}

/// A missing key has modification revision 0.
fn judged(operation: &Operation, expected: i64, actual: Option<Version>, held: bool) -> Result<(), Violation> {
    let holds = actual.as_ref().map_or(0, |version| version.mod_revision) == expected;
    if holds == held {
        Ok(())
    } else {
        Err(Violation::WrongCondition { operation: Box::new(operation.clone()), actual })
    }
}

/// Whatever ended before another call began must not be newer than that call's answer; a write must be newer than it.
fn check_real_time(operations: &[Operation], appeared: &HashMap<usize, i64>) -> Result<(), Violation> {
    let mut ended: Vec<(u64, i64)> = operations
        .iter()
        .filter_map(|operation| Some((operation.returned_ns, operation.outcome.revision()?)))
        .collect();
    ended.sort_unstable();
    let mut begun: Vec<usize> = (0..operations.len()).collect();
    begun.sort_unstable_by_key(|&at| operations[at].invoked_ns);

    let mut ended = ended.into_iter().peekable();
    let mut floor = 0;
    for at in begun {
        let operation = &operations[at];
        while let Some((_, revision)) = ended.next_if(|(returned_ns, _)| *returned_ns < operation.invoked_ns) {
            floor = floor.max(revision);
        }
        if !operation.call.is_linearizable() {
            continue;
        }
        let Some(revision) = operation.outcome.revision().or_else(|| appeared.get(&at).copied()) else { continue };
        let writes = match operation.outcome {
            Outcome::Written { .. } | Outcome::Deleted { deleted: 1.., .. } | Outcome::Unknown => true,
            Outcome::Deleted { .. } | Outcome::Read { .. } | Outcome::Failed => false,
        };
        if revision < floor + i64::from(writes) {
            return Err(Violation::TimeTravel { operation: Box::new(operation.clone()), revision, floor });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(value: &str, outcome: Outcome, interval: (u64, u64)) -> Operation {
        operation(Call::Put { key: "k".into(), value: value.into() }, outcome, interval)
    }

    fn get(revision: i64, found: Option<(&str, i64)>, interval: (u64, u64)) -> Operation {
        let found = found.map(|(value, mod_revision)| Version { value: value.into(), mod_revision });
        operation(Call::Get { key: "k".into(), serializable: false }, Outcome::Read { revision, found }, interval)
    }

    fn delete(outcome: Outcome, interval: (u64, u64)) -> Operation {
        operation(Call::Delete { key: "k".into() }, outcome, interval)
    }

    fn put_if(expected: i64, value: &str, outcome: Outcome, interval: (u64, u64)) -> Operation {
        operation(Call::PutIf { key: "k".into(), expected, value: value.into() }, outcome, interval)
    }

    fn operation(call: Call, outcome: Outcome, (invoked_ns, returned_ns): (u64, u64)) -> Operation {
        Operation { client: 0, call, outcome, invoked_ns, returned_ns }
    }

    fn written(revision: i64) -> Outcome {
        Outcome::Written { revision }
    }

    /// Events of key `k`; an empty value is a delete.
    fn committed(events: &[(i64, &str)]) -> Committed {
        let events: Vec<Event> = events
            .iter()
            .map(|(revision, value)| Event {
                revision: *revision,
                key: "k".into(),
                value: (!value.is_empty()).then(|| (*value).to_owned()),
            })
            .collect();
        let revision = events.last().map_or(1, |event| event.revision);
        Committed { events, revision }
    }

    #[test]
    fn an_honest_history_is_accepted() {
        let operations = [
            put("a", written(2), (0, 10)),
            get(2, Some(("a", 2)), (20, 30)),
            put_if(2, "b", written(3), (40, 50)),
            put_if(
                2,
                "c",
                Outcome::Read { revision: 3, found: Some(Version { value: "b".into(), mod_revision: 3 }) },
                (60, 70),
            ),
            delete(Outcome::Deleted { revision: 4, deleted: 1 }, (80, 90)),
            delete(Outcome::Deleted { revision: 4, deleted: 0 }, (100, 110)),
            get(4, None, (120, 130)),
        ];
        let verdict = check(&operations, &committed(&[(2, "a"), (3, "b"), (4, "")])).unwrap();
        assert_eq!(verdict, Verdict { writes: 4, reads: 3, appeared: 0, vanished: 0 });
    }

    #[test]
    fn a_write_without_an_answer_may_appear_or_not() {
        let operations = [
            put("a", Outcome::Unknown, (0, 10)),
            put("b", Outcome::Unknown, (0, 10)),
            delete(Outcome::Unknown, (20, 30)),
            get(3, None, (40, 50)),
        ];
        let verdict = check(&operations, &committed(&[(2, "a"), (3, "")])).unwrap();
        assert_eq!(verdict, Verdict { writes: 0, reads: 1, appeared: 2, vanished: 1 });
    }

    #[test]
    fn concurrent_writes_may_have_any_order() {
        let operations = [put("a", written(3), (0, 10)), put("b", written(2), (5, 15))];
        check(&operations, &committed(&[(2, "b"), (3, "a")])).unwrap();
    }

    #[test]
    fn a_lost_acknowledged_write_is_rejected() {
        let lost = put("a", written(2), (0, 10));
        let got = check(&[lost.clone(), put("b", written(3), (20, 30))], &committed(&[(3, "b")]));
        assert_eq!(got, Err(Violation::Lost(Box::new(lost))));
    }

    #[test]
    fn one_revision_for_two_writes_is_rejected() {
        let operations = [put("a", written(2), (0, 10)), put("b", written(2), (0, 10))];
        assert!(matches!(check(&operations, &committed(&[(2, "a")])), Err(Violation::Lost(_))));
    }

    #[test]
    fn a_stale_read_is_rejected() {
        let operations =
            [put("a", written(2), (0, 10)), put("b", written(3), (20, 30)), get(2, Some(("a", 2)), (40, 50))];
        let got = check(&operations, &committed(&[(2, "a"), (3, "b")]));
        assert!(matches!(got, Err(Violation::TimeTravel { revision: 2, floor: 3, .. })), "{got:?}");
    }

    #[test]
    fn a_stale_serializable_read_is_accepted_and_a_wrong_one_rejected() {
        let stale = |value: &str| {
            let found = Some(Version { value: value.into(), mod_revision: 2 });
            let call = Call::Get { key: "k".into(), serializable: true };
            operation(call, Outcome::Read { revision: 2, found }, (40, 50))
        };
        let history = |read| [put("a", written(2), (0, 10)), put("b", written(3), (20, 30)), read];
        let events = committed(&[(2, "a"), (3, "b")]);
        check(&history(stale("a")), &events).unwrap();
        assert!(matches!(check(&history(stale("b")), &events), Err(Violation::WrongRead { .. })));
    }

    #[test]
    fn a_read_of_a_value_that_is_not_newest_at_its_revision_is_rejected() {
        let operations =
            [put("a", written(2), (0, 10)), put("b", written(3), (20, 30)), get(3, Some(("a", 2)), (25, 50))];
        let got = check(&operations, &committed(&[(2, "a"), (3, "b")]));
        assert!(matches!(got, Err(Violation::WrongRead { .. })), "{got:?}");
    }

    #[test]
    fn a_write_below_what_was_already_answered_is_rejected() {
        let operations = [put("a", written(3), (0, 10)), put("b", written(2), (20, 30))];
        let got = check(&operations, &committed(&[(2, "b"), (3, "a")]));
        assert!(matches!(got, Err(Violation::TimeTravel { revision: 2, floor: 3, .. })), "{got:?}");
    }

    #[test]
    fn an_unanswered_write_before_its_own_call_is_rejected() {
        let operations = [put("a", written(3), (0, 10)), put("b", Outcome::Unknown, (20, 30))];
        let got = check(&operations, &committed(&[(2, "b"), (3, "a")]));
        assert!(matches!(got, Err(Violation::TimeTravel { revision: 2, .. })), "{got:?}");
    }

    #[test]
    fn a_write_that_appears_twice_is_rejected() {
        for outcome in [Outcome::Unknown, written(2), written(3)] {
            let got = check(&[put("a", outcome, (0, 10))], &committed(&[(2, "a"), (3, "a")]));
            assert!(matches!(got, Err(Violation::Repeated(_))), "{got:?}");
        }
    }

    #[test]
    fn a_refused_write_that_appears_is_rejected() {
        let got = check(&[put("a", Outcome::Failed, (0, 10))], &committed(&[(2, "a")]));
        assert!(matches!(got, Err(Violation::RefusedAppeared(_))), "{got:?}");
        let refused = put_if(0, "a", Outcome::Read { revision: 2, found: None }, (0, 10));
        let got = check(&[refused], &committed(&[(2, "a")]));
        assert!(matches!(got, Err(Violation::RefusedAppeared(_))), "{got:?}");
    }

    #[test]
    fn a_value_nobody_wrote_and_a_delete_nobody_sent_are_rejected() {
        for events in [[(2, "a"), (3, "x")], [(2, "a"), (3, "")]] {
            let got = check(&[put("a", written(2), (0, 10))], &committed(&events));
            assert!(matches!(got, Err(Violation::Phantom(_))), "{got:?}");
        }
    }

    #[test]
    fn a_condition_judged_wrongly_is_rejected() {
        let operations = [put("a", written(2), (0, 10)), put_if(0, "b", written(3), (20, 30))];
        let got = check(&operations, &committed(&[(2, "a"), (3, "b")]));
        assert!(matches!(got, Err(Violation::WrongCondition { .. })), "{got:?}");
        let found = Some(Version { value: "a".into(), mod_revision: 2 });
        let refused = put_if(2, "b", Outcome::Read { revision: 2, found }, (20, 30));
        let got = check(&[put("a", written(2), (0, 10)), refused], &committed(&[(2, "a")]));
        assert!(matches!(got, Err(Violation::WrongCondition { .. })), "{got:?}");
    }

    #[test]
    fn events_out_of_order_and_answers_from_the_future_are_rejected() {
        let operations = [put("a", written(2), (0, 10)), put("b", written(3), (0, 10))];
        let got = check(&operations, &committed(&[(3, "b"), (2, "a")]));
        assert!(matches!(got, Err(Violation::Disorder { .. })), "{got:?}");
        let got = check(&[put("a", written(2), (0, 10)), get(9, Some(("a", 2)), (20, 30))], &committed(&[(2, "a")]));
        assert!(matches!(got, Err(Violation::Future { .. })), "{got:?}");
    }

    #[test]
    fn a_delete_that_found_nothing_where_something_was_is_rejected() {
        let operations =
            [put("a", written(2), (0, 10)), delete(Outcome::Deleted { revision: 2, deleted: 0 }, (20, 30))];
        let got = check(&operations, &committed(&[(2, "a")]));
        assert!(matches!(got, Err(Violation::WrongRead { .. })), "{got:?}");
    }
}
