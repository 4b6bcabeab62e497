//! Opening the file that a command reads.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
    time::{Duration, Instant},
};

use quorate_ctl::failure::Failure;
use quorate_format::bbolt::{Error, Reader};

use super::failed;

const LOCK_RETRY: Duration = Duration::from_millis(50);

/// Opens a database for reading and keeps writers out of it, as bbolt does, until the returned reader is dropped.
pub(super) fn open_database(path: &str, lock_timeout: Duration) -> Result<Reader, Failure> {
    fs::metadata(path).map_err(|error| failed(format!("stat {path}: {}", go_text(&error))))?;
    let file = open(path)?;
    wait_for_lock(&file, File::try_lock_shared, lock_timeout)
        .map_err(|error| failed(format!("could not lock {path}: {}", go_text(&error))))?;
    Reader::new(file).map_err(|error| failed(describe(&error)))
}

/// Opens a database that will be replaced, and keeps everybody else out of it until the file is closed.
pub(super) fn open_exclusively(path: &Path, lock_timeout: Duration) -> Result<File, String> {
    let shown = path.display();
    fs::metadata(path).map_err(|error| format!("stat {shown}: {}", go_text(&error)))?;
    let file = File::options().read(true).write(true).open(path);
    let file = file.map_err(|error| format!("open {shown}: {}", go_text(&error)))?;
    wait_for_lock(&file, File::try_lock, lock_timeout)
        .map_err(|error| format!("could not lock {shown}: {}", go_text(&error)))?;
    Ok(file)
}

pub(super) fn open(path: &str) -> Result<File, Failure> {
    File::open(Path::new(path)).map_err(|error| failed(format!("open {path}: {}", go_text(&error))))
}

/// The error and the cause behind it.
pub(super) fn describe(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The system's text as Go's tools print it: small, and without a number.
pub(super) fn go_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// `limit` 0: no limit.
fn wait_for_lock(file: &File, try_lock: fn(&File) -> Result<(), TryLockError>, limit: Duration) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match try_lock(file) {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if !limit.is_zero() && start.elapsed() >= limit => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "timeout: a server or another tool has it open"));
            }
            Err(TryLockError::WouldBlock) => {
                #[allow(clippy::disallowed_methods, reason = "no runtime here: the process has nothing else to do")]
                std::thread::sleep(LOCK_RETRY);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_read_as_in_go() {
        assert_eq!(go_text(&io::Error::from_raw_os_error(2)), "no such file or directory");
        assert_eq!(go_text(&io::Error::other("Odd")), "odd");
    }

    #[test]
    fn a_file_that_a_writer_holds_is_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().lock().unwrap();
        let path = file.path().to_str().unwrap();
        let failure = open_database(path, Duration::from_millis(1)).unwrap_err();
        assert!(failure.text().contains("timeout"), "{}", failure.text());
    }
}
