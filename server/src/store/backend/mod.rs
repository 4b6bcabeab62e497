//! The port to what keeps the rows: RocksDB, or plain memory that passes the same tests.

mod memory;
mod rocks;

use std::{ops::ControlFlow, path::Path};

use bytes::Bytes;

pub use memory::Memory;
pub use rocks::Rocks;

use super::{error::Error, kv::row::RowKey};

/// A group of rows with keys of its own; a column family in RocksDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    /// The history of keys: [`RowKey`] -> `mvccpb.KeyValue`.
    Key,
    /// Named facts about the store itself: [`super::state::meta`].
    Meta,
    /// Lease id (8 bytes, big-endian) -> `leasepb.Lease`.
    Lease,
    /// Member id (8 bytes, big-endian) -> `membershippb.Attributes`.
    Members,
    /// Member id (8 bytes, big-endian) of one that was removed -> nothing. Ids never return.
    MembersRemoved,
    /// `etcdserverpb.AlarmMember` -> nothing.
    Alarm,
    /// Named facts about authentication: [`super::auth`].
    Auth,
    /// Name -> `authpb.Role`.
    AuthRoles,
    /// Name -> `authpb.User`.
    AuthUsers,
}

impl Family {
    pub const ALL: [Self; 9] = [
        Self::Key,
        Self::Meta,
        Self::Lease,
        Self::Members,
        Self::MembersRemoved,
        Self::Alarm,
        Self::Auth,
        Self::AuthRoles,
        Self::AuthUsers,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Meta => "meta",
            Self::Lease => "lease",
            Self::Members => "members",
            Self::MembersRemoved => "members_removed",
            Self::Alarm => "alarm",
            Self::Auth => "auth",
            Self::AuthRoles => "auth_roles",
            Self::AuthUsers => "auth_users",
        }
    }
}

/// Changes that become readable and durable together.
#[derive(Debug, Default)]
pub struct Batch {
    /// New rows of [`Family::Key`], in their order.
    pub rows: Vec<(RowKey, Bytes)>,
    /// Rows of [`Family::Key`] that compaction removes.
    pub removed: Vec<RowKey>,
    /// Changes of the other families; `None` removes the row.
    pub others: Vec<(Family, Bytes, Option<Bytes>)>,
}

/// Takes a row's key and value, and says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// What reads rows.
pub trait View {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Rows of [`Family::Key`], each at its key's place.
    fn rows(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, Error>;

    /// Visits the rows with `from <= key`, and `key < to` if there is a `to`, in key order until `each` breaks.
    fn scan(&self, family: Family, from: &[u8], to: Option<&[u8]>, each: &mut Visit<'_>) -> Result<(), Error>;
}

/// Keeps rows. As a view it reads what was written last.
pub trait Backend: View + Send + Sync {
    /// The rows as they are now, whatever is written later.
    fn snapshot(&self) -> Box<dyn View + '_>;

    /// Writes all of the batch or nothing. Durable only after [`Backend::flush`]; a crash before leaves the state after some
    /// earlier batch.
    fn write(&self, batch: Batch) -> Result<(), Error>;

    /// Makes durable what was written before the call.
    fn flush(&self) -> Result<(), Error>;

    /// Rewrites the rows without what is no longer readable.
    fn compact(&self) -> Result<(), Error>;

    /// Puts a copy of the rows into `folder`, which must not exist. The copy is durable. Returns its source: tables of the same
    /// name in copies of one source are the same.
    fn checkpoint(&self, folder: &Path) -> Result<u64, Error>;

    /// Nobody will open these rows again: they may go when the last of their readers has.
    fn discard(&self);
}
