//! The types openraft is instantiated with, and their translation to etcd's numbering.
//!
//! openraft counts log indexes and terms from 0, etcd from 1: the first entry (the initial membership) is `0` of term
//! `0` there and `1` of term `1` on disk and on the wire. Nothing outside this room sees openraft's numbers.

use std::fmt;

use bytes::Bytes;
use openraft::impls::{BoxedErrorSource, InlineBatch, OneshotResponder, leader_id_std};
use openraft::vote::RaftLeaderId;
use openraft::vote::leader_id_std::CommittedLeaderId;
use openraft::{OptionalSend, RaftTypeConfig};

use crate::position::Position;
use crate::store::apply;

/// One leader a term (the standard leader id), so that etcd's raft term is monotonic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeConfig;

impl RaftTypeConfig for TypeConfig {
    type D = Proposal;
    type R = Reply;
    type NodeId = u64;
    type Node = Peer;
    type Term = u64;
    type LeaderId = leader_id_std::LeaderId<u64, u64>;
    type Vote = openraft::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Proposal, u64, Peer>;
    type Entry = openraft::Entry<CommittedLeaderId<u64>, Self::Payload>;
    type AsyncRuntime = openraft::TokioRuntime;
    type Responder<T>
        = OneshotResponder<Self, T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}

pub type LogId = openraft::alias::LogIdOf<TypeConfig>;
pub type LeaderId = openraft::alias::LeaderIdOf<TypeConfig>;
pub type Vote = openraft::alias::VoteOf<TypeConfig>;
pub type Entry = openraft::alias::EntryOf<TypeConfig>;
pub type Membership = openraft::Membership<u64, Peer>;
pub type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;

/// The data of a normal entry: an encoded `etcdserverpb.InternalRaftRequest`, shared by log, network and apply.
#[derive(Clone, PartialEq, Eq)]
pub struct Proposal(pub Bytes);

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proposal({} B)", self.0.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What applying an entry answers to the member that proposed it; `None` for blank and membership entries.
#[derive(Debug)]
pub struct Reply(pub Option<apply::Outcome>);

/// What the membership says about a member besides its id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    pub peer_urls: Vec<String>,
    /// Added as a voter: it counts as one for everybody but raft, which gives it its vote when it has caught up.
    pub wants_vote: bool,
}

pub fn position(id: &LogId) -> Position {
    Position::new(id.leader_id.term + 1, id.index + 1)
}

pub fn position_or_start(id: Option<&LogId>) -> Position {
    id.map(position).unwrap_or_default()
}

/// `None` stands for the position before the first entry.
pub fn log_id(position: Position) -> Option<LogId> {
    (position.index > 0)
        .then(|| LogId::new(CommittedLeaderId::new(position.term.saturating_sub(1)), position.index - 1))
}

/// etcd's term of openraft's `term`.
pub fn term(term: u64) -> u64 {
    term + 1
}

/// Builds a vote from etcd's term. Term 0 (nothing voted yet) has no vote.
pub fn vote(term: u64, node_id: u64, committed: bool) -> Option<Vote> {
    let term = term.checked_sub(1)?;
    Some(Vote { leader_id: LeaderId::new(term, node_id), committed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_of_openraft_is_etcds_index_1_of_term_1() {
        let first = LogId::new(CommittedLeaderId::new(0), 0);
        assert_eq!(position(&first), Position::new(1, 1));
        assert_eq!(log_id(Position::new(1, 1)), Some(first));
        assert_eq!(log_id(Position::default()), None);
    }
}
