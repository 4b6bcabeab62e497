//! What a run tells whoever started it: one line of JSON, small enough for a container's termination message (4096 bytes).

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Why a run failed, by a word that programs may act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The flags contradict each other or can't be followed.
    InvalidArguments,
    /// The store can't be reached or has trouble: another try may do.
    StoreUnavailable,
    /// The bucket, container or folder isn't there.
    StoreMissing,
    /// Credentials are wrong, or don't allow this.
    StoreDenied,
    /// No member answers.
    ClusterUnavailable,
    /// Members refuse the caller.
    ClusterDenied,
    /// It is another cluster than was said.
    WrongCluster,
    /// No backup is as asked for.
    BackupMissing,
    /// A part is missing, cut or altered, or what was read back is not what was written.
    BackupDamaged,
    /// There is one with this id.
    BackupExists,
    /// The time or revision can't be reached: changes are missing.
    ChangesMissing,
    /// The snapshot's hash is not the member's.
    HashMismatch,
    /// Encrypted for somebody else, or nobody's key is given.
    KeyMissing,
    /// The local volume is full.
    NoSpace,
    /// The target of a copy has something else than the source.
    Diverged,
    /// It was told to stop.
    Stopped,
    Other,
}

/// What a run that failed tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub error: Reason,
    /// One sentence that names what failed, and the cure.
    pub message: String,
}

/// Longer reports are cut by the kubelet.
pub const BYTES_MAX: usize = 4096;

/// An error with its causes.
pub fn sentence(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |words, cause| format!("{words}: {cause}"))
}

/// Prints the report as one line, and writes it to the file, if there is one to write.
pub fn tell(report: &impl Serialize, file: Option<&Path>) -> std::io::Result<()> {
    let line = serde_json::to_string(report)?;
    file.map_or(Ok(()), |file| std::fs::write(file, &line))?;
    match writeln!(std::io::stdout(), "{line}") {
        // Whoever read along has had enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
