//! Authentication.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Users and roles. Reserved: the members can't do it yet.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!self.enabled").message("auth.enabled can't be true yet"))]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// Clients have to say who they are.
    #[serde(default)]
    pub enabled: bool,
}
