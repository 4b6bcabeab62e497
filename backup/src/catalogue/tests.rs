use jiff::ToSpan;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

use super::*;
use crate::carry;
use crate::manifest::Compression;
use crate::seal::Seal;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A backup of so many hours ago, at a revision.
async fn add(store: &InMemory, cluster_id: &str, hours: i64, revision: i64) -> Manifest {
    let taken = now().checked_sub(hours.hours()).unwrap();
    add_named(store, &layout::id(taken, cluster_id), cluster_id, taken, revision).await
}

async fn add_named(store: &InMemory, id: &str, cluster_id: &str, taken: Timestamp, revision: i64) -> Manifest {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), revision.to_string()).unwrap();
    let seal = Seal { compression: Compression::None, recipients: Vec::new() };
    let arrived = carry::up(store, id, "one", file.path(), &seal).await.unwrap();
    let manifest =
        Manifest { cluster_id: cluster_id.to_owned(), revision, taken, ..carry::tests::manifest(id, arrived, &seal) };
    write(store, id, text(&manifest)).await;
    manifest
}

fn text(manifest: &Manifest) -> String {
    String::from_utf8(manifest.clone().write().unwrap()).unwrap()
}

async fn write(store: &InMemory, id: &str, text: String) {
    store.put(&Path::from(layout::manifest(id)), text.into()).await.unwrap();
}

async fn names(store: &InMemory, below: &str) -> Vec<String> {
    let listed: Vec<_> = store.list(Some(&Path::from(below))).try_collect().await.unwrap();
    listed.into_iter().map(|object| object.location.to_string()).collect()
}

async fn ids(store: &InMemory, cluster_id: Option<&str>) -> Vec<String> {
    list(store, cluster_id).await.unwrap().entries.into_iter().map(|entry| entry.manifest.id).collect()
}

fn last(number: u64) -> Retention {
    Retention { keep_last: Some(number), keep_for: None }
}

#[tokio::test]
async fn a_manifest_in_which_one_digit_was_altered_is_no_manifest() {
    let store = InMemory::new();
    let manifest = add(&store, "c1", 2, 20).await;
    assert_eq!(read(&store, &manifest.id).await.unwrap(), manifest);
    let text = text(&manifest);
    for (field, other) in
        [("\"revision\": 20", "\"revision\": 21"), ("\"keys\": 6", "\"keys\": 7"), ("\"c1\"", "\"c2\"")]
    {
        assert!(text.contains(field), "{text}");
        write(&store, &manifest.id, text.replace(field, other)).await;
        let error = read(&store, &manifest.id).await.unwrap_err();
        assert!(matches!(error, Error::Manifest { source: manifest::Error::Altered, .. }), "{error:?}");
        assert_eq!(error.reason(), Reason::BackupDamaged);
    }
}

#[tokio::test]
async fn backups_are_listed_the_newest_first_and_what_cannot_be_read_is_counted() {
    let store = InMemory::new();
    let old = add(&store, "c1", 2, 20).await;
    let new = add(&store, "c1", 1, 30).await;
    let other = add(&store, "c2", 3, 10).await;
    write(&store, "newer", "{\"format\": 2, \"id\": \"newer\"}".to_owned()).await;
    write(&store, "broken", "{".to_owned()).await;
    write(&store, "foreign", text(&old)).await;
    store.put(&Path::from("backups/unfinished/a/00000"), "x".into()).await.unwrap();
    assert_eq!(ids(&store, None).await, [&*new.id, &*old.id, &*other.id]);
    assert_eq!(ids(&store, Some("c2")).await, [&*other.id]);
    let summary = list(&store, Some("c1")).await.unwrap().summary();
    let stored_bytes = old.stored_bytes() + new.stored_bytes();
    assert_eq!(summary, Summary { count: 2, oldest: old.id, newest: new.id, stored_bytes, unreadable: 3 });
    assert!(matches!(read(&store, "newer").await, Err(Error::Newer { format: 2, .. })));
    assert!(matches!(read(&store, "broken").await, Err(Error::Manifest { .. })));
    assert!(matches!(read(&store, "foreign").await, Err(Error::Foreign { .. })));
    assert!(matches!(read(&store, "unfinished").await, Err(Error::Missing(_))));
}

