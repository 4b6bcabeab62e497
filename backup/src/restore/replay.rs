use std::collections::VecDeque;
use std::error::Error as StdError;

use futures::{StreamExt, stream};
use quorate_format::bbolt::{self, Reader};
use quorate_format::revision::RevisionKey;
use quorate_restore::database::{Change, Changes};
use tokio::sync::mpsc;

use super::Error;
use crate::changes::{Chain, Chunk, Goal, Lease, Link, Name, Reached, Shelf, ShelfError, Wanted};

/// Chunks that are fetched at the same time, and those that wait; each has 4 MiB at most, but for a single larger response.
const FETCHES_MAX: usize = 3;
const WAITING_MAX: usize = 1;

/// How long a key lives whose lease had ended before the recorder could ask for its TTL.
const LOST_LEASE_TTL_S: i64 = 60;

/// The end of a snapshot, on which changes follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    pub revision: i64,
    link: Option<Link>,
}

impl Base {
    /// Of a backup whose snapshot isn't at hand: another history that goes through the same revision looks the same.
    pub fn at(revision: i64) -> Self {
        Self { revision, link: None }
    }

    /// A compaction may have removed the last rows.
    pub fn of(snapshot: &Reader) -> Result<Self, bbolt::Error> {
        let last = match snapshot.bucket(b"key")? {
            Some(keys) => keys.last()?,
            None => None,
        };
        let last = last.and_then(|row| RevisionKey::parse(&row.key).ok().map(|key| (key.revision.main, row)));
        let mut compacted = 0;
        if let Some(meta) = snapshot.bucket(b"meta")? {
            for name in [b"scheduledCompactRev".as_slice(), b"finishedCompactRev"] {
                let value = meta.get(name)?;
                let revision = value.and_then(|value| RevisionKey::parse(&value).ok());
                compacted = compacted.max(revision.map_or(0, |key| key.revision.main));
            }
        }
        Ok(match last {
            Some((revision, row)) if revision >= compacted => {
                // At the compacted revision itself, deletions are missing.
                let link = (revision > compacted).then(|| Link::new(row.key.clone(), &row.value));
                Self { revision, link }
            }
            // An empty store is at revision 1.
            _ => Self { revision: compacted.max(1), link: None },
        })
    }
}

/// The changes behind a snapshot, up to a revision or time; fetched while they are written.
pub struct Replay {
    chain: Chain,
    chunks: mpsc::Receiver<Result<(Name, Chunk), ShelfError>>,
    ready: VecDeque<Change>,
    has_ended: bool,
}

impl Replay {
    /// `names` in their order. Fetches in a task of its own, until everything is there or this is dropped.
    pub fn begin(shelf: Shelf, names: Vec<Name>, cluster_id: u64, base: &Base, goal: Goal) -> Self {
        let Base { revision, link } = base.clone();
        let (sender, chunks) = mpsc::channel(WAITING_MAX);
        let beyond = match goal {
            Goal::Revision(goal) => goal,
            Goal::UnixMs(_) => i64::MAX,
        };
        let wanted = names.into_iter().filter(move |name| name.last >= revision && name.after < beyond);
        tokio::spawn(async move {
            let fetches = wanted.map(|name| {
                let shelf = shelf.clone();
                async move { shelf.read(&name).await.map(|chunk| (name, chunk)) }
            });
            let mut fetched = stream::iter(fetches).buffered(FETCHES_MAX);
            while let Some(chunk) = fetched.next().await {
                if sender.send(chunk).await.is_err() {
                    break;
                }
            }
        });
        Self { chain: Chain::new(cluster_id, revision, link, goal), chunks, ready: VecDeque::new(), has_ended: false }
    }

    /// What was reached, if it is what was wanted. To be asked behind the last change.
    pub fn finish(self) -> Result<Reached, Reached> {
        let reached = self.chain.reached();
        if self.chain.is_complete() { Ok(reached) } else { Err(reached) }
    }
}

/// Reads all changes between a backup and what is wanted, and keeps none.
pub async fn reach(shelf: Shelf, base: &Base, goal: Goal) -> Result<Reached, Error> {
    let (names, cluster_id) = (shelf.names().await?, shelf.cluster_id());
    let mut replay = Replay::begin(shelf, names, cluster_id, base, goal);
    let read = tokio::task::spawn_blocking(move || {
        while replay.next().map_err(Error::Change)?.is_some() {}
        replay.finish().map_err(Error::Missing)
    });
    read.await.unwrap_or(Err(Error::GivenUp))
}

/// Called on a thread that may block.
impl Changes for Replay {
    fn next(&mut self) -> Result<Option<Change>, Box<dyn StdError + Send + Sync>> {
        while self.ready.is_empty() && !self.has_ended && !self.chain.is_complete() {
            let Some(fetched) = self.chunks.blocking_recv() else {
                self.has_ended = true;
                break;
            };
            let (name, chunk) = fetched?;
            match self.chain.wants(&name) {
                Wanted::No => continue,
                Wanted::Beyond => self.has_ended = true,
                Wanted::Yes => {
                    let (leases, rows) = self.chain.take(chunk);
                    self.ready.extend(leases.into_iter().map(lease));
                    self.ready.extend(rows.into_iter().map(|row| Change::Row { key: row.key, value: row.value }));
                }
            }
        }
        Ok(self.ready.pop_front())
    }
}

fn lease(lease: Lease) -> Change {
    match lease.ttl_s {
        0 => Change::LostLease { id: lease.id, ttl_s: LOST_LEASE_TTL_S },
        ttl_s => Change::Lease { id: lease.id, ttl_s },
    }
}
