//! The bucket `lease`: the snapshot's leases, and those that changes name.

use std::collections::BTreeMap;
use std::io::{Seek, Write};

use prost::Message;
use quorate_format::bbolt::{Reader, Writer};
use quorate_proto::leasepb::Lease;

use crate::Error;

/// Some 24 bytes each.
const LEASES_MAX: usize = 500_000;

const BUCKET: &str = "lease";

/// What changes say of leases: ids, as the rows of the bucket are named, and granted TTLs in seconds.
///
/// No change says that a lease has ended. One that had ended comes back without keys, and ends again.
#[derive(Default)]
pub(crate) struct Leases(BTreeMap<[u8; 8], Ttl>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ttl {
    Granted(i64),
    /// Counts only if nothing else is known.
    Assumed(i64),
}

impl Leases {
    pub(crate) fn add(&mut self, id: i64, ttl_s: i64) -> Result<(), Error> {
        if self.0.len() >= LEASES_MAX {
            return Err(Error::TooManyLeases(LEASES_MAX));
        }
        self.0.insert(id.to_be_bytes(), Ttl::Granted(ttl_s));
        Ok(())
    }

    pub(crate) fn add_lost(&mut self, id: i64, ttl_s: i64) -> Result<(), Error> {
        if self.0.len() >= LEASES_MAX {
            return Err(Error::TooManyLeases(LEASES_MAX));
        }
        self.0.entry(id.to_be_bytes()).or_insert(Ttl::Assumed(ttl_s));
        Ok(())
    }

    /// `remaining_ttl_s`: how long each is to live, whatever it has left.
    pub(crate) fn write<W: Write + Seek>(
        mut self,
        snapshot: &Reader,
        writer: &mut Writer<W>,
        remaining_ttl_s: Option<i64>,
    ) -> Result<(), Error> {
        let from = snapshot.bucket(BUCKET.as_bytes())?;
        if from.is_none() && self.0.is_empty() {
            return Ok(());
        }
        let mut bucket = writer.bucket(BUCKET)?;
        let mut put = |id: &[u8], mut lease: Lease| {
            lease.remaining_ttl = remaining_ttl_s.unwrap_or(lease.remaining_ttl);
            bucket.put(id, &lease.encode_to_vec())
        };
        let mut rows = from.as_ref().map(|bucket| bucket.rows());
        while let Some(row) = rows.as_mut().map_or(Ok(None), |rows| rows.next())? {
            let id = <[u8; 8]>::try_from(row.key.as_ref()).map_err(|_| Error::Lease(0))?;
            let lease = Lease::decode(row.value).map_err(|_| Error::Lease(i64::from_be_bytes(id)))?;
            while let Some(added) = self.0.first_entry().filter(|added| *added.key() < id) {
                let (id, ttl) = added.remove_entry();
                put(&id, granted(id, ttl))?;
            }
            // Changes are newer: the lease may have been granted anew.
            let lease = match self.0.remove(&id) {
                Some(Ttl::Granted(ttl_s)) if ttl_s != lease.ttl => granted(id, Ttl::Granted(ttl_s)),
                _ => lease,
            };
            put(&id, lease)?;
        }
        for (id, ttl) in self.0 {
            put(&id, granted(id, ttl))?;
        }
        Ok(bucket.finish()?)
    }
}

fn granted(id: [u8; 8], ttl: Ttl) -> Lease {
    let (Ttl::Granted(ttl) | Ttl::Assumed(ttl)) = ttl;
    Lease { id: i64::from_be_bytes(id), ttl, remaining_ttl: 0 }
}
