use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use quorate_format::bbolt::Writer;
use quorate_format::revision::Revision;

use super::super::Base;
use super::*;
use crate::changes::{Chunk, Goal, Moment, Row, Shelf};

fn folder(data_dir: PathBuf) -> Folder {
    let [name, initial_cluster_token] = ["a", "t"].map(str::to_owned);
    let initial_advertise_peer_urls = "http://127.0.0.1:2380".to_owned();
    let initial_cluster = format!("a={initial_advertise_peer_urls}");
    Folder { data_dir, name, initial_cluster, initial_cluster_token, initial_advertise_peer_urls }
}

fn row(main: i64) -> (Vec<u8>, Vec<u8>) {
    (Revision::new(main, 0).to_bytes().to_vec(), format!("value {main}").into_bytes())
}

/// Of the revisions 2 to `last`.
fn snapshot(last: i64) -> Reader {
    let mut writer = Writer::create(tempfile::tempfile().unwrap()).unwrap();
    let mut keys = writer.bucket("key").unwrap();
    for (key, value) in (2..=last).map(row) {
        keys.put(&key, &value).unwrap();
    }
    keys.finish().unwrap();
    Reader::new(writer.finish().unwrap().0).unwrap()
}

async fn keep(shelf: &Shelf, after: i64, last: i64) {
    let link = row(after);
    let chunk = Chunk {
        cluster_id: 7,
        after,
        last,
        link: Some(crate::changes::Link::new(link.0.into(), &link.1)),
        moments: vec![Moment { revision: last, unix_ms: last * 1000 }],
        rows: (after + 1..=last).map(row).map(|(key, value)| Row { key: key.into(), value: value.into() }).collect(),
        ..Chunk::default()
    };
    let (name, bytes): (_, Bytes) = shelf.seal(&chunk).unwrap();
    shelf.write(&name, bytes.clone()).await.unwrap();
    // A try whose answer was lost is repeated.
    shelf.write(&name, bytes).await.unwrap();
}

async fn make(folder: &Folder, shelf: &Shelf, goal: Goal) -> Result<Made, Error> {
    let prepared = folder.prepare().unwrap().unwrap();
    let snapshot = snapshot(4);
    let base = Base::of(&snapshot).unwrap();
    let replay = Replay::begin(shelf.clone(), shelf.names().await.unwrap(), 7, &base, goal);
    prepared.make(snapshot, None, None, Some(replay)).await
}

fn rows(folder: &Folder) -> Vec<(Vec<u8>, Vec<u8>)> {
    let reader = Reader::open(&folder.data_dir.join("member/snap/db")).unwrap();
    let bucket = reader.bucket(b"key").unwrap().unwrap();
    let mut rows = bucket.rows();
    let next = || rows.next().unwrap().map(|row| (row.key.to_vec(), row.value.to_vec()));
    std::iter::from_fn(next).collect()
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_folder_has_the_rows_of_the_backup_and_of_the_changes() {
    let home = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(Arc::new(InMemory::new()), 7);
    for (after, last) in [(4, 6), (6, 9), (9, 12)] {
        keep(&shelf, after, last).await;
    }
    for (number, (goal, last)) in
        [(Goal::Revision(8), 8), (Goal::UnixMs(9000), 9), (Goal::Revision(4), 4)].into_iter().enumerate()
    {
        let folder = folder(home.path().join(number.to_string()));
        let made = make(&folder, &shelf, goal).await.unwrap();
        assert_eq!((made.written.latest, made.reached.unwrap().revision), (last, last));
        assert_eq!(rows(&folder), (2..=last).map(row).collect::<Vec<_>>());
        assert_eq!(names(&folder.data_dir), ["member"]);
        // Once more: nothing is touched.
        assert!(folder.prepare().unwrap().is_none());
    }
}

#[tokio::test]
async fn missing_changes_leave_no_folder_and_say_how_far_they_reach() {
    let home = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(Arc::new(InMemory::new()), 7);
    keep(&shelf, 4, 6).await;
    keep(&shelf, 7, 9).await;
    let folder = folder(home.path().join("data"));
    let error = make(&folder, &shelf, Goal::Revision(8)).await.unwrap_err();
    assert_eq!(error.reason(), crate::report::Reason::ChangesMissing);
    let words = "changes are missing: the last revision that can be reached is 6, the last time 1970-01-01T00:00:06Z";
    assert_eq!(error.to_string(), words);
    assert_eq!(names(&folder.data_dir), [""; 0]);
    assert_eq!(make(&folder, &shelf, Goal::Revision(6)).await.unwrap().written.latest, 6);
}

#[tokio::test]
async fn what_a_killed_run_has_left_is_removed_and_two_do_not_meet() {
    let home = tempfile::tempdir().unwrap();
    let folder = folder(home.path().join("data"));
    for left in ["member.restoring/snap", "quorate-restore.spool"] {
        fs::create_dir_all(folder.data_dir.join(left)).unwrap();
        fs::write(folder.data_dir.join(left).join("db"), "half").unwrap();
    }
    let prepared = folder.prepare().unwrap().unwrap();
    assert!(matches!(folder.prepare(), Err(Error::Locked(_))));
    assert_eq!(names(&prepared.spool), [""; 0]);
    let huge = prepared.check_space(u64::MAX / 4, 0).unwrap_err();
    assert_eq!(huge.reason(), crate::report::Reason::NoSpace);
    prepared.make(snapshot(4), Some(100), None, None).await.unwrap();
    assert_eq!(rows(&folder).last().unwrap().0, Revision::new(104, 0).to_bytes());
    assert_eq!(names(&folder.data_dir), ["member"]);
}

#[test]
fn data_with_authentication_is_refused_by_whoever_would_be_locked_out() {
    let of = |enabled: Option<&[u8]>| {
        let mut writer = Writer::create(tempfile::tempfile().unwrap()).unwrap();
        let mut auth = writer.bucket("auth").unwrap();
        enabled.iter().for_each(|value| auth.put(b"authEnabled", value).unwrap());
        auth.finish().unwrap();
        Reader::new(writer.finish().unwrap().0).unwrap()
    };
    for off in [of(None), of(Some(&[0])), snapshot(4)] {
        refuse_authentication(&off, "cure").unwrap();
    }
    let error = refuse_authentication(&of(Some(&[1])), "do this").unwrap_err();
    assert_eq!(error.reason(), crate::report::Reason::InvalidArguments);
    assert!(error.to_string().ends_with("let the operator in: do this"), "{error}");
}
