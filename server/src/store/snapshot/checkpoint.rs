//! Copies of the store that share its files.

use std::path::Path;

use bytes::Bytes;

use super::folder::sync;
use crate::{
    position::Position,
    store::{
        Store,
        backend::{Family, Rocks, View},
        error::Error,
        state::meta,
    },
};

/// What is in a copy.
#[derive(Debug)]
pub struct Checkpoint {
    pub applied: Position,
    /// The membership and where it stands in the log.
    pub membership: Option<(Position, Bytes)>,
    /// Tables with the same name in copies of one source are the same.
    pub source: u64,
}

impl Store {
    /// Makes a durable copy in `dir`, which must not exist and is best on the same file system, where it costs links only. The
    /// copy is a folder of plain files that [`Store::open`] and [`super::super::Writer::replace_with`] take.
    pub fn checkpoint(&self, dir: &Path) -> Result<Checkpoint, Error> {
        let backend = self.shared.read().backend.clone();
        let source = backend.checkpoint(dir)?;
        sync(dir)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync(parent)?;
        }
        // Entries go on being applied while RocksDB copies: only the copy knows how far it is. That it opens is worth knowing too.
        let copy = Rocks::open_for_reading(dir, &self.shared.options)?;
        let fact = |name: &str| copy.get(Family::Meta, name.as_bytes());
        let applied = fact(meta::APPLIED)?.map(|row| meta::Applied::decode(&row)).transpose()?;
        let membership = fact(meta::MEMBERSHIP)?.map(|row| meta::decode_membership(&row)).transpose()?;
        let applied = applied.map(|applied| applied.position).unwrap_or_default();
        Ok(Checkpoint { applied, membership, source })
    }
}
