//! What the store knows in memory, and the named facts it keeps beside the rows.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::{
    alarm::Alarms,
    auth::{Registry, Tokens},
    backend::Backend,
    cluster::Cluster,
    error::{Error, Refusal},
    kv::index::Index,
    lease::Leases,
    size::{self, Size},
};
use crate::position::Position;

/// Everything an entry can read or change. Readers share it, the writer takes it for one batch.
pub(super) struct State {
    pub backend: Arc<dyn Backend>,
    pub index: Index,
    /// Of the last write. A fresh store is at 1, as etcd's.
    pub revision: i64,
    /// Reads below are refused; [`NEVER_COMPACTED`] at first.
    pub compacted: i64,
    /// The compaction whose rows are all gone.
    pub finished: i64,
    /// Of those that follow it, the last [`COMPACTIONS_WAITING`].
    pub compactions: VecDeque<i64>,
    /// Some rows of the next one may be gone already.
    pub partly_compacted: bool,
    pub applied: Position,
    pub membership: Option<(Position, Bytes)>,
    pub leases: Leases,
    pub alarms: Alarms,
    pub cluster: Cluster,
    pub auth: Arc<Registry>,
    pub tokens: Arc<Tokens>,
    /// Sum of [`size::row_bytes`].
    pub rows_bytes: i64,
    /// [`Size::total`].
    pub total_bytes: i64,
    /// Counts replacements of the whole state, so that work in pieces notices.
    pub generation: u64,
}

/// What etcd answers as compact revision before the first compaction.
pub const NEVER_COMPACTED: i64 = -1;

/// Compactions of which each is carried out by itself where their hashes are kept; older ones are by the next.
const COMPACTIONS_WAITING: usize = 10;

impl State {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        Self {
            backend,
            index: Index::new(),
            revision: 1,
            compacted: NEVER_COMPACTED,
            finished: NEVER_COMPACTED,
            compactions: VecDeque::new(),
            partly_compacted: false,
            applied: Position::default(),
            membership: None,
            leases: Leases::default(),
            alarms: Alarms::default(),
            cluster: Cluster::default(),
            auth: Arc::default(),
            tokens: Arc::default(),
            rows_bytes: 0,
            total_bytes: 0,
            generation: 0,
        }
    }

    /// `Ok` if this main revision can be read.
    pub(super) fn check_readable(&self, revision: i64) -> Result<(), Refusal> {
        match revision {
            _ if revision > self.revision => Err(Refusal::FutureRevision),
            _ if revision < self.compacted => Err(Refusal::Compacted),
            _ => Ok(()),
        }
    }

    /// Reads below `revision` end; the rows go later.
    pub(super) fn compact(&mut self, revision: i64) {
        self.compacted = revision;
        if self.compactions.len() == COMPACTIONS_WAITING {
            self.compactions.pop_front();
        }
        self.compactions.push_back(revision);
    }

    /// Takes a change of the rows into the sizes.
    pub(super) fn count_rows(&mut self, change_bytes: i64) {
        self.rows_bytes += change_bytes;
        self.total_bytes = self.total_bytes.max(size::in_use(self.rows_bytes));
    }

    pub(super) fn size(&self) -> Size {
        Size { total: self.total_bytes, in_use: size::in_use(self.rows_bytes) }
    }

    pub(super) fn position_row(&self) -> Bytes {
        meta::Applied { position: self.applied, revision: self.revision, total_bytes: self.total_bytes }.encode()
    }
}

/// The rows of [`super::backend::Family::Meta`].
pub(super) mod meta {
    use super::*;

    /// [`Applied`]; written with every batch.
    pub const APPLIED: &str = "applied";
    /// Position (term, index) and the raft room's bytes.
    pub const MEMBERSHIP: &str = "membership";
    /// [`super::State::compacted`], 8 bytes.
    pub const COMPACTED: &str = "compacted";
    /// [`super::State::finished`], 8 bytes.
    pub const FINISHED: &str = "compaction_finished";
    pub const CLUSTER_VERSION: &str = "cluster_version";
    /// The target version.
    pub const DOWNGRADE: &str = "downgrade";

    /// How far the store is, as one row.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Applied {
        pub position: Position,
        pub revision: i64,
        pub total_bytes: i64,
    }

    impl Applied {
        pub fn encode(self) -> Bytes {
            let words = [self.position.term, self.position.index, self.revision as u64, self.total_bytes as u64]
                .map(u64::to_be_bytes);
            Bytes::copy_from_slice(words.as_flattened())
        }

        pub fn decode(row: &[u8]) -> Result<Self, Error> {
            match row.as_chunks() {
                ([term, index, revision, total], []) => Ok(Self {
                    position: Position::new(u64::from_be_bytes(*term), u64::from_be_bytes(*index)),
                    revision: i64::from_be_bytes(*revision),
                    total_bytes: i64::from_be_bytes(*total),
                }),
                _ => Err(damaged(APPLIED)),
            }
        }
    }

    pub fn encode_membership(position: Position, membership: &[u8]) -> Bytes {
        [&position.term.to_be_bytes(), &position.index.to_be_bytes(), membership].concat().into()
    }

    pub fn decode_membership(row: &Bytes) -> Result<(Position, Bytes), Error> {
        match row.as_chunks() {
            ([term, index, ..], _) => {
                Ok((Position::new(u64::from_be_bytes(*term), u64::from_be_bytes(*index)), row.slice(16..)))
            }
            _ => Err(damaged(MEMBERSHIP)),
        }
    }

    pub fn encode_number(number: i64) -> Bytes {
        Bytes::copy_from_slice(&number.to_be_bytes())
    }

    pub fn decode_number(name: &str, row: &[u8]) -> Result<i64, Error> {
        row.try_into().map(i64::from_be_bytes).map_err(|_| damaged(name))
    }

    pub fn decode_text(name: &str, row: &[u8]) -> Result<String, Error> {
        String::from_utf8(row.to_vec()).map_err(|_| damaged(name))
    }

    pub fn damaged(name: &str) -> Error {
        Error::Damaged(format!("the row {name} of the store's own facts cannot be read"))
    }
}
