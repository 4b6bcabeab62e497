//! How the objects of a cluster are found.

/// On everything that the operator makes.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "quorate-operator");
pub const NAME: (&str, &str) = ("app.kubernetes.io/name", "etcd");
/// The cluster's name.
pub const CLUSTER: &str = "quorate.io/cluster";
/// The member's name.
pub const MEMBER: &str = "quorate.io/member";
/// On pods of members that vote: what the clients' Service selects.
pub const VOTER: &str = "quorate.io/voter";
/// On pods whose members read their authorities at their start alone: hash of those.
pub const TRUST: &str = "quorate.io/trust";
/// On pods: hash of the certificates that their Secrets have. A kubelet brings the files of a pod up to date when an annotation changes,
/// and otherwise within a minute and a half.
pub const CERTIFICATES: &str = "quorate.io/certificates";
/// On what carries a backup: its EtcdBackup's name.
pub const BACKUP: &str = "quorate.io/backup";
/// On what a schedule made: its name.
pub const SCHEDULE: &str = "quorate.io/schedule";
/// On what restores: the EtcdRestore's name.
pub const RESTORE: &str = "quorate.io/restore";
/// On what follows another etcd: the cluster's name.
pub const MIGRATION: &str = "quorate.io/migration";
/// Hash of what the operator wanted of an object: it is applied again only when that changes.
pub const INTENT: &str = "quorate.io/intent";
