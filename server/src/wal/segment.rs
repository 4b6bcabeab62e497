//! Segment files: how one comes to be, durably, and what stands at its head.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_format::wal::{Encoder, Record, SegmentName};

use super::disk::{Disk, File};
use super::entry::{HardState, Metadata};
use super::error::Failure;

/// A segment in the making: space is reserved, nothing is in it, and replay ignores it.
pub(super) struct Blank {
    pub(super) path: PathBuf,
    file: Arc<dyn File>,
}

/// Leftovers with this ending are removed at start.
pub(super) const TEMPORARY_SUFFIX: &str = ".tmp";

impl Blank {
    /// `stem` names the temporary file; an existing one is emptied, so it must not be a segment that is still to be published.
    pub(super) fn prepare(disk: &dyn Disk, dir: &Path, stem: &str, bytes: u64) -> Result<Self, Failure> {
        let path = dir.join(format!("{stem}{TEMPORARY_SUFFIX}"));
        let file = disk.create(&path).map_err(|source| Failure::new("create log segment", &path, source))?;
        file.allocate(bytes).map_err(|source| Failure::new("reserve space for log segment", &path, source))?;
        Ok(Self { path, file })
    }

    /// Writes the head and gives the segment its name. Once this returns the segment is there after any crash; if it doesn't, it is
    /// there whole or not at all. Everything in the segment before must be durable.
    pub(super) fn publish(
        self,
        disk: &dyn Disk,
        dir: &Path,
        name: SegmentName,
        head: &[u8],
    ) -> Result<(PathBuf, Arc<dyn File>), Failure> {
        let Self { path, file } = self;
        file.write_all_at(head, 0).map_err(|source| Failure::new("write log segment", &path, source))?;
        file.sync_all().map_err(|source| Failure::new("sync log segment", &path, source))?;
        let named = dir.join(name.to_string());
        disk.rename(&path, &named).map_err(|source| Failure::new("name log segment", &named, source))?;
        disk.sync_dir(dir).map_err(|source| Failure::new("sync log folder", dir, source))?;
        Ok((named, file))
    }
}

/// The head of a segment: the chain so far, whose log it is, and the state, so that no segment needs those before it.
pub(super) fn head(encoder: &mut Encoder, metadata: Metadata, state: Option<HardState>) -> Vec<u8> {
    let Metadata { node_id, cluster_id } = metadata;
    let mut head = Vec::new();
    encoder.append(&Record::Crc(encoder.crc()), &mut head);
    encoder.append(&Record::Metadata { node_id, cluster_id }, &mut head);
    if let Some(state) = state {
        encoder.append(&Record::State(state), &mut head);
    }
    head
}
