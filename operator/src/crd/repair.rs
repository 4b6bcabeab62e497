//! When a member is given up.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a member is given up and replaced by a new one. It happens only while the others have a quorum without it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Repair {
    /// `DataLoss`: a member whose volume is lost or damaged. `All`: one that could not be reached for long, too.
    #[serde(default)]
    pub auto: Auto,

    /// Seconds for which a member may not be reached before it counts as gone.
    #[serde(default = "unreachable_after")]
    #[schemars(range(min = 10, max = 86400))]
    pub member_unreachable_after_seconds: i64,

    /// Seconds for a new member to catch up before it is replaced by another. It has one more for every 10 MiB of the database.
    #[serde(default = "learner_timeout")]
    #[schemars(range(min = 30, max = 86400))]
    pub learner_timeout_seconds: i64,
}

fn unreachable_after() -> i64 {
    300
}

fn learner_timeout() -> i64 {
    600
}

impl Default for Repair {
    fn default() -> Self {
        Self {
            auto: Auto::default(),
            member_unreachable_after_seconds: unreachable_after(),
            learner_timeout_seconds: learner_timeout(),
        }
    }
}

/// Consent to a new beginning after a quorum was lost for good: the survivor with the most of the log starts a cluster of itself alone
/// from its data, and the others are made anew. What only they had is lost.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// What `status.message` asks for: the cluster's id and a number, so that each consent is good for once.
    #[schemars(length(min = 1, max = 64))]
    pub consent: String,

    /// The member to survive, if no member can be asked for how much it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub survivor: Option<String>,
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Auto {
    Disabled,
    DataLoss,
    #[default]
    All,
}
