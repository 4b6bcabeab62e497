//! The new database: the snapshot's, with what was written after it, another membership and another position in the log.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bytes::Bytes;
use quorate_format::{
    bbolt::{self, Bucket, Reader, Writer},
    revision::{Revision, RevisionKey},
};

use crate::leases::Leases;
use crate::log::{COMMIT_TERM, commit_index};
use crate::{Cluster, Error};

/// etcd's buckets that a restoration changes.
const CHANGED: [&str; 5] = ["key", "lease", "meta", "members", "members_removed"];
const MEMBERSHIP: [&str; 2] = ["members", "members_removed"];
/// Both are revisions; a compaction is scheduled first.
const COMPACTIONS: [&[u8]; 2] = [b"scheduledCompactRev", b"finishedCompactRev"];

/// What the database is to have besides the snapshot's rows.
#[derive(Default)]
pub struct Contents<'a> {
    /// Rows of later revisions are left out. Everything else is as the snapshot has it.
    pub last_revision: Option<i64>,
    pub changes: Option<&'a mut dyn Changes>,
    /// How much to add to the latest revision, which is then marked as compacted.
    pub bump_revision: Option<u64>,
    /// How long every lease is to live from the first election on, whatever it was granted.
    pub remaining_ttl_s: Option<i64>,
}

/// What was written after the snapshot, in the order of the revisions.
pub trait Changes {
    fn next(&mut self) -> Result<Option<Change>, Box<dyn std::error::Error + Send + Sync>>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A row of the bucket `key`, of a revision beyond the snapshot's last.
    Row { key: Bytes, value: Bytes },
    /// A lease that rows name, as it was granted.
    Lease { id: i64, ttl_s: i64 },
    /// One of which nobody knows how it was granted: with this TTL, unless it is known otherwise.
    LostLease { id: i64, ttl_s: i64 },
}

/// What the database has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// In the bucket `key`, without the one that stands for a bumped revision.
    pub rows: u64,
    /// Of them, those that are changes.
    pub changes: u64,
    /// The last row's; 0 if there is none.
    pub latest: i64,
    /// Compactions at or below it have been asked for; -1 if none. It may be beyond the last row, which it has removed.
    pub compacted: i64,
    pub bumped: Option<i64>,
}

/// Writes the file and syncs it. `cluster`: the new members; without any, membership and position stay.
///
/// `progress` is told the bytes of each row.
pub fn write(
    snapshot: &Reader,
    path: &Path,
    cluster: Option<&Cluster>,
    contents: Contents<'_>,
    progress: &mut dyn FnMut(usize),
) -> Result<Written, Error> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|source| Error::Open { path: path.to_owned(), source })?;
    let (file, written) = copy(snapshot, file, cluster, contents, progress)?;
    file.sync_all().map_err(|source| Error::Sync { path: path.to_owned(), source })?;
    Ok(written)
}

fn copy<W: Write + Seek>(
    snapshot: &Reader,
    out: W,
    cluster: Option<&Cluster>,
    contents: Contents<'_>,
    progress: &mut dyn FnMut(usize),
) -> Result<(W, Written), Error> {
    let Contents { last_revision, changes, bump_revision, remaining_ttl_s } = contents;
    let mut meta = all_rows(snapshot, "meta")?;
    let compacted = compacted(&meta)?;
    if let Some(wanted) = last_revision.filter(|wanted| *wanted < compacted) {
        return Err(Error::Compacted { wanted, compacted });
    }

    let mut writer = Writer::create(out)?;
    let is_changed = |name: &[u8]| {
        let kept = cluster.is_none() && MEMBERSHIP.iter().any(|kept| kept.as_bytes() == name);
        !kept && CHANGED.iter().any(|changed| changed.as_bytes() == name)
    };
    for name in snapshot.buckets()?.iter().filter(|name| !is_changed(name)) {
        copy_bucket(snapshot, name, &mut writer, progress)?;
    }

    let mut leases = Leases::default();
    let mut keys = Keys { writer: writer.bucket("key")?, last_revision, rows: 0, latest: 0, progress };
    if let Some(bucket) = snapshot.bucket(b"key")? {
        keys.copy(&bucket)?;
    }
    let of_snapshot = keys.rows;
    if let Some(changes) = changes {
        while let Some(change) = changes.next().map_err(Error::Changes)? {
            match change {
                Change::Row { key, value } => {
                    keys.put(&key, &value)?;
                }
                Change::Lease { id, ttl_s } => leases.add(id, ttl_s)?,
                Change::LostLease { id, ttl_s } => leases.add_lost(id, ttl_s)?,
            }
        }
    }
    let mut written =
        Written { rows: keys.rows, changes: keys.rows - of_snapshot, latest: keys.latest, compacted, bumped: None };
    written.bumped = bumped(written.latest, bump_revision)?;
    if let Some(bumped) = written.bumped {
        // As etcd does it: a row without a value, there only for its revision.
        keys.writer.put(&Revision::new(bumped, 0).to_bytes(), &[])?;
        meta.insert(b"scheduledCompactRev".to_vec(), Revision::new(bumped, 0).to_bytes().to_vec());
    }
    keys.writer.finish()?;

    leases.write(snapshot, &mut writer, remaining_ttl_s)?;
    if let Some(cluster) = cluster {
        // The new log begins behind the membership, so that is where the database stands.
        meta.insert(b"consistent_index".to_vec(), commit_index(cluster).to_be_bytes().to_vec());
        meta.insert(b"term".to_vec(), COMMIT_TERM.to_be_bytes().to_vec());
        let mut members = BTreeMap::new();
        for member in &cluster.members {
            members.insert(format!("{:x}", member.id).into_bytes(), member.json()?.into_bytes());
        }
        put_all(&mut writer, "members", members)?;
        put_all(&mut writer, "members_removed", BTreeMap::new())?;
    }
    put_all(&mut writer, "meta", meta)?;
    Ok((writer.finish()?.0, written))
}

