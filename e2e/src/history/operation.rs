//! One call of a client.

/// What a client asked for. Values are unique in a history: a value names its write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Put {
        key: String,
        value: String,
    },
    Delete {
        key: String,
    },
    /// A range over one key; `serializable` reads may be stale.
    Get {
        key: String,
        serializable: bool,
    },
    /// A transaction as Kubernetes writes it: put if the key's modification revision is `expected`, else get.
    PutIf {
        key: String,
        expected: i64,
        value: String,
    },
}

/// A key's value as a read found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub value: String,
    pub mod_revision: i64,
}

/// How a call ended. Every known outcome carries the revision of the answer's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Put, or a PutIf whose condition held.
    Written { revision: i64 },
    /// A delete; `deleted` is 0 or 1.
    Deleted { revision: i64, deleted: i64 },
    /// Get, or a PutIf whose condition did not hold.
    Read { revision: i64, found: Option<Version> },
    /// Refused for certain: the write must never appear.
    Failed,
    /// No answer, a timeout or a lost connection: the write may or may not appear, at any time after the call began.
    Unknown,
}

impl Outcome {
    /// The revision of the answer's header.
    pub fn revision(&self) -> Option<i64> {
        match self {
            Outcome::Written { revision } | Outcome::Deleted { revision, .. } | Outcome::Read { revision, .. } => {
                Some(*revision)
            }
            Outcome::Failed | Outcome::Unknown => None,
        }
    }
}

/// A call with its real-time interval, in nanoseconds since the history's start by one monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub client: usize,
    pub call: Call,
    pub outcome: Outcome,
    /// Taken before the request is sent.
    pub invoked_ns: u64,
    /// Taken after the answer has come.
    pub returned_ns: u64,
}

impl Call {
    /// The key it is about.
    pub fn key(&self) -> &str {
        match self {
            Call::Put { key, .. } | Call::Delete { key } | Call::Get { key, .. } | Call::PutIf { key, .. } => key,
        }
    }

    /// The value it would write.
    pub fn value(&self) -> Option<&str> {
        match self {
            Call::Put { value, .. } | Call::PutIf { value, .. } => Some(value),
            Call::Delete { .. } | Call::Get { .. } => None,
        }
    }

    /// Whether real time orders its answer. Only a serializable read may be stale.
    pub fn is_linearizable(&self) -> bool {
        !matches!(self, Call::Get { serializable: true, .. })
    }
}
