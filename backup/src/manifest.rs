//! What a backup is. Its manifest is written last and never changed: parts without one are no backup, and the manifests of a store are its
//! catalogue.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::carry::hex;

/// Of the format below. A reader refuses a larger number.
pub const FORMAT: u32 = 1;

/// A larger object is no manifest. Some 200 GB in parts have less.
pub const BYTES_MAX: u64 = 4 << 20;

/// One backup: a snapshot of a cluster at one revision, in parts that are read one behind the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub format: u32,
    /// Name of its folder, see [`crate::layout`].
    pub id: String,
    /// As hexadecimal digits.
    pub cluster_id: String,
    /// Of the member that gave the snapshot, as hexadecimal digits.
    pub member_id: String,
    pub etcd_version: String,
    pub started: Timestamp,
    /// Everything in the snapshot was written before.
    pub taken: Timestamp,
    pub finished: Timestamp,
    /// The newest in the snapshot.
    pub revision: i64,
    /// The last compaction in the snapshot; -1 if there was none.
    pub compact_revision: i64,
    pub raft_term: u64,
    pub keys: u64,
    pub hash: Hash,
    /// Of the database, without the checksum that etcd puts behind it.
    pub database_bytes: u64,
    /// SHA-256 of the database, as hexadecimal digits.
    pub database_sha256: String,
    pub compression: Compression,
    pub encryption: Encryption,
    pub parts: Vec<Part>,
}

/// What the member said when asked for the hash of its keys, and what was computed from the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hash {
    pub hash: u32,
    pub revision: i64,
    /// Of the member when it was asked.
    pub compact_revision: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    None,
    Zstd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    None,
    Age,
}

/// An object of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Below the backup's folder.
    pub name: String,
    pub bytes: u64,
    /// As hexadecimal digits.
    pub sha256: String,
}

/// How it lies in a store.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(flatten)]
    manifest: Manifest,
    /// SHA-256 of everything before, without blanks, as hexadecimal digits.
    manifest_sha256: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it is no manifest")]
    Form(#[from] serde_json::Error),
    #[error("its checksum is another: it was altered")]
    Altered,
}

impl Manifest {
    pub fn write(self) -> Result<Vec<u8>, serde_json::Error> {
        let manifest_sha256 = self.sha256()?;
        serde_json::to_vec_pretty(&Written { manifest: self, manifest_sha256 })
    }

    pub fn read(text: &[u8]) -> Result<Manifest, Error> {
        let Written { manifest, manifest_sha256 } = serde_json::from_slice(text)?;
        if manifest.sha256()? == manifest_sha256 { Ok(manifest) } else { Err(Error::Altered) }
    }

    fn sha256(&self) -> Result<String, serde_json::Error> {
        Ok(hex(&Sha256::digest(serde_json::to_vec(self)?)))
    }

    pub fn stored_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}
