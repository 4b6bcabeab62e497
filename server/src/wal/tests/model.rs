use proptest::prelude::*;

use super::disk::{Fault, Operation};
use super::*;

/// What a caller may do, with numbers that are fitted to the log as it is then.
#[derive(Debug, Clone)]
enum Action {
    Append {
        count: u64,
        bytes: usize,
        new_term: bool,
    },
    Truncate {
        dropped: u64,
    },
    Commit {
        behind: u64,
    },
    Vote {
        member: u64,
    },
    Mark {
        behind: u64,
    },
    Purge {
        kept: u64,
    },
    /// A snapshot from elsewhere, ahead of the log.
    Jump {
        ahead: u64,
    },
    Write,
    Read {
        from: u64,
        count: u64,
        limit_bytes: usize,
    },
    Close,
    /// Power loss between two writes.
    Crash {
        seed: u64,
    },
    /// Power loss while what is queued is written; `synced` syncs of it still succeed.
    Tear {
        seed: u64,
        synced: u64,
    },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => (1..6_u64, 0..900_usize, any::<bool>()).prop_map(|(count, bytes, new_term)| Action::Append { count, bytes, new_term }),
        2 => (0..6_u64).prop_map(|dropped| Action::Truncate { dropped }),
        2 => (0..4_u64).prop_map(|behind| Action::Commit { behind }),
        1 => (1..4_u64).prop_map(|member| Action::Vote { member }),
        1 => (0..9_u64).prop_map(|behind| Action::Mark { behind }),
        1 => (0..20_u64).prop_map(|kept| Action::Purge { kept }),
        1 => (1..20_u64).prop_map(|ahead| Action::Jump { ahead }),
        6 => Just(Action::Write),
        4 => (0..40_u64, 0..40_u64, 0..5000_usize).prop_map(|(from, count, limit_bytes)| Action::Read { from, count, limit_bytes }),
        1 => Just(Action::Close),
        1 => any::<u64>().prop_map(|seed| Action::Crash { seed }),
        2 => (any::<u64>(), 0..3_u64).prop_map(|(seed, synced)| Action::Tear { seed, synced }),
    ]
}

/// A log as a plain list.
#[derive(Debug, Clone, Default, PartialEq)]
struct Plain {
    /// In front of the first entry.
    start: Position,
    entries: Vec<Entry>,
    state: Option<HardState>,
}

impl Plain {
    fn last(&self) -> Position {
        self.entries.last().map_or(self.start, |entry| entry.position)
    }

    fn truncate(&mut self, index: u64) {
        self.entries.retain(|entry| entry.position.index <= index);
    }

    fn put(&mut self, entry: &Entry) {
        self.truncate(entry.position.index - 1);
        self.entries.push(entry.clone());
    }

    fn forget(&mut self, start: Position, reset: bool) {
        self.entries.retain(|entry| !reset && entry.position.index > start.index);
        self.start = start;
    }

    fn position_of(&self, index: u64) -> Option<Position> {
        [self.start]
            .into_iter()
            .chain(self.entries.iter().map(|entry| entry.position))
            .find(|position| position.index == index)
    }
}

/// The log as its callers see it, and as replay would after each record: the last of those is what is on disk once all is written.
struct Model {
    seen: Plain,
    /// Index of the newest snapshot.
    marked: u64,
    /// Since what is durable: the first is durable, each other one is after one more record. Never purged, only reset.
    replays: Vec<Plain>,
}

impl Model {
    fn record(&mut self, change: impl FnOnce(&mut Plain)) {
        let mut next = self.replays.last().cloned().unwrap_or_default();
        change(&mut next);
        self.replays.push(next);
    }

    fn durable(&mut self) {
        self.replays.drain(..self.replays.len() - 1);
    }

    /// Goes on from what was recovered, which must be one of the states that may be on disk.
    fn recover(&mut self, log: &Log) -> Result<(), TestCaseError> {
        let found = Plain { start: log.recovered.purged, entries: log.all(), state: log.recovered.state };
        prop_assert_eq!(found.last(), log.recovered.last);
        let fits = |replay: &Plain| {
            let mut replay = replay.clone();
            // Purged entries may still be there.
            replay.forget(found.start, false);
            // A commit index is written behind a batch, so it may be older than the rest.
            let committed = |plain: &Plain| plain.state.map(|state| HardState { commit: 0, ..state });
            replay.entries == found.entries && committed(&replay) == committed(&found) && replay.last() == found.last()
        };
        prop_assert!(self.replays.iter().any(fits), "found {:?}\nof {:?}", found, self.replays);
        prop_assert!(found.start.index <= self.seen.start.index);
        // What counts as committed is what was committed, though entries that were truncated may be back.
        let commit = found.state.map_or(0, |state| state.commit);
        prop_assert!(commit <= self.seen.state.map_or(0, |state| state.commit));
        let of = |plain: &Plain| -> Vec<Entry> {
            let settled = self.seen.start.index + 1..=commit;
            plain.entries.iter().filter(|entry| settled.contains(&entry.position.index)).cloned().collect()
        };
        prop_assert_eq!(of(&found), of(&self.seen));
        let history = self.replays.iter().rev().find(|replay| fits(replay)).cloned().unwrap_or_default();
        self.replays = vec![Plain { state: found.state, ..history }];
        self.seen = found;
        self.marked = log.recovered.snapshot.index;
        Ok(())
    }
}

const SEGMENT_BYTES: u64 = 4096;
const TAIL_BYTES: usize = 2000;

fn sectors(seed: u64) -> impl FnMut() -> bool {
    let mut state = seed | 1;
    move || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Some seeds keep or lose nearly everything.
        state % 16 < seed % 17
    }
}

