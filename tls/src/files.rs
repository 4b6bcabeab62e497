//! Something made from files, made again when they change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Error;

/// Tells one content of a file from another: replaced files have another inode, rewritten ones another time.
type Stamp = Option<(u64, u64, i64, i64)>;

pub struct Made<T> {
    files: Vec<PathBuf>,
    make: Box<dyn Fn() -> Result<T, Error> + Send + Sync>,
    last: Mutex<(Vec<Stamp>, Arc<T>)>,
}

impl<T> Made<T> {
    pub fn new(
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let seen = stamps(&files);
        let first = Arc::new(make()?);
        Ok(Self { files, make: Box::new(make), last: Mutex::new((seen, first)) })
    }

    /// From the files as they are. While they can't be used, from what they were.
    pub fn current(&self) -> Arc<T> {
        let now = stamps(&self.files);
        let mut last = self.last.lock();
        if last.0 != now {
            // Half of a pair may be written yet: the other half changes the stamps once more.
            last.0 = now;
            match (self.make)() {
                Ok(made) => {
                    tracing::info!(files = ?self.files, "took up changed certificate files");
                    last.1 = Arc::new(made);
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "failed to take up changed certificate files; going on with the ones before"
                ),
            }
        }
        last.1.clone()
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    files
        .iter()
        .map(|file| {
            let meta = fs::metadata(file).ok()?;
            Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(path: &std::path::Path) -> Result<Made<u32>, Error> {
        let own = path.to_owned();
        Made::new(vec![path.to_owned()], move || {
            let failed = |source| Error::Read { path: own.clone(), source };
            let text = fs::read_to_string(&own).map_err(failed)?;
            text.parse().map_err(|error| failed(std::io::Error::other(error)))
        })
    }

    #[test]
    fn a_changed_file_is_taken_up_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(made(&path).is_err());
        fs::write(&path, "1").unwrap();
        let made = made(&path).unwrap();
        assert_eq!(*made.current(), 1);
        for (text, seen) in [("22", 22), ("half", 22), ("", 22), ("333", 333)] {
            fs::write(&path, text).unwrap();
            assert_eq!((*made.current(), *made.current()), (seen, seen), "{text:?}");
        }
        // Another file in its place, of the same length.
        let new = folder.path().join("new");
        fs::write(&new, "444").unwrap();
        fs::rename(&new, &path).unwrap();
        assert_eq!(*made.current(), 444);
        fs::remove_file(&path).unwrap();
        assert_eq!(*made.current(), 444);
    }
}
