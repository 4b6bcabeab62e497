use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

#[derive(Default)]
struct Counts {
    syncs: AtomicUsize,
    bytes: AtomicUsize,
}

impl Observer for Counts {
    fn fsync(&self, _took: Duration) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    fn written(&self, bytes: usize, _took: Duration) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[test]
fn real_files_keep_a_log_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("member/wal");
    std::fs::create_dir(folder.path().join("member")).unwrap();
    let options = Options { segment_bytes: 64 << 10, tail_bytes: 10_000, ..Options::default() };
    assert!(!Wal::exists(&dir, &options).unwrap());
    let mut wal = Wal::create(&dir, METADATA, options.clone()).unwrap();
    assert!(Wal::exists(&dir, &options).unwrap());
    let mut written = Vec::new();
    for round in 0..5_u64 {
        block_on(async {
            wal.save_state(state(round + 1, 7, 0), drop).await.unwrap();
            for _ in 0..100 {
                let next = entry(round + 1, wal.last().index + 1, &"v".repeat(999));
                written.push(next.clone());
                wal.append(vec![next], drop).await.unwrap();
            }
            wal.save_commit_lazily(wal.last().index - 3);
            wal.clone().close().await.unwrap();
        });
        assert!(matches!(block_on(wal.append(vec![], drop)), Err(Error::Closed)));
        let (again, recovered) = Wal::open(&dir, options.clone()).unwrap();
        assert_eq!(recovered.last, at(round + 1, 100 * (round + 1)));
        assert_eq!((recovered.torn_bytes, recovered.state.unwrap().term), (0, round + 1));
        assert_eq!(again.read(1..u64::MAX, usize::MAX).unwrap(), written);
        wal = again;
    }
    let names: Vec<_> =
        std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().filter(|name| name.ends_with(".wal")).count() > 5, "{names:?}");
}

#[test]
fn what_is_queued_is_written_when_the_last_handle_goes() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("wal");
    let options = Options { segment_bytes: 64 << 10, ..Options::default() };
    let wal = Wal::create(&dir, METADATA, options.clone()).unwrap();
    let (sender, answers) = std::sync::mpsc::sync_channel(10);
    block_on(wal.append(vec![entry(1, 1, "a")], move |result| sender.send(result.is_ok()).unwrap())).unwrap();
    drop(wal);
    assert!(answers.recv().unwrap());
    assert_eq!(Wal::open(&dir, options).unwrap().1.last, at(1, 1));
}

#[test]
fn readers_see_each_entry_as_written_while_it_is_appended_truncated_and_purged() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("wal");
    let counts = Arc::new(Counts::default());
    let options =
        Options { segment_bytes: 32 << 10, tail_bytes: 5_000, observer: counts.clone(), ..Options::default() };
    let wal = Wal::create(&dir, METADATA, options.clone()).unwrap();
    let done = AtomicUsize::new(0);
    let answered = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while done.load(Ordering::Acquire) == 0 {
                    let (first, last) = (wal.first_index(), wal.last().index);
                    let start = first + (last.saturating_sub(first)) / 3;
                    match wal.read(start..last + 1, 20_000) {
                        Err(Error::Purged { .. }) => {}
                        Err(other) => panic!("{other}"),
                        Ok(entries) => {
                            for (place, entry) in entries.iter().enumerate() {
                                assert_eq!(entry.position.index, start + place as u64);
                                assert_eq!(entry.data, format!("{}", entry.position).repeat(20));
                            }
                        }
                    }
                }
            });
        }
        block_on(async {
            for round in 1..=60_u64 {
                if round % 3 == 0 {
                    wal.truncate_after(wal.last().index - 7).unwrap();
                }
                let next = wal.last().index + 1;
                let some = (next..next + 20)
                    .map(|index| entry(round, index, &at(round, index).to_string().repeat(20)))
                    .collect();
                let answered = answered.clone();
                // Answers come in the order of the commands.
                wal.append(some, move |_| assert_eq!(answered.fetch_add(1, Ordering::Relaxed) + 1, round))
                    .await
                    .unwrap();
                if round % 10 == 0 {
                    let index = wal.last().index - 100;
                    wal.purge_through(at(wal.term_of(index).unwrap(), index), drop).await.unwrap();
                }
                tokio::task::yield_now().await;
            }
            wal.clone().close().await.unwrap();
        });
        done.store(1, Ordering::Release);
    });
    assert_eq!(answered.load(Ordering::Relaxed), 60);
    assert!(counts.syncs.load(Ordering::Relaxed) > 0);
    assert!(counts.bytes.load(Ordering::Relaxed) > 60 * 20 * 60);
    let before = wal.read(wal.first_index()..u64::MAX, usize::MAX).unwrap();
    let (again, recovered) = Wal::open(&dir, options).unwrap();
    assert_eq!(recovered.last, wal.last());
    assert_eq!(again.read(wal.first_index()..u64::MAX, usize::MAX).unwrap(), before);
}
