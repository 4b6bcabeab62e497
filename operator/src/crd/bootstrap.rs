//! What a cluster begins with, if it is not one empty member.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::backup::Selection;
use super::store::{Encryption, Store, Worker};

/// Without it, one empty member forms the cluster and the others join it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.spanning), has(self.restore), has(self.migrate)].filter(given, given).size() == 1").message("bootstrap: give one of spanning, restore and migrate")
)]
#[serde(rename_all = "camelCase")]
pub struct Bootstrap {
    /// For a cluster with members in several Kubernetes: how the first members find each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spanning: Option<Spanning>,

    /// The data of a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Origin>,

    /// The data of a running etcd, which is followed until `cutOver` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrate: Option<Migrate>,
}

/// Where restored data comes from.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.backupName) != has(self.store)").message("give either backupName or store"),
    validation = Rule::new("!has(self.snapshot) || (has(self.store) && !has(self.select) && !has(self.encryption))").message("snapshot is the name of a file in store: it goes without backupName, select and encryption"),
    validation = Rule::new("!has(self.backupName) || !has(self.select) || !has(self.select.id)").message("select.id goes with store: an EtcdBackup has its own")
)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// An EtcdBackup in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub backup_name: Option<String>,

    /// Where backups are, when there is no EtcdBackup any more. `$(CLUSTER)` in the prefix is this cluster's name: name the one that was
    /// backed up instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Store>,

    /// Whose key opens encrypted backups, with `store`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,

    /// Which backup, and up to where; the newest if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Selection>,

    /// No backup, but a file below the prefix of `store` that `etcdctl snapshot save` of any etcd made. Not for an EtcdRestore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub snapshot: Option<String>,

    /// How much the revision rises beyond the backup's. What happened after the backup was seen by clients with higher revisions than the
    /// backup has: a jump beyond them, marked as compacted, makes watchers and caches begin anew. 0 keeps the backup's revision.
    #[serde(default = "bump")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_i64))]
    pub bump_revision: i64,

    /// The container that fetches the data.
    #[serde(default)]
    pub worker: Worker,
}

fn bump() -> i64 {
    1_000_000_000
}

/// A running etcd of 3.4 or newer.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Migrate {
    /// Its members, such as `https://10.0.0.1:2379`.
    #[schemars(length(min = 1, max = 16), inner(regex(pattern = r"^https?://[^/]+:[0-9]{1,5}$"), length(max = 255)))]
    pub endpoints: Vec<String>,

    /// Secret with `ca.crt`, `tls.crt` and `tls.key` by which its members are reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub tls_secret: Option<String>,

    /// The containers that copy and follow.
    #[serde(default)]
    pub worker: Worker,
}

/// For a cluster with members in several Kubernetes: each has an EtcdCluster that looks after its own members, and all have the same of
/// one of `static`, `discovery` and `dns`.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("[has(self.static), has(self.discovery), has(self.dns)].filter(given, given).size() == 1").message("bootstrap.spanning: give one of static, discovery and dns"),
    validation = Rule::new("has(self.discovery) || (has(self.members) && self.members.size() > 0)").message("bootstrap.spanning.members: static and dns need the names of this resource's first members"),
    validation = Rule::new("!has(self.members) || self.members.all(m, self.members.exists_one(n, n == m))").message("bootstrap.spanning.members: each name once")
)]
#[serde(rename_all = "camelCase")]
pub struct Spanning {
    /// By which members everywhere reach a member of this resource; its name takes the place of `$(MEMBER)`. The certificate of
    /// `tls.peer` has to be for it, see `extraNames`.
    #[schemars(regex(pattern = r"^https?://.*\$\(MEMBER\).*:[0-9]{1,5}$"), length(max = 255))]
    pub peer_url: String,

    /// The same for clients, and for the operators elsewhere, which ask all members how they are.
    #[schemars(regex(pattern = r"^https?://.*\$\(MEMBER\).*:[0-9]{1,5}$"), length(max = 255))]
    pub client_url: String,

    /// Names of this resource's first members, as many as `replicas` is at first. They are used once; members that join later have names
    /// that are made up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9), inner(regex(pattern = r"^[a-z]([-a-z0-9]{0,50}[a-z0-9])?$"), length(max = 52)))]
    pub members: Vec<String>,

    /// A list of all first members.
    #[serde(default, rename = "static", skip_serializing_if = "Option::is_none")]
    pub static_list: Option<StaticList>,

    /// A service that tells the first members of each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,

    /// Service records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
}

/// A list of all first members.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StaticList {
    /// As `--initial-cluster` has it: `NAME=URL` with commas between.
    #[schemars(length(min = 1, max = 4096))]
    pub initial_cluster: String,

    /// The same everywhere, and nowhere else: members of another cluster are kept out by it.
    #[schemars(length(min = 1, max = 128))]
    pub token: String,
}

/// A discovery URL, or a token in the keys of another etcd.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.url) != (has(self.token) && has(self.endpoints) && self.endpoints.size() > 0)").message("bootstrap.spanning.discovery: give url, or token and endpoints")
)]
#[serde(rename_all = "camelCase")]
pub struct Discovery {
    /// As `--discovery` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub url: Option<String>,

    /// As `--discovery-token` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub token: Option<String>,

    /// As `--discovery-endpoints` has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 255)))]
    pub endpoints: Vec<String>,
}

/// Service records of a domain.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dns {
    /// As `--discovery-srv` has it.
    #[schemars(length(min = 1, max = 253))]
    pub domain: String,

    /// As `--discovery-srv-name` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub service_name: Option<String>,

    /// The same everywhere, and nowhere else.
    #[schemars(length(min = 1, max = 128))]
    pub token: String,
}
