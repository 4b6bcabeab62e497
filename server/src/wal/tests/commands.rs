use super::*;

#[test]
fn a_new_log_starts_in_front_of_entry_1() {
    let log = Log::new(4096, 1 << 20);
    assert_eq!(log.recovered.metadata, METADATA);
    assert_eq!(log.recovered.state, None);
    assert_eq!((log.recovered.purged, log.recovered.last, log.recovered.first_index()), (at(0, 0), at(0, 0), 1));
    assert_eq!(log.segments(), ["0000000000000000-0000000000000000.wal"]);
}

#[test]
fn a_second_log_is_not_made_in_the_same_folder() {
    let disk = new_disk(4096);
    let result = create::create(&dir(), METADATA, &options(&disk, 4096, 0));
    assert!(matches!(result, Err(Error::Exists(_))));
}

#[test]
fn entries_are_readable_before_they_are_durable_and_acknowledged_after() {
    let mut log = Log::new(4096, 1 << 20);
    log.append(&[entry(1, 1, "a"), entry(1, 2, "b")]).unwrap();
    assert_eq!(log.all(), [entry(1, 1, "a"), entry(1, 2, "b")]);
    assert_eq!(log.wal.last(), at(1, 2));
    assert_eq!(log.answered(), [0_u64; 0]);
    assert_eq!(log.writer.step(), Step::Wrote);
    assert_eq!(log.answered(), [0]);
    assert_eq!(log.writer.step(), Step::Idle);
}

#[test]
fn commands_queued_together_share_a_sync_and_are_answered_in_order() {
    let mut log = Log::new(1 << 20, 1 << 20);
    log.save_state(state(1, 7, 0)).unwrap();
    for index in 1..=20 {
        log.append(&[entry(1, index, "x")]).unwrap();
    }
    log.mark(at(1, 10));
    log.purge(at(1, 5));
    log.append(&[]).unwrap();
    // A second sync would fail.
    log.disk.set_fault(Some(disk::Fault {
        operation: disk::Operation::Sync,
        after: 1,
        error: std::io::ErrorKind::Other,
    }));
    assert_eq!(log.writer.step(), Step::Wrote);
    assert_eq!(log.answered(), (0..24).collect::<Vec<_>>());
    assert!(log.answers.lock().iter().all(|(_, result)| result.is_ok()));
}

#[test]
fn only_what_follows_is_appended() {
    let mut log = Log::new(4096, 1 << 20);
    log.append(&[entry(2, 1, "a")]).unwrap();
    for wrong in [entry(2, 1, "b"), entry(2, 3, "b"), entry(1, 2, "b")] {
        assert!(matches!(log.append(&[wrong]), Err(Error::NotConsecutive { .. } | Error::TermWentBack { .. })));
    }
    let blank_change = Entry { kind: EntryKind::ConfChangeV2, ..entry(2, 2, "") };
    assert!(matches!(log.append(&[blank_change]), Err(Error::EmptyConfChange(_))));
    assert_eq!(log.all(), [entry(2, 1, "a")]);
    // A refused command leaves nothing behind, even if it began well.
    assert!(log.append(&[entry(2, 2, "b"), entry(2, 4, "c")]).is_err());
    assert_eq!(log.wal.last(), at(2, 1));
}

#[test]
fn a_truncated_entry_is_replaced_for_good_by_the_next_one() {
    let mut log = Log::new(4096, 0);
    log.append(&[entry(1, 1, "a"), entry(1, 2, "b"), entry(1, 3, "c")]).unwrap();
    log.writer.step();
    log.wal.truncate_after(1).unwrap();
    assert_eq!(log.wal.last(), at(1, 1));
    assert_eq!(log.all(), [entry(1, 1, "a")]);
    log.append(&[entry(2, 2, "B")]).unwrap();
    log.writer.step();
    assert_eq!(log.all(), [entry(1, 1, "a"), entry(2, 2, "B")]);
    let again = Log::open(&log.disk, 4096, 0).unwrap();
    assert_eq!(again.all(), [entry(1, 1, "a"), entry(2, 2, "B")]);
}

#[test]
fn a_truncation_that_nothing_follows_is_forgotten_by_a_restart() {
    let mut log = Log::new(4096, 1 << 20);
    log.append(&[entry(1, 1, "a"), entry(1, 2, "b")]).unwrap();
    log.writer.step();
    log.wal.truncate_after(0).unwrap();
    let again = Log::open(&log.disk, 4096, 0).unwrap();
    assert_eq!(again.all(), [entry(1, 1, "a"), entry(1, 2, "b")]);
}

