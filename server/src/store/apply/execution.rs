//! One batch of entries on its way into the store.

use std::{mem, sync::Arc};

use bytes::Bytes;

use crate::store::{
    backend::{Batch, Family},
    error::Error,
    kv::{
        Selection, Source,
        index::Version,
        revision::Revision,
        row::{Pair, RowKey, key_range},
    },
    observer::Done,
    size::row_bytes,
    state::State,
    watch::{Event, Frame, Kind},
};

/// The state under the writer's lock, and what the batch adds to it. Reads see what the batch has written so far.
pub(super) struct Execution<'a> {
    pub(super) state: &'a mut State,
    /// Of the entry being applied.
    pub(super) index: u64,
    pub(super) batch: Batch,
    pub(super) frames: Vec<Arc<Frame>>,
    /// Of all entries so far.
    pub(super) done: Done,
    /// Changes of the revision being written.
    events: Vec<Event>,
}

impl<'a> Execution<'a> {
    pub(super) fn new(state: &'a mut State) -> Self {
        Self { state, index: 0, batch: Batch::default(), frames: Vec::new(), done: Done::default(), events: Vec::new() }
    }

    /// The revision that a reply carries: that of the entry's writes once it has written.
    pub(super) fn revision(&self) -> i64 {
        self.state.revision + i64::from(!self.events.is_empty())
    }

    /// Ends an entry: its changes become one revision.
    pub(super) fn finish_entry(&mut self) {
        if self.events.is_empty() {
            return;
        }
        self.state.revision += 1;
        let events = mem::take(&mut self.events).into_boxed_slice();
        self.frames.push(Arc::new(Frame { revision: self.state.revision, events }));
    }

    fn next(&self) -> Revision {
        Revision::new(self.state.revision + 1, self.events.len() as i64)
    }

    /// Writes the next version of a key.
    pub(super) fn write_pair(&mut self, key: &[u8], value: &[u8], lease: i64) {
        let at = self.next();
        let (version, prev) = self.state.index.put(key, at);
        let pair = Pair {
            key,
            create_revision: version.created,
            mod_revision: at.main,
            version: version.version,
            value,
            lease,
        };
        let kv = pair.encode();
        self.state.leases.attach(key, lease);
        self.state.count_rows(row_bytes(Family::Key, RowKey::put(at).as_bytes().len(), kv.len()));
        self.batch.rows.push((RowKey::put(at), kv.clone()));
        let create = version.version == 1;
        self.events.push(Event { kind: Kind::Put, key: kv.slice(key_range(key)), kv, create, prev });
    }

    /// Ends a key's life; false if it does not live.
    pub(super) fn delete_pair(&mut self, key: &[u8]) -> bool {
        let at = self.next();
        let Some(prev) = self.state.index.delete(key, at) else {
            return false;
        };
        self.state.leases.detach(key);
        // Watchers get key and mod_revision, the row holds the key alone: its encoding is the front of theirs.
        let kv = Pair { key, mod_revision: at.main, ..Pair::default() }.encode();
        let key_at = key_range(key);
        let row = kv.slice(..key_at.end);
        self.state.count_rows(row_bytes(Family::Key, RowKey::tombstone(at).as_bytes().len(), row.len()));
        self.batch.rows.push((RowKey::tombstone(at), row));
        self.events.push(Event { kind: Kind::Delete, key: kv.slice(key_at), kv, create: false, prev: Some(prev) });
        true
    }

    /// Writes (`Some`) or removes a row beside the keys. `old_bytes` is the length of the value it had, if it had one.
    pub(super) fn write_row(&mut self, family: Family, key: Bytes, value: Option<Bytes>, old_bytes: Option<usize>) {
        let old = old_bytes.map_or(0, |old| row_bytes(family, key.len(), old));
        let new = value.as_ref().map_or(0, |value| row_bytes(family, key.len(), value.len()));
        self.state.count_rows(new - old);
        self.batch.others.push((family, key, value));
    }

    pub(super) fn write_fact(&mut self, name: &'static str, value: Option<Bytes>) {
        self.write_row(Family::Meta, Bytes::from_static(name.as_bytes()), value, None);
    }

    /// The stored form of a key's live version.
    pub(super) fn current(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.state.index.get(key, i64::MAX) {
            Some(version) => Ok(self.rows(&[version.modified])?.pop()),
            None => Ok(None),
        }
    }
}

impl Source for Execution<'_> {
    fn revision(&self) -> i64 {
        self.revision()
    }

    fn compacted(&self) -> i64 {
        self.state.compacted
    }

    fn version(&self, key: &[u8]) -> Result<Option<Version>, Error> {
        Ok(self.state.index.get(key, i64::MAX))
    }

    fn select(&self, selection: &mut Selection<'_>) -> Result<i64, Error> {
        // A revision that was asked for is below the one being written, whose rows the index must not show then.
        let at = selection.revision();
        selection.walk(&self.state.index, at, usize::MAX);
        Ok(selection.count(&self.state.index, at))
    }

    fn rows(&self, revisions: &[Revision]) -> Result<Vec<Bytes>, Error> {
        let mut missing = Vec::new();
        let mut found = Vec::with_capacity(revisions.len());
        for &revision in revisions {
            match self.batch.rows.binary_search_by_key(&revision, |(key, _)| key.revision()) {
                Ok(place) => found.push(self.batch.rows[place].1.clone()),
                Err(_) => {
                    missing.push((found.len(), RowKey::put(revision)));
                    found.push(Bytes::new());
                }
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let keys: Vec<RowKey> = missing.iter().map(|(_, key)| *key).collect();
        for ((place, key), row) in missing.into_iter().zip(self.state.backend.rows(&keys)?) {
            found[place] = row.ok_or_else(|| Error::Damaged(format!("row {key:?} is in the index but not stored")))?;
        }
        Ok(found)
    }
}
