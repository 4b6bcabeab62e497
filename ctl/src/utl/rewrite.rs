//! A data folder's database file, written anew in the place of the old one.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use quorate_ctl::failure::Failure;
use quorate_format::bbolt::{self, Reader, Writer};

use super::{failed, progress::Progress, source};

const META: &[u8] = b"meta";
/// As etcd names it, which removes what a process that was killed has left.
const TEMPORARY_PREFIX: &str = "db.tmp.";

/// The database of a data folder that no server uses, until it is dropped.
pub(super) struct Database {
    pub path: PathBuf,
    pub reader: Reader,
    /// Of the file, with what isn't in use.
    pub file_bytes: u64,
}

/// A row of the bucket `meta` that is to be there instead of the one with the same key; no value: none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MetaRow {
    pub key: &'static [u8],
    pub value: Option<Vec<u8>>,
}

impl Database {
    pub(super) fn open(data_dir: &str, lock_timeout: Duration) -> Result<Self, String> {
        let member = Path::new(data_dir).join("member");
        let store = member.join("store");
        if store.exists() {
            return Err(format!("{} is no file of etcd's: the server looks after it itself", store.display()));
        }
        let path = member.join("snap").join("db");
        let file = source::open_exclusively(&path, lock_timeout)?;
        let file_bytes = file.metadata().map_err(|error| source::go_text(&error))?.len();
        let reader = Reader::new(file).map_err(|error| source::describe(&error))?;
        Ok(Self { path, reader, file_bytes })
    }

    /// Replaces the file, once what was written is on disk and can be read. Answers its size in bytes.
    pub(super) fn rewrite(&self, task: &'static str, change: Option<&MetaRow>) -> Result<u64, String> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let failed =
            |what: &str, error: std::io::Error| format!("{what} {}: {}", folder.display(), source::go_text(&error));
        let temporary = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .tempfile_in(folder)
            .map_err(|error| failed("could not make a file in", error))?;
        let size_bytes =
            copy(&self.reader, temporary.as_file(), change, &mut Progress::new(task, self.reader.size_bytes()))
                .map_err(|error| source::describe(&error))?;
        temporary.as_file().sync_all().map_err(|error| failed("could not write to", error))?;
        let written = Reader::open(temporary.path()).and_then(|written| written.check());
        written.map_err(|error| format!("the new file is damaged: {}", source::describe(&error)))?;
        temporary.persist(&self.path).map_err(|error| failed("could not replace the file in", error.error))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed("could not sync", error))?;
        Ok(size_bytes)
    }

    /// A row of the bucket `meta`.
    pub(super) fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let say = |error| source::describe(&error);
        let Some(meta) = self.reader.bucket(META).map_err(say)? else { return Ok(None) };
        Ok(meta.get(key).map_err(say)?.map(|value| value.to_vec()))
    }
}

/// What is missing on the command line.
pub(super) fn required(flags: &[(&str, bool)]) -> Result<(), Failure> {
    let missing: Vec<String> =
        flags.iter().filter(|(_, is_set)| !is_set).map(|(name, _)| format!("\"{name}\"")).collect();
    if missing.is_empty() { Ok(()) } else { Err(failed(format!("required flag(s) {} not set", missing.join(", ")))) }
}

fn copy(reader: &Reader, to: &File, change: Option<&MetaRow>, progress: &mut Progress) -> Result<u64, bbolt::Error> {
    let mut writer = Writer::create(to)?;
    for name in reader.buckets()? {
        let Some(bucket) = reader.bucket(&name)? else { continue };
        let mut copied = writer.bucket(name.to_vec())?;
        let mut change = change.filter(|_| name == META);
        let mut rows = bucket.rows();
        while let Some(row) = rows.next()? {
            progress.add(row.key.len() + row.value.len());
            // Keys come in order.
            if let Some(new) = change.take_if(|new| *new.key <= *row.key) {
                put(&mut copied, new)?;
                if new.key == row.key {
                    continue;
                }
            }
            copied.put(&row.key, &row.value)?;
        }
        if let Some(new) = change {
            put(&mut copied, new)?;
        }
        copied.finish()?;
    }
    Ok(writer.finish()?.1)
}

fn put(bucket: &mut bbolt::BucketWriter<'_, &File>, row: &MetaRow) -> Result<(), bbolt::Error> {
    row.value.as_ref().map_or(Ok(()), |value| bucket.put(row.key, value))
}

/// A data folder for tests, with these rows in the bucket `meta`.
#[cfg(test)]
pub(super) fn data_folder(meta: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let snap = folder.path().join("member/snap");
    std::fs::create_dir_all(&snap).unwrap();
    let mut writer = Writer::create(File::create(snap.join("db")).unwrap()).unwrap();
    let mut keys = writer.bucket("key").unwrap();
    keys.put(b"k", b"v").unwrap();
    keys.finish().unwrap();
    let mut bucket = writer.bucket("meta").unwrap();
    meta.iter().for_each(|(key, value)| bucket.put(key.as_bytes(), value.as_bytes()).unwrap());
    bucket.finish().unwrap();
    writer.finish().unwrap();
    folder
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(1);

    #[track_caller]
    fn check(change: &MetaRow, expected: &[(&str, &str)]) {
        let folder = data_folder(&[("b", "1"), ("d", "2")]);
        let path = folder.path().to_str().unwrap();
        Database::open(path, LIMIT).unwrap().rewrite("testing", Some(change)).unwrap();
        let database = Database::open(path, LIMIT).unwrap();
        let mut found = Vec::new();
        let meta = database.reader.bucket(b"meta").unwrap().unwrap();
        let mut rows = meta.rows();
        while let Some(row) = rows.next().unwrap() {
            found.push((row.key.to_vec(), row.value.to_vec()));
        }
        let expected: Vec<_> =
            expected.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
        assert_eq!(found, expected);
        assert_eq!(database.reader.bucket(b"key").unwrap().unwrap().get(b"k").unwrap().unwrap(), "v");
        assert_eq!(fs::read_dir(folder.path().join("member/snap")).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_row_is_put_in_its_place_replaced_or_left_out() {
        let row = |key: &'static [u8; 1], value: Option<&str>| MetaRow {
            key,
            value: value.map(|value| value.as_bytes().to_vec()),
        };
        check(&row(b"a", Some("0")), &[("a", "0"), ("b", "1"), ("d", "2")]);
        check(&row(b"c", Some("0")), &[("b", "1"), ("c", "0"), ("d", "2")]);
        check(&row(b"d", Some("0")), &[("b", "1"), ("d", "0")]);
        check(&row(b"e", Some("0")), &[("b", "1"), ("d", "2"), ("e", "0")]);
        check(&row(b"b", None), &[("d", "2")]);
    }

    #[test]
    fn a_folder_in_use_or_of_our_server_is_left_alone() {
        let folder = data_folder(&[]);
        let path = folder.path().to_str().unwrap();
        let held = Database::open(path, LIMIT).unwrap();
        assert!(Database::open(path, LIMIT).err().unwrap().contains("timeout"));
        drop(held);
        fs::create_dir(folder.path().join("member/store")).unwrap();
        assert!(Database::open(path, LIMIT).err().unwrap().contains("member/store"));
    }
}
