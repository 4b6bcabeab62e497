use super::*;

/// What a start may make of a damaged log.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Refused,
    /// So many of the entries, and each as it was written.
    Prefix(usize),
}

const SEGMENT_BYTES: u64 = 2048;

/// A log of two segments, of several batches, with votes and markers between; `sealed`: it was closed.
fn sample(sealed: bool) -> (MemoryDisk, Vec<Entry>) {
    let mut log = Log::new(SEGMENT_BYTES, 0);
    let mut entries: Vec<Entry> = (1..=9).map(|index| entry(1, index, &"v".repeat(7 * index as usize))).collect();
    entries[0].data = Bytes::new();
    entries[3] = Entry { kind: EntryKind::ConfChangeV2, ..entries[3].clone() };
    entries[8].data = Bytes::from(vec![0; 1200]);
    log.save_state(state(1, 7, 0)).unwrap();
    for (batch, some) in entries.chunks(2).enumerate() {
        log.append(some).unwrap();
        log.wal.save_commit_lazily(batch as u64);
        if batch == 2 {
            log.mark(at(1, 3));
        }
        if batch < 4 || sealed {
            log.writer.step();
        } else {
            // The log as it is when the machine stops right after a sync: without the mark that is written next.
            log.disk.set_fault(Some(disk::Fault {
                operation: disk::Operation::Write,
                after: 2,
                error: std::io::ErrorKind::Other,
            }));
            log.writer.step();
        }
    }
    assert_eq!(log.answered().len(), 7);
    assert_eq!(log.segments().len(), 2);
    (log.disk.crash(|| sealed), entries)
}

fn judge(disk: &MemoryDisk, entries: &[Entry]) -> Verdict {
    let Ok(log) = Log::open(disk, SEGMENT_BYTES, 0) else { return Verdict::Refused };
    let found = log.all();
    assert_eq!(found, entries[..found.len()], "different data");
    assert_eq!(log.recovered.metadata, METADATA);
    let saved = log.recovered.state.unwrap_or_default();
    assert!(
        saved == HardState::default() || (saved.term, saved.vote, saved.vote_committed) == (1, 7, true),
        "{saved:?}"
    );
    assert!(saved.commit as usize <= found.len());
    // What was accepted once is accepted again, and written on.
    drop(log);
    let mut log = Log::open(disk, SEGMENT_BYTES, 0).unwrap();
    assert_eq!(log.recovered.torn_bytes, 0);
    log.append(&[entry(1, found.len() as u64 + 1, "more")]).unwrap();
    log.writer.step();
    assert_eq!(Log::open(disk, SEGMENT_BYTES, 0).unwrap().all().len(), found.len() + 1);
    Verdict::Prefix(found.len())
}

/// The file as it is, and a way to try a changed one on a fresh disk.
fn files(disk: &MemoryDisk) -> Vec<(PathBuf, Vec<u8>)> {
    segments(disk)
        .iter()
        .map(|name| dir().join(name))
        .map(|path| (path.clone(), disk.content(&path).unwrap()))
        .collect()
}

fn with(disk: &MemoryDisk, path: &Path, bytes: Vec<u8>) -> MemoryDisk {
    let disk = disk.crash(|| true);
    disk.overwrite(path, bytes).unwrap();
    disk
}

#[test]
fn no_flipped_bit_changes_what_a_closed_log_says() {
    let (disk, entries) = sample(true);
    assert_eq!(judge(&disk.crash(|| true), &entries), Verdict::Prefix(9));
    for (path, bytes) in files(&disk) {
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 64;
        let mut refused = 0;
        for bit in 0..used.min(bytes.len()) * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match judge(&with(&disk, &path, bytes), &entries) {
                Verdict::Refused => refused += 1,
                Verdict::Prefix(9) => {}
                verdict => panic!("bit {bit} of {}: {verdict:?}", path.display()),
            }
        }
        assert!(refused > used * 4, "{refused} of {} flips seen in {}", used * 8, path.display());
    }
}

#[test]
fn a_flipped_bit_costs_at_most_a_last_batch_that_looks_torn() {
    let (disk, entries) = sample(false);
    for (path, bytes) in files(&disk) {
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match judge(&with(&disk, &path, bytes), &entries) {
                Verdict::Refused | Verdict::Prefix(8 | 9) => {}
                verdict => panic!("bit {bit} of {}: {verdict:?}", path.display()),
            }
        }
    }
}

