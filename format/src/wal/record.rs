//! What a frame holds, and the protobuf form of each kind (`walpb.Record`, `raftpb.Entry`, `raftpb.HardState`,
//! `walpb.Snapshot`, `etcdserverpb.Metadata`). Scalars are written even when zero, as Go's writer does.

use bytes::Bytes;

use crate::protobuf::{Value, put_bytes, put_uint, take_field, take_varint};

/// One record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Whose log this is; second in every segment.
    Metadata {
        node_id: u64,
        cluster_id: u64,
    },
    Entry(Entry),
    State(State),
    /// The chain so far; first in every segment. Encoding one restarts the chain at its value.
    Crc(u32),
    Snapshot(Snapshot),
}

/// An entry of the raft log. An entry whose index was written before replaces that one and all behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub entry_type: EntryType,
    pub term: u64,
    /// From 1, without holes.
    pub index: u64,
    /// An `InternalRaftRequest`, a configuration change, or nothing when a leader opens its term.
    pub data: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum EntryType {
    #[default]
    Normal = 0,
    ConfChange = 1,
    ConfChangeV2 = 2,
}

/// raft's hard state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// Above 0.
    pub term: u64,
    /// The member voted for in this term; 0 for none.
    pub vote: u64,
    pub commit: u64,
    /// A quorum has granted this vote, so its member leads the term. Ours (field 1001); etcd skips it.
    pub vote_committed: bool,
}

/// A point of the log that a snapshot covers; the entries behind it may be gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    pub index: u64,
    pub term: u64,
    /// Always there for an index above 0 since etcd 3.5.
    pub conf_state: Option<ConfState>,
}

/// raft's membership.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfState {
    pub voters: Vec<u64>,
    pub learners: Vec<u64>,
    /// The voters being left, while a joint change runs.
    pub voters_outgoing: Vec<u64>,
    /// Voters that become learners when the joint change ends.
    pub learners_next: Vec<u64>,
    pub auto_leave: bool,
}

/// `walpb.Record.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Metadata = 1,
    Entry = 2,
    State = 3,
    Crc = 4,
    Snapshot = 5,
}

const VOTE_COMMITTED: u32 = 1001;

impl Kind {
    pub(super) fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Metadata,
            2 => Self::Entry,
            3 => Self::State,
            4 => Self::Crc,
            5 => Self::Snapshot,
            _ => return None,
        })
    }
}

impl EntryType {
    fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Normal,
            1 => Self::ConfChange,
            2 => Self::ConfChangeV2,
            _ => return None,
        })
    }
}

pub(super) fn put_metadata(out: &mut Vec<u8>, node_id: u64, cluster_id: u64) {
    put_uint(out, 1, node_id);
    put_uint(out, 2, cluster_id);
}

pub(super) fn put_state(out: &mut Vec<u8>, state: &State) {
    let State { term, vote, commit, vote_committed } = *state;
    put_uint(out, 1, term);
    put_uint(out, 2, vote);
    put_uint(out, 3, commit);
    // Written when false too: a record's type is outside its crc, and this field tells a state from an entry.
    put_uint(out, VOTE_COMMITTED, u64::from(vote_committed));
}

pub(super) fn put_snapshot(out: &mut Vec<u8>, snapshot: &Snapshot) {
    let Snapshot { index, term, conf_state } = snapshot;
    put_uint(out, 1, *index);
    put_uint(out, 2, *term);
    if let Some(conf_state) = conf_state {
        let mut nested = Vec::new();
        conf_state.put(&mut nested);
        put_bytes(out, 3, &nested);
    }
}

impl ConfState {
    /// Appends the protobuf form (`raftpb.ConfState`).
    pub fn put(&self, out: &mut Vec<u8>) {
        let Self { voters, learners, voters_outgoing, learners_next, auto_leave } = self;
        for (field, ids) in [(1, voters), (2, learners), (3, voters_outgoing), (4, learners_next)] {
            for id in ids {
                put_uint(out, field, *id);
            }
        }
        put_uint(out, 5, u64::from(*auto_leave));
    }

    fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut state = Self::default();
        while !bytes.is_empty() {
            let (field, value) = take_field(&mut bytes)?;
            let ids = match (field, value) {
                (1, _) => &mut state.voters,
                (2, _) => &mut state.learners,
                (3, _) => &mut state.voters_outgoing,
                (4, _) => &mut state.learners_next,
                (5, Value::Uint(leave)) => {
                    state.auto_leave = leave != 0;
                    continue;
                }
                _ => return None,
            };
            match value {
                Value::Uint(id) => ids.push(id),
                Value::Bytes(mut packed) => {
                    while !packed.is_empty() {
                        ids.push(take_varint(&mut packed)?);
                    }
                }
            }
        }
        Some(state)
    }
}

/// The data of a record of `kind`. `None` if it isn't the protobuf form of that kind.
///
/// A field that the kind doesn't have is refused, though protobuf would skip it: a record's type isn't covered by its crc,
/// so a flipped bit there must show in the data.
pub(super) fn parse(kind: Kind, crc: u32, data: &Bytes) -> Option<Record> {
    match kind {
        Kind::Metadata => {
            let [node_id, cluster_id] = parse_uints(data)?;
            Some(Record::Metadata { node_id, cluster_id })
        }
        Kind::Entry => parse_entry(data).map(Record::Entry),
        Kind::State => parse_state(data).map(Record::State),
        Kind::Crc => data.is_empty().then_some(Record::Crc(crc)),
        Kind::Snapshot => parse_snapshot(data).map(Record::Snapshot),
    }
}

/// Fields 1 to N, all numbers, missing ones zero.
fn parse_uints<const N: usize>(mut bytes: &[u8]) -> Option<[u64; N]> {
    let mut values = [0; N];
    while !bytes.is_empty() {
        let (field, Value::Uint(value)) = take_field(&mut bytes)? else { return None };
        *values.get_mut(field as usize - 1)? = value;
    }
    Some(values)
}

fn parse_entry(data: &Bytes) -> Option<Entry> {
    let mut entry = Entry { entry_type: EntryType::Normal, term: 0, index: 0, data: Bytes::new() };
    let mut rest: &[u8] = data;
    while !rest.is_empty() {
        match take_field(&mut rest)? {
            (1, Value::Uint(number)) => entry.entry_type = EntryType::from_number(number)?,
            (2, Value::Uint(term)) => entry.term = term,
            (3, Value::Uint(index)) => entry.index = index,
            (4, Value::Bytes(bytes)) => entry.data = data.slice_ref(bytes),
            _ => return None,
        }
    }
    // raft numbers entries from 1; 0 stands for nothing.
    (entry.index > 0).then_some(entry)
}

fn parse_state(mut bytes: &[u8]) -> Option<State> {
    let mut state = State::default();
    while !bytes.is_empty() {
        match take_field(&mut bytes)? {
            (1, Value::Uint(term)) => state.term = term,
            (2, Value::Uint(vote)) => state.vote = vote,
            (3, Value::Uint(commit)) => state.commit = commit,
            (VOTE_COMMITTED, Value::Uint(committed)) => state.vote_committed = committed != 0,
            _ => return None,
        }
    }
    // A vote or a commit without a term isn't a state: it is a blank entry whose type was damaged.
    (state.term > 0 || state == State::default()).then_some(state)
}

fn parse_snapshot(mut bytes: &[u8]) -> Option<Snapshot> {
    let mut snapshot = Snapshot::default();
    while !bytes.is_empty() {
        match take_field(&mut bytes)? {
            (1, Value::Uint(index)) => snapshot.index = index,
            (2, Value::Uint(term)) => snapshot.term = term,
            (3, Value::Bytes(nested)) => snapshot.conf_state = Some(ConfState::parse(nested)?),
            _ => return None,
        }
    }
    Some(snapshot)
}
