//! The same entries make the same store, however they are cut and whatever a crash takes.

use proptest::prelude::*;

use super::{
    model::{Action, actions, to_request},
    *,
};

/// Applies the entries in batches of these sizes (repeated), restarting after a crash where a number is 0: what was not flushed is
/// gone and comes again from the log. Returns the last outcome of each entry, and the store.
fn run(requests: &[pb::InternalRaftRequest], cuts: &[usize]) -> (Vec<Option<Outcome>>, Subject) {
    let mut memory = Memory::default();
    let mut subject = Subject::on(&memory);
    let mut outcomes = vec![None; requests.len()];
    let mut cuts = cuts.iter().copied().cycle();
    let mut crashes = 0;
    while (subject.index as usize) < requests.len() {
        let cut = cuts.next().unwrap_or(1);
        if cut == 0 {
            if crashes % 2 == 0 {
                subject.store.flush().unwrap();
            }
            crashes += 1;
            // Enough is enough: a list of crashes alone would never end.
            if crashes < 20 {
                memory = memory.crash();
                subject = Subject::on(&memory);
                continue;
            }
        }
        let from = subject.index as usize;
        let to = requests.len().min(from + cut.max(1));
        for (place, outcome) in (from..to).zip(subject.apply_all(requests[from..to].to_vec())) {
            outcomes[place] = Some(outcome);
        }
    }
    subject.wait(subject.store.compact_revision());
    (outcomes, subject)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn batches_and_crashes_change_nothing(
        actions in actions(60),
        cuts in proptest::collection::vec(0usize..8, 1..12),
    ) {
        let requests: Vec<_> = actions.iter().filter(|action| !matches!(action, Action::Read(_))).map(to_request).collect();
        let (outcomes, whole) = run(&requests, &[1]);
        let (others, pieces) = run(&requests, &cuts);
        prop_assert_eq!(outcomes, others);
        prop_assert_eq!(whole.store.hash_kv(0).unwrap(), pieces.store.hash_kv(0).unwrap());
        prop_assert_eq!(whole.store.hash().unwrap(), pieces.store.hash().unwrap());
        prop_assert_eq!(whole.store.size().in_use, pieces.store.size().in_use);
        for id in whole.store.leases() {
            prop_assert_eq!(whole.store.lease(id), pieces.store.lease(id));
        }
    }
}

#[test]
fn rocksdb_after_a_crash_is_at_an_older_position_and_the_log_brings_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let (place, crashed) = (folder.path().join("store"), folder.path().join("crashed"));
    let mut subject = Subject::in_folder(&place);
    subject.apply_all(vec![put("a", "1"), put("b", "1"), delete("a", "")]);
    let flushed = subject.store.flush().unwrap();
    assert_eq!((flushed.index, subject.store.flushed()), (3, flushed));
    let lost = vec![put("a", "2"), put_on("c", "1", 0), grant(7), put_on("d", "1", 7)];
    let outcomes = subject.apply_all(lost.clone());
    assert_eq!(subject.store.flushed(), flushed);
    // The files as a crash leaves them: closing would flush.
    copy_folder(&place, &crashed);
    let hash = subject.store.hash().unwrap();
    drop(subject);

    let mut subject = Subject::in_folder(&crashed);
    assert_eq!((subject.store.applied(), subject.store.flushed()), (flushed, flushed));
    assert_eq!((subject.value("a"), subject.store.leases()), (None, vec![]));
    assert_eq!(subject.apply_all(lost), outcomes);
    assert_eq!(subject.store.hash().unwrap(), hash);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}