fn check(actions: Vec<Action>) -> Result<(), TestCaseError> {
    let mut log = Log::new(SEGMENT_BYTES, TAIL_BYTES);
    let mut model = Model { seen: Plain::default(), marked: 0, replays: vec![Plain::default()] };
    let mut term = 1;
    for action in actions {
        let Position { index: last, .. } = model.seen.last();
        match action {
            Action::Append { count, bytes, new_term } => {
                term += u64::from(new_term);
                let entries: Vec<Entry> =
                    (last + 1..=last + count).map(|index| entry(term, index, &"d".repeat(bytes))).collect();
                log.append(&entries).unwrap();
                for entry in &entries {
                    model.seen.put(entry);
                    model.record(|replay| replay.put(entry));
                }
            }
            Action::Truncate { dropped } => {
                let committed =
                    model.seen.state.map_or(0, |state| state.commit).max(model.seen.start.index).max(model.marked);
                if committed > 0 {
                    log.wal.truncate_after(committed - 1).unwrap_err();
                }
                let index = last.saturating_sub(dropped).max(committed);
                log.wal.truncate_after(index).unwrap();
                model.seen.truncate(index);
                // A leader of a newer term replaces what it truncated.
                term += 1;
            }
            Action::Commit { behind } => {
                let index = last.saturating_sub(behind);
                log.wal.save_commit_lazily(index);
                if let Some(state) = &mut model.seen.state {
                    state.commit = state.commit.max(index);
                }
                prop_assert_eq!(log.wal.state(), model.seen.state);
            }
            Action::Vote { member } => {
                let commit = model.seen.state.map_or(0, |state| state.commit);
                let state = HardState { term, vote: member, commit, vote_committed: false };
                log.save_state(state).unwrap();
                model.seen.state = Some(state);
                model.record(|replay| replay.state = Some(state));
            }
            Action::Mark { behind } => {
                if let Some(position) = model.seen.position_of(last.saturating_sub(behind)) {
                    log.mark(position);
                    model.marked = model.marked.max(position.index);
                }
            }
            Action::Purge { kept } => {
                if let Some(position) = model.seen.position_of(last.saturating_sub(kept)) {
                    log.purge(position);
                    model.seen.forget(position, false);
                }
            }
            Action::Jump { ahead } => {
                let position = at(term, last + ahead);
                log.purge(position);
                model.seen.forget(position, true);
                model.record(|replay| replay.forget(position, true));
            }
            Action::Write => {
                log.writer.step();
                model.durable();
            }
            Action::Read { from, count, limit_bytes } => {
                let start = model.seen.start.index + 1 + from;
                let found = log.wal.read(start..start + count, limit_bytes).unwrap();
                let wanted: Vec<Entry> = model
                    .seen
                    .entries
                    .iter()
                    .filter(|entry| (start..start + count).contains(&entry.position.index))
                    .cloned()
                    .collect();
                prop_assert_eq!(&found[..], &wanted[..found.len()]);
                let bytes: usize = found.iter().map(|entry| entry.data.len().max(1)).sum();
                prop_assert!(found.len() <= 1 || bytes <= limit_bytes);
                if let Some(next) = wanted.get(found.len()) {
                    prop_assert!(!found.is_empty() && bytes + next.data.len().max(1) > limit_bytes);
                }
            }
            Action::Close => {
                while log.writer.step() == Step::Wrote {}
                model.durable();
                log = Log::open(&log.disk, SEGMENT_BYTES, TAIL_BYTES).unwrap();
                model.recover(&log)?;
            }
            Action::Crash { seed } => {
                model.replays.truncate(1);
                log = Log::open(&log.disk.crash(sectors(seed)), SEGMENT_BYTES, TAIL_BYTES).unwrap();
                model.recover(&log)?;
            }
            Action::Tear { seed, synced } => {
                log.disk.set_fault(Some(Fault {
                    operation: Operation::Sync,
                    after: synced,
                    error: std::io::ErrorKind::Other,
                }));
                // The failed sync must not forget what it was for: here it is the power that fails.
                let before = log.disk.clone();
                log.writer.step();
                let after = before.crash(sectors(seed));
                log = Log::open(&after, SEGMENT_BYTES, TAIL_BYTES).unwrap();
                model.recover(&log)?;
            }
        }
        prop_assert_eq!(log.wal.last(), model.seen.last());
        prop_assert_eq!(log.wal.first_index(), model.seen.start.index + 1);
        prop_assert_eq!(log.all(), model.seen.entries.clone());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_a_list_that_survives_crashes(actions in prop::collection::vec(action(), 1..60)) {
        check(actions)?;
    }
}

/// The marker of a snapshot stands behind entries that it replaces, while the entry at its own index is gone with its segment.
#[test]
fn entries_behind_a_received_snapshot_stay_gone_when_those_before_it_are_purged() {
    let append = |count, bytes| Action::Append { count, bytes, new_term: false };
    let fill = [append(4, 421), append(4, 325), append(3, 309), append(4, 318), append(5, 437)];
    let jump = [Action::Truncate { dropped: 5 }, Action::Jump { ahead: 3 }, Action::Write, Action::Close];
    check(fill.into_iter().chain(jump).collect()).unwrap();
}

/// Behind a marker that an older segment's end leaves as the start, nothing says that its entry was another once.
#[test]
fn what_a_snapshot_is_of_is_never_replaced() {
    let append = |count, bytes| Action::Append { count, bytes, new_term: false };
    let fill = [append(3, 733), append(3, 517), append(5, 525), append(4, 588)];
    let replace = [
        Action::Mark { behind: 1 },
        append(2, 0),
        Action::Truncate { dropped: 4 },
        append(2, 0),
        append(4, 0),
        Action::Purge { kept: 0 },
        Action::Close,
    ];
    check(fill.into_iter().chain(replace).collect()).unwrap();
}
