//! Why the process ends, for whoever runs it: Kubernetes shows what a container wrote to its termination log.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Kubernetes' default `terminationMessagePath`, a file that it puts into every container.
pub const TERMINATION_LOG: &str = "/dev/termination-log";
/// Kubernetes cuts off what is longer.
const BYTES_MAX: usize = 4096;

/// Leaves a message in a file that is there already; makes none.
pub fn leave(path: &Path, message: &str) -> io::Result<()> {
    let end = (0..=message.len().min(BYTES_MAX)).rev().find(|end| message.is_char_boundary(*end)).unwrap_or_default();
    match File::options().write(true).truncate(true).open(path) {
        Ok(mut file) => file.write_all(&message.as_bytes()[..end]),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// An error with its causes, as one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_replaces_the_one_before_and_is_cut_at_a_whole_character() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("termination-log");
        leave(&path, "nobody asked").unwrap();
        assert!(!path.exists());
        std::fs::write(&path, "x".repeat(10_000)).unwrap();
        leave(&path, &"ä".repeat(4000)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ä".repeat(2048));
        leave(&path, "short").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "short");
    }
}
