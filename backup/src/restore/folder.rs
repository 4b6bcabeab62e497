use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use quorate_format::bbolt::Reader;
use quorate_restore::database::{Contents, Written};
use quorate_restore::{Cluster, Staging};

use super::{Error, Replay, space};
use crate::changes::Reached;

/// For the snapshot, in the data folder because nothing else is surely on its volume; removed at the end, and at the next begin.
const SPOOL: &str = "quorate-restore.spool";

/// The data folder of one new member. Flags are those of etcd.
#[derive(Clone, Debug, clap::Args)]
pub struct Folder {
    /// Of the new member; left alone if it has a member already
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: PathBuf,

    /// Of the new member
    #[arg(long, value_name = "NAME")]
    pub name: String,

    /// Members of the new cluster, NAME=URL separated by commas
    #[arg(long, value_name = "LIST")]
    pub initial_cluster: String,

    /// Goes into the new cluster's ids
    #[arg(long, value_name = "TOKEN")]
    pub initial_cluster_token: String,

    /// Peer URLs of the new member, separated by commas
    #[arg(long, value_name = "LIST")]
    pub initial_advertise_peer_urls: String,
}

/// A folder that nobody else works in.
pub struct Prepared {
    data_dir: PathBuf,
    cluster: Cluster,
    /// An empty folder on the volume.
    pub spool: PathBuf,
    /// Unlocked when it is dropped, or when the process is killed.
    _lock: File,
}

/// What the folder has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    pub written: Written,
    pub database_bytes: u64,
    /// If there were changes to follow.
    pub reached: Option<Reached>,
}

impl Folder {
    /// The member that is there already.
    pub fn member(&self) -> Option<PathBuf> {
        let member = self.data_dir.join("member");
        fs::symlink_metadata(&member).is_ok().then_some(member)
    }

    /// Checks the flags, and removes what a run that was killed has left. `None` if there is a member.
    pub fn prepare(&self) -> Result<Option<Prepared>, Error> {
        let Self { data_dir, name, initial_cluster, initial_cluster_token, initial_advertise_peer_urls } = self;
        let cluster = Cluster::from_flags(initial_cluster, initial_cluster_token, initial_advertise_peer_urls, name)?;
        if self.member().is_some() {
            return Ok(None);
        }
        let unusable = |source| Error::Folder { path: data_dir.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(unusable)?;
        let lock = File::open(data_dir).map_err(unusable)?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => Error::Locked(data_dir.clone()),
            fs::TryLockError::Error(source) => unusable(source),
        })?;
        // Whoever had the lock before may have finished.
        if self.member().is_some() {
            return Ok(None);
        }
        Staging::clear(data_dir).map_err(unusable)?;
        let spool = data_dir.join(SPOOL);
        remove_spool(&spool).map_err(unusable)?;
        DirBuilder::new().mode(0o700).create(&spool).map_err(unusable)?;
        Ok(Some(Prepared { data_dir: data_dir.clone(), cluster, spool, _lock: lock }))
    }
}

impl Prepared {
    /// Before anything is fetched.
    pub fn check_space(&self, database_bytes: u64, changes_bytes: u64) -> Result<(), Error> {
        space::check(&self.data_dir, space::wanted_bytes(database_bytes, changes_bytes))
    }

    /// Makes the folder, on a thread that may block.
    pub async fn make(
        self,
        snapshot: Reader,
        bump_revision: Option<u64>,
        remaining_ttl_s: Option<i64>,
        replay: Option<Replay>,
    ) -> Result<Made, Error> {
        let made = tokio::task::spawn_blocking(move || self.write(&snapshot, bump_revision, remaining_ttl_s, replay));
        made.await.unwrap_or(Err(Error::GivenUp))
    }

    fn write(
        self,
        snapshot: &Reader,
        bump_revision: Option<u64>,
        remaining_ttl_s: Option<i64>,
        mut replay: Option<Replay>,
    ) -> Result<Made, Error> {
        let staging = Staging::create(&self.data_dir, None, |path, error| {
            tracing::warn!(path = %path.display(), %error, "what was half written is not removed");
        })?;
        let changes = replay.as_mut().map(|replay| replay as &mut dyn quorate_restore::database::Changes);
        let contents = Contents { last_revision: None, changes, bump_revision, remaining_ttl_s };
        let written = staging.write_database(snapshot, &self.cluster, contents, &mut |_| {})?;
        let reached = replay.map(Replay::finish).transpose().map_err(Error::Missing)?;
        staging.write_log(&self.cluster)?;
        let unusable = |source| Error::Folder { path: self.data_dir.clone(), source };
        staging.publish()?;
        let database_bytes = fs::metadata(self.data_dir.join("member/snap/db")).map_err(unusable)?.len();
        Ok(Made { written, database_bytes, reached })
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Err(error) = remove_spool(&self.spool) {
            tracing::warn!(path = %self.spool.display(), %error, "the spool is not removed");
        }
    }
}

fn remove_spool(spool: &Path) -> io::Result<()> {
    match fs::remove_dir_all(spool) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Members that ask everybody for a name would not let in who manages them, unless they know it by its certificate. `cure` is what to do.
pub fn refuse_authentication(snapshot: &Reader, cure: &'static str) -> Result<(), Error> {
    let Some(bucket) = snapshot.bucket(b"auth")? else { return Ok(()) };
    match bucket.get(b"authEnabled")? {
        Some(value) if value[..] == [1] => Err(Error::Authentication { cure }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
