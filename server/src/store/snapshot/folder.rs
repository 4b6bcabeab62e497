//! Where the rows lie on disk.
//!
//! The rows are in `rows-<number>` inside the store's folder, and the highest number is the store: taking in another set of rows
//! is one rename. A folder that is RocksDB's itself (a checkpoint) is opened in place.

use std::{
    fs::{self, DirBuilder, File},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::store::error::Error;

const PREFIX: &str = "rows-";

/// A store's folder.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// `None`: the rows are in `root` itself.
    number: Option<u64>,
}

impl Folder {
    /// Finds the rows in `root`, or a place for them, and removes what an interrupted replacement left.
    pub(in crate::store) fn open(root: &Path) -> Result<Self, Error> {
        make(root)?;
        let numbers = numbered(root)?;
        let newest = numbers.iter().copied().max();
        if newest.is_none() && root.join("CURRENT").exists() {
            return Ok(Self { root: root.to_owned(), number: None });
        }
        let folder = Self { root: root.to_owned(), number: Some(newest.unwrap_or(1)) };
        for old in numbers.into_iter().filter(|number| Some(*number) != newest) {
            let old = folder.place(old);
            fs::remove_dir_all(&old).map_err(Error::file(old))?;
        }
        if newest.is_none() {
            let rows = folder.rows();
            make(&rows)?;
            sync(root)?;
            if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                sync(parent)?;
            }
        }
        Ok(folder)
    }

    /// Where the rows are.
    pub(in crate::store) fn rows(&self) -> PathBuf {
        self.number.map_or_else(|| self.root.clone(), |number| self.place(number))
    }

    /// Makes the rows in `from` those of this store. After a crash it has happened or it has not.
    pub(in crate::store) fn adopt(&mut self, from: &Path) -> Result<(), Error> {
        let Some(number) = self.number else {
            return Err(Error::Folder(format!(
                "{} was opened in place and cannot be replaced; open the folder that holds the store",
                self.root.display()
            )));
        };
        for file in fs::read_dir(from).map_err(Error::file(from))? {
            sync(&file.map_err(Error::file(from))?.path())?;
        }
        sync(from)?;
        let place = self.place(number + 1);
        fs::rename(from, &place).map_err(Error::file(&place))?;
        sync(&self.root)?;
        self.number = Some(number + 1);
        Ok(())
    }

    fn place(&self, number: u64) -> PathBuf {
        self.root.join(format!("{PREFIX}{number}"))
    }
}

/// For this user alone, as etcd's data is.
fn make(folder: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(Error::file(folder))
}

fn numbered(root: &Path) -> Result<Vec<u64>, Error> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(root).map_err(Error::file(root))? {
        let name = entry.map_err(Error::file(root))?.file_name();
        numbers.extend(
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|number| number.parse::<u64>().ok()),
        );
    }
    Ok(numbers)
}

/// Makes a file's or a folder's content durable.
pub(in crate::store) fn sync(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|file| file.sync_all()).map_err(Error::file(path))
}
