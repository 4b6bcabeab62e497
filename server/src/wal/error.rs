use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::position::Position;

/// Why a call on the log was refused, or the log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} holds no write-ahead log: start the member with its own data folder, or as a new member", .0.display())]
    Missing(PathBuf),
    #[error("{} already holds a write-ahead log: a new member needs an empty data folder", .0.display())]
    Exists(PathBuf),
    #[error(
        "{} is not the name of a log segment (16 hex digits, '-', 16 hex digits, '.wal'): move the file out of the folder, or rename \
         it back if it is one",
        .0.display()
    )]
    BadName(PathBuf),
    #[error("log segment {missing:#018x} is missing in front of {}; {ADVICE}", before.display())]
    MissingSegment { missing: u64, before: PathBuf },
    #[error("{} is damaged at byte {offset}: {reason}; {ADVICE}", file.display())]
    Damaged { file: PathBuf, offset: u64, reason: String },
    #[error("the log in {} has no snapshot marker to start from; {ADVICE}", .0.display())]
    NoStart(PathBuf),

    /// The log is poisoned: nothing is written any more, and the process should stop.
    #[error("the write-ahead log has failed")]
    Failed(#[from] Failure),
    #[error("the write-ahead log is closed")]
    Closed,

    #[error(
        "entry {found} does not follow {last}: append entries one after the other, and truncate before replacing any"
    )]
    NotConsecutive { last: Position, found: Position },
    #[error("entry {found} has a lower term than {last} before it")]
    TermWentBack { last: Position, found: Position },
    #[error("configuration change {0} is empty")]
    EmptyConfChange(Position),
    #[error("state of term {found} after one of term {last}")]
    StateWentBack { last: u64, found: u64 },
    #[error("cannot drop entries after {index}: entries through {committed} are committed or purged")]
    TruncatesCommitted { index: u64, committed: u64 },
    #[error("{0} is not a position of this log")]
    NotInLog(Position),
    #[error("entry {index} is purged, the first is {first_index}")]
    Purged { index: u64, first_index: u64 },
}

const ADVICE: &str = "the log cannot be trusted, so this member must not start from it: remove the member from the cluster and add it again \
                      with an empty data folder, or restore the cluster from a snapshot";

impl Error {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// The write or sync that poisoned the log. What was being written may or may not be on disk: its fate is unknown, and it must be
/// neither acknowledged nor proposed again as if it had failed.
///
/// A sync is never tried again: after a failed one the kernel may have marked the lost pages clean (Rebello et al., "Can
/// Applications Recover from fsync Failures?", ATC 2020).
#[derive(Debug, Clone)]
pub struct Failure {
    action: &'static str,
    path: PathBuf,
    source: Arc<io::Error>,
}

impl Failure {
    pub(super) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self { action, path: path.to_owned(), source: Arc::new(source) }
    }

    /// The disk or the quota is full. A restart works without new space until the current segment is full.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    pub(super) fn to_io(&self) -> io::Error {
        io::Error::new(self.source.kind(), self.clone())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = if self.is_out_of_space() { " (free some space, then start the member again)" } else { "" };
        write!(f, "{} {}{advice}", self.action, self.path.display())
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}
