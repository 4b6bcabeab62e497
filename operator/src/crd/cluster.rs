//! `EtcdCluster`: a cluster of members, as it should be.

use k8s_openapi::api::core::v1::{LocalObjectReference, ResourceRequirements};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::Auth;
use super::bootstrap::{Bootstrap, Migrate, Origin, Spanning};
use super::pod::PodTemplate;
use super::repair::{Recovery, Repair};
use super::services::{Disruption, Monitoring, Services};
use super::settings::Settings;
use super::status::EtcdClusterStatus;
use super::storage::Storage;
use super::tls::Tls;

/// A cluster of etcd members. The operator forms it from one member, and adds and removes the others one at a time.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "quorate.io",
    version = "v1alpha1",
    kind = "EtcdCluster",
    plural = "etcdclusters",
    shortname = "ec",
    category = "all",
    namespaced,
    status = "EtcdClusterStatus",
    derive = "PartialEq",
    cel,
    doc = "A cluster of etcd members.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.ready", description = "Voting members that serve, of those wanted"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Leader", type_ = "string", json_path = ".status.leader"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "DB", type_ = "string", json_path = ".status.databaseSize", description = "The largest member's database"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Cluster-Id", type_ = "string", json_path = ".status.clusterId", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    validation = Rule::new("size(self.metadata.name) <= 40").message("a cluster's name may have 40 characters at most, because members' names begin with it"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("a cluster's name is a part of hosts' names: small letters, digits and hyphens, a letter first")
)]
#[x_kube(
    validation = Rule::new("quantity(self.storage.size).compareTo(quantity(oldSelf.storage.size)) >= 0").message("storage.size may grow but not shrink"),
    validation = Rule::new("self.storage.medium == oldSelf.storage.medium").message("storage.medium can't be changed"),
    validation = Rule::new("has(self.storage.storageClassName) == has(oldSelf.storage.storageClassName) && (!has(self.storage.storageClassName) || self.storage.storageClassName == oldSelf.storage.storageClassName)").message("storage.storageClassName can't be changed"),
    validation = Rule::new("has(self.bootstrap) == has(oldSelf.bootstrap) && (!has(self.bootstrap) || self.bootstrap == oldSelf.bootstrap)").message("bootstrap can't be changed"),
    validation = Rule::new("!oldSelf.cutOver || self.cutOver").message("cutOver can't be taken back: clients may have written"),
    validation = Rule::new("!self.cutOver || (has(self.bootstrap) && has(self.bootstrap.migrate))").message("cutOver goes with bootstrap.migrate: there is nothing to take over from"),
    validation = Rule::new("self.cutOver || !has(self.bootstrap) || !has(self.bootstrap.migrate) || !has(self.etcd.autoCompaction)").message("etcd.autoCompaction has to wait until cutOver is set: what was compacted here can't be compared with the other etcd"),
    validation = Rule::new("!has(self.bootstrap) || !has(self.bootstrap.migrate) || self.replicas > 0 || self.cutOver").message("replicas can't be 0 while another etcd is followed"),
    validation = Rule::new("!self.auth.enabled || (self.tls.client.mode != 'Disabled' && !self.tls.client.allowPlaintext)").message("auth.enabled needs tls.client with a mode other than Disabled and without allowPlaintext: the operator is known by its certificate, and passwords must not be read on their way"),
    validation = Rule::new("self.replicas > 0 || self.storage.medium == 'Disk'").message("replicas can't be 0 with storage.medium Memory: nothing would be kept"),
    validation = Rule::new("!has(self.version) || !has(self.image.tag) || !self.image.tag.matches('^v?[0-9]+[.][0-9]+[.][0-9]+') || self.image.tag.matches('^v?' + self.version.replace('.', '[.]') + '([^0-9]|$)')").message("image.tag names another release than version; give one of them"),
    validation = Rule::new("!has(self.etcd.quotaBackendBytes) || double(self.etcd.quotaBackendBytes) < quantity(self.storage.size).asApproximateFloat()").message("etcd.quotaBackendBytes must be less than storage.size, which holds the log too")
)]
#[serde(rename_all = "camelCase")]
pub struct EtcdClusterSpec {
    /// Voting members. 0 stops all of them and keeps their volumes. An even number tolerates no more failures than the odd
    /// number below it.
    #[serde(default = "replicas")]
    #[schemars(range(min = 0, max = 9))]
    pub replicas: i32,

    /// Release of etcd whose API the members serve, such as `3.7.3`; the operator's own if not given. It may rise by one minor
    /// at a time, and not fall below the cluster's minor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^3\.[0-9]{1,3}\.[0-9]{1,3}$"), length(max = 16))]
    pub version: Option<String>,

    /// The members' container image.
    #[serde(default)]
    pub image: Image,

    /// Secrets to pull the image with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<LocalObjectReference>,

    /// Each member's volume.
    #[serde(default)]
    pub storage: Storage,

    /// Each member's container. Give as much memory as limit as is requested.
    #[serde(default)]
    pub resources: ResourceRequirements,

    /// How the members run.
    #[serde(default)]
    pub etcd: Settings,

    /// Who may talk to the members, and how they talk to each other.
    #[serde(default)]
    pub tls: Tls,

    /// Users and roles, and whether clients have to say who they are.
    #[serde(default)]
    pub auth: Auth,

    /// What the cluster begins with, if it isn't empty. It can't be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,

    /// With `bootstrap.migrate`: nobody writes to the other etcd any more, and this cluster takes over as soon as it has everything.
    #[serde(default)]
    pub cut_over: bool,

    /// The members' pods.
    #[serde(default)]
    pub pod_template: PodTemplate,

    /// By which addresses the cluster is reached.
    #[serde(default)]
    pub services: Services,

    /// What Kubernetes may do to the members by itself.
    #[serde(default)]
    pub disruption: Disruption,

    /// How the members' metrics are collected.
    #[serde(default)]
    pub monitoring: Monitoring,

    /// When a member is given up and replaced.
    #[serde(default)]
    pub repair: Repair,

    /// Consent to a new beginning, when a quorum is lost for good. It is used once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,

    /// Leave everything as it is, whatever happens. Deleting the cluster works all the same.
    #[serde(default)]
    pub paused: bool,
}

fn replicas() -> i32 {
    3
}

impl EtcdCluster {
    /// As it said when it had formed.
    pub fn formed_id(&self) -> Option<u64> {
        u64::from_str_radix(self.status.as_ref()?.cluster_id.as_ref()?, 16).ok()
    }
}

impl EtcdClusterSpec {
    /// Other Kubernetes have members of it too.
    pub fn spanning(&self) -> Option<&Spanning> {
        self.bootstrap.as_ref()?.spanning.as_ref()
    }

    /// It begins with the data of a backup.
    pub fn origin(&self) -> Option<&Origin> {
        self.bootstrap.as_ref()?.restore.as_ref()
    }

    /// It begins with the data of another etcd.
    pub fn migrate(&self) -> Option<&Migrate> {
        self.bootstrap.as_ref()?.migrate.as_ref()
    }
}

/// A container image.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!has(self.tag) || !has(self.digest)").message("give either image.tag or image.digest"))]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Without tag or digest; the operator's default if not given. etcd's own images of 3.5 or newer work too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(
            pattern = r"^([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$"
        ),
        length(min = 1, max = 255)
    )]
    pub repository: Option<String>,

    /// `v` and the version if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9_][-A-Za-z0-9_.]*$"), length(min = 1, max = 128))]
    pub tag: Option<String>,

    /// Pins the image, such as `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"), length(max = 71))]
    pub digest: Option<String>,

    /// When the kubelet pulls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
}

#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}
