//! What a plan consists of.

use crate::crd::condition::Reason;
use crate::crd::member::{EtcdMember, Leaves};
use crate::crd::status::Phase;

/// One change. It is done, and then everything is looked at anew.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A record of a member that is to be, before anything else knows of it.
    Intend(Box<EtcdMember>),
    /// The cluster learns of a member that will join without a vote.
    Announce {
        member: String,
        peer_url: String,
    },
    /// The record learns what the cluster knows: the member's id, and whom it starts with.
    Record {
        member: String,
        id: u64,
        initial_cluster: String,
    },
    /// The member that formed the cluster must never form one again.
    Disarm {
        member: String,
    },
    /// It gets its vote.
    Promote {
        member: String,
        id: u64,
    },
    /// The decision that a member goes is durable before anything happens to it.
    Dismiss {
        member: String,
        why: Leaves,
    },
    HandOver {
        from: u64,
        to: u64,
    },
    /// Out of the cluster's list. `member` is its name, if there is a record.
    Remove {
        member: Option<String>,
        id: u64,
    },
    /// Only the pod with this uid.
    DeletePod {
        pod: String,
        uid: String,
    },
    DeleteVolume {
        volume: String,
        uid: String,
    },
    /// The record goes last: until then an interrupted removal is found again.
    Forget {
        member: String,
    },
}

impl Step {
    /// For status and events.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Intend(_) => "Intend",
            Self::Announce { .. } => "Announce",
            Self::Record { .. } => "Record",
            Self::Disarm { .. } => "Disarm",
            Self::Promote { .. } => "Promote",
            Self::Dismiss { .. } => "Dismiss",
            Self::HandOver { .. } => "HandOver",
            Self::Remove { .. } => "Remove",
            Self::DeletePod { .. } => "DeletePod",
            Self::DeleteVolume { .. } => "DeleteVolume",
            Self::Forget { .. } => "Forget",
        }
    }
}

/// What comes next, and what to tell the user.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub step: Option<Step>,
    pub situation: Situation,
}

/// How the cluster is, in one word and one sentence.
#[derive(Clone, Debug, PartialEq)]
pub struct Situation {
    pub phase: Phase,
    pub reason: Reason,
    pub message: String,
}

impl Situation {
    pub fn new(phase: Phase, reason: Reason, message: impl Into<String>) -> Self {
        Self { phase, reason, message: message.into() }
    }

    pub fn with(self, step: Step) -> Decision {
        Decision { step: Some(step), situation: self }
    }

    /// Nothing to do but to wait for what the sentence says.
    pub fn waiting(self) -> Decision {
        Decision { step: None, situation: self }
    }
}
