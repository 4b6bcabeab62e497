//! Which users, roles and permissions are to change: pure.
//!
//! Nobody may be locked out: everything that is missing comes first, then goes what is too much, and clients have to say who they are
//! last of all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::crd::auth::{Access, Auth, AuthPermission, AuthStatus, AuthUserStatus};

/// The user who may do everything, and its role. The operator's certificate has this name.
pub const ROOT: &str = "root";
/// In the status, of a user without a password.
pub const NO_PASSWORD: &str = "none";

/// From the first key to the one behind the last, as etcd has it: an empty end is one key, and "\0" no end.
pub type Range = (Vec<u8>, Vec<u8>);
pub type Permissions = BTreeMap<Range, Access>;

/// As the resource has it, with the passwords.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub roles: BTreeMap<String, Permissions>,
    /// With `root`.
    pub users: BTreeMap<String, User>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct User {
    pub password: Password,
    pub roles: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Password {
    None,
    /// What is kept of it says where it is from, and never what it is: a digest of a weak one can be guessed.
    Given {
        text: Text,
        from: String,
    },
    /// Its Secret has none, and why.
    Missing(String),
}

/// A password. It is not printed.
#[derive(Clone, PartialEq)]
pub struct Text(pub String);

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

/// As the members have it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    pub is_enabled: bool,
    pub roles: BTreeMap<String, Permissions>,
    /// The roles of each.
    pub users: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    AddRole { role: String },
    Allow { role: String, range: Range, access: Access },
    Disallow { role: String, range: Range },
    DeleteRole { role: String },
    AddUser { user: String, password: Option<Text>, from: Option<String> },
    ChangePassword { user: String, password: Text, from: String },
    DeleteUser { user: String },
    GrantRole { user: String, role: String },
    RevokeRole { user: String, role: String },
    Enable,
    Disable,
}

/// `spare` is the password of a `root` whose Secret has none: it has to be there, and may be nobody's to use.
pub fn changes(wanted: &Wanted, found: &Found, known: &AuthStatus, spare: &Text) -> Vec<Change> {
    let mut changes = Vec::new();
    if !found.roles.contains_key(ROOT) {
        changes.push(Change::AddRole { role: ROOT.to_owned() });
    }
    let mut surplus = Vec::new();
    for (role, permissions) in &wanted.roles {
        role_changes(role, permissions, found.roles.get(role), &mut changes, &mut surplus);
    }
    for (name, user) in &wanted.users {
        user_changes(name, user, found.users.get(name), known, spare, &mut changes, &mut surplus);
    }
    let undeclared = known.users.iter().map(|user| &user.name).filter(|name| !wanted.users.contains_key(*name));
    let users = undeclared.filter(|name| found.users.contains_key(*name) && *name != ROOT);
    surplus.extend(users.map(|user| Change::DeleteUser { user: user.clone() }));
    let undeclared = known.roles.iter().filter(|role| !wanted.roles.contains_key(*role));
    let roles = undeclared.filter(|role| found.roles.contains_key(*role) && *role != ROOT);
    surplus.extend(roles.map(|role| Change::DeleteRole { role: role.clone() }));
    changes.extend(surplus);
    if !found.is_enabled {
        changes.push(Change::Enable);
    }
    changes
}

fn role_changes(
    role: &str,
    wanted: &Permissions,
    found: Option<&Permissions>,
    changes: &mut Vec<Change>,
    surplus: &mut Vec<Change>,
) {
    let role = || role.to_owned();
    if found.is_none() {
        changes.push(Change::AddRole { role: role() });
    }
    let has = |range: &Range| found.and_then(|found| found.get(range));
    let missing = wanted.iter().filter(|(range, access)| has(range) != Some(access));
    changes.extend(missing.map(|(range, access)| Change::Allow {
        role: role(),
        range: range.clone(),
        access: *access,
    }));
    let left = found.into_iter().flat_map(BTreeMap::keys).filter(|range| !wanted.contains_key(*range));
    surplus.extend(left.map(|range| Change::Disallow { role: role(), range: range.clone() }));
}

fn user_changes(
    name: &str,
    wanted: &User,
    found: Option<&BTreeSet<String>>,
    known: &AuthStatus,
    spare: &Text,
    changes: &mut Vec<Change>,
    surplus: &mut Vec<Change>,
) {
    let user = || name.to_owned();
    let entry = known.users.iter().find(|entry| entry.name == name);
    let before = entry.and_then(|entry| entry.password.as_deref());
    let had_password = before.is_some_and(|before| before != NO_PASSWORD);
    let (is_same, may_change) = match &wanted.password {
        Password::None => (before == Some(NO_PASSWORD), false),
        // Who may log in without a password gets one by being made anew alone; root can't be, and has one.
        Password::Given { from, .. } => (before == Some(from), had_password || name == ROOT),
        Password::Missing(_) => (true, false),
    };
    let add = match &wanted.password {
        Password::None => Some(Change::AddUser { user: user(), password: None, from: Some(NO_PASSWORD.to_owned()) }),
        Password::Given { text, from } => {
            Some(Change::AddUser { user: user(), password: Some(text.clone()), from: Some(from.clone()) })
        }
        Password::Missing(_) if name == ROOT => {
            Some(Change::AddUser { user: user(), password: Some(spare.clone()), from: None })
        }
        Password::Missing(_) => None,
    };
    let none = BTreeSet::new();
    let has = match (found, add, &wanted.password) {
        (Some(has), _, _) if is_same => has,
        (Some(has), _, Password::Given { text, from }) if may_change => {
            changes.push(Change::ChangePassword { user: user(), password: text.clone(), from: from.clone() });
            has
        }
        (None, None, _) => return,
        (found, add, _) => {
            changes.extend(found.map(|_| Change::DeleteUser { user: user() }));
            changes.extend(add);
            &none
        }
    };
    let missing = wanted.roles.difference(has);
    changes.extend(missing.map(|role| Change::GrantRole { user: user(), role: role.clone() }));
    let left = has.difference(&wanted.roles);
    surplus.extend(left.map(|role| Change::RevokeRole { user: user(), role: role.clone() }));
}

