use std::io::ErrorKind;

use super::disk::{Fault, Operation};
use super::*;

fn fault(operation: Operation, error: ErrorKind) -> Option<Fault> {
    Some(Fault { operation, after: 0, error })
}

#[test]
fn a_failed_sync_poisons_the_log_for_good() {
    let mut log = Log::new(1 << 20, 1 << 20);
    log.append(&[entry(1, 1, "a")]).unwrap();
    log.writer.step();
    log.append(&[entry(1, 2, "b")]).unwrap();
    log.append(&[entry(1, 3, "c")]).unwrap();
    log.disk.set_fault(fault(Operation::Sync, ErrorKind::Other));
    assert_eq!(log.writer.step(), Step::Ended);

    assert_eq!(log.answered(), [0, 1, 2]);
    assert!(log.answers.lock()[1..].iter().all(|(_, result)| result.is_err()));
    assert!(log.wal.failed().borrow().is_some());
    // The disk would work again by now, but what the failed sync lost, no later one brings back.
    assert!(matches!(log.append(&[entry(1, 4, "d")]), Err(Error::Failed(_))));
    assert!(matches!(log.save_state(state(1, 7, 0)), Err(Error::Failed(_))));
    assert!(matches!(log.wal.truncate_after(3), Err(Error::Failed(_))));
    assert_eq!(log.writer.step(), Step::Ended);
    assert!(matches!(block_on(log.wal.clone().close()), Err(Error::Failed(_))));
    // What was acknowledged is there; the rest may be or not.
    assert_eq!(Log::open(&log.disk.crash(|| false), 1 << 20, 0).unwrap().recovered.last, at(1, 1));
}

#[test]
fn a_failed_write_poisons_the_log_and_its_rest_is_cut_at_the_next_start() {
    let mut log = Log::new(1 << 20, 1 << 20);
    log.append(&[entry(1, 1, "a")]).unwrap();
    log.writer.step();
    log.append(&[entry(1, 2, &"b".repeat(3000))]).unwrap();
    log.disk.set_fault(fault(Operation::Write, ErrorKind::Other));
    assert_eq!(log.writer.step(), Step::Ended);
    assert!(!log.wal.failed().borrow().as_ref().unwrap().is_out_of_space());
    let mut again = Log::open(&log.disk, 1 << 20, 0).unwrap();
    assert!(again.recovered.torn_bytes > 0);
    assert_eq!(again.recovered.last, at(1, 1));
    again.append(&[entry(1, 2, "c")]).unwrap();
    again.writer.step();
    assert_eq!(Log::open(&log.disk, 1 << 20, 0).unwrap().all(), [entry(1, 1, "a"), entry(1, 2, "c")]);
}

#[test]
fn a_waiting_caller_learns_of_the_failure() {
    let disk = new_disk(1 << 20);
    let options = Options { queue_commands: 1, ..options(&disk, 1 << 20, 0) };
    let (wal, _, mut writer) = Wal::open_by_hand(&dir(), options).unwrap();
    disk.set_fault(fault(Operation::Sync, ErrorKind::Other));
    block_on(async {
        wal.append(vec![entry(1, 1, "a")], drop).await.unwrap();
        let mut waiting = std::pin::pin!(wal.append(vec![entry(1, 2, "b")], drop));
        assert!(
            std::future::poll_fn(|context| std::task::Poll::Ready(waiting.as_mut().poll(context).is_pending())).await
        );
        writer.step();
        assert!(matches!(waiting.await, Err(Error::Failed(_))));
    });
}

#[test]
fn a_full_disk_is_told_apart_and_the_log_starts_again_on_it() {
    let mut log = Log::new(1024, 0);
    log.append(&[entry(1, 1, &"a".repeat(500))]).unwrap();
    log.writer.step();
    log.disk.set_fault(fault(Operation::Allocate, ErrorKind::StorageFull));
    log.append(&[entry(1, 2, &"b".repeat(500))]).unwrap();
    assert_eq!(log.writer.step(), Step::Ended);
    let failure = log.wal.failed().borrow().clone().unwrap();
    assert!(failure.is_out_of_space());
    assert!(failure.to_string().contains("free some space"), "{failure}");

    let mut again = Log::open(&log.disk, 1024, 0).unwrap();
    assert_eq!(again.recovered.last, at(1, 1));
    again.append(&[entry(1, 2, "small")]).unwrap();
    assert_eq!(again.writer.step(), Step::Wrote);
    assert!(again.answers.lock()[0].1.is_ok());
}

#[test]
fn a_segment_that_cannot_be_removed_is_removed_with_the_next_purge() {
    let mut log = Log::new(1024, 0);
    log.append(&(1..=60).map(|index| entry(1, index, &"v".repeat(50))).collect::<Vec<_>>()).unwrap();
    log.writer.step();
    let before = log.segments().len();
    log.disk.set_fault(fault(Operation::Remove, ErrorKind::PermissionDenied));
    log.purge(at(1, 30));
    assert_eq!(log.writer.step(), Step::Wrote);
    assert!(log.answers.lock()[1].1.is_ok());
    assert_eq!(log.segments().len(), before);
    log.purge(at(1, 31));
    log.writer.step();
    assert!(log.segments().len() < before);
}

#[test]
fn a_crash_at_any_sync_of_making_a_log_leaves_a_whole_one_or_none() {
    for operation in [Operation::Sync, Operation::SyncDir, Operation::Write, Operation::Allocate] {
        for after in 0..3 {
            let disk = MemoryDisk::default();
            disk.create_dir(Path::new("/member")).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            disk.set_fault(Some(Fault { operation, after, error: ErrorKind::Other }));
            let made = create::create(&dir(), METADATA, &options(&disk, 1024, 0));
            for disk in [disk.crash(|| false), disk.crash(|| true), disk] {
                disk.set_fault(None);
                let options = options(&disk, 1024, 0);
                if !Wal::exists(&dir(), &options).unwrap() {
                    assert!(made.is_err());
                    create::create(&dir(), METADATA, &options).unwrap();
                }
                Log::open(&disk, 1024, 0).unwrap();
            }
        }
    }
}
