//! The store as the buckets of etcd's own database file.

use std::ops::ControlFlow;

use bytes::Bytes;
use prost::Message;
use quorate_proto::membershippb::Attributes;

use crate::{
    position::Position,
    store::{
        Store,
        backend::{Family, View},
        error::Error,
        kv::{revision::Revision, row::RowKey},
        open::for_each,
        state::meta,
    },
};

/// The format of the exported buckets, as the minor version of etcd that writes it, while the cluster has not agreed on a version.
/// The buckets are the same in 3.6.
pub const STORAGE_VERSION: &str = "3.7.0";

/// A bucket of etcd's database, in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    Alarm,
    Auth,
    AuthRoles,
    AuthUsers,
    Cluster,
    Key,
    Lease,
    Members,
    MembersRemoved,
    Meta,
}

impl Bucket {
    pub const ALL: [Self; 10] = [
        Self::Alarm,
        Self::Auth,
        Self::AuthRoles,
        Self::AuthUsers,
        Self::Cluster,
        Self::Key,
        Self::Lease,
        Self::Members,
        Self::MembersRemoved,
        Self::Meta,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Auth => "auth",
            Self::AuthRoles => "authRoles",
            Self::AuthUsers => "authUsers",
            Self::Cluster => "cluster",
            Self::Key => "key",
            Self::Lease => "lease",
            Self::Members => "members",
            Self::MembersRemoved => "members_removed",
            Self::Meta => "meta",
        }
    }
}

/// What of the exported store is about members; the raft room can read it.
#[derive(Debug, Clone, Default)]
pub struct Exported {
    pub applied: Position,
    pub membership: Option<(Position, Bytes)>,
    pub attributes: Vec<(u64, Attributes)>,
    /// Ids of members that were removed.
    pub removed: Vec<u64>,
}

/// Rows about members, in etcd's form. The list is sorted by key.
#[derive(Debug, Clone, Default)]
pub struct MemberRows {
    /// Id in lower-case hexadecimal -> JSON.
    pub members: Vec<(Bytes, Bytes)>,
    /// `raftpb.ConfState` as JSON.
    pub conf_state: Option<Bytes>,
}

impl Store {
    /// Gives every row of etcd's buckets to `row`, bucket by bucket in the order of [`Bucket::ALL`] and in key order, all as of one
    /// moment. Writing goes on meanwhile. `describe` turns what was exported about members into rows.
    pub fn export<E: From<Error>>(
        &self,
        describe: impl FnOnce(&Exported) -> MemberRows,
        mut row: impl FnMut(Bucket, &[u8], &[u8]) -> Result<(), E>,
    ) -> Result<Exported, E> {
        let backend = self.shared.read().backend.clone();
        let snapshot = backend.snapshot();
        let fact = |name: &str| snapshot.get(Family::Meta, name.as_bytes());
        let mut exported = Exported::default();
        if let Some(applied) = fact(meta::APPLIED)? {
            exported.applied = meta::Applied::decode(&applied)?.position;
        }
        exported.membership = fact(meta::MEMBERSHIP)?.map(|row| meta::decode_membership(&row)).transpose()?;
        for_each(&*snapshot, Family::Members, |key, value| {
            let id = key.try_into().map(u64::from_be_bytes).map_err(|_| meta::damaged("members"))?;
            exported.attributes.push((id, Attributes::decode(value).map_err(|_| meta::damaged("members"))?));
            Ok(())
        })?;
        for_each(&*snapshot, Family::MembersRemoved, |key, _| {
            exported
                .removed
                .push(key.try_into().map(u64::from_be_bytes).map_err(|_| meta::damaged("members_removed"))?);
            Ok(())
        })?;
        let members = describe(&exported);

        copy(&*snapshot, Family::Alarm, Bucket::Alarm, &mut row)?;
        copy(&*snapshot, Family::Auth, Bucket::Auth, &mut row)?;
        copy(&*snapshot, Family::AuthRoles, Bucket::AuthRoles, &mut row)?;
        copy(&*snapshot, Family::AuthUsers, Bucket::AuthUsers, &mut row)?;
        let version = fact(meta::CLUSTER_VERSION)?;
        if let Some(version) = &version {
            row(Bucket::Cluster, b"clusterVersion", version)?;
        }
        if let Some(target) = fact(meta::DOWNGRADE)? {
            let target = meta::decode_text(meta::DOWNGRADE, &target)?;
            let json = serde_json::json!({ "target-version": target, "enabled": true });
            row(Bucket::Cluster, b"downgrade", json.to_string().as_bytes())?;
        }
        copy(&*snapshot, Family::Key, Bucket::Key, &mut row)?;
        copy(&*snapshot, Family::Lease, Bucket::Lease, &mut row)?;
        for (key, value) in &members.members {
            row(Bucket::Members, key, value)?;
        }
        let mut removed: Vec<String> = exported.removed.iter().map(|id| format!("{id:x}")).collect();
        removed.sort();
        for id in removed {
            row(Bucket::MembersRemoved, id.as_bytes(), b"removed")?;
        }

        // In key order.
        if let Some(state) = &members.conf_state {
            row(Bucket::Meta, b"confState", state)?;
        }
        row(Bucket::Meta, b"consistent_index", &exported.applied.index.to_be_bytes())?;
        for (name, ours) in [("finishedCompactRev", meta::FINISHED), ("scheduledCompactRev", meta::COMPACTED)] {
            if let Some(revision) = fact(ours)? {
                let main = meta::decode_number(ours, &revision)?;
                row(Bucket::Meta, name.as_bytes(), RowKey::put(Revision::new(main, 0)).as_bytes())?;
            }
        }
        // After a downgrade the older release is to take it.
        let version = version.as_deref().unwrap_or(STORAGE_VERSION.as_bytes());
        row(Bucket::Meta, b"storageVersion", version)?;
        row(Bucket::Meta, b"term", &exported.applied.term.to_be_bytes())?;
        Ok(exported)
    }
}

fn copy<E: From<Error>>(
    view: &dyn View,
    family: Family,
    bucket: Bucket,
    row: &mut impl FnMut(Bucket, &[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut failure = None;
    view.scan(family, &[], None, &mut |key, value| match row(bucket, key, value) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failure.map_or(Ok(()), Err)
}