#[test]
fn committed_entries_are_not_truncated() {
    let mut log = Log::new(4096, 1 << 20);
    log.save_state(state(1, 7, 0)).unwrap();
    log.append(&[entry(1, 1, "a"), entry(1, 2, "b")]).unwrap();
    log.wal.save_commit_lazily(1);
    assert!(matches!(log.wal.truncate_after(0), Err(Error::TruncatesCommitted { index: 0, committed: 1 })));
    log.wal.truncate_after(1).unwrap();
    log.wal.truncate_after(9).unwrap();
    assert_eq!(log.wal.last(), at(1, 1));
}

#[test]
fn a_lazy_commit_is_written_with_the_next_command_only() {
    let mut log = Log::new(4096, 1 << 20);
    log.save_state(state(1, 7, 0)).unwrap();
    log.append(&[entry(1, 1, "a"), entry(1, 2, "b")]).unwrap();
    log.writer.step();
    log.wal.save_commit_lazily(9);
    assert_eq!(log.wal.state(), Some(state(1, 7, 2)));
    assert_eq!(log.writer.step(), Step::Idle);
    assert_eq!(Log::open(&log.disk, 4096, 0).unwrap().recovered.state, Some(state(1, 7, 0)));
    log.append(&[entry(1, 3, "c")]).unwrap();
    log.writer.step();
    assert_eq!(Log::open(&log.disk, 4096, 0).unwrap().recovered.state, Some(state(1, 7, 2)));
}

#[test]
fn a_commit_index_never_names_an_entry_that_was_truncated() {
    let mut log = Log::new(4096, 1 << 20);
    log.save_state(state(1, 7, 0)).unwrap();
    log.append(&[entry(1, 1, "a"), entry(1, 2, "old")]).unwrap();
    log.writer.step();
    log.wal.truncate_after(1).unwrap();
    log.save_state(state(2, 8, 9)).unwrap();
    log.writer.step();
    // On disk the old entry 2 is still there, so 2 must not count as committed.
    let again = Log::open(&log.disk, 4096, 0).unwrap();
    assert_eq!(again.recovered.state, Some(state(2, 8, 1)));
}

#[test]
fn votes_are_kept_and_do_not_go_back() {
    let mut log = Log::new(4096, 1 << 20);
    log.save_state(HardState { vote_committed: false, ..state(3, 5, 0) }).unwrap();
    log.save_state(state(3, 5, 0)).unwrap();
    assert!(matches!(log.save_state(state(2, 5, 0)), Err(Error::StateWentBack { last: 3, found: 2 })));
    log.writer.step();
    assert_eq!(Log::open(&log.disk, 4096, 0).unwrap().recovered.state, Some(state(3, 5, 0)));
}

#[test]
fn full_segments_are_followed_by_new_ones_and_all_of_them_are_read_back() {
    let mut log = Log::new(1024, 0);
    log.save_state(state(1, 7, 0)).unwrap();
    let entries: Vec<Entry> = (1..=100).map(|index| entry(1, index, &"v".repeat(index as usize))).collect();
    for some in entries.chunks(7) {
        log.append(some).unwrap();
        log.writer.step();
    }
    assert!(log.segments().len() > 6, "{:?}", log.segments());
    for name in log.segments() {
        assert!(log.disk.content(&dir().join(&name)).unwrap().len() <= 1024, "{name} has grown");
    }
    assert_eq!(log.all(), entries);
    let again = Log::open(&log.disk, 1024, 0).unwrap();
    assert_eq!(again.all(), entries);
    assert_eq!(again.recovered.state, Some(state(1, 7, 0)));
    for (start, end) in [(1, 2), (17, 60), (99, 101), (40, 41), (100, 1000)] {
        let wanted = &entries[start - 1..(end - 1).min(100)];
        assert_eq!(again.wal.read(start as u64..end as u64, usize::MAX).unwrap(), wanted);
    }
}

#[test]
fn an_entry_larger_than_a_segment_gets_one_to_itself() {
    let mut log = Log::new(1024, 0);
    let entries = [entry(1, 1, "a"), entry(1, 2, &"b".repeat(5000)), entry(1, 3, "c")];
    log.append(&entries).unwrap();
    log.writer.step();
    assert_eq!(log.segments().len(), 3);
    assert_eq!(Log::open(&log.disk, 1024, 0).unwrap().all(), entries);
}

#[test]
fn a_read_stops_at_its_limit_but_returns_at_least_one_entry() {
    for tail_bytes in [0, 700, 1 << 20] {
        let mut log = Log::new(1 << 20, tail_bytes);
        let entries: Vec<Entry> = (1..=10).map(|index| entry(1, index, &"v".repeat(100))).collect();
        log.append(&entries).unwrap();
        log.writer.step();
        for (limit, count) in [(0, 1), (100, 1), (199, 1), (200, 2), (750, 7), (1000, 10)] {
            assert_eq!(log.wal.read(1..11, limit).unwrap(), entries[..count], "limit {limit}, tail {tail_bytes}");
        }
        assert_eq!(log.wal.read(5..5, 1000).unwrap(), []);
        assert_eq!(log.wal.read(11..20, 1000).unwrap(), []);
    }
}