/// Takes the rows of the bucket `key` in order.
struct Keys<'a, W: Write + Seek> {
    writer: bbolt::BucketWriter<'a, W>,
    last_revision: Option<i64>,
    rows: u64,
    latest: i64,
    progress: &'a mut dyn FnMut(usize),
}

impl<W: Write + Seek> Keys<'_, W> {
    /// Up to the last revision that is wanted.
    fn copy(&mut self, bucket: &Bucket<'_>) -> Result<(), Error> {
        let mut rows = bucket.rows();
        while let Some(row) = rows.next()? {
            if !self.put(&row.key, &row.value)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether the row is wanted.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<bool, Error> {
        let revision = RevisionKey::parse(key)?.revision.main;
        if self.last_revision.is_some_and(|last| last < revision) {
            return Ok(false);
        }
        self.writer.put(key, value)?;
        self.rows += 1;
        self.latest = revision;
        (self.progress)(key.len() + value.len());
        Ok(true)
    }
}

fn bumped(latest: i64, amount: Option<u64>) -> Result<Option<i64>, Error> {
    let Some(amount) = amount else { return Ok(None) };
    let bumped = i64::try_from(amount).ok().and_then(|amount| latest.checked_add(amount));
    bumped.map(Some).ok_or(Error::BumpTooFar { amount, latest })
}

fn compacted(meta: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<i64, Error> {
    let mut compacted = -1;
    for revision in COMPACTIONS.iter().filter_map(|name| meta.get(*name)) {
        let revision = RevisionKey::parse(revision)?.revision.main;
        // Zero: none was ever scheduled.
        if revision > 0 {
            compacted = compacted.max(revision);
        }
    }
    Ok(compacted)
}

fn copy_bucket<W: Write + Seek>(
    from: &Reader,
    name: &[u8],
    to: &mut Writer<W>,
    progress: &mut dyn FnMut(usize),
) -> Result<(), Error> {
    let mut bucket = to.bucket(name)?;
    if let Some(from) = from.bucket(name)? {
        let mut rows = from.rows();
        while let Some(row) = rows.next()? {
            bucket.put(&row.key, &row.value)?;
            progress(row.key.len() + row.value.len());
        }
    }
    Ok(bucket.finish()?)
}

/// For small buckets.
fn all_rows(from: &Reader, name: &str) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    let mut all = BTreeMap::new();
    if let Some(bucket) = from.bucket(name.as_bytes())? {
        let mut rows = bucket.rows();
        while let Some(row) = rows.next()? {
            all.insert(row.key.to_vec(), row.value.to_vec());
        }
    }
    Ok(all)
}

fn put_all<W: Write + Seek>(writer: &mut Writer<W>, name: &str, rows: BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), Error> {
    let mut bucket = writer.bucket(name)?;
    for (key, value) in rows {
        bucket.put(&key, &value)?;
    }
    Ok(bucket.finish()?)
}

#[cfg(test)]
mod tests;
