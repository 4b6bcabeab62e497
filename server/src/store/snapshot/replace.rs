//! Another member's rows in place of our own.

use std::{path::Path, sync::Arc};

use crate::store::{backend::Rocks, error::Error, open, shared::Shared, state::State};

/// Takes in the rows of a checkpoint. Readers in the middle of a read finish on the old rows, whose files go with the last of them.
pub(in crate::store) fn replace(shared: &Shared, from: &Path) -> Result<(), Error> {
    let Some(folder) = &shared.folder else {
        return Err(Error::Folder("a store in memory has no folder to replace; open it in a folder".to_owned()));
    };
    let mut folder = folder.lock();
    // Read before the rename: what cannot be read must not take the place of what can.
    let mut state = open::restore(Arc::new(Rocks::open(from, &shared.options)?))?;
    // RocksDB names its files by the folder it was opened in, so it must be closed over the rename.
    state.backend = shared.read().backend.clone();
    folder.adopt(from)?;
    state.backend = Arc::new(Rocks::open(&folder.rows(), &shared.options)?);
    install(shared, state);
    Ok(())
}

fn install(shared: &Shared, mut new: State) {
    let mut state = shared.write();
    new.generation = state.generation + 1;
    // Who holds a token may have been deleted in the part of the log that this store does not see.
    state.tokens.end_all();
    new.tokens = state.tokens.clone();
    // Whether this store's next hashes match theirs is the new rows' affair.
    shared.compaction_hashes.lock().clear();
    let (applied, finished) = (new.applied, new.finished);
    let old = std::mem::replace(&mut *state, new);
    shared.publish(&state);
    *shared.flushed.lock() = applied;
    drop(state);
    shared.finished.send_replace(finished);
    old.backend.discard();
}
