//! Certificates of clients and members.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS for clients and between members, each on its own.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Clients show a certificate of the cluster's authority, and see one.
    #[serde(default)]
    pub client: Plane,

    /// Members show each other certificates of the cluster's authority.
    #[serde(default)]
    pub peer: Plane,
}

/// One side of TLS.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plane {
    #[serde(default)]
    pub mode: Mode,

    /// More names and addresses for the certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    pub extra_names: Vec<String>,
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// The operator makes an authority for the cluster, and certificates that it renews in time.
    #[default]
    Auto,
    /// Plain text.
    Off,
}
