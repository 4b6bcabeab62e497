//! Hashes that members compare.

use std::ops::ControlFlow;

use quorate_format::{hash_kv::Hasher, revision::RevisionKey};

use super::{
    revision::Revision,
    row::{Pair, RowKey},
};
use crate::store::{
    backend::{Family, View},
    error::{Error, Refusal},
    shared::Shared,
    state::State,
};

/// Rows whose fate under compaction is asked of the index in one hold of the lock.
const CHUNK: usize = 512;
/// Times a hash of the current revision is tried because compaction passes it; the last keeps writers out.
const ATTEMPTS: usize = 8;
/// Hashes of compactions that are kept; etcd's number.
const COMPACTIONS_KEPT: usize = 10;

/// etcd's hash of the history of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKv {
    pub hash: u32,
    /// The hash leaves out what compaction at this revision drops; -1 before the first compaction.
    pub compact_revision: i64,
    /// The hash covers the history up to here.
    pub hash_revision: i64,
    /// The store's revision at the time.
    pub revision: i64,
}

/// The rule is [`quorate_format::hash_kv`]'s; it makes the hash the same however far the rows' removal has come.
///
/// etcd counts rows that wait for removal if no key at all is alive; we never do, as such a hash would depend on the moment.
pub(in crate::store) fn hash_kv(shared: &Shared, revision: i64) -> Result<HashKv, Error> {
    let mut attempt = 1;
    loop {
        match try_hash_kv(shared, revision, attempt == ATTEMPTS) {
            Err(Error::Refused(Refusal::Compacted)) if revision <= 0 && attempt < ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

/// `hold`: keep writers out for the whole of it, so that nothing can pass it.
fn try_hash_kv(shared: &Shared, revision: i64, hold: bool) -> Result<HashKv, Error> {
    let state = shared.read();
    let (now, compacted, generation) = (state.revision, state.compacted, state.generation);
    let revision = if revision > 0 { revision } else { now };
    state.check_readable(revision)?;
    let backend = state.backend.clone();
    let snapshot = backend.snapshot();
    let held = hold.then_some(state);
    let is_passed = |state: &State| state.generation != generation || state.compacted > revision;
    let hash = match &held {
        Some(state) => hash_rows(&*snapshot, compacted, revision, |each| each(state))?,
        None => hash_rows(&*snapshot, compacted, revision, |each| {
            let state = shared.read();
            if is_passed(&state) {
                return Err(Refusal::Compacted.into());
            }
            each(&state)
        })?,
    };
    Ok(HashKv { hash, compact_revision: compacted, hash_revision: revision, revision: now })
}

/// Keeps the hash that the history up to `target` has before the rows go that compaction there drops.
///
/// For the compactor alone: nobody else takes revisions from the index, so that it knows of all that `finished` left.
pub(super) fn keep_compaction(shared: &Shared, finished: i64, target: i64, generation: u64) -> Result<(), Error> {
    let (now, backend) = {
        let state = shared.read();
        (state.revision, state.backend.clone())
    };
    let snapshot = backend.snapshot();
    let hash = hash_rows(&*snapshot, finished, target, |each| {
        let state = shared.read();
        if state.generation != generation { Err(Refusal::Compacted.into()) } else { each(&state) }
    });
    let hash = match hash {
        Ok(hash) => hash,
        // The rows were replaced by another member's.
        Err(Error::Refused(_)) => return Ok(()),
        Err(failure) => return Err(failure),
    };
    tracing::info!(hash, revision = target, compact_revision = finished, "storing new hash");
    let state = shared.read();
    if state.generation != generation {
        return Ok(());
    }
    let mut kept = shared.compaction_hashes.lock();
    if kept.len() == COMPACTIONS_KEPT {
        kept.pop_front();
    }
    kept.push_back(HashKv { hash, compact_revision: finished, hash_revision: target, revision: now });
    Ok(())
}

/// The hash of rows up to `revision`, without what compaction at `compacted` drops. `with_state` lends the state for a moment, or refuses.
fn hash_rows(
    rows: &dyn View,
    compacted: i64,
    revision: i64,
    with_state: impl Fn(&mut dyn FnMut(&State) -> Result<(), Error>) -> Result<(), Error>,
) -> Result<u32, Error> {
    let mut hasher = Hasher::new(compacted, revision);
    // Rows up to the compact revision, waiting for the index's word.
    let mut asked: Vec<(RevisionKey, Vec<u8>)> = Vec::with_capacity(CHUNK);
    let settle = |hasher: &mut Hasher, asked: &mut Vec<(RevisionKey, Vec<u8>)>| -> Result<(), Error> {
        with_state(&mut |state| {
            for (row, value) in asked.drain(..) {
                let pair = Pair::parse(&value).ok_or_else(|| damaged(row.revision))?;
                let kept = |at| state.index.keeps(pair.key, at, revision);
                hasher.row(row, RowKey::from(row).as_bytes(), &value, kept);
            }
            Ok(())
        })
    };
    let mut each = |key: &[u8], value: &[u8]| -> Result<(), Error> {
        let row = RevisionKey::parse(key)
            .map_err(|error| Error::Damaged(format!("the history holds a row that is no revision: {error}")))?;
        if row.revision.main <= compacted {
            asked.push((row, value.to_vec()));
            if asked.len() == CHUNK { settle(&mut hasher, &mut asked) } else { Ok(()) }
        } else {
            if !asked.is_empty() {
                settle(&mut hasher, &mut asked)?;
            }
            hasher.row(row, key, value, |_| true);
            Ok(())
        }
    };
    let upper = revision.checked_add(1).map(RowKey::bound);
    let mut failure = None;
    rows.scan(Family::Key, &[], upper.as_ref().map(<[u8; 8]>::as_slice), &mut |key, value| match each(key, value) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    settle(&mut hasher, &mut asked)?;
    Ok(hasher.finish())
}

/// CRC-32C over all rows but the store's own facts. Compaction on the way changes it: for tests and inspection.
pub(in crate::store) fn hash(shared: &Shared) -> Result<u32, Error> {
    let backend = shared.read().backend.clone();
    let snapshot = backend.snapshot();
    let mut hash = 0;
    for family in [
        Family::Alarm,
        Family::Auth,
        Family::AuthRoles,
        Family::AuthUsers,
        Family::Key,
        Family::Lease,
        Family::Members,
        Family::MembersRemoved,
    ] {
        hash = crc32c::crc32c_append(hash, family.name().as_bytes());
        snapshot.scan(family, &[], None, &mut |key, value| {
            hash = crc32c::crc32c_append(crc32c::crc32c_append(hash, key), value);
            ControlFlow::Continue(())
        })?;
    }
    Ok(hash)
}

fn damaged(at: Revision) -> Error {
    Error::Damaged(format!("the row at {at} cannot be read"))
}
