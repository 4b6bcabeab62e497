//! Authentication: who clients are, and what each may do.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Users and roles of etcd. Those that were made by hand are left alone.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(self.users) || self.users.all(user, !has(user.roles) || user.roles.all(role, role == 'root' || (has(self.roles) && self.roles.exists(declared, declared.name == role))))").message("auth.users: a role that a user has must be declared in auth.roles, or be root")
)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// Clients have to say who they are: by the common name of their certificate, or by name and password.
    #[serde(default)]
    pub enabled: bool,

    /// Secret with the password of the user `root` under the key `password`; made by the operator if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub root_secret: Option<String>,

    /// What users may do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub roles: Vec<AuthRole>,

    /// Who may do something. `root` is always there, and is not declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub users: Vec<AuthUser>,
}

/// A role, with these permissions and no others.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.name != 'root'").message("auth.roles: root may do everything and can't be declared; choose another name"))]
#[serde(rename_all = "camelCase")]
pub struct AuthRole {
    /// As users name it.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,

    /// On which keys what is allowed. On the same keys, they add up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub permissions: Vec<AuthPermission>,
}

/// On one key, on all keys that begin alike, or on a range of keys.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.key) != has(self.prefix)").message("auth.roles.permissions: give either key or prefix"),
    validation = Rule::new("!has(self.rangeEnd) || has(self.key)").message("auth.roles.permissions: rangeEnd goes with key, where the range begins"),
    validation = Rule::new("!has(self.rangeEnd) || !has(self.key) || self.key < self.rangeEnd").message("auth.roles.permissions: rangeEnd must come after key; leave it out for one key")
)]
#[serde(rename_all = "camelCase")]
pub struct AuthPermission {
    /// What is allowed.
    pub access: Access,

    /// One key, or where a range begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub key: Option<String>,

    /// All keys that begin with it; all keys if it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub prefix: Option<String>,

    /// The first key behind the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub range_end: Option<String>,
}

#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    Read,
    Write,
    ReadWrite,
}

/// A user, with these roles and no others.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.name != 'root'").message("auth.users: root is always there and can't be declared; its password is in auth.rootSecret"))]
#[serde(rename_all = "camelCase")]
pub struct AuthUser {
    /// Also the common name of the certificates by which it is known.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,

    /// Where its password is. Without, it is known by certificates alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<PasswordSecret>,

    /// Names of its roles: of `auth.roles`, or `root`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)), extend("x-kubernetes-list-type" = "set"))]
    pub roles: Vec<String>,
}

/// A password in a Secret of the cluster's namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// Key in it. A line break at the end is no part of the password.
    #[serde(default = "password_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Where a password is, unless something else is said.
pub const PASSWORD: &str = "password";

fn password_key() -> String {
    PASSWORD.to_owned()
}

/// What the operator has made of `spec.auth`, and is to take back when it is no longer declared.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthStatus {
    /// The operator has turned authentication on.
    #[serde(default)]
    pub enabled: bool,

    /// Secret with the password of `root`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_secret: Option<String>,

    /// The cluster that it was made in, as hexadecimal digits: data of a backup has passwords of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,

    /// Roles that go when they are no longer declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub roles: Vec<String>,

    /// Users that go when they are no longer declared, and `root`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub users: Vec<AuthUserStatus>,
}

/// A user that the operator has made.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthUserStatus {
    /// Its name.
    pub name: String,

    /// Where its password is from: uid, version and key of the Secret. `none`: it has no password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}
