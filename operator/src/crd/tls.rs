//! Certificates of clients and members.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS for clients and between members, each on its own.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Clients show a certificate, and see one.
    #[serde(default)]
    pub client: ClientTls,

    /// Members show each other certificates.
    #[serde(default)]
    pub peer: PeerTls,

    /// Seconds that clients have to read their Secret again when an authority changes: before members show certificates of the new one,
    /// and before the old one is refused.
    #[serde(default = "grace")]
    #[schemars(range(min = 0, max = 604800))]
    pub client_grace_seconds: i64,
}

fn grace() -> i64 {
    300
}

impl Default for Tls {
    fn default() -> Self {
        Self { client: ClientTls::default(), peer: PeerTls::default(), client_grace_seconds: grace() }
    }
}

/// TLS between clients and members.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("self.mode != 'Secret' || (has(self.serverSecret) && has(self.clientSecret))").message("tls.client: mode Secret needs serverSecret and clientSecret"),
    validation = Rule::new("self.mode == 'Secret' || (!has(self.serverSecret) && !has(self.clientSecret))").message("tls.client: serverSecret and clientSecret need mode Secret"),
    validation = Rule::new("(self.mode == 'CertManager') == has(self.issuerRef)").message("tls.client: mode CertManager needs issuerRef, and no other mode takes it"),
    validation = Rule::new("self.mode != 'Disabled' || !self.allowPlaintext").message("tls.client.allowPlaintext: with mode Disabled members serve plain text alone; leave it out")
)]
#[serde(rename_all = "camelCase")]
pub struct ClientTls {
    /// Where certificates come from.
    #[serde(default)]
    pub mode: Mode,

    /// More names and addresses for the certificate that members show; foreign letters as `xn--…`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(
            regex(pattern = r"^([0-9A-Fa-f.:]+|(\*\.)?[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?)$"),
            length(min = 1, max = 253)
        )
    )]
    pub extra_names: Vec<String>,

    /// Members serve plain text too, by the same port: while clients move from one to the other. Not with `Disabled`, which is plain text
    /// alone.
    #[serde(default)]
    pub allow_plaintext: bool,

    /// Secret of what members show to clients, and whom they trust: `tls.crt`, `tls.key`, `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_secret: Option<String>,

    /// Secret of what the operator shows as a client, and whom it trusts: `tls.crt`, `tls.key`, `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub client_secret: Option<String>,

    /// Issuer of cert-manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<IssuerRef>,
}

/// TLS between members.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("(self.mode == 'Secret') == has(self.secret)").message("tls.peer: mode Secret needs secret, and no other mode takes it"),
    validation = Rule::new("(self.mode == 'CertManager') == has(self.issuerRef)").message("tls.peer: mode CertManager needs issuerRef, and no other mode takes it")
)]
#[serde(rename_all = "camelCase")]
pub struct PeerTls {
    /// Where certificates come from.
    #[serde(default)]
    pub mode: Mode,

    /// More names and addresses for the certificate; foreign letters as `xn--…`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(
            regex(pattern = r"^([0-9A-Fa-f.:]+|(\*\.)?[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?)$"),
            length(min = 1, max = 253)
        )
    )]
    pub extra_names: Vec<String>,

    /// Secret of what members show to each other, and whom they trust: `tls.crt`, `tls.key`, `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret: Option<String>,

    /// Issuer of cert-manager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<IssuerRef>,
}

/// Names an issuer of cert-manager.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuerRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// `Issuer` in the namespace of the cluster, or `ClusterIssuer`.
    #[serde(default = "issuer_kind")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,

    /// Its API group.
    #[serde(default = "issuer_group")]
    #[schemars(length(min = 1, max = 253))]
    pub group: String,
}

fn issuer_kind() -> String {
    "Issuer".to_owned()
}

fn issuer_group() -> String {
    "cert-manager.io".to_owned()
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// The operator makes an authority for the cluster, and certificates that it renews in time.
    #[default]
    Auto,
    /// Secrets that somebody keeps.
    Secret,
    /// Certificates of cert-manager.
    CertManager,
    /// Plain text.
    Disabled,
}
