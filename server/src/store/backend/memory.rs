//! Rows in plain memory: for tests and simulation.

use std::{collections::BTreeMap, ops::Bound, path::Path, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Backend, Batch, Error, Family, RowKey, View, Visit};

type Rows = BTreeMap<(Family, Bytes), Bytes>;

/// A backend without files. Clones are the same backend, and [`Memory::crash`] gives what would be found after a crash.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    rows: Arc<Rows>,
    flushed: Arc<Rows>,
}

impl Memory {
    /// A backend with what was flushed, as after a crash.
    pub fn crash(&self) -> Self {
        let flushed = self.state.lock().flushed.clone();
        Self { state: Arc::new(Mutex::new(State { rows: flushed.clone(), flushed })) }
    }

    fn rows(&self) -> Arc<Rows> {
        self.state.lock().rows.clone()
    }
}

impl View for Arc<Rows> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(BTreeMap::get(self, &(family, Bytes::copy_from_slice(key))).cloned())
    }

    fn rows(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, Error> {
        keys.iter().map(|key| View::get(self, Family::Key, key.as_bytes())).collect()
    }

    fn scan(&self, family: Family, from: &[u8], to: Option<&[u8]>, each: &mut Visit<'_>) -> Result<(), Error> {
        let from = (family, Bytes::copy_from_slice(from));
        for ((_, key), value) in self
            .range((Bound::Included(from), Bound::Unbounded))
            .take_while(|((group, key), _)| *group == family && to.is_none_or(|to| &key[..] < to))
        {
            if each(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl View for Memory {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error> {
        View::get(&self.rows(), family, key)
    }

    fn rows(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, Error> {
        View::rows(&self.rows(), keys)
    }

    fn scan(&self, family: Family, from: &[u8], to: Option<&[u8]>, each: &mut Visit<'_>) -> Result<(), Error> {
        self.rows().scan(family, from, to, each)
    }
}

impl Backend for Memory {
    fn snapshot(&self) -> Box<dyn View + '_> {
        Box::new(self.rows())
    }

    fn write(&self, batch: Batch) -> Result<(), Error> {
        let mut state = self.state.lock();
        // Copies everything when a snapshot or the flushed state shares the rows: fine for what this is for.
        let rows = Arc::make_mut(&mut state.rows);
        for (key, value) in batch.rows {
            rows.insert((Family::Key, Bytes::copy_from_slice(key.as_bytes())), value);
        }
        for key in batch.removed {
            rows.remove(&(Family::Key, Bytes::copy_from_slice(key.as_bytes())));
        }
        for (family, key, value) in batch.others {
            match value {
                Some(value) => drop(rows.insert((family, key), value)),
                None => drop(rows.remove(&(family, key))),
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        let mut state = self.state.lock();
        state.flushed = state.rows.clone();
        Ok(())
    }

    fn compact(&self) -> Result<(), Error> {
        Ok(())
    }

    fn checkpoint(&self, folder: &Path) -> Result<u64, Error> {
        Err(Error::Folder(format!("a store in memory cannot be copied to {}; open it in a folder", folder.display())))
    }

    fn discard(&self) {}
}
