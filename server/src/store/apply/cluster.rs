//! What the log says about members and versions.

use bytes::Bytes;
use quorate_proto::membershippb::Attributes;

use super::execution::Execution;
use crate::store::{
    backend::Family,
    cluster::{Downgrade, member_key, member_row},
    state::meta,
};

pub(super) fn set_attributes(on: &mut Execution<'_>, member_id: u64, attributes: Attributes) {
    if on.state.cluster.removed.contains(&member_id) {
        return;
    }
    let (key, value) = member_row(member_id, &attributes);
    let old = on.state.cluster.attributes.insert(member_id, attributes);
    let old_bytes = old.map(|old| member_row(member_id, &old).1.len());
    on.write_row(Family::Members, key, Some(value), old_bytes);
}

/// Forgets what the members said about themselves, and keeps that they were removed.
pub(super) fn remove_members(on: &mut Execution<'_>, ids: &[u64]) {
    for &id in ids {
        if let Some(old) = on.state.cluster.attributes.remove(&id) {
            let (key, value) = member_row(id, &old);
            on.write_row(Family::Members, key, None, Some(value.len()));
        }
        if on.state.cluster.removed.insert(id) {
            on.write_row(Family::MembersRemoved, member_key(id), Some(Bytes::new()), None);
        }
    }
}

pub(super) fn set_version(on: &mut Execution<'_>, version: String) {
    on.write_fact(meta::CLUSTER_VERSION, Some(Bytes::from(version.clone())));
    on.state.cluster.version = Some(version);
}

/// `None` ends the downgrade.
pub(super) fn set_downgrade(on: &mut Execution<'_>, target_version: Option<String>) {
    on.write_fact(meta::DOWNGRADE, target_version.clone().map(Bytes::from));
    on.state.cluster.downgrade = target_version.map(|target_version| Downgrade { target_version });
}
