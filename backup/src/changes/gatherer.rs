use std::collections::{BTreeSet, HashSet};
use std::mem;

use bytes::Bytes;
use prost::Message;
use quorate_format::revision::{Revision, RevisionKey};
use quorate_proto::etcdserverpb::WatchResponse;
use quorate_proto::mvccpb::{Event, KeyValue, event::EventType};

use super::chunk::{FORMAT, follows};
use super::{CHUNK_BYTES, Chunk, Lease, Link, Moment, Row};

/// Told-of leases that are remembered; 8 bytes each. Telling one twice does no harm.
const SEEN_LEASES_MAX: usize = 100_000;

/// Bytes that a row's framing may take in a chunk.
const ROW_BYTES: usize = 16;

/// Makes chunks of what one watch of all keys sends, which begins at a revision that is recorded already.
#[derive(Debug)]
pub struct Gatherer {
    start: Option<Start>,
    /// The row that was received last, and whether more of its revision are to come.
    before: Revision,
    is_open: bool,
    chunk: Chunk,
    /// Of the rows in the chunk.
    chunk_bytes: usize,
    last_link: Option<Link>,
    last_moment_ms: i64,
    last_response_ms: i64,
    seen_leases: HashSet<i64>,
    unknown_leases: BTreeSet<i64>,
}

/// Where a watch begins: what it tells of this revision is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    pub revision: i64,
    /// The last row that was recorded of it, if it is known.
    pub link: Option<Link>,
}

/// The watch doesn't go on where the record ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error(
        "the cluster has another revision {0} than was recorded: it has gone back and written something else since"
    )]
    Diverged(i64),
    #[error("the cluster is at revision {now}, the record at {recorded}: it has gone back")]
    GoneBack { recorded: i64, now: i64 },
    #[error("revisions from {from} on are compacted")]
    Compacted { from: i64, compacted: i64 },
    #[error("the watch has sent {got} behind {before}")]
    Skipped { before: Revision, got: i64 },
    #[error("the watch was cancelled: {0}")]
    Cancelled(String),
    #[error("the watch has sent an event without a key")]
    Malformed,
}

impl Trouble {
    /// Whether changes are lost: going on means beginning anew.
    pub fn is_gap(&self) -> bool {
        matches!(self, Self::Diverged(_) | Self::GoneBack { .. } | Self::Compacted { .. })
    }
}

impl Gatherer {
    /// `last_moment_ms`: of the record, which goes on behind it.
    pub fn new(cluster_id: u64, start: Start, last_moment_ms: i64) -> Self {
        let revision = start.revision;
        let chunk = Chunk { format: FORMAT, cluster_id, after: revision, last: revision, ..Chunk::default() };
        Self {
            start: Some(start),
            before: Revision::new(revision, -1),
            is_open: false,
            chunk,
            chunk_bytes: 0,
            last_link: None,
            last_moment_ms,
            last_response_ms: 0,
            seen_leases: HashSet::new(),
            unknown_leases: BTreeSet::new(),
        }
    }

    /// The watch has ended; the next is to begin at the revision that is returned. What was received is kept.
    pub fn resume(&mut self) -> i64 {
        let revision = self.done();
        let is_beyond = |row: &Row| row.revision().is_ok_and(|at| at.main > revision);
        // Rows of a revision that hasn't come whole come again.
        while self.chunk.rows.pop_if(|row| is_beyond(row)).is_some() {}
        self.chunk_bytes = self.chunk.rows.iter().map(bytes_of).sum();
        self.chunk.last = revision;
        let link = self.chunk.rows.last().map(Row::link).or_else(|| self.chunk.link.clone());
        let link = link.filter(|link| RevisionKey::parse(&link.key).is_ok_and(|key| key.revision.main == revision));
        // One that is unsettled has compared nothing yet.
        if self.start.is_none() {
            self.start = Some(Start { revision, link });
        }
        self.before = Revision::new(revision, -1);
        self.is_open = false;
        self.last_link = None;
        revision
    }

    /// `now`: the cluster's revision, by a linearizable read before the watch begins.
    pub fn check(&self, now: i64) -> Result<(), Trouble> {
        let recorded = self.done();
        if now < recorded { Err(Trouble::GoneBack { recorded, now }) } else { Ok(()) }
    }

    /// Everything up to this revision has come.
    pub fn done(&self) -> i64 {
        if self.is_open { self.before.main - 1 } else { self.before.main }
    }

    /// Whether the chunk is as large as it may be.
    pub fn is_full(&self) -> bool {
        self.chunk_bytes >= CHUNK_BYTES
    }

    pub fn has_rows(&self) -> bool {
        !self.chunk.rows.is_empty()
    }

