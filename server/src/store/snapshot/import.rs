//! A store from the buckets of etcd's own database file.

use std::path::Path;

use bytes::Bytes;
use quorate_proto::membershippb::Attributes;
use serde::Deserialize;

use super::{export::Bucket, folder::Folder};
use crate::{
    position::Position,
    store::{
        backend::{Backend, Batch, Family, Rocks},
        cluster::member_row,
        error::Error,
        kv::row::{Pair, RowKey},
        options::Options,
        state::meta,
    },
};

/// Bytes of rows written at a time: a table of the store.
const TABLE_BYTES: usize = 64 << 20;

/// Takes rows in one by one; the store is there after [`Import::finish`].
pub struct Import {
    backend: Rocks,
    options: Options,
    batch: Batch,
    batch_bytes: usize,
    newest: i64,
    found: Imported,
}

/// What the file said beside keys and leases.
#[derive(Debug, Clone, Default)]
pub struct Imported {
    /// etcd's consistent index and its term.
    pub applied: Position,
    pub members: Vec<ImportedMember>,
    pub removed_members: Vec<u64>,
    /// `raftpb.ConfState` as JSON.
    pub conf_state: Option<Bytes>,
}

/// A row of etcd's bucket of members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ImportedMember {
    pub id: u64,
    #[serde(rename = "peerURLs")]
    pub peer_urls: Vec<String>,
    #[serde(rename = "isLearner")]
    pub is_learner: bool,
    pub name: String,
    #[serde(rename = "clientURLs")]
    pub client_urls: Vec<String>,
}

#[derive(Deserialize)]
struct Downgrade {
    #[serde(rename = "target-version", default)]
    target_version: String,
    #[serde(default)]
    enabled: bool,
}

/// Starts a store in `dir`, which must not hold one yet.
pub fn import(dir: &Path, options: &Options) -> Result<Import, Error> {
    let folder = Folder::open(dir)?;
    let backend = Rocks::open(&folder.rows(), options)?;
    if backend.get_applied()?.is_some() {
        return Err(Error::Folder(format!("{} holds a store already; import into an empty folder", dir.display())));
    }
    Ok(Import {
        backend,
        options: options.clone(),
        batch: Batch::default(),
        batch_bytes: 0,
        newest: 1,
        found: Imported::default(),
    })
}

impl Import {
    /// Takes a row of a bucket. Rows of [`Bucket::Key`] come in key order.
    pub fn row(&mut self, bucket: Bucket, key: &[u8], value: &[u8]) -> Result<(), Error> {
        match bucket {
            Bucket::Key => {
                let (Some(row), Some(_)) = (RowKey::parse(key), Pair::parse(value)) else {
                    return Err(Error::Damaged(format!(
                        "the bucket key holds a row that is no version of a key: {key:02x?}"
                    )));
                };
                self.newest = row.revision().main;
                self.batch.rows.push((row, Bytes::copy_from_slice(value)));
            }
            Bucket::Lease => self.other(Family::Lease, key, value),
            Bucket::Alarm => self.other(Family::Alarm, key, value),
            Bucket::Cluster => self.cluster(key, value)?,
            Bucket::Members => self.member(value)?,
            Bucket::MembersRemoved => {
                let id = member_id(key)?;
                self.other(Family::MembersRemoved, &id.to_be_bytes(), &[]);
                self.found.removed_members.push(id);
            }
            Bucket::Meta => self.meta(key, value)?,
            Bucket::Auth => self.other(Family::Auth, key, value),
            Bucket::AuthRoles => self.other(Family::AuthRoles, key, value),
            Bucket::AuthUsers => self.other(Family::AuthUsers, key, value),
        }
        self.batch_bytes += key.len() + value.len();
        if self.batch_bytes >= TABLE_BYTES { self.write() } else { Ok(()) }
    }

    /// Makes the store durable; it can be opened then.
    pub fn finish(mut self) -> Result<Imported, Error> {
        let applied = meta::Applied { position: self.found.applied, revision: self.newest, total_bytes: 0 };
        self.fact(meta::APPLIED, applied.encode());
        self.write()?;
        self.backend.flush()?;
        Ok(self.found)
    }

    fn write(&mut self) -> Result<(), Error> {
        self.batch_bytes = 0;
        let rows = std::mem::take(&mut self.batch.rows);
        // Not by way of a memtable and compactions: they would be written three times.
        self.backend.take_in(&rows, &self.options)?;
        self.backend.write(std::mem::take(&mut self.batch))
    }

    fn other(&mut self, family: Family, key: &[u8], value: &[u8]) {
        self.batch.others.push((family, Bytes::copy_from_slice(key), Some(Bytes::copy_from_slice(value))));
    }

    fn fact(&mut self, name: &'static str, value: Bytes) {
        self.batch.others.push((Family::Meta, Bytes::from_static(name.as_bytes()), Some(value)));
    }

    fn cluster(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        match key {
            b"clusterVersion" => self.fact(meta::CLUSTER_VERSION, Bytes::copy_from_slice(value)),
            b"downgrade" => {
                let Downgrade { target_version, enabled } = json("cluster/downgrade", value)?;
                if enabled {
                    self.fact(meta::DOWNGRADE, target_version.into());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn member(&mut self, value: &[u8]) -> Result<(), Error> {
        let member: ImportedMember = json("members", value)?;
        // A member that has not started has said nothing about itself.
        if !member.name.is_empty() {
            let attributes = Attributes { name: member.name.clone(), client_urls: member.client_urls.clone() };
            let (key, value) = member_row(member.id, &attributes);
            self.batch.others.push((Family::Members, key, Some(value)));
        }
        self.found.members.push(member);
        Ok(())
    }

    fn meta(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let number = || value.try_into().map(u64::from_be_bytes).map_err(|_| file_damaged(key));
        let revision = || {
            RowKey::parse(value).map(|row| meta::encode_number(row.revision().main)).ok_or_else(|| file_damaged(key))
        };
        match key {
            b"consistent_index" => self.found.applied.index = number()?,
            b"term" => self.found.applied.term = number()?,
            b"scheduledCompactRev" => self.fact(meta::COMPACTED, revision()?),
            b"finishedCompactRev" => self.fact(meta::FINISHED, revision()?),
            b"confState" => self.found.conf_state = Some(Bytes::copy_from_slice(value)),
            _ => {}
        }
        Ok(())
    }
}

fn member_id(key: &[u8]) -> Result<u64, Error> {
    std::str::from_utf8(key).ok().and_then(|key| u64::from_str_radix(key, 16).ok()).ok_or_else(|| file_damaged(key))
}

fn json<T: for<'a> Deserialize<'a>>(what: &str, value: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(|error| Error::Damaged(format!("{what} of the file cannot be read: {error}")))
}

fn file_damaged(key: &[u8]) -> Error {
    Error::Damaged(format!("the row {} of the file cannot be read", String::from_utf8_lossy(key)))
}
