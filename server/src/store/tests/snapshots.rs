//! Copies, replacement and etcd's buckets.

use std::fs;

use super::*;
use crate::store::snapshot::{
    checkpoint::Checkpoint,
    export::{Bucket, MemberRows},
    import::import,
};

fn filled(folder: &Path, value: &str) -> Subject {
    let mut subject = Subject::in_folder(folder);
    subject.grant(7);
    for key in ["a", "b", "c"] {
        subject.apply(put_on(key, value, 7)).unwrap();
        subject.put(key, value);
    }
    subject.delete("c", "");
    subject.compact(4);
    let position = Position::new(2, subject.index + 1);
    subject
        .writer
        .apply(vec![Entry { position, payload: Payload::Membership { data: bytes("members"), removed: vec![9] } }])
        .unwrap();
    subject.index += 1;
    subject
}

#[test]
fn a_checkpoint_is_a_store_as_of_its_position() {
    let folder = tempfile::tempdir().unwrap();
    let mut subject = filled(&folder.path().join("store"), "1");
    let copy = folder.path().join("copy");
    let Checkpoint { applied: position, membership, .. } = subject.store.checkpoint(&copy).unwrap();
    assert_eq!(position, subject.store.applied());
    assert_eq!(membership, Some((position, bytes("members"))));
    let hash = subject.store.hash_kv(0).unwrap();
    subject.put("later", "1");
    let copy = Subject::in_folder(&copy);
    assert_eq!(copy.store.applied(), position);
    assert_eq!(copy.store.hash_kv(0).unwrap(), hash);
    assert_eq!(copy.value("later"), None);
}

#[test]
fn every_handle_sees_the_store_that_replaced_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let leader = filled(&folder.path().join("leader"), "leader's");
    let received = folder.path().join("received");
    let position = leader.store.checkpoint(&received).unwrap().applied;

    let place = folder.path().join("follower");
    let mut follower = Subject::in_folder(&place);
    follower.put("old", "1");
    let handle = follower.store.clone();
    follower.writer.replace_with(&received).unwrap();
    assert!(!received.exists());
    assert_eq!((handle.applied(), handle.flushed(), handle.revision()), (position, position, leader.store.revision()));
    assert_eq!(handle.hash_kv(0).unwrap(), leader.store.hash_kv(0).unwrap());
    assert_eq!(handle.watch().revision(), leader.store.revision());
    assert_eq!(handle.lease(7).unwrap(), leader.store.lease(7).unwrap());
    assert_eq!(handle.size().in_use, leader.store.size().in_use);
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "the old rows are gone");

    follower.index = position.index;
    follower.put("new", "1");
    drop((follower, handle));
    let follower = Subject::in_folder(&place);
    assert_eq!(follower.value("new").unwrap(), "1");
    assert_eq!(follower.value("a").unwrap(), "leader's");
}

#[test]
fn a_checkpoint_that_cannot_be_read_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut subject = filled(&folder.path().join("store"), "1");
    let broken = folder.path().join("broken");
    subject.store.checkpoint(&broken).unwrap();
    for file in fs::read_dir(&broken).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "sst") {
            // Not in place: the file is the store's too.
            fs::remove_file(&file).unwrap();
            fs::write(file, b"not a table").unwrap();
        }
    }
    assert!(subject.writer.replace_with(&broken).is_err());
    assert_eq!(subject.value("a").unwrap(), "1");
    subject.put("a", "2");
}

#[test]
fn what_an_interrupted_replacement_left_is_cleaned_up() {
    let folder = tempfile::tempdir().unwrap();
    let leader = filled(&folder.path().join("leader"), "leader's");
    let place = folder.path().join("follower");
    let mut follower = Subject::in_folder(&place);
    follower.put("old", "1");
    drop(follower);
    // As after a crash right behind the rename.
    leader.store.checkpoint(&place.join("rows-2")).unwrap();
    let follower = Subject::in_folder(&place);
    assert_eq!(follower.value("a").unwrap(), "leader's");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1);
}

#[test]
fn an_export_imports_as_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let mut subject = filled(&folder.path().join("store"), "1");
    let version = quorate_proto::membershippb::ClusterVersionSetRequest { ver: "3.7.0".to_owned() };
    subject.apply(pb::InternalRaftRequest { cluster_version_set: Some(version), ..Default::default() }).unwrap();

    let mut rows: Vec<(Bucket, Vec<u8>, Vec<u8>)> = Vec::new();
    let member = r#"{"id":9372538179322589801,"peerURLs":["http://a:2380"],"name":"m","clientURLs":["http://a:2379"]}"#;
    let exported = subject
        .store
        .export::<Error>(
            |exported| {
                assert_eq!(exported.membership.as_ref().unwrap().1, bytes("members"));
                MemberRows { members: vec![(bytes("8211f1d0f64f3269"), bytes(member))], conf_state: Some(bytes("{}")) }
            },
            |bucket, key, value| {
                rows.push((bucket, key.to_vec(), value.to_vec()));
                Ok(())
            },
        )
        .unwrap();
    assert_eq!(exported.applied, subject.store.applied());
    assert!(rows.is_sorted_by(|a, b| (a.0, &a.1) < (b.0, &b.1)));

    let place = folder.path().join("imported");
    let mut into = import(&place, &options()).unwrap();
    for (bucket, key, value) in &rows {
        into.row(*bucket, key, value).unwrap();
    }
    let imported = into.finish().unwrap();
    assert_eq!(imported.applied, subject.store.applied());
    assert_eq!((&exported.removed, &imported.removed_members), (&vec![9], &vec![9]));
    assert_eq!(imported.members[0].peer_urls, ["http://a:2380"]);
    assert!(import(&place, &options()).is_err());

    let copy = Subject::in_folder(&place);
    assert_eq!(copy.store.hash_kv(0).unwrap(), subject.store.hash_kv(0).unwrap());
    assert_eq!((copy.store.applied(), copy.store.revision()), (imported.applied, subject.store.revision()));
    assert_eq!(copy.store.compact_revision(), 4);
    assert_eq!(copy.store.lease(7), subject.store.lease(7));
    assert_eq!(copy.store.cluster_version().as_deref(), Some("3.7.0"));
    assert_eq!(copy.store.member_attributes()[0].1.name, "m");
}

#[test]
fn an_export_is_of_the_format_of_the_clusters_version() {
    let mut subject = Subject::in_memory();
    let format = |subject: &Subject| {
        let mut found = None;
        let row = |bucket: Bucket, key: &[u8], value: &[u8]| {
            if bucket == Bucket::Meta && key == b"storageVersion" {
                found = Some(String::from_utf8(value.to_vec()).unwrap());
            }
            Ok::<_, Error>(())
        };
        subject.store.export(|_| MemberRows::default(), row).unwrap();
        found.unwrap()
    };
    assert_eq!(format(&subject), "3.7.0");
    let version = quorate_proto::membershippb::ClusterVersionSetRequest { ver: "3.6.0".to_owned() };
    subject.apply(pb::InternalRaftRequest { cluster_version_set: Some(version), ..Default::default() }).unwrap();
    assert_eq!(format(&subject), "3.6.0");
}
