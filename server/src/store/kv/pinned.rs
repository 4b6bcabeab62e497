//! Reading while others write: long reads see one revision and hold the lock only piece by piece.

use std::cell::Cell;

use bytes::Bytes;
use quorate_proto::served::etcdserverpb as pb;

use super::{Selection, Source, index::Version, range_reply, revision::Revision, row::RowKey};
use crate::store::{
    backend::View,
    error::{Error, Refusal},
    shared::Shared,
    state::State,
};

/// Keys a read walks in one hold of the lock; about a tenth of a millisecond.
const WALK: usize = 2048;
/// Times that compaction may pass the revision that a read has pinned. Then the read keeps the lock.
const ATTEMPTS: usize = 8;

/// Answers a range request.
pub(in crate::store) fn range(shared: &Shared, request: &pb::RangeRequest) -> Result<pb::RangeResponse, Error> {
    if request.range_end.is_empty() || request.count_only {
        return range_reply(&Held(&shared.read()), request);
    }
    read(shared, |source| range_reply(source, request))
}

/// Runs `work` on the current revision, again if compaction passes it meanwhile.
pub(in crate::store) fn read<T>(shared: &Shared, work: impl Fn(&Pinned<'_>) -> Result<T, Error>) -> Result<T, Error> {
    let mut attempt = 1;
    loop {
        let state = shared.read();
        let backend = state.backend.clone();
        // While the lock is held: every row that the index names at this revision is in the snapshot.
        let _held = RowsHeld::new(shared);
        let snapshot = backend.snapshot();
        let (revision, compacted, generation) = (state.revision, state.compacted, state.generation);
        let held = (attempt == ATTEMPTS).then_some(state);
        let pinned = Pinned {
            shared,
            held: held.as_deref(),
            snapshot: &*snapshot,
            revision,
            compacted,
            generation,
            overtaken: Cell::new(false),
        };
        let result = work(&pinned);
        if result.is_ok() || !pinned.overtaken.get() || attempt == ATTEMPTS {
            return result;
        }
        attempt += 1;
    }
}

/// Tells the observer as long as rows are held.
struct RowsHeld<'a>(&'a Shared);

impl<'a> RowsHeld<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.tell(|observer| observer.holds_rows(true));
        Self(shared)
    }
}

impl Drop for RowsHeld<'_> {
    fn drop(&mut self) {
        self.0.tell(|observer| observer.holds_rows(false));
    }
}

/// The store as of one revision.
pub(in crate::store) struct Pinned<'a> {
    shared: &'a Shared,
    /// The state itself, while nobody can change it.
    held: Option<&'a State>,
    snapshot: &'a dyn View,
    revision: i64,
    compacted: i64,
    generation: u64,
    /// The index has lost the revision: start over.
    overtaken: Cell<bool>,
}

impl Pinned<'_> {
    /// A look at the index as of `at`, or of the pinned revision; `None` for `look` is now.
    fn look<T>(&self, at: Option<i64>, look: impl FnOnce(&State, Option<i64>) -> T) -> Result<T, Error> {
        let guard;
        let state = match self.held {
            Some(state) => state,
            None => {
                guard = self.shared.read();
                &*guard
            }
        };
        let revision = at.unwrap_or(self.revision);
        if state.generation != self.generation || state.compacted > revision {
            self.overtaken.set(true);
            return Err(Refusal::Compacted.into());
        }
        let newest = revision == state.revision;
        Ok(look(state, (!newest).then_some(revision)))
    }
}

impl Source for Pinned<'_> {
    fn revision(&self) -> i64 {
        self.revision
    }

    fn compacted(&self) -> i64 {
        self.compacted
    }

    fn version(&self, key: &[u8]) -> Result<Option<Version>, Error> {
        self.look(None, |state, at| state.index.get(key, at.unwrap_or(i64::MAX)))
    }

    fn select(&self, selection: &mut Selection<'_>) -> Result<i64, Error> {
        loop {
            let count = self.look(selection.revision(), |state, at| {
                selection.walk(&state.index, at, WALK).then(|| selection.count(&state.index, at))
            })?;
            if let Some(count) = count {
                return Ok(count);
            }
        }
    }

    fn rows(&self, revisions: &[Revision]) -> Result<Vec<Bytes>, Error> {
        rows(self.snapshot, revisions)
    }
}

/// The state under its lock, for what is quick.
struct Held<'a>(&'a State);

impl Source for Held<'_> {
    fn revision(&self) -> i64 {
        self.0.revision
    }

    fn compacted(&self) -> i64 {
        self.0.compacted
    }

    fn version(&self, key: &[u8]) -> Result<Option<Version>, Error> {
        Ok(self.0.index.get(key, i64::MAX))
    }

    fn select(&self, selection: &mut Selection<'_>) -> Result<i64, Error> {
        let at = selection.revision().filter(|at| *at != self.0.revision);
        selection.walk(&self.0.index, at, usize::MAX);
        Ok(selection.count(&self.0.index, at))
    }

    fn rows(&self, revisions: &[Revision]) -> Result<Vec<Bytes>, Error> {
        rows(&*self.0.backend, revisions)
    }
}

fn rows(view: &(impl View + ?Sized), revisions: &[Revision]) -> Result<Vec<Bytes>, Error> {
    let keys: Vec<RowKey> = revisions.iter().map(|revision| RowKey::put(*revision)).collect();
    let rows = view.rows(&keys)?;
    rows.into_iter()
        .zip(&keys)
        .map(|(row, key)| row.ok_or_else(|| Error::Damaged(format!("row {key:?} is in the index but not stored"))))
        .collect()
}
