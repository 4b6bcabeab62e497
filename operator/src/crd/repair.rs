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

    /// Seconds for a new member to catch up before it is replaced by another.
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

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Auto {
    Off,
    DataLoss,
    #[default]
    All,
}