#[tokio::test]
async fn pruning_leaves_what_is_to_be_kept_and_the_changes_behind_it() {
    let store = InMemory::new();
    for (hours, revision) in [(3, 10), (2, 20), (1, 30)] {
        add(&store, "c1", hours, revision).await;
    }
    let other = add(&store, "c2", 9, 5).await;
    for (after, last) in [(5, 10), (10, 20), (15, 25)] {
        let name = layout::changes("c1", after, last, &"0".repeat(64));
        store.put(&Path::from(name), "x".into()).await.unwrap();
    }
    let before = names(&store, "").await.len();
    // Nobody knows what this one needs.
    write(&store, "broken", "{".to_owned()).await;
    assert_eq!(prune(&store, Some("c1"), Retention::default(), now()).await.unwrap().left.unreadable, 1);
    assert_eq!(names(&store, "").await.len(), before + 1);
    delete(&store, "broken").await.unwrap();
    // What every backup has already is of no use to any.
    let pruned = prune(&store, Some("c1"), Retention::default(), now()).await.unwrap();
    assert_eq!((pruned.backups, pruned.trouble), (0, None));
    assert_eq!(names(&store, "").await.len(), before - 1);
    let pruned = prune(&store, Some("c1"), last(2), now()).await.unwrap();
    assert_eq!((pruned.backups, pruned.trouble, pruned.left.summary().count), (1, None, 2));
    assert_eq!(ids(&store, Some("c1")).await.len(), 2);
    assert_eq!(ids(&store, Some("c2")).await, [other.id]);
    let changes = names(&store, "changes/c1").await;
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(changes[0].contains("15-0000000000000000025-"));
}

#[tokio::test]
async fn each_cluster_keeps_its_newest() {
    let store = InMemory::new();
    for (cluster, hours) in [("c1", 2), ("c1", 1), ("c2", 9), ("c2", 8)] {
        add(&store, cluster, hours, 10).await;
    }
    assert_eq!(prune(&store, None, last(1), now()).await.unwrap().backups, 2);
    let left: Vec<_> = list(&store, None).await.unwrap().entries.into_iter().map(|entry| entry.manifest).collect();
    let left: Vec<_> = left.iter().map(|manifest| &*manifest.cluster_id).collect();
    assert_eq!(left, ["c1", "c2"]);
}

#[tokio::test]
async fn the_newest_is_so_by_its_time_and_not_by_its_name() {
    let store = InMemory::new();
    add_named(&store, "zzz", "c1", now().checked_sub(5.hours()).unwrap(), 10).await;
    let newest = add(&store, "c1", 1, 20).await;
    assert_eq!(list(&store, None).await.unwrap().summary().newest, newest.id);
    prune(&store, None, last(1), now()).await.unwrap();
    assert_eq!(ids(&store, None).await, [newest.id]);
}

#[tokio::test]
async fn folders_without_a_manifest_are_deleted_a_day_later() {
    let store = InMemory::new();
    store.put(&Path::from("backups/killed/a/00000"), "x".into()).await.unwrap();
    let written = Timestamp::now();
    let at = |hours: i64| written.checked_add(hours.hours()).unwrap();
    prune(&store, None, Retention::default(), at(23)).await.unwrap();
    assert_eq!(names(&store, "backups").await.len(), 1);
    prune(&store, None, Retention::default(), at(25)).await.unwrap();
    assert_eq!(names(&store, "backups").await, [""; 0]);
}

#[tokio::test]
async fn a_deleted_backup_leaves_nothing_and_its_neighbours_alone() {
    let store = InMemory::new();
    let one = add(&store, "c1", 2, 20).await;
    let other = add(&store, "c1", 1, 30).await;
    write(&store, &format!("{}0", one.id), "longer, with the same begin".to_owned()).await;
    delete(&store, &one.id).await.unwrap();
    assert_eq!(names(&store, &format!("backups/{}", one.id)).await, [""; 0]);
    assert_eq!(ids(&store, None).await, [other.id]);
    assert_eq!(names(&store, &format!("backups/{}0", one.id)).await.len(), 1);
    delete(&store, &one.id).await.unwrap();
}

#[tokio::test]
async fn other_attempts_at_a_finished_backup_are_cleared_away() {
    let store = InMemory::new();
    let manifest = add(&store, "c1", 1, 30).await;
    let part = format!("backups/{}/one/00000", manifest.id);
    for attempt in ["two", "one2"] {
        store.put(&Path::from(format!("backups/{}/{attempt}/00000", manifest.id)), "x".into()).await.unwrap();
    }
    clear_attempts(&store, &manifest).await.unwrap();
    let mut left = names(&store, "backups").await;
    left.sort();
    assert_eq!(left, [layout::manifest(&manifest.id), part]);
}
