use std::io;

use age::x25519::Identity;
use bytes::Bytes;
use jiff::Timestamp;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path as Name;
use rand::RngExt;

use super::*;
use crate::manifest::{Compression, FORMAT, Hash};
use crate::seal::PART_BYTES;

const ID: &str = "20261128T050000Z-4f3a9c1e";

/// Three parts, of bytes that can't be compressed.
fn database() -> Vec<u8> {
    let mut bytes = vec![0; 2 * PART_BYTES + 4096];
    rand::rng().fill(&mut bytes[..]);
    bytes
}

pub(crate) fn manifest(id: &str, arrived: Arrived, seal: &Seal) -> Manifest {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    Manifest {
        format: FORMAT,
        id: id.to_owned(),
        cluster_id: "c1".to_owned(),
        member_id: "1".to_owned(),
        etcd_version: "3.7.3".to_owned(),
        started: now,
        taken: now,
        finished: now,
        revision: 7,
        compact_revision: -1,
        raft_term: 2,
        keys: 6,
        hash: Hash { hash: 1, revision: 7, compact_revision: -1 },
        database_bytes: arrived.database_bytes,
        database_sha256: arrived.database_sha256,
        compression: seal.compression,
        encryption: seal.encryption(),
        parts: arrived.parts,
    }
}

async fn stored(database: &[u8], seal: &Seal) -> (InMemory, Manifest) {
    let store = InMemory::new();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(database).unwrap();
    let arrived = up(&store, ID, "attempt", file.path(), seal).await.unwrap();
    let manifest = manifest(ID, arrived, seal);
    (store, manifest)
}

fn location(manifest: &Manifest, number: usize) -> Name {
    Name::from(layout::below(ID, &manifest.parts[number].name))
}

async fn reason(store: &InMemory, manifest: &Manifest, keys: &Keys) -> Reason {
    down(store, manifest, keys, io::sink()).await.map(drop).unwrap_err().reason()
}

#[tokio::test]
async fn a_database_comes_back_from_its_parts() {
    let identity = Identity::generate();
    let database = database();
    for recipients in [Vec::new(), vec![identity.to_public()]] {
        let (store, manifest) = stored(&database, &Seal { compression: Compression::Zstd, recipients }).await;
        assert_eq!(manifest.parts.len(), 3);
        assert_eq!(manifest.database_bytes, database.len() as u64);
        check_parts(&store, &manifest).await.unwrap();
        let keys = Keys { identities: vec![identity.clone()] };
        let back = down(&store, &manifest, &keys, Vec::new()).await.unwrap();
        assert!(back == database);
    }
}

#[tokio::test]
async fn an_altered_cut_or_missing_part_is_found_whichever_it_is() {
    let seal = Seal { compression: Compression::None, recipients: Vec::new() };
    let (store, manifest) = stored(&database(), &seal).await;
    let keys = Keys::default();
    for number in 0..manifest.parts.len() {
        let place = location(&manifest, number);
        let good = store.get(&place).await.unwrap().bytes().await.unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut altered = good.to_vec();
            altered[at] ^= 1;
            store.put(&place, altered.into()).await.unwrap();
            assert_eq!(reason(&store, &manifest, &keys).await, Reason::BackupDamaged, "byte {at} of part {number}");
        }
        store.put(&place, good.slice(..good.len() - 1).into()).await.unwrap();
        assert_eq!(reason(&store, &manifest, &keys).await, Reason::BackupDamaged, "part {number} is cut");
        assert!(check_parts(&store, &manifest).await.is_err());
        store.delete(&place).await.unwrap();
        assert_eq!(reason(&store, &manifest, &keys).await, Reason::BackupDamaged, "part {number} is gone");
        store.put(&place, good.into()).await.unwrap();
    }
    down(&store, &manifest, &keys, io::sink()).await.unwrap();
}

#[tokio::test]
async fn parts_of_another_database_are_not_taken_for_this_one() {
    let seal = Seal { compression: Compression::Zstd, recipients: Vec::new() };
    let (store, mut manifest) = stored(&[1; 4096], &seal).await;
    manifest.database_sha256 = hex(&Sha256::digest([2; 4096]));
    assert!(matches!(down(&store, &manifest, &Keys::default(), io::sink()).await, Err(Error::Another { .. })));
    manifest.parts.clear();
    assert_eq!(reason(&store, &manifest, &Keys::default()).await, Reason::BackupDamaged);
}

#[tokio::test]
async fn a_wrong_key_is_told_apart_from_damage() {
    let seal = Seal { compression: Compression::Zstd, recipients: vec![Identity::generate().to_public()] };
    let (store, manifest) = stored(&[1; 4096], &seal).await;
    check_parts(&store, &manifest).await.unwrap();
    assert_eq!(reason(&store, &manifest, &Keys::default()).await, Reason::KeyMissing);
    assert_eq!(reason(&store, &manifest, &Keys { identities: vec![Identity::generate()] }).await, Reason::KeyMissing);
}

#[tokio::test]
async fn a_part_that_is_there_already_is_not_written_over() {
    let store = InMemory::new();
    store.put(&Name::from(layout::below(ID, "attempt/00000")), Bytes::from_static(b"1").into()).await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [1; 4096]).unwrap();
    let seal = Seal { compression: Compression::None, recipients: Vec::new() };
    let error = up(&store, ID, "attempt", file.path(), &seal).await.map(drop).unwrap_err();
    assert_eq!(error.reason(), Reason::BackupExists);
}
