//! The first start on a folder that etcd's tools made: `etcdutl snapshot restore` leaves a bbolt file and a short log.
//!
//! The keys are read into a store of ours, and the log begins anew behind them with the membership as its first entry: every
//! member of the restored cluster writes the same entry, so that their logs agree. Nothing of the given files is changed
//! before the new ones are complete; a crash in between starts over.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use quorate_format::bbolt;
use quorate_format::wal::{Decoder, EntryType, Record, SegmentName};

use super::Error;
use crate::data_folder::DataFolder;
use crate::position::Position;
use crate::raft;
use crate::store::{self, Bucket};
use crate::wal::{self, HardState, Wal};

/// Where the given log is kept once its successor is in place.
const GIVEN_SUFFIX: &str = "before-import";

/// Imports `member/snap/db` if this folder has one and no store yet.
pub fn import(folder: &DataFolder, wal_dir: &Path, options: &wal::Options) -> Result<(), Error> {
    let database = folder.etcd_database();
    if folder.store().exists() || !database.exists() {
        return Ok(());
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Import { path, source }
    };
    let given = with_suffix(wal_dir, GIVEN_SUFFIX);
    let new_store = with_suffix(&folder.store(), "importing");
    let new_wal = with_suffix(wal_dir, "importing");
    for leftover in [&new_store, &new_wal] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).map_err(failed(leftover))?;
        }
    }
    let log = if given.exists() { &given } else { wal_dir };
    let found = read_log(log)?;
    tracing::info!(database = %database.display(), "importing the database of etcd");

    let imported = copy(&database, &new_store)?;
    let position = Position::new(imported.applied.term.max(1), imported.applied.index);
    if found.last_request > position.index {
        return Err(Error::LogAhead { log: log.to_owned(), last: found.last_request, applied: position.index });
    }
    if imported.members.is_empty() {
        return Err(Error::NoMembers(database));
    }
    let members = imported.members.into_iter().map(|member| (member.id, member.peer_urls, member.is_learner)).collect();
    write_log(&new_wal, options, &found, position, members)?;

    if !given.exists() {
        fs::rename(wal_dir, &given).map_err(failed(wal_dir))?;
    } else if wal_dir.exists() {
        fs::remove_dir_all(wal_dir).map_err(failed(wal_dir))?;
    }
    fs::rename(&new_wal, wal_dir).map_err(failed(&new_wal))?;
    // The store comes last: with it in place the import is over.
    fs::rename(&new_store, folder.store()).map_err(failed(&new_store))?;
    for dir in [wal_dir.parent(), Some(folder.member())].into_iter().flatten() {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed(dir))?;
    }
    tracing::info!(index = position.index, "imported the database of etcd");
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

/// What the given log says.
struct Found {
    metadata: wal::Metadata,
    /// Index of its last request; membership changes don't count, the database has their outcome.
    last_request: u64,
}

fn read_log(dir: &Path) -> Result<Found, Error> {
    let failed = |source: io::Error| Error::Import { path: dir.to_owned(), source };
    let mut segments: Vec<(SegmentName, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().parse::<SegmentName>());
        if let Some(Ok(name)) = name {
            segments.push((name, path));
        }
    }
    segments.sort();
    let mut metadata = None;
    let mut last_request = 0;
    let mut chain = None;
    let count = segments.len();
    for (number, (_, path)) in segments.into_iter().enumerate() {
        let file = File::open(&path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let mut decoder = Decoder::new(BufReader::new(file), bytes, chain, number + 1 == count);
        let damaged = |error| Error::ImportLog { path: path.clone(), source: error };
        while let Some(record) = decoder.next().map_err(damaged)? {
            match record {
                Record::Metadata { node_id, cluster_id } => metadata = Some(wal::Metadata { node_id, cluster_id }),
                Record::Entry(entry) if entry.entry_type == EntryType::Normal && !entry.data.is_empty() => {
                    last_request = entry.index;
                }
                _ => {}
            }
        }
        chain = Some(decoder.crc());
    }
    let metadata = metadata.ok_or_else(|| Error::NoMetadata(dir.to_owned()))?;
    Ok(Found { metadata, last_request })
}

fn copy(database: &Path, target: &Path) -> Result<store::Imported, Error> {
    let unreadable = |source| Error::Database { path: database.to_owned(), source };
    let reader = bbolt::Reader::open(database).map_err(unreadable)?;
    let mut import = store::import(target, &store::Options::default())?;
    for bucket in Bucket::ALL {
        let Some(source) = reader.bucket(bucket.name().as_bytes()).map_err(unreadable)? else { continue };
        let mut rows = source.rows();
        while let Some(row) = rows.next().map_err(unreadable)? {
            import.row(bucket, &row.key, &row.value)?;
        }
    }
    Ok(import.finish()?)
}

fn write_log(
    dir: &Path,
    options: &wal::Options,
    found: &Found,
    position: Position,
    members: Vec<(u64, Vec<String>, bool)>,
) -> Result<(), Error> {
    let wal = Wal::create(dir, found.metadata, options.clone())?;
    let first = Position::new(position.term, position.index + 1);
    let entry = wal::Entry {
        kind: wal::EntryKind::ConfChangeV2,
        position: first,
        data: raft::membership_entry(members).map_err(Error::Membership)?,
    };
    // This member votes for itself in the term that has passed: it has promised nobody else anything.
    let state =
        HardState { term: position.term, vote: found.metadata.node_id, commit: first.index, vote_committed: false };
    futures::executor::block_on(async {
        wal.purge_through(position, |_| {}).await?;
        wal.append(vec![entry], |_| {}).await?;
        wal.save_state(state, |_| {}).await?;
        // Closing waits for all of it to be on the disk, and fails if any of it failed.
        wal.close().await
    })?;
    Ok(())
}
