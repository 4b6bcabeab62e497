//! What a plan consists of.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

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
    /// It starts a cluster of itself alone from its data.
    Elect {
        member: String,
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
    /// It was to make room for a backup's data, and is a member again.
    Reinstate {
        member: String,
    },
    /// The mirror of another etcd is told to end its work, and this cluster takes over.
    CutOver,
    HandOver {
        from: u64,
        to: u64,
    },
    /// How others are to reach it, before they know.
    Readdress {
        member: String,
        peer_url: String,
    },
    /// The cluster's list learns how others are to reach it.
    Update {
        member: String,
        id: u64,
        peer_url: String,
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
    /// More room is asked for.
    GrowVolume {
        volume: String,
        size: Quantity,
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
            Self::Elect { .. } => "Elect",
            Self::Disarm { .. } => "Disarm",
            Self::Promote { .. } => "Promote",
            Self::Dismiss { .. } => "Dismiss",
            Self::Reinstate { .. } => "Reinstate",
            Self::CutOver => "CutOver",
            Self::HandOver { .. } => "HandOver",
            Self::Readdress { .. } => "Readdress",
            Self::Update { .. } => "Update",
            Self::Remove { .. } => "Remove",
            Self::DeletePod { .. } => "DeletePod",
            Self::DeleteVolume { .. } => "DeleteVolume",
            Self::GrowVolume { .. } => "GrowVolume",
            Self::Forget { .. } => "Forget",
        }
    }
}

impl Step {
    /// The member that it is about, if it has a record.
    pub fn member(&self) -> Option<&str> {
        match self {
            Self::Intend(member) => member.metadata.name.as_deref(),
            Self::Announce { member, .. }
            | Self::Record { member, .. }
            | Self::Elect { member }
            | Self::Disarm { member }
            | Self::Promote { member, .. }
            | Self::Dismiss { member, .. }
            | Self::Reinstate { member }
            | Self::Readdress { member, .. }
            | Self::Update { member, .. }
            | Self::Forget { member } => Some(member),
            Self::Remove { member, .. } => member.as_deref(),
            // A member's pod has its name.
            Self::DeletePod { pod, .. } => Some(pod),
            Self::CutOver | Self::HandOver { .. } | Self::DeleteVolume { .. } | Self::GrowVolume { .. } => None,
        }
    }
}

/// What comes next, and what to tell the user.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub step: Option<Step>,
    pub situation: Situation,
    /// The step is done only if Kubernetes would take this pod, for which it makes room.
    pub makes_room_for: Option<Box<Pod>>,
}

impl Decision {
    pub fn for_pod(self, pod: Pod) -> Self {
        Self { makes_room_for: Some(Box::new(pod)), ..self }
    }

    /// The step is not done.
    pub fn hold(self) -> Self {
        Self { step: None, makes_room_for: None, ..self }
    }

    /// What Kubernetes doesn't take is told beside what happens.
    pub fn despite(mut self, refusals: &[String]) -> Self {
        if refusals.is_empty() {
            return self;
        }
        let Situation { phase, reason, message } = &mut self.situation;
        *message = format!("{message}; Kubernetes refuses: {}", refusals.join("; "));
        match phase {
            Phase::Running => (*phase, *reason) = (Phase::Invalid, Reason::ObjectRefused),
            Phase::Forming | Phase::Changing | Phase::Degraded => *reason = Reason::ObjectRefused,
            _ => {}
        }
        self
    }
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
        Decision { step: Some(step), situation: self, makes_room_for: None }
    }

    /// Nothing to do but to wait for what the sentence says.
    pub fn waiting(self) -> Decision {
        Decision { step: None, situation: self, makes_room_for: None }
    }
}
