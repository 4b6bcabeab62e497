//! What users read of a cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::AuthStatus;

/// The cluster as the operator last saw it. Conditions carry the truth; the phase is a word for people.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EtcdClusterStatus {
    /// Generation of the resource that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// How it is, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,

    /// One sentence: what is happening, or what stands in the way and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,

    /// Voting members that serve, of those wanted: `2/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,

    /// Members with a pod.
    #[serde(default)]
    pub replicas: i32,

    /// Voting members that serve.
    #[serde(default)]
    pub ready_replicas: i32,

    /// Members that vote, as the cluster itself says.
    #[serde(default)]
    pub voters: i32,

    /// Selects the members' pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// As hexadecimal digits. Set when the cluster has formed, and never changed by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,

    /// Name of the leader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,

    /// The oldest version among the members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// The image that members are made with: the resource's, or the one before if its version may not follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// The largest member's database, rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_size: Option<String>,

    /// Where clients inside of Kubernetes find the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_endpoint: Option<String>,

    /// Secret with a certificate for clients, its key, and the authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,

    /// Its members, also those on their way in or out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub members: Vec<MemberStatus>,

    /// The last recovery from a lost quorum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryStatus>,

    /// The data that it began with, if that was a backup's or another etcd's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoredStatus>,

    /// The way here from another etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<MigrationStatus>,

    /// What members and clients show and trust.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["secret"]))]
    pub certificates: Vec<CertificateStatus>,

    /// What was made of `spec.auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthStatus>,

    /// What the operator is doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,

    /// How it is, in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The first member is on its way.
    Forming,
    /// As the resource says.
    Running,
    /// On its way to what the resource says.
    Changing,
    /// It serves with fewer members than wanted.
    Degraded,
    /// No quorum answers.
    Unavailable,
    Hibernated,
    Paused,
    Deleting,
    /// The resource can't be followed; the message says why.
    Invalid,
}

/// One member.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Also of its `EtcdMember` and its pod.
    pub name: String,

    /// As hexadecimal digits; none before the cluster knows the member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,

    /// What it is in the cluster; none while it isn't known there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,

    /// It answers and has a leader.
    #[serde(default)]
    pub ready: bool,

    /// Release of etcd whose API it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// Its database, rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_size: Option<String>,

    /// Entries of the log that the leader has applied and this member has not, rounded down to a power of ten; 0 below 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,

    /// Node of its pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,

    /// What stands in its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    Leader,
    Follower,
    Learner,
}

/// A Secret of certificates.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// Its name.
    pub secret: String,

    /// When its certificate ends, as RFC 3339.
    pub not_after: String,

    /// Authorities that its readers trust: the first eight bytes of each SHA-256. There are two or more only while one takes the place of
    /// another.
    #[serde(default)]
    pub authorities: Vec<String>,
}

/// Data that was there before the cluster.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoredStatus {
    /// The backup's name in its store, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,

    /// Of the cluster that had the data, as hexadecimal digits. A snapshot file doesn't say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,

    /// The newest revision that was taken over.
    pub revision: i64,

    /// Until when changes were taken over, as RFC 3339, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,

    /// Where the revision was raised to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bumped_to: Option<i64>,
}

/// The way here from another etcd.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationStatus {
    /// How it is, in a word.
    pub phase: MigrationPhase,

    /// What stands in the way, or what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,

    /// Revisions that are missing here: a power of ten, rounded down; 0 below 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,

    /// The revision at which this cluster took over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,

    /// etcd's hash of all keys at that revision, which both had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_kv: Option<i64>,
}

#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MigrationPhase {
    /// A first copy is made.
    Copying,
    /// What is written there is written here.
    Following,
    /// This cluster has taken over.
    Done,
    /// What is here is not what is there. Delete this cluster and its volumes and make it anew.
    Diverged,
}

/// A new beginning after a quorum was lost for good.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryStatus {
    /// How many there were.
    pub number: i64,

    /// From whose data.
    pub survivor: String,

    /// When.
    pub started: Time,

    /// The survivor serves.
    pub is_done: bool,
}

/// A change that is under way.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// What is done.
    pub kind: String,

    /// With which member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,

    /// Why.
    pub reason: String,

    /// Since when.
    pub since: Time,
}