/// Written down before anything is changed: what is made now is found again when it is no longer declared.
pub fn intend(known: AuthStatus, wanted: &Wanted, root_secret: &str, cluster_id: String) -> AuthStatus {
    let is_same = known.cluster_id.as_ref() == Some(&cluster_id);
    let mut users = known.users;
    if !is_same {
        users.iter_mut().for_each(|user| user.password = None);
    }
    let is_new = |name: &&String| !users.iter().any(|user| user.name == **name);
    let new: Vec<_> = wanted.users.keys().filter(is_new).cloned().collect();
    users.extend(new.into_iter().map(|name| AuthUserStatus { name, password: None }));
    users.sort_by(|one, other| one.name.cmp(&other.name));
    let roles: BTreeSet<String> = known.roles.into_iter().chain(wanted.roles.keys().cloned()).collect();
    AuthStatus {
        enabled: true,
        root_secret: Some(root_secret.to_owned()),
        cluster_id: Some(cluster_id),
        roles: roles.into_iter().collect(),
        users,
    }
}

/// What is known after a change.
pub fn note(status: &mut AuthStatus, change: &Change) {
    let (name, from) = match change {
        Change::AddUser { user, from, .. } => (user, from.clone()),
        Change::ChangePassword { user, from, .. } => (user, Some(from.clone())),
        Change::DeleteUser { user } => (user, None),
        Change::Disable => {
            status.enabled = false;
            return;
        }
        _ => return,
    };
    let entries = status.users.iter_mut().filter(|entry| entry.name == *name);
    entries.for_each(|entry| entry.password.clone_from(&from));
}

/// When all is done, what is not declared is not there any more.
pub fn settle(status: &mut AuthStatus, wanted: &Wanted) {
    status.users.retain(|user| wanted.users.contains_key(&user.name));
    status.roles.retain(|role| wanted.roles.contains_key(role));
}

/// Roles and users as declared; `password` finds what a Secret has under a key.
pub fn wanted(auth: &Auth, root_secret: &str, password: impl Fn(&str, &str) -> Password) -> Wanted {
    let roles = auth.roles.iter().map(|role| {
        let mut permissions = Permissions::new();
        for permission in &role.permissions {
            let access = permissions.entry(range(permission)).or_insert(permission.access);
            *access = if *access == permission.access { *access } else { Access::ReadWrite };
        }
        (role.name.clone(), permissions)
    });
    let users = auth.users.iter().map(|user| {
        let password = user.password_secret.as_ref().map(|secret| password(&secret.name, &secret.key));
        let roles = user.roles.iter().cloned().collect();
        (user.name.clone(), User { password: password.unwrap_or(Password::None), roles })
    });
    let root =
        User { password: password(root_secret, crate::crd::auth::PASSWORD), roles: BTreeSet::from([ROOT.to_owned()]) };
    Wanted { roles: roles.collect(), users: users.chain([(ROOT.to_owned(), root)]).collect() }
}

fn range(permission: &AuthPermission) -> Range {
    let bytes = |text: &Option<String>| text.clone().unwrap_or_default().into_bytes();
    match &permission.prefix {
        Some(prefix) if prefix.is_empty() => (vec![0], vec![0]),
        Some(prefix) => (prefix.clone().into_bytes(), behind(prefix.clone().into_bytes())),
        None => (bytes(&permission.key), bytes(&permission.range_end)),
    }
}

/// The first key behind all that begin with it.
fn behind(mut prefix: Vec<u8>) -> Vec<u8> {
    while prefix.last() == Some(&u8::MAX) {
        prefix.pop();
    }
    match prefix.last_mut() {
        Some(last) => *last += 1,
        None => prefix.push(0),
    }
    prefix
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = |range: &Range| String::from_utf8_lossy(&range.0).into_owned();
        match self {
            Self::AddRole { role } => write!(formatter, "role {role} added"),
            Self::Allow { role, range, access } => {
                write!(formatter, "role {role} may {access:?} from {:?}", key(range))
            }
            Self::Disallow { role, range } => {
                write!(formatter, "role {role} has nothing from {:?} any more", key(range))
            }
            Self::DeleteRole { role } => write!(formatter, "role {role} deleted"),
            Self::AddUser { user, .. } => write!(formatter, "user {user} added"),
            Self::ChangePassword { user, .. } => write!(formatter, "password of user {user} changed"),
            Self::DeleteUser { user } => write!(formatter, "user {user} deleted"),
            Self::GrantRole { user, role } => write!(formatter, "user {user} has role {role}"),
            Self::RevokeRole { user, role } => write!(formatter, "user {user} has role {role} no more"),
            Self::Enable => write!(formatter, "authentication enabled"),
            Self::Disable => write!(formatter, "authentication disabled"),
        }
    }
}

#[cfg(test)]
#[path = "auth_test.rs"]
mod auth_test;
