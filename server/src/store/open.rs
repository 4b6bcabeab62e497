//! From rows to the state in memory.

use std::{collections::HashMap, ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use prost::Message;
use quorate_proto::authpb::{Role, User};
use quorate_proto::{leasepb, membershippb::Attributes, served::etcdserverpb as pb};

use super::{
    auth::{Registry, row},
    backend::{Backend, Family, View},
    cluster::Downgrade,
    error::Error,
    kv::{
        index::{RestoredRow, Version},
        row::{Pair, RowKey},
    },
    size::row_bytes,
    state::{State, meta},
};

/// Reads every row once: the index, what hangs on leases and the sizes are nowhere else.
pub(super) fn restore(backend: Arc<dyn Backend>) -> Result<State, Error> {
    let mut state = State::new(backend.clone());
    let facts = read_facts(&mut state, &*backend)?;
    restore_leases(&mut state, &*backend)?;
    restore_keys(&mut state, &*backend)?;
    restore_cluster(&mut state, &*backend)?;
    restore_auth(&mut state, &*backend)?;
    state.partly_compacted = state.finished < state.compacted;
    // The last writes may be gone from the history: tombstones that compaction dropped.
    state.revision = state.revision.max(state.compacted).max(facts.map_or(1, |facts| facts.revision));
    state.count_rows(0);
    state.total_bytes = state.total_bytes.max(facts.map_or(0, |facts| facts.total_bytes));
    Ok(state)
}

fn read_facts(state: &mut State, backend: &dyn Backend) -> Result<Option<meta::Applied>, Error> {
    let fact = |name: &str| backend.get(Family::Meta, name.as_bytes());
    let applied = fact(meta::APPLIED)?.map(|row| meta::Applied::decode(&row)).transpose()?;
    state.applied = applied.map(|applied| applied.position).unwrap_or_default();
    state.membership = fact(meta::MEMBERSHIP)?.map(|row| meta::decode_membership(&row)).transpose()?;
    if let Some(row) = fact(meta::COMPACTED)? {
        state.compacted = meta::decode_number(meta::COMPACTED, &row)?;
    }
    if let Some(row) = fact(meta::FINISHED)? {
        state.finished = meta::decode_number(meta::FINISHED, &row)?;
    }
    state.cluster.version =
        fact(meta::CLUSTER_VERSION)?.map(|row| meta::decode_text(meta::CLUSTER_VERSION, &row)).transpose()?;
    state.cluster.downgrade = fact(meta::DOWNGRADE)?
        .map(|row| meta::decode_text(meta::DOWNGRADE, &row))
        .transpose()?
        .map(|target_version| Downgrade { target_version });
    Ok(applied)
}

fn restore_leases(state: &mut State, backend: &dyn Backend) -> Result<(), Error> {
    for_each(backend, Family::Lease, |key, value| {
        state.rows_bytes += row_bytes(Family::Lease, key.len(), value.len());
        let leasepb::Lease { id, ttl, remaining_ttl } =
            leasepb::Lease::decode(value).map_err(|_| damaged(Family::Lease))?;
        state.leases.insert(id, ttl, remaining_ttl);
        Ok(())
    })
}

fn restore_keys(state: &mut State, backend: &dyn Backend) -> Result<(), Error> {
    // By key, as of its newest row; almost empty where leases are rare.
    let mut leased: HashMap<Bytes, i64> = HashMap::new();
    for_each(backend, Family::Key, |key, value| {
        let (Some(row), Some(pair)) = (RowKey::parse(key), Pair::parse(value)) else {
            return Err(damaged(Family::Key));
        };
        state.rows_bytes += row_bytes(Family::Key, key.len(), value.len());
        let at = row.revision();
        state.revision = at.main;
        if row.is_tombstone() {
            state.index.restore(pair.key, RestoredRow::Tombstone(at));
        } else {
            let version = Version { modified: at, created: pair.create_revision, version: pair.version };
            state.index.restore(pair.key, RestoredRow::Put(version));
        }
        if !row.is_tombstone() && pair.lease != 0 {
            leased.insert(Bytes::copy_from_slice(pair.key), pair.lease);
        } else if !leased.is_empty() {
            leased.remove(pair.key);
        }
        Ok(())
    })?;
    for (key, lease) in leased {
        state.leases.attach(&key, lease);
    }
    Ok(())
}

fn restore_cluster(state: &mut State, backend: &dyn Backend) -> Result<(), Error> {
    for_each(backend, Family::Members, |key, value| {
        state.rows_bytes += row_bytes(Family::Members, key.len(), value.len());
        let id = key.try_into().map(u64::from_be_bytes).map_err(|_| damaged(Family::Members))?;
        let attributes = Attributes::decode(value).map_err(|_| damaged(Family::Members))?;
        state.cluster.attributes.insert(id, attributes);
        Ok(())
    })?;
    for_each(backend, Family::MembersRemoved, |key, value| {
        state.rows_bytes += row_bytes(Family::MembersRemoved, key.len(), value.len());
        let id = key.try_into().map(u64::from_be_bytes).map_err(|_| damaged(Family::MembersRemoved))?;
        state.cluster.removed.insert(id);
        Ok(())
    })?;
    for_each(backend, Family::Alarm, |key, value| {
        state.rows_bytes += row_bytes(Family::Alarm, key.len(), value.len());
        state.alarms.raise(&pb::AlarmMember::decode(key).map_err(|_| damaged(Family::Alarm))?);
        Ok(())
    })
}

fn restore_auth(state: &mut State, backend: &dyn Backend) -> Result<(), Error> {
    let mut registry = Registry::default();
    if let Some(row) = backend.get(Family::Auth, row::ENABLED.as_bytes())? {
        registry.enabled = row[..] == [1];
    }
    if let Some(row) = backend.get(Family::Auth, row::REVISION.as_bytes())? {
        registry.revision = row[..].try_into().map(u64::from_be_bytes).map_err(|_| damaged(Family::Auth))?;
    }
    for_each(backend, Family::AuthUsers, |key, value| {
        state.rows_bytes += row_bytes(Family::AuthUsers, key.len(), value.len());
        let name = String::from_utf8(key.to_vec()).map_err(|_| damaged(Family::AuthUsers))?;
        registry.users.insert(name, User::decode(value).map_err(|_| damaged(Family::AuthUsers))?);
        Ok(())
    })?;
    for_each(backend, Family::AuthRoles, |key, value| {
        state.rows_bytes += row_bytes(Family::AuthRoles, key.len(), value.len());
        let name = String::from_utf8(key.to_vec()).map_err(|_| damaged(Family::AuthRoles))?;
        registry.roles.insert(name, Role::decode(value).map_err(|_| damaged(Family::AuthRoles))?);
        Ok(())
    })?;
    registry.derive_rights();
    state.auth = Arc::new(registry);
    Ok(())
}

/// Visits all rows of a family, until `each` fails.
pub(super) fn for_each(
    view: &(impl View + ?Sized),
    family: Family,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut failure = None;
    view.scan(family, &[], None, &mut |key, value| match each(key, value) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failure.map_or(Ok(()), Err)
}

fn damaged(family: Family) -> Error {
    Error::Damaged(format!("a row of {} cannot be read", family.name()))
}
