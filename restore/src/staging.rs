//! The folder while it is being written, under another name, so that no server starts on half of it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use quorate_format::bbolt::Reader;

use crate::database::{self, Contents, Written};
use crate::{Cluster, Error, log};

/// Added to the names of folders that aren't complete.
const SUFFIX: &str = ".restoring";

/// A data folder that is being made. Disappears unless it is published.
#[must_use = "a folder that isn't published disappears"]
pub struct Staging {
    snap: PathBuf,
    wal: PathBuf,
    /// From, to; in the order in which they take their names.
    renames: Vec<(PathBuf, PathBuf)>,
    /// How many of them are done.
    renamed: usize,
    /// Folders that weren't there before, outermost first.
    created: Vec<PathBuf>,
    published: bool,
    tell_leftover: TellLeftover,
}

/// Is told what could not be removed after a failure.
pub type TellLeftover = fn(&Path, &io::Error);

impl Staging {
    /// `wal_dir`: the log's folder, if it is to be outside of its usual place in the data folder.
    pub fn create(data_dir: &Path, wal_dir: Option<&Path>, tell_leftover: TellLeftover) -> Result<Self, Error> {
        let member = data_dir.join("member");
        let staged_member = with_suffix(&member);
        let (wal, staged_wal) = match wal_dir {
            Some(wal_dir) => (with_suffix(wal_dir), Some((with_suffix(wal_dir), wal_dir.to_owned()))),
            None => (staged_member.join("wal"), None),
        };
        let mut staging = Self {
            snap: staged_member.join("snap"),
            wal,
            // The log goes first: without it a server would take the folder for a new member's and ignore the log's absence.
            renames: staged_wal.into_iter().chain([(staged_member, member)]).collect(),
            renamed: 0,
            created: Vec::new(),
            published: false,
            tell_leftover,
        };
        for path in [staging.snap.clone(), staging.wal.clone()] {
            staging.create_folder(&path).map_err(|source| Error::Folder { path, source })?;
        }
        Ok(staging)
    }

    /// Removes what a restoration into this folder has left that was killed. Only one may run at a time.
    pub fn clear(data_dir: &Path) -> io::Result<()> {
        match fs::remove_dir_all(with_suffix(&data_dir.join("member"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// `progress` is told the bytes of each row.
    pub fn write_database(
        &self,
        snapshot: &Reader,
        cluster: &Cluster,
        contents: Contents<'_>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Written, Error> {
        database::write(snapshot, &self.snap.join("db"), Some(cluster), contents, progress)
    }

    pub fn write_log(&self, cluster: &Cluster) -> Result<(), Error> {
        log::write(&self.wal, &self.snap, cluster)
    }

    /// Makes everything durable, then visible.
    pub fn publish(mut self) -> Result<(), Error> {
        self.put_in_place().map_err(Error::Publish)?;
        self.published = true;
        Ok(())
    }

    fn put_in_place(&mut self) -> io::Result<()> {
        let sync = |path: &Path| File::open(path).and_then(|folder| folder.sync_all());
        let parent = |path: &Path| {
            path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
        };
        for folder in [&self.snap, &self.wal, &parent(&self.snap)] {
            sync(folder)?;
        }
        for (from, to) in &self.renames {
            fs::rename(from, to)?;
            self.renamed += 1;
            sync(&parent(to))?;
        }
        // The names of the folders that hold the folders.
        self.created.iter().filter(|folder| folder.exists()).try_for_each(|folder| sync(&parent(folder)))
    }

    /// With its parents, for the owner only, as etcd has them.
    fn create_folder(&mut self, folder: &Path) -> io::Result<()> {
        let mut missing = Vec::new();
        let mut at = folder;
        while !at.as_os_str().is_empty() && !at.exists() {
            missing.push(at.to_owned());
            match at.parent() {
                Some(parent) => at = parent,
                None => break,
            }
        }
        for folder in missing.into_iter().rev() {
            DirBuilder::new().mode(0o700).create(&folder)?;
            self.created.push(folder);
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        let remove = |result: io::Result<()>, path: &Path| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => (self.tell_leftover)(path, &error),
            _ => {}
        };
        for (number, (from, to)) in self.renames.iter().enumerate() {
            let path = if number < self.renamed { to } else { from };
            remove(fs::remove_dir_all(path), path);
        }
        for folder in self.created.iter().rev() {
            // Only if it is empty: somebody else may have come meanwhile.
            remove(fs::remove_dir(folder), folder);
        }
    }
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SUFFIX);
    PathBuf::from(name)
}
