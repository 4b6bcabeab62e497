//! Where backups are, and what carries them there.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LocalObjectReference, ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An object store, or a volume.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.s3), has(self.gcs), has(self.azure), has(self.volume)].filter(given, given).size() == 1").message("store: give one of s3, gcs, azure and volume"),
    validation = Rule::new("!self.prefix.replace('$(NAMESPACE)', '').replace('$(CLUSTER)', '').matches('[$()]')").message("store.prefix: only $(NAMESPACE) and $(CLUSTER) stand for something")
)]
#[serde(rename_all = "camelCase")]
pub struct Store {
    /// Amazon S3, or what speaks its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,

    /// Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<Gcs>,

    /// Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<Azure>,

    /// A volume, which several pods can write one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<ClaimedVolume>,

    /// Where in the bucket, container or volume. `$(NAMESPACE)` and `$(CLUSTER)` stand for those of the cluster.
    #[serde(default = "prefix")]
    #[schemars(length(max = 512), regex(pattern = PREFIX))]
    pub prefix: String,
}

/// No part begins or ends with a dot: `..` would lead elsewhere.
const PREFIX: &str = r"^([A-Za-z0-9_$()-]+([.]+[A-Za-z0-9_$()-]+)*(/[A-Za-z0-9_$()-]+([.]+[A-Za-z0-9_$()-]+)*)*)?$";

fn prefix() -> String {
    "$(NAMESPACE)/$(CLUSTER)".to_owned()
}

/// A bucket.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct S3 {
    /// Its name.
    #[schemars(length(min = 1, max = 255))]
    pub bucket: String,

    /// Its region; `us-east-1` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub region: Option<String>,

    /// URL of the service, if it isn't Amazon's. With `http://` nothing is encrypted on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^https?://"), length(max = 255))]
    pub endpoint: Option<String>,

    /// Secret with `accessKeyId`, `secretAccessKey` and, if there is one, `sessionToken`. The pod's own identity if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub credentials_secret: Option<String>,

    /// Secret with `ca.crt`, the authority of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ca_secret: Option<String>,

    /// The bucket's name is part of the host's.
    #[serde(default)]
    pub virtual_hosted_style: bool,

    /// How the service encrypts what it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_side_encryption: Option<ServerSideEncryption>,
}

/// By the service, with keys that it knows.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.keyId) == (self.algorithm != 'AES256')").message("serverSideEncryption.keyId goes with the algorithms of the key service, and only with them"))]
#[serde(rename_all = "camelCase")]
pub struct ServerSideEncryption {
    /// Whose key.
    pub algorithm: Algorithm,

    /// Of the key service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub key_id: Option<String>,
}

#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    #[serde(rename = "AES256")]
    Aes256,
    #[serde(rename = "aws:kms")]
    Kms,
    #[serde(rename = "aws:kms:dsse")]
    KmsDsse,
}

/// A bucket.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gcs {
    /// Its name.
    #[schemars(length(min = 1, max = 255))]
    pub bucket: String,

    /// Secret with `credentials.json`, a service account's key. The pod's own identity if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub credentials_secret: Option<String>,
}

/// A container of a storage account.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Azure {
    /// Name of the storage account.
    #[schemars(length(min = 1, max = 255))]
    pub account: String,

    /// Name of the container.
    #[schemars(length(min = 1, max = 255))]
    pub container: String,

    /// Secret with `accountKey`, or `clientId`, `clientSecret` and `tenantId`. The pod's own identity if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub credentials_secret: Option<String>,
}

/// A volume that somebody has claimed.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimedVolume {
    /// A PersistentVolumeClaim in this namespace.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
}

/// Encryption before anything leaves the pod, in the format of age.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.recipients.size() > 0 || has(self.identitySecret)").message("encryption: give recipients, or identitySecret to read"))]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    /// Public keys (`age1…`), each of which can open the backups. Without any, nothing is encrypted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(regex(pattern = r"^age1[0-9a-z]+$"), length(max = 128)))]
    pub recipients: Vec<String>,

    /// Secret with `identity`, a private key (`AGE-SECRET-KEY-…`): to restore, and to check what was written by reading it. Without it a
    /// backup is checked by its checksums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub identity_secret: Option<String>,
}

/// The pods that carry backups.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    /// Of the container. 64 MiB of memory are enough.
    #[serde(default)]
    pub resources: ResourceRequirements,

    /// Room for one snapshot while it is carried: at most this much of the node's disk, or of `spoolClass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        with = "Option<String>",
        length(min = 1, max = 32),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?([KMGTP]i?|k)?$")
    )]
    pub spool_size: Option<Quantity>,

    /// Storage class of a volume that is made for each snapshot; without it the node's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub spool_class: Option<String>,

    /// By which the pod may have an identity at the object store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,

    /// More labels. Those of the operator win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,

    /// More annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,

    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that a node may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,

    /// Priority class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub priority_class_name: Option<String>,

    /// Secrets to pull the operator's image with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
}