#[test]
fn a_last_segment_that_is_shorter_than_it_was_made_is_refused() {
    let (disk, entries) = sample(true);
    let (path, bytes) = files(&disk).pop().unwrap();
    for cut in 0..bytes.len() {
        assert_eq!(judge(&with(&disk, &path, bytes[..cut].to_vec()), &entries), Verdict::Refused, "cut at {cut}");
    }
    assert_eq!(judge(&with(&disk, &path, bytes), &entries), Verdict::Prefix(9));
}

#[test]
fn an_earlier_segment_cut_anywhere_is_refused_unless_only_zeros_are_missing() {
    let (disk, entries) = sample(true);
    let (path, bytes) = files(&disk).remove(0);
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for cut in 0..bytes.len() {
        let verdict = judge(&with(&disk, &path, bytes[..cut].to_vec()), &entries);
        if cut < used.next_multiple_of(8) - 16 {
            assert_eq!(verdict, Verdict::Refused, "cut at {cut}");
        } else if cut >= used && cut % 8 == 0 {
            assert_eq!(verdict, Verdict::Prefix(9), "cut at {cut}");
        }
    }
}

#[test]
fn zeroed_sectors_are_refused_where_a_later_batch_was_written() {
    let (disk, entries) = sample(true);
    for (path, bytes) in files(&disk) {
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        for sector in 0..used / 512 {
            let mut bytes = bytes.clone();
            bytes[sector * 512..(sector + 1) * 512].fill(0);
            let verdict = judge(&with(&disk, &path, bytes), &entries);
            // One that held only zeros is as it was.
            assert!(
                matches!(verdict, Verdict::Refused | Verdict::Prefix(9)),
                "sector {sector} of {}: {verdict:?}",
                path.display()
            );
        }
    }
}

#[test]
fn the_error_names_file_and_offset_and_what_to_do() {
    let (disk, _) = sample(true);
    let (path, mut bytes) = files(&disk).remove(0);
    bytes[300] ^= 4;
    let disk = with(&disk, &path, bytes);
    let text = Log::open(&disk, SEGMENT_BYTES, 0).err().unwrap().to_string();
    assert!(text.starts_with(&format!("{} is damaged at byte ", path.display())), "{text}");
    assert!(text.contains("remove the member from the cluster and add it again"), "{text}");
}

#[test]
fn a_missing_segment_is_refused() {
    let mut log = Log::new(1024, 0);
    log.append(&(1..=60).map(|index| entry(1, index, &"v".repeat(50))).collect::<Vec<_>>()).unwrap();
    log.writer.step();
    let names = log.segments();
    assert!(names.len() > 4);
    for (at, name) in names.iter().enumerate() {
        let disk = log.disk.crash(|| true);
        disk.remove_file(&dir().join(name)).unwrap();
        match Log::open(&disk, 1024, 0) {
            Err(Error::MissingSegment { missing, .. }) => assert_eq!(missing, at as u64),
            Err(Error::NoStart(_)) => assert_eq!(at, 0),
            // The newest leaves no trace here: the node sees it by its applied position.
            Ok(_) => assert_eq!(at, names.len() - 1),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn files_that_are_no_segments_are_told_apart() {
    let (disk, entries) = sample(true);
    for name in ["0.tmp", "1.tmp", "notes.txt"] {
        disk.create(&dir().join(name)).unwrap();
    }
    assert_eq!(judge(&disk, &entries), Verdict::Prefix(9));
    assert!(disk.list(&dir()).unwrap().contains(&"notes.txt".to_owned()));
    assert!(!disk.list(&dir()).unwrap().contains(&"0.tmp".to_owned()));
    disk.create(&dir().join("copy of 1.wal")).unwrap();
    assert!(matches!(Log::open(&disk, SEGMENT_BYTES, 0), Err(Error::BadName(_))));
}

#[test]
fn another_members_segment_is_refused() {
    let (disk, _) = sample(true);
    let (path, _) = files(&disk).remove(1);
    let other = MemoryDisk::default();
    other.create_dir(Path::new("/member")).unwrap();
    create::create(&dir(), Metadata { node_id: 1, cluster_id: 2 }, &options(&other, SEGMENT_BYTES, 0)).unwrap();
    let foreign = files(&other).remove(0).1;
    assert!(matches!(Log::open(&with(&disk, &path, foreign), SEGMENT_BYTES, 0), Err(Error::Damaged { .. })));
}

#[test]
fn nothing_to_open_is_said_so() {
    let disk = MemoryDisk::default();
    assert!(matches!(Log::open(&disk, 1024, 0), Err(Error::Missing(_))));
    disk.create_dir(&dir()).unwrap();
    assert!(matches!(Log::open(&disk, 1024, 0), Err(Error::Missing(_))));
    assert!(!Wal::exists(&dir(), &options(&disk, 1024, 0)).unwrap());
}
