//! Where lines go. A line that cannot be written is dropped: the log must not stop the server.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::tz::TimeZone;
use parking_lot::Mutex;

use super::Error;
use super::journal::{self, Journal};
use super::line::Line;
use crate::config::{LogOutput, LogRotation};

/// Ends the name of an old file that is compressed.
const COMPRESSED: &str = ".gz";

pub(super) enum Sink {
    Stderr,
    Stdout,
    Journal(Journal),
    File(Mutex<RotatedFile>),
}

impl Sink {
    pub(super) fn open(output: &LogOutput, rotation: Option<LogRotation>) -> Result<Self, Error> {
        Ok(match output {
            LogOutput::Stderr => Self::Stderr,
            LogOutput::Stdout => Self::Stdout,
            LogOutput::Journal => Self::Journal(Journal::open(journal::SOCKET.as_ref()).map_err(Error::Journal)?),
            LogOutput::File(path) => {
                let opened = RotatedFile::open(path, rotation);
                let fail = |source| Error::Open { path: path.display().to_string(), source };
                Self::File(Mutex::new(opened.map_err(fail)?))
            }
        })
    }

    pub(super) fn write(&self, line: &Line) {
        let text = line.text.as_bytes();
        let _ = match self {
            Self::Stderr => std::io::stderr().lock().write_all(text),
            // As etcd.
            Self::Journal(journal) => journal.write(line).or_else(|_| std::io::stderr().lock().write_all(text)),
            Self::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(text).and_then(|()| out.flush())
            }
            Self::File(file) => file.lock().write(text),
        };
    }
}

/// A file that is renamed aside when it is full.
pub(super) struct RotatedFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    rotation: Option<LogRotation>,
}

impl RotatedFile {
    fn open(path: &Path, rotation: Option<LogRotation>) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, rotation })
    }

    fn write(&mut self, line: &[u8]) -> std::io::Result<()> {
        let bytes = line.len() as u64;
        if let Some(rotation) = self.rotation
            && self.bytes > 0
            && self.bytes + bytes > rotation.max_size_bytes
        {
            self.rotate(rotation)?;
        }
        self.file.write_all(line)?;
        self.bytes += bytes;
        Ok(())
    }

    /// `name.log` becomes `name-<time>.log`, and old ones beyond the limits are deleted.
    fn rotate(&mut self, rotation: LogRotation) -> std::io::Result<()> {
        let (stem, extension) = self.name_parts();
        let zone = if rotation.in_local_time { TimeZone::system() } else { TimeZone::UTC };
        let time = jiff::Timestamp::now().to_zoned(zone).strftime("%Y-%m-%dT%H-%M-%S%.3f").to_string();
        let aside = self.path.with_file_name(format!("{stem}-{time}{extension}"));
        std::fs::rename(&self.path, &aside)?;
        if rotation.compresses {
            // Lines must not wait for it.
            std::thread::Builder::new().name("log-compression".to_owned()).spawn(move || compress(&aside))?;
        }
        *self = Self::open(&self.path, Some(rotation))?;
        self.delete_old(rotation)
    }

    fn delete_old(&self, rotation: LogRotation) -> std::io::Result<()> {
        let (stem, extension) = self.name_parts();
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let prefix = format!("{stem}-");
        let mut old: Vec<(String, PathBuf)> = std::fs::read_dir(folder)?
            .filter_map(Result::ok)
            .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
            .filter(|(name, _)| {
                let name = name.strip_suffix(COMPRESSED).unwrap_or(name);
                name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(&extension)).is_some_and(is_time)
            })
            .collect();
        // The names end in their time, so newest first is by name.
        old.sort_by(|a, b| b.0.cmp(&a.0));
        let now = SystemTime::now();
        for (at, (_, path)) in old.iter().enumerate() {
            let age = std::fs::metadata(path)?.modified()?;
            let age = now.duration_since(age).unwrap_or_default();
            let too_many = rotation.max_backups.is_some_and(|most| at >= most);
            if too_many || rotation.max_age.is_some_and(|most| age > most) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn name_parts(&self) -> (String, String) {
        let part = |part: Option<&std::ffi::OsStr>| part.map(|text| text.to_string_lossy().into_owned());
        let extension = part(self.path.extension()).map(|text| format!(".{text}")).unwrap_or_default();
        (part(self.path.file_stem()).unwrap_or_default(), extension)
    }
}

/// Replaces a file by its compressed form. The file stays if that fails: nothing of a log is lost.
fn compress(path: &Path) {
    let named = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let part = named(".part");
    let written = || -> std::io::Result<()> {
        let mut file = GzEncoder::new(File::create(&part)?, Compression::default());
        std::io::copy(&mut File::open(path)?, &mut file)?;
        file.finish()?.sync_all()?;
        std::fs::rename(&part, named(COMPRESSED))?;
        std::fs::remove_file(path)
    };
    if let Err(error) = written() {
        tracing::warn!(path = %path.display(), %error, "failed to compress an old log file");
        let _ = std::fs::remove_file(&part);
    }
}

fn is_time(text: &str) -> bool {
    text.len() == "2006-01-02T15-04-05.000".len()
        && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'T' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_set_aside_and_only_so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etcd.log");
        std::fs::write(folder.path().join("etcd-notes.log"), "not ours").unwrap();
        let rotation = LogRotation {
            max_size_bytes: 10,
            max_age: None,
            max_backups: Some(2),
            in_local_time: false,
            compresses: false,
        };
        let mut file = RotatedFile::open(&path, Some(rotation)).unwrap();
        let mut rotated = 0;
        while rotated < 4 {
            let before = file.bytes;
            file.write(b"12345678").unwrap();
            rotated += u32::from(before == 8);
        }
        let names: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        assert!(names.len() <= 4 && names.contains(&"etcd.log".to_owned()), "{names:?}");
        assert!(names.contains(&"etcd-notes.log".to_owned()), "{names:?}");
    }

    #[test]
    fn an_old_file_is_compressed_whole() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join("etcd-2026-01-02T03-04-05.678.log");
        std::fs::write(&old, "a line\n".repeat(1000)).unwrap();
        compress(&old);
        let packed = std::fs::read(folder.path().join("etcd-2026-01-02T03-04-05.678.log.gz")).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut text).unwrap();
        assert_eq!(text, "a line\n".repeat(1000));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the file itself is gone");
    }
}
