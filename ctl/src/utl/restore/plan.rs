//! From flags to what will be done. Nothing is written here.

use std::fs;
use std::path::{Path, PathBuf};

use quorate_ctl::{failure::Failure, go::quote, output::Json};
use quorate_restore::Cluster;

use super::super::failed;
use super::Restore;

/// A restoration whose flags make sense together.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) snapshot: String,
    pub(super) cluster: Cluster,
    pub(super) data_dir: PathBuf,
    pub(super) wal_dir: PathBuf,
    pub(super) skip_hash_check: bool,
    /// How much to add to the latest revision, which is then marked as compacted.
    pub(super) bump_revision: Option<u64>,
    initial_memory_map_size: u64,
}

impl Plan {
    pub(super) fn new(flags: Restore) -> Result<Self, Failure> {
        let Restore {
            args,
            data_dir,
            wal_dir,
            initial_cluster,
            initial_cluster_token,
            initial_advertise_peer_urls,
            name,
            skip_hash_check,
            initial_memory_map_size,
            bump_revision,
            mark_compacted,
        } = flags;
        let Ok([snapshot]) = <[String; 1]>::try_from(args) else {
            return Err(Failure::bad_args("snapshot restore requires exactly one argument"));
        };
        if (bump_revision > 0) != mark_compacted {
            return Err(Failure::bad_args("--mark-compacted required if --bump-revision > 0"));
        }
        let data_dir = PathBuf::from(if data_dir.is_empty() { format!("{name}.etcd") } else { data_dir });
        let wal_dir = if wal_dir.is_empty() { data_dir.join("member").join("wal") } else { PathBuf::from(wal_dir) };
        let cluster =
            Cluster::from_flags(&initial_cluster, &initial_cluster_token, &initial_advertise_peer_urls, &name)
                .map_err(failed)?;
        let bump_revision = mark_compacted.then_some(bump_revision);
        Ok(Self { snapshot, cluster, data_dir, wal_dir, skip_hash_check, bump_revision, initial_memory_map_size })
    }

    /// Refuses to write over anything.
    pub(super) fn check_folders(&self) -> Result<(), String> {
        let Self { data_dir, wal_dir, .. } = self;
        let exists = |path: &Path| fs::symlink_metadata(path).is_ok();
        let is_empty = |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        if exists(data_dir) && !is_empty(data_dir) {
            return Err(format!("data-dir {} not empty or could not be read", quoted(data_dir)));
        }
        if exists(wal_dir) {
            return Err(format!("wal-dir {} exists", quoted(wal_dir)));
        }
        Ok(())
    }

    /// The log's folder, if it is outside of its usual place in the data folder.
    pub(super) fn own_wal_dir(&self) -> Option<&Path> {
        (self.wal_dir != self.data_dir.join("member").join("wal")).then_some(self.wal_dir.as_path())
    }

    pub(super) fn log_fields(&self) -> Vec<(&'static str, Json)> {
        let path = |path: &Path| Json::from(path.display().to_string());
        vec![
            ("path", Json::from(self.snapshot.as_str())),
            ("wal-dir", path(&self.wal_dir)),
            ("data-dir", path(&self.data_dir)),
            ("snap-dir", path(&self.data_dir.join("member").join("snap"))),
            ("initial-memory-map-size", Json::from(self.initial_memory_map_size)),
        ]
    }
}

fn quoted(path: &Path) -> String {
    quote(path.as_os_str().as_encoded_bytes()).to_string()
}
