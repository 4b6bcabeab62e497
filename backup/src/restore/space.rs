use std::path::Path;

use super::Error;

/// What the new database may be larger than the old, and the log of the first start: etcd allocates 64 MB twice.
const RESERVE_BYTES: u64 = 160 << 20;

/// The snapshot and the new database are there at the same time; changes are packed when they are stored.
pub(super) fn wanted_bytes(database_bytes: u64, changes_bytes: u64) -> u64 {
    const UNPACKED: u64 = 4;
    database_bytes
        .saturating_mul(2)
        .saturating_add(changes_bytes.saturating_mul(UNPACKED))
        .saturating_add(RESERVE_BYTES)
}

pub(super) fn check(folder: &Path, wanted_bytes: u64) -> Result<(), Error> {
    let fail = |error: rustix::io::Errno| Error::Folder { path: folder.to_owned(), source: error.into() };
    let volume = rustix::fs::statvfs(folder).map_err(fail)?;
    let free_bytes = volume.f_bavail.saturating_mul(volume.f_frsize);
    match free_bytes < wanted_bytes {
        true => Err(Error::NoSpace { path: folder.to_owned(), free_bytes, wanted_bytes }),
        false => Ok(()),
    }
}
