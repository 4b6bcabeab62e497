//! The folder while it is being written, under another name, so that no server starts on half of it.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use quorate_ctl::{log::warn, output::Json};

use super::plan::Plan;

/// Added to the names of folders that aren't complete.
const SUFFIX: &str = ".restoring";

/// Disappears unless it is published.
pub(super) struct Staging {
    pub(super) snap: PathBuf,
    pub(super) wal: PathBuf,
    /// From, to; in the order in which they take their names.
    renames: Vec<(PathBuf, PathBuf)>,
    /// Folders that weren't there before, outermost first.
    created: Vec<PathBuf>,
    published: bool,
}

impl Staging {
    pub(super) fn create(plan: &Plan) -> Result<Self, String> {
        let member = plan.data_dir.join("member");
        let staged_member = with_suffix(&member);
        let (wal, staged_wal) = match plan.has_own_wal_dir() {
            true => (with_suffix(&plan.wal_dir), Some((with_suffix(&plan.wal_dir), plan.wal_dir.clone()))),
            false => (staged_member.join("wal"), None),
        };
        // The log goes first: without it a server would take the folder for a new member's and ignore the log's absence.
        let renames = staged_wal.into_iter().chain([(staged_member.clone(), member)]).collect();
        let mut staging =
            Self { snap: staged_member.join("snap"), wal, renames, created: Vec::new(), published: false };
        for folder in [staging.snap.clone(), staging.wal.clone()] {
            staging.create_folder(&folder).map_err(|error| format!("mkdir {}: {error}", folder.display()))?;
        }
        Ok(staging)
    }

    /// Makes everything durable, then visible.
    pub(super) fn publish(mut self) -> Result<(), String> {
        let sync = |path: &Path| File::open(path).and_then(|folder| folder.sync_all());
        let parent = |path: &Path| {
            path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
        };
        let staged = [self.snap.clone(), self.wal.clone(), parent(&self.snap)];
        let publish = || -> io::Result<()> {
            staged.iter().try_for_each(|folder| sync(folder))?;
            for (from, to) in &self.renames {
                fs::rename(from, to)?;
                sync(&parent(to))?;
            }
            // The names of the folders that hold the folders.
            self.created.iter().filter(|folder| folder.exists()).try_for_each(|folder| sync(&parent(folder)))
        };
        publish().map_err(|error| format!("could not put the restored folder in its place: {error}"))?;
        self.published = true;
        Ok(())
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
        for (from, to) in &self.renames {
            // A rename that was done and a later one that failed leave the new name.
            for path in [from, to] {
                remove(fs::remove_dir_all(path), path);
            }
        }
        for folder in self.created.iter().rev() {
            // Only if it is empty: somebody else may have come meanwhile.
            remove(fs::remove_dir(folder), folder);
        }
    }
}

fn remove(result: io::Result<()>, path: &Path) {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let fields = vec![("path", Json::from(path.display().to_string())), ("error", error.to_string().into())];
            warn("failed to remove what a failed restoration has left", fields);
        }
        _ => {}
    }
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SUFFIX);
    PathBuf::from(name)
}
