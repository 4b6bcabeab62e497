//! The users and roles that the log has agreed on, as last applied.

use std::collections::BTreeMap;

use quorate_proto::authpb::{Role, User};

use super::rights::Rights;

/// The user that must exist, and the role that may do everything.
pub const ROOT: &str = "root";

/// etcd's first auth revision.
const FIRST_REVISION: u64 = 1;

/// Users, roles, and whether they matter yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Registry {
    pub(in crate::store) enabled: bool,
    pub(in crate::store) revision: u64,
    pub(in crate::store) users: BTreeMap<String, User>,
    pub(in crate::store) roles: BTreeMap<String, Role>,
    /// By user; follows from the two above.
    rights: BTreeMap<String, Rights>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            enabled: false,
            revision: FIRST_REVISION,
            users: BTreeMap::new(),
            roles: BTreeMap::new(),
            rights: BTreeMap::new(),
        }
    }
}

impl Registry {
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Grows with every change of users, roles and permissions.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(name)
    }

    /// Names, ascending.
    pub fn users(&self) -> impl Iterator<Item = &String> {
        self.users.keys()
    }

    /// Names, ascending.
    pub fn roles(&self) -> impl Iterator<Item = &String> {
        self.roles.keys()
    }

    pub(super) fn rights(&self, user: &str) -> Option<&Rights> {
        self.rights.get(user)
    }

    /// To be called after every change of users or roles.
    pub(in crate::store) fn derive_rights(&mut self) {
        let Self { users, roles, rights, .. } = self;
        *rights = users.iter().map(|(name, user)| (name.clone(), Rights::of(user, roles))).collect();
    }
}

/// The rows of [`crate::store::backend::Family::Auth`], as etcd names them.
pub(in crate::store) mod row {
    /// One byte: 1 is on.
    pub const ENABLED: &str = "authEnabled";
    /// 8 bytes, big-endian.
    pub const REVISION: &str = "authRevision";
}