    /// Takes a response. Progress notifications say that everything up to their revision has come.
    pub fn take(&mut self, response: WatchResponse, now_ms: i64) -> Result<(), Trouble> {
        let WatchResponse { header, created, canceled, compact_revision, cancel_reason, fragment, events, .. } =
            response;
        let header = header.unwrap_or_default();
        self.last_response_ms = now_ms;
        self.chunk.raft_term = self.chunk.raft_term.max(header.raft_term);
        if canceled {
            let from = self.done();
            return Err(match compact_revision {
                0 => Trouble::Cancelled(cancel_reason),
                compacted => Trouble::Compacted { from, compacted },
            });
        }
        if created {
            return Ok(());
        }
        if events.is_empty() {
            if fragment || self.is_open || header.revision != self.before.main {
                return Ok(());
            }
            self.compare_start()?;
        }
        for event in events {
            self.event(event)?;
        }
        self.is_open = fragment;
        if !self.is_open && self.start.is_none() {
            self.moment(self.before.main, now_ms);
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), Trouble> {
        let kind = event.r#type();
        let KeyValue { key, create_revision, mod_revision, version, value, lease } =
            event.kv.ok_or(Trouble::Malformed)?;
        let (before, tombstone) = (self.before, kind == EventType::Delete);
        let sub = if mod_revision == before.main { before.sub + 1 } else { 0 };
        let revision = Revision::new(mod_revision, sub);
        if !follows(before, revision) {
            return Err(Trouble::Skipped { before, got: mod_revision });
        }
        if mod_revision > before.main {
            self.compare_start()?;
        }
        let (bytes, len) = RevisionKey { revision, tombstone }.to_bytes();
        // A deletion is stored with its key alone.
        let stored = match tombstone {
            true => KeyValue { key, ..KeyValue::default() },
            false => KeyValue { key, create_revision, mod_revision, version, value, lease },
        };
        let row = Row { key: Bytes::copy_from_slice(&bytes[..len]), value: stored.encode_to_vec().into() };
        self.before = revision;
        self.last_link = Some(row.link());
        if self.start.is_some() {
            return Ok(());
        }
        if stored.lease != 0 && !self.seen_leases.contains(&stored.lease) {
            self.unknown_leases.insert(stored.lease);
        }
        self.chunk_bytes += bytes_of(&row);
        self.chunk.rows.push(row);
        self.chunk.last = mod_revision;
        Ok(())
    }

    /// All of the first revision has come: is it what was recorded?
    fn compare_start(&mut self) -> Result<(), Trouble> {
        let Some(Start { revision, link: recorded }) = self.start.take() else { return Ok(()) };
        let found = self.last_link.take();
        let link = match (recorded, found) {
            (None, found) => found,
            (Some(recorded), found) if found.as_ref() == Some(&recorded) => found,
            // A compaction at this very revision removes its deletions.
            (Some(recorded), found)
                if recorded.is_tombstone() && found.as_ref().is_none_or(|found| found.key < recorded.key) =>
            {
                Some(recorded)
            }
            _ => return Err(Trouble::Diverged(revision)),
        };
        if self.chunk.rows.is_empty() {
            self.chunk.link.clone_from(&link);
        }
        self.last_link = link;
        Ok(())
    }

    /// Clocks may go back; moments don't, so that each revision that comes later has a later one.
    fn moment(&mut self, revision: i64, now_ms: i64) {
        let unix_ms = now_ms.max(self.last_moment_ms + 1);
        self.last_moment_ms = unix_ms;
        let moments = &mut self.chunk.moments;
        // The first says when the revision came, the last until when nothing else did.
        if let [.., first, second] = moments.as_mut_slice()
            && first.revision == revision
            && second.revision == revision
        {
            second.unix_ms = unix_ms;
            return;
        }
        moments.push(Moment { revision, unix_ms });
    }

    /// Leases of which the next chunk is to tell, and nobody has asked the cluster yet.
    pub fn unknown_leases(&self) -> Vec<i64> {
        self.unknown_leases.iter().copied().collect()
    }

    pub fn last_moment_ms(&self) -> i64 {
        self.last_moment_ms
    }

    /// Ends the chunk, if there is anything to tell. `leases`: the answers about [`Self::unknown_leases`]; those without an answer
    /// are told as ended, and asked about again when another row names them.
    pub fn cut(&mut self, mut leases: Vec<Lease>) -> Option<Chunk> {
        if self.chunk.moments.is_empty() && self.chunk.rows.is_empty() {
            return None;
        }
        if self.is_open {
            // The first rows of a revision count for all: when the others come doesn't matter.
            self.moment(self.before.main, self.last_response_ms);
        }
        if self.seen_leases.len() + leases.len() > SEEN_LEASES_MAX {
            self.seen_leases.clear();
        }
        for Lease { id, ttl_s } in &leases {
            self.unknown_leases.remove(id);
            // Whoever grants it anew is to be asked.
            if *ttl_s > 0 {
                self.seen_leases.insert(*id);
            }
        }
        leases.extend(mem::take(&mut self.unknown_leases).into_iter().map(|id| Lease { id, ttl_s: 0 }));
        let next = Chunk {
            after: self.done(),
            last: self.done(),
            link: self.last_link.clone(),
            moments: Vec::new(),
            leases: Vec::new(),
            rows: Vec::new(),
            unfinished: false,
            ..self.chunk
        };
        let chunk = mem::replace(&mut self.chunk, next);
        self.chunk_bytes = 0;
        Some(Chunk { leases, unfinished: self.is_open, ..chunk })
    }
}

fn bytes_of(row: &Row) -> usize {
    row.key.len() + row.value.len() + ROW_BYTES
}

#[cfg(test)]
mod tests;
