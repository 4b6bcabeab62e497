//! The past, for watchers that are behind.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;

use super::{
    revision::Revision,
    row::{Pair, RowKey, key_range},
};
use crate::store::{
    Store,
    backend::Family,
    error::Error,
    watch::{self, Event, Frame, History, Kind},
};

impl History for Store {
    fn events(&self, from: i64, to: i64, limit_bytes: usize) -> Result<Vec<Arc<Frame>>, watch::Error> {
        events(self, from, to, limit_bytes).map_err(watch::Error::storage)
    }

    fn kv_at(&self, revision: Revision) -> Result<Option<Bytes>, watch::Error> {
        let backend = self.shared.read().backend.clone();
        backend.get(Family::Key, RowKey::put(revision).as_bytes()).map_err(watch::Error::storage)
    }

    fn revision(&self) -> i64 {
        self.shared.revision()
    }

    fn compact_revision(&self) -> i64 {
        self.shared.compacted()
    }
}

fn events(store: &Store, from: i64, to: i64, limit_bytes: usize) -> Result<Vec<Arc<Frame>>, Error> {
    let backend = store.shared.read().backend.clone();
    let mut rows: Vec<(RowKey, Bytes)> = Vec::new();
    let mut bytes = 0;
    let mut damaged = None;
    let upper = to.checked_add(1).map(RowKey::bound);
    backend.scan(
        Family::Key,
        &RowKey::bound(from.max(0)),
        upper.as_ref().map(<[u8; 8]>::as_slice),
        &mut |key, value| {
            let Some(key) = RowKey::parse(key) else {
                damaged = Some(Error::Damaged("the history holds a row whose key is no revision".to_owned()));
                return ControlFlow::Break(());
            };
            // Only between revisions.
            let new = rows.last().is_some_and(|(last, _)| last.revision().main != key.revision().main);
            if new && bytes >= limit_bytes {
                return ControlFlow::Break(());
            }
            bytes += key.as_bytes().len() + value.len();
            rows.push((key, Bytes::copy_from_slice(value)));
            ControlFlow::Continue(())
        },
    )?;
    if let Some(damaged) = damaged {
        return Err(damaged);
    }
    frames(store, &rows)
}

fn frames(store: &Store, rows: &[(RowKey, Bytes)]) -> Result<Vec<Arc<Frame>>, Error> {
    let mut frames = Vec::new();
    for rows in rows.chunk_by(|a, b| a.0.revision().main == b.0.revision().main) {
        let mut events = Vec::with_capacity(rows.len());
        let mut revision = 0;
        // One hold of the lock a revision.
        let state = store.shared.read();
        for (row, kv) in rows {
            revision = row.revision().main;
            let pair = Pair::parse(kv).ok_or_else(|| Error::Damaged(format!("row {row:?} cannot be read")))?;
            let prev = || state.index.get(pair.key, revision - 1).map(|version| version.modified);
            events.push(if row.is_tombstone() {
                let kv = Pair { key: pair.key, mod_revision: revision, ..Pair::default() }.encode();
                Event { kind: Kind::Delete, key: kv.slice(key_range(pair.key)), kv, create: false, prev: prev() }
            } else {
                let create = pair.version == 1;
                let prev = if create { None } else { prev() };
                Event { kind: Kind::Put, key: kv.slice_ref(pair.key), kv: kv.clone(), create, prev }
            });
        }
        drop(state);
        frames.push(Arc::new(Frame { revision, events: events.into_boxed_slice() }));
    }
    Ok(frames)
}