#[test]
fn purged_entries_are_gone_and_so_are_their_segments() {
    let mut log = Log::new(1024, 0);
    let entries: Vec<Entry> = (1..=60).map(|index| entry(1, index, &"v".repeat(50))).collect();
    log.append(&entries).unwrap();
    log.writer.step();
    let before = log.segments().len();
    log.purge(at(1, 40));
    assert!(matches!(log.wal.read(40..50, 1000), Err(Error::Purged { index: 40, first_index: 41 })));
    log.writer.step();
    assert!(log.segments().len() < before);
    assert_eq!(log.all(), entries[40..]);

    let mut again = Log::open(&log.disk, 1024, 0).unwrap();
    assert_eq!(
        (again.recovered.purged, again.recovered.snapshot, again.recovered.last),
        (at(1, 40), at(1, 40), at(1, 60))
    );
    assert_eq!(again.all(), entries[40..]);
    assert_eq!(again.wal.term_of(40), Some(1));
    assert_eq!(again.wal.term_of(39), None);
    again.purge(at(1, 60));
    again.writer.step();
    assert_eq!(again.segments().len(), 1);
    assert_eq!(Log::open(&log.disk, 1024, 0).unwrap().recovered.last, at(1, 60));
}

#[test]
fn a_snapshot_from_elsewhere_restarts_the_log_behind_it() {
    for start in [at(4, 100), at(4, 3)] {
        let mut log = Log::new(1024, 0);
        log.append(&(1..=30).map(|index| entry(1, index, &"v".repeat(50))).collect::<Vec<_>>()).unwrap();
        log.writer.step();
        log.wal.truncate_after(2).unwrap();
        log.purge(start);
        assert_eq!((log.wal.last(), log.wal.first_index()), (start, start.index + 1));
        log.append(&[entry(5, start.index + 1, "new")]).unwrap();
        assert_eq!(log.all(), [entry(5, start.index + 1, "new")]);
        log.writer.step();
        assert_eq!(log.all(), [entry(5, start.index + 1, "new")]);
        let again = Log::open(&log.disk, 1024, 0).unwrap();
        assert_eq!((again.recovered.purged, again.recovered.last), (start, at(5, start.index + 1)));
        assert_eq!(again.all(), [entry(5, start.index + 1, "new")]);
    }
}

#[test]
fn only_positions_of_the_log_are_marked() {
    let mut log = Log::new(4096, 1 << 20);
    log.append(&[entry(1, 1, "a")]).unwrap();
    for wrong in [at(1, 2), at(2, 1)] {
        let result = block_on(log.wal.mark_snapshot(wrong, None, drop));
        assert!(matches!(result, Err(Error::NotInLog(_))));
    }
    log.mark(at(1, 1));
    log.writer.step();
    let again = Log::open(&log.disk, 4096, 0).unwrap();
    assert_eq!((again.recovered.purged, again.recovered.snapshot), (at(0, 0), at(1, 1)));
}

#[test]
fn a_full_queue_makes_the_caller_wait_and_not_lose_its_command() {
    let disk = new_disk(1 << 20);
    let options = Options { queue_commands: 2, ..options(&disk, 1 << 20, 0) };
    let (wal, _, mut writer) = Wal::open_by_hand(&dir(), options).unwrap();
    block_on(async {
        wal.append(vec![entry(1, 1, "a")], drop).await.unwrap();
        wal.append(vec![entry(1, 2, "b")], drop).await.unwrap();
        let mut third = std::pin::pin!(wal.append(vec![entry(1, 3, "c")], drop));
        let waiting =
            std::future::poll_fn(|context| std::task::Poll::Ready(third.as_mut().poll(context).is_pending())).await;
        assert!(waiting);
        assert_eq!(wal.last(), at(1, 2));
        writer.step();
        third.await.unwrap();
        assert_eq!(wal.last(), at(1, 3));
    });
}

#[test]
fn memory_keeps_what_is_not_durable_and_then_at_most_its_bound() {
    let mut log = Log::new(1 << 20, 1000);
    let entries: Vec<Entry> = (1..=100).map(|index| entry(1, index, &"v".repeat(100))).collect();
    log.append(&entries[..50]).unwrap();
    assert_eq!(log.writer.shared.state.lock().tail.first_index(), Some(1));
    log.writer.step();
    assert_eq!(log.writer.shared.state.lock().tail.first_index(), Some(46));
    log.append(&entries[50..]).unwrap();
    assert_eq!(log.all(), entries);
}
