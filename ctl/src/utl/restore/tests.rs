use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Parser;
use quorate_format::bbolt::Writer;
use quorate_format::revision::{Revision, RevisionKey};
use quorate_format::snapshot_file::Appender;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    restore: Restore,
}

/// A snapshot of three revisions with an old member in it.
fn snapshot(folder: &Path) -> PathBuf {
    let mut writer = Writer::create(tempfile::tempfile().unwrap()).unwrap();
    let mut keys = writer.bucket("key").unwrap();
    for main in 2..5 {
        let (bytes, len) = RevisionKey::put(Revision::new(main, 0)).to_bytes();
        keys.put(&bytes[..len], &[0x0a, 1, b'a']).unwrap();
    }
    keys.finish().unwrap();
    for (bucket, key, value) in [
        ("members", "abc", "{}"),
        ("members_removed", "def", "removed"),
        ("meta", "confState", "{}"),
        ("auth", "x", "y"),
    ] {
        let mut bucket = writer.bucket(bucket).unwrap();
        bucket.put(key.as_bytes(), value.as_bytes()).unwrap();
        bucket.finish().unwrap();
    }
    let (mut file, _) = writer.finish().unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let path = folder.join("snapshot.db");
    let mut appender = Appender::new(fs::File::create(&path).unwrap());
    std::io::copy(&mut file, &mut appender).unwrap();
    appender.finish().unwrap();
    path
}

fn restore(folder: &Path, flags: &[&str]) -> Result<(), Failure> {
    let (snapshot, data_dir) = (folder.join("snapshot.db"), folder.join("data"));
    let mut args = vec!["restore", snapshot.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()];
    args.extend(flags);
    Cli::try_parse_from(args).unwrap().restore.run()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn get(database: &Reader, bucket: &str, key: &[u8]) -> Option<Vec<u8>> {
    database.bucket(bucket.as_bytes()).unwrap()?.get(key).unwrap().map(|value| value.to_vec())
}

#[test]
fn a_restored_folder_has_the_keys_and_another_membership() {
    let folder = tempfile::tempdir().unwrap();
    snapshot(folder.path());
    restore(folder.path(), &[]).unwrap();
    assert_eq!(names(&folder.path().join("data")), ["member"]);
    assert_eq!(names(&folder.path().join("data/member")), ["snap", "wal"]);
    assert_eq!(names(&folder.path().join("data/member/snap")), ["0000000000000001-0000000000000001.snap", "db"]);
    assert_eq!(names(&folder.path().join("data/member/wal")), ["0000000000000000-0000000000000000.wal"]);

    let database = Reader::open(&folder.path().join("data/member/snap/db")).unwrap();
    database.check().unwrap();
    assert_eq!(get(&database, "key", &Revision::new(4, 0).to_bytes()).unwrap(), [0x0a, 1, b'a']);
    assert_eq!(get(&database, "auth", b"x").unwrap(), b"y");
    assert_eq!(get(&database, "meta", b"confState").unwrap(), b"{}");
    assert_eq!(get(&database, "meta", b"consistent_index").unwrap(), 1_u64.to_be_bytes());
    assert_eq!(get(&database, "meta", b"term").unwrap(), 1_u64.to_be_bytes());
    assert_eq!(get(&database, "members", b"abc"), None);
    assert_eq!(get(&database, "members_removed", b"def"), None);
    let member = get(&database, "members", b"8e9e05c52164694d").unwrap();
    assert_eq!(member, br#"{"id":10276657743932975437,"peerURLs":["http://localhost:2380"],"name":"default"}"#);
}

#[test]
fn a_bumped_revision_is_the_latest_and_marked_as_compacted() {
    let folder = tempfile::tempdir().unwrap();
    snapshot(folder.path());
    restore(folder.path(), &["--bump-revision=1000", "--mark-compacted"]).unwrap();
    let database = Reader::open(&folder.path().join("data/member/snap/db")).unwrap();
    let bumped = Revision::new(1004, 0).to_bytes();
    assert_eq!(database.bucket(b"key").unwrap().unwrap().last().unwrap().unwrap().key, bumped.as_slice());
    assert_eq!(get(&database, "meta", b"scheduledCompactRev").unwrap(), bumped);
}

#[test]
fn a_log_folder_of_its_own_is_used() {
    let folder = tempfile::tempdir().unwrap();
    snapshot(folder.path());
    let wal = folder.path().join("logs/wal");
    restore(folder.path(), &["--wal-dir", wal.to_str().unwrap()]).unwrap();
    assert_eq!(names(&wal), ["0000000000000000-0000000000000000.wal"]);
    assert_eq!(names(&folder.path().join("data/member")), ["snap"]);
    assert_eq!(names(&folder.path().join("logs")), ["wal"]);
}

#[test]
fn a_folder_with_anything_in_it_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    snapshot(folder.path());
    fs::create_dir(folder.path().join("data")).unwrap();
    restore(folder.path(), &[]).unwrap();
    let failure = restore(folder.path(), &[]).unwrap_err();
    assert!(failure.text().ends_with("not empty or could not be read"), "{}", failure.text());
    let wal = folder.path().to_str().unwrap();
    fs::remove_dir_all(folder.path().join("data")).unwrap();
    let failure = restore(folder.path(), &["--wal-dir", wal]).unwrap_err();
    assert!(failure.text().ends_with("exists"), "{}", failure.text());
}

#[test]
fn a_damaged_snapshot_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = snapshot(folder.path());
    let good = fs::read(&path).unwrap();
    let mut damaged = good.clone();
    // Behind the element table of the first tree's page.
    damaged[3 * 4096 + 17] ^= 0xff;
    fs::write(&path, &damaged).unwrap();
    let failure = restore(folder.path(), &[]).unwrap_err();
    assert!(failure.text().starts_with("expected sha256 ["), "{}", failure.text());
    assert_eq!(names(folder.path()), ["snapshot.db"]);

    // Even if the damage is found only on the way.
    damaged[3 * 4096 + 8] = 0x77;
    fs::write(&path, &damaged).unwrap();
    assert!(restore(folder.path(), &["--skip-hash-check"]).unwrap_err().text().starts_with("damaged database"));
    assert_eq!(names(folder.path()), ["snapshot.db"]);

    fs::write(&path, &good[..good.len() - 32]).unwrap();
    assert_eq!(restore(folder.path(), &[]).unwrap_err().text(), "snapshot missing hash but --skip-hash-check=false");
    fs::File::options().append(true).open(&path).unwrap().write_all(&[0; 1]).unwrap();
    restore(folder.path(), &["--skip-hash-check=true"]).unwrap();
}

#[test]
fn flags_that_need_each_other_come_together() {
    let folder = tempfile::tempdir().unwrap();
    for flags in [["--mark-compacted"], ["--bump-revision=7"]] {
        let failure = restore(folder.path(), &flags).unwrap_err();
        assert_eq!(failure.exit(), quorate_ctl::failure::Exit::BadArgs);
    }
    let failure = restore(folder.path(), &[]).unwrap_err();
    assert!(failure.text().ends_with("snapshot.db: no such file or directory"), "{}", failure.text());
}
