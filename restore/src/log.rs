//! The new cluster's log: each member as a configuration change, and the snapshot that stands behind them.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use prost::Message;
use quorate_format::wal::{ConfState, Encoder, Entry, EntryType, Record, SegmentName, Snapshot, State};
use quorate_proto::{raftpb, snappb};
use serde_json::{Map, Value, json};

use crate::{Cluster, Error};

/// The term of the entries that no election has written.
pub(crate) const COMMIT_TERM: u64 = 1;

/// Size of etcd's segments, which are allocated beforehand.
const SEGMENT_BYTES: u64 = 64_000_000;

/// Index of the last entry: one a member.
pub(crate) fn commit_index(cluster: &Cluster) -> u64 {
    cluster.members.len() as u64
}

/// Writes the segment and the `.snap` file and syncs them.
pub(crate) fn write(wal: &Path, snap: &Path, cluster: &Cluster) -> Result<(), Error> {
    let segment = wal.join(SegmentName::default().to_string());
    write_file(&segment, &encode_segment(cluster)?, Some(SEGMENT_BYTES))?;
    let snapshot = snap.join(format!("{COMMIT_TERM:016x}-{:016x}.snap", commit_index(cluster)));
    write_file(&snapshot, &encode_snapshot(cluster)?, None)
}

fn write_file(path: &Path, bytes: &[u8], allocate_bytes: Option<u64>) -> Result<(), Error> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        if let Some(allocate_bytes) = allocate_bytes {
            file.set_len(allocate_bytes)?;
        }
        file.sync_all()
    };
    write().map_err(|source| Error::Write { path: path.to_owned(), source })
}

fn encode_segment(cluster: &Cluster) -> Result<Vec<u8>, Error> {
    let mut records = vec![
        Record::Crc(0),
        Record::Metadata { node_id: cluster.local_id, cluster_id: cluster.id },
        Record::Snapshot(Snapshot::default()),
    ];
    for (index, member) in (1..).zip(&cluster.members) {
        let change = raftpb::ConfChange {
            id: None,
            r#type: Some(raftpb::ConfChangeType::ConfChangeAddNode as i32),
            node_id: Some(member.id),
            context: Some(member.json()?.into()),
        };
        let data = change.encode_to_vec().into();
        records.push(Record::Entry(Entry { entry_type: EntryType::ConfChange, term: COMMIT_TERM, index, data }));
    }
    let (term, commit) = (COMMIT_TERM, commit_index(cluster));
    let vote = cluster.members.first().map_or(0, |member| member.id);
    records.push(Record::State(State { term, vote, commit, vote_committed: false }));
    let conf_state = Some(ConfState { voters: cluster.ids(), ..ConfState::default() });
    records.push(Record::Snapshot(Snapshot { index: commit, term, conf_state }));

    let mut encoder = Encoder::new(0);
    let mut out = Vec::new();
    for record in &records {
        encoder.append(record, &mut out);
    }
    Ok(out)
}

fn encode_snapshot(cluster: &Cluster) -> Result<Vec<u8>, Error> {
    let conf_state = raftpb::ConfState { voters: cluster.ids(), ..raftpb::ConfState::default() };
    let metadata = raftpb::SnapshotMetadata {
        conf_state: Some(conf_state),
        index: Some(commit_index(cluster)),
        term: Some(COMMIT_TERM),
    };
    let snapshot = raftpb::Snapshot { data: Some(membership_store(cluster)?.into()), metadata: Some(metadata) };
    let data = snapshot.encode_to_vec();
    let crc = quorate_format::crc32c_append(0, &data);
    Ok(snappb::Snapshot { crc: Some(crc), data: Some(data.into()) }.encode_to_vec())
}

/// The members as the store of etcd's API version 2 saved them: etcd up to 3.5 reads the membership from there.
fn membership_store(cluster: &Cluster) -> Result<Vec<u8>, Error> {
    let mut members = Map::new();
    for (index, member) in (1..).zip(&cluster.members) {
        let path = format!("/0/members/{:x}", member.id);
        let attributes = node(&format!("{path}/raftAttributes"), index, &member.raft_attributes_json()?, Value::Null);
        let children = object([("raftAttributes".to_owned(), attributes)]);
        members.insert(format!("{:x}", member.id), node(&path, index, "", children));
    }
    let members = node("/0/members", 1, "", object(members));
    let namespaces = object([
        ("0".to_owned(), node("/0", 0, "", object([("members".to_owned(), members)]))),
        ("1".to_owned(), node("/1", 0, "", object([]))),
    ]);
    let store = json!({
        "Root": node("/", 0, "", namespaces),
        "CurrentIndex": commit_index(cluster),
        "CurrentVersion": 2,
    });
    Ok(store.to_string().into_bytes())
}

/// `children` is null for a file.
fn node(path: &str, index: u64, value: &str, children: Value) -> Value {
    json!({
        "Path": path,
        "CreatedIndex": index,
        "ModifiedIndex": index,
        // Go's zero time: never.
        "ExpireTime": "0001-01-01T00:00:00Z",
        "Value": value,
        "Children": children,
    })
}

fn object(fields: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::Object(fields.into_iter().collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use quorate_format::wal::Decoder;

    use super::*;
    use crate::Member;

    #[test]
    fn the_log_names_every_member_and_ends_in_a_snapshot_of_them() {
        let member = |id, name: &str| Member { id, name: name.into(), peer_urls: vec![format!("http://{name}:2380")] };
        let cluster = Cluster { id: 9, local_id: 2, members: vec![member(1, "a"), member(2, "b")] };
        let segment = encode_segment(&cluster).unwrap();
        let mut decoder = Decoder::over(&segment, None, true);
        let mut records = Vec::new();
        while let Some(record) = decoder.next().unwrap() {
            records.push(record);
        }
        assert_eq!(records[1], Record::Metadata { node_id: 2, cluster_id: 9 });
        let Record::Entry(entry) = &records[4] else { panic!("{:?}", records[4]) };
        let change = raftpb::ConfChange::decode(entry.data.clone()).unwrap();
        assert_eq!((entry.index, change.node_id), (2, Some(2)));
        assert_eq!(change.context.unwrap(), r#"{"id":2,"peerURLs":["http://b:2380"],"name":"b"}"#);
        let conf_state = Some(ConfState { voters: vec![1, 2], ..ConfState::default() });
        assert_eq!(records.last(), Some(&Record::Snapshot(Snapshot { index: 2, term: 1, conf_state })));

        let file = snappb::Snapshot::decode(encode_snapshot(&cluster).unwrap().as_slice()).unwrap();
        assert_eq!(file.crc, Some(quorate_format::crc32c_append(0, &file.data.unwrap())));
    }
}
