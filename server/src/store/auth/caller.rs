//! Who makes a call, and what that caller may do.

use bytes::Bytes;
use quorate_proto::served::etcdserverpb::{self as pb, request_op::Request as Op};

use super::refusal::Refusal;
use super::registry::Registry;
use super::rights::Rights;

/// Who makes a call: nobody in particular, if the name is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    pub name: String,
    /// The auth revision at which the caller was identified; 0 for nobody.
    pub revision: u64,
}

impl Caller {
    pub(in crate::store) fn of(header: Option<pb::RequestHeader>) -> Self {
        let pb::RequestHeader { username, auth_revision, id: _ } = header.unwrap_or_default();
        Self { name: username, revision: auth_revision }
    }

    /// Any user at all.
    pub fn may_call(&self, registry: &Registry) -> Result<(), Refusal> {
        self.rights(registry).map(drop)
    }

    /// Has the role root.
    pub fn may_administer(&self, registry: &Registry) -> Result<(), Refusal> {
        match self.rights(registry)? {
            Some(rights) if !rights.is_root => Err(Refusal::PermissionDenied),
            Some(_) | None => Ok(()),
        }
    }

    pub fn may_read(&self, registry: &Registry, key: &Bytes, range_end: &[u8]) -> Result<(), Refusal> {
        self.may(registry, |rights| rights.read.cover(key, range_end))
    }

    pub fn may_write(&self, registry: &Registry, key: &Bytes, range_end: &[u8]) -> Result<(), Refusal> {
        self.may(registry, |rights| rights.write.cover(key, range_end))
    }

    /// Every compare and every operation of both branches, however deep. `keys_of` names the keys on a lease: hanging a key on a
    /// lease decides about the others that hang there.
    pub fn may_txn(
        &self,
        registry: &Registry,
        request: &pb::TxnRequest,
        keys_of: &impl Fn(i64) -> Vec<Bytes>,
    ) -> Result<(), Refusal> {
        if !registry.enabled() {
            return Ok(());
        }
        for compare in &request.compare {
            self.may_read(registry, &compare.key, &compare.range_end)?;
        }
        for op in request.success.iter().chain(&request.failure) {
            match &op.request {
                Some(Op::RequestRange(range)) => self.may_read(registry, &range.key, &range.range_end)?,
                Some(Op::RequestPut(put)) => self.may_put(registry, put, keys_of)?,
                Some(Op::RequestDeleteRange(range)) => self.may_delete(registry, range)?,
                Some(Op::RequestTxn(nested)) => self.may_txn(registry, nested, keys_of)?,
                None => {}
            }
        }
        Ok(())
    }

    pub fn may_put(
        &self,
        registry: &Registry,
        request: &pb::PutRequest,
        keys_of: &impl Fn(i64) -> Vec<Bytes>,
    ) -> Result<(), Refusal> {
        if !registry.enabled() {
            return Ok(());
        }
        self.may_write(registry, &request.key, &[])?;
        if request.lease != 0 {
            self.may_write_all(registry, &keys_of(request.lease))?;
        }
        if request.prev_kv { self.may_read(registry, &request.key, &[]) } else { Ok(()) }
    }

    pub fn may_delete(&self, registry: &Registry, request: &pb::DeleteRangeRequest) -> Result<(), Refusal> {
        self.may_write(registry, &request.key, &request.range_end)?;
        if request.prev_kv { self.may_read(registry, &request.key, &request.range_end) } else { Ok(()) }
    }

    pub fn may_read_all(&self, registry: &Registry, keys: &[Bytes]) -> Result<(), Refusal> {
        keys.iter().try_for_each(|key| self.may_read(registry, key, &[]))
    }

    pub fn may_write_all(&self, registry: &Registry, keys: &[Bytes]) -> Result<(), Refusal> {
        keys.iter().try_for_each(|key| self.may_write(registry, key, &[]))
    }

    fn may(&self, registry: &Registry, covered: impl FnOnce(&Rights) -> bool) -> Result<(), Refusal> {
        if !registry.enabled() {
            return Ok(());
        }
        // etcd's order: nobody, then who was identified too long ago, then the permission.
        if self.revision == 0 {
            return Err(Refusal::UserEmpty);
        }
        if self.revision < registry.revision() {
            return Err(Refusal::OldRevision);
        }
        match registry.rights(&self.name) {
            Some(rights) if rights.is_root || covered(rights) => Ok(()),
            Some(_) | None => Err(Refusal::PermissionDenied),
        }
    }

    /// `None` while authentication is off.
    fn rights<'r>(&self, registry: &'r Registry) -> Result<Option<&'r Rights>, Refusal> {
        if !registry.enabled() {
            return Ok(None);
        }
        if self.name.is_empty() {
            return Err(Refusal::UserEmpty);
        }
        registry.rights(&self.name).map(Some).ok_or(Refusal::PermissionDenied)
    }
}
