//! A new log: made beside its place and moved there whole, so that a crash leaves no half of one (etcd#16596 was one).

use std::io;
use std::path::{Path, PathBuf};

use quorate_format::wal::{Encoder, Record, SegmentName, Snapshot};

use super::disk::Disk;
use super::entry::Metadata;
use super::error::Error;
use super::options::Options;
use super::segment::{self, Blank};

pub(super) fn exists(disk: &dyn Disk, dir: &Path) -> Result<bool, Error> {
    match disk.list(dir) {
        Ok(names) => Ok(names.iter().any(|name| name.ends_with(".wal"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("list log folder", dir)(error)),
    }
}

pub(super) fn create(dir: &Path, metadata: Metadata, options: &Options) -> Result<(), Error> {
    let disk = &*options.disk;
    if exists(disk, dir)? {
        return Err(Error::Exists(dir.to_owned()));
    }
    let mut temporary = dir.as_os_str().to_owned();
    temporary.push(segment::TEMPORARY_SUFFIX);
    let temporary = PathBuf::from(temporary);
    disk.remove_dir_all(&temporary).map_err(Error::io("remove unfinished log", &temporary))?;
    disk.create_dir(&temporary).map_err(Error::io("create log folder", &temporary))?;

    let mut encoder = Encoder::new(0);
    let mut head = segment::head(&mut encoder, metadata, None);
    // Everything starts from a snapshot marker; this one stands in front of the first entry.
    encoder.append(&Record::Snapshot(Snapshot::default()), &mut head);
    let blank = Blank::prepare(disk, &temporary, "0", options.segment_bytes)?;
    blank.publish(disk, &temporary, SegmentName::default(), &head)?;

    disk.rename(&temporary, dir).map_err(Error::io("name log folder", dir))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            disk.sync_dir(parent).map_err(Error::io("sync folder", parent))
        }
        _ => disk.sync_dir(Path::new(".")).map_err(Error::io("sync folder", dir)),
    }
}
