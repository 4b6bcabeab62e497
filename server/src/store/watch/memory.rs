//! A store in memory, for tests of watching: keeps what compaction leaves, and everything that ever was to compare with.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use quorate_proto::mvccpb::KeyValue;

use super::{Error, Event, Frame, History, Kind};
use crate::store::kv::revision::Revision;

#[derive(Default)]
pub struct MemoryHistory {
    state: Mutex<State>,
}

struct State {
    revision: i64,
    compact_revision: i64,
    /// From the compact revision on.
    frames: BTreeMap<i64, Arc<Frame>>,
    /// Every frame that ever was.
    log: Vec<Arc<Frame>>,
    /// As if compaction had not come to delete anything yet.
    rows: BTreeMap<Revision, Bytes>,
    /// Compact to here in the middle of the next read.
    compact_in_read: Option<i64>,
    live: HashMap<Bytes, (KeyValue, Revision)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            revision: 1,
            compact_revision: 0,
            frames: BTreeMap::new(),
            log: Vec::new(),
            rows: BTreeMap::new(),
            compact_in_read: None,
            live: HashMap::new(),
        }
    }
}

impl State {
    fn compact(&mut self, revision: i64) {
        self.compact_revision = self.compact_revision.max(revision);
        self.frames = self.frames.split_off(&self.compact_revision);
    }
}

impl MemoryHistory {
    /// Writes one revision: a value puts, none deletes. Deleting what is not there does nothing; nothing done, no revision.
    pub fn write(&self, changes: &[(&[u8], Option<&[u8]>)]) -> Option<Arc<Frame>> {
        let state = &mut *self.state.lock();
        let main = state.revision + 1;
        let mut events = Vec::new();
        for (key, value) in changes {
            let key = Bytes::copy_from_slice(key);
            let at = Revision::new(main, events.len() as i64);
            let before = state.live.remove(&key);
            let prev = before.as_ref().map(|(_, revision)| *revision);
            let event = match value {
                Some(value) => {
                    let (create_revision, version) =
                        before.map_or((main, 1), |(kv, _)| (kv.create_revision, kv.version + 1));
                    let value = Bytes::copy_from_slice(value);
                    let kv =
                        KeyValue { key: key.clone(), create_revision, mod_revision: main, version, value, lease: 0 };
                    let encoded = Bytes::from(kv.encode_to_vec());
                    state.rows.insert(at, encoded.clone());
                    state.live.insert(key.clone(), (kv, at));
                    Event { kind: Kind::Put, key, kv: encoded, create: version == 1, prev }
                }
                None if before.is_none() => continue,
                None => {
                    let kv = KeyValue { key: key.clone(), mod_revision: main, ..Default::default() };
                    Event { kind: Kind::Delete, key, kv: kv.encode_to_vec().into(), create: false, prev }
                }
            };
            events.push(event);
        }
        if events.is_empty() {
            return None;
        }
        let frame = Arc::new(Frame { revision: main, events: events.into() });
        state.frames.insert(main, Arc::clone(&frame));
        state.log.push(Arc::clone(&frame));
        state.revision = main;
        Some(frame)
    }

    pub fn compact(&self, revision: i64) {
        self.state.lock().compact(revision);
    }

    /// Compacts while the next reader of history is at it, so that it finds a gap.
    pub fn compact_in_read(&self, revision: i64) {
        self.state.lock().compact_in_read = Some(revision);
    }

    pub fn log(&self) -> Vec<Arc<Frame>> {
        self.state.lock().log.clone()
    }
}

impl History for MemoryHistory {
    fn events(&self, from: i64, to: i64, limit_bytes: usize) -> Result<Vec<Arc<Frame>>, Error> {
        let mut state = self.state.lock();
        if let Some(revision) = state.compact_in_read.take() {
            state.compact(revision);
        }
        let mut size_bytes = 0;
        let mut frames = Vec::new();
        for frame in state.frames.range(from..=to).map(|(_, frame)| frame) {
            if size_bytes >= limit_bytes {
                break;
            }
            size_bytes += frame.cost();
            frames.push(Arc::clone(frame));
        }
        Ok(frames)
    }

    fn kv_at(&self, revision: Revision) -> Result<Option<Bytes>, Error> {
        Ok(self.state.lock().rows.get(&revision).cloned())
    }

    /// As if every second revision were cached.
    fn kv_in_memory(&self, revision: Revision) -> Option<Bytes> {
        if revision.main % 2 == 0 { self.state.lock().rows.get(&revision).cloned() } else { None }
    }

    fn revision(&self) -> i64 {
        self.state.lock().revision
    }

    fn compact_revision(&self) -> i64 {
        self.state.lock().compact_revision
    }
}
