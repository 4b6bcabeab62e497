//! Lines in systemd's journal, by its native protocol: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::line::Line;

/// Where journald listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

pub(super) struct Journal {
    /// Not connected: journald may be started anew.
    socket: UnixDatagram,
    address: PathBuf,
    program: String,
}

impl Journal {
    /// Fails where no journald listens.
    pub(super) fn open(address: &Path) -> io::Result<Self> {
        UnixDatagram::unbound()?.connect(address)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let program = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
        let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { socket, address: address.to_owned(), program })
    }

    /// Fails when the journal has no room, or is gone.
    pub(super) fn write(&self, line: &Line) -> io::Result<()> {
        self.socket.send_to(&entry(line, &self.program), &self.address).map(drop)
    }
}

/// etcd's fields.
fn entry(line: &Line, program: &str) -> Vec<u8> {
    let mut entry = Vec::with_capacity(line.text.len() + 128);
    push(&mut entry, "PRIORITY", priority(line.level));
    push(&mut entry, "MESSAGE", line.text.trim_end_matches('\n'));
    push(&mut entry, "PACKAGE", line.caller.split_once('/').map_or("", |(folder, _)| folder));
    push(&mut entry, "SYSLOG_IDENTIFIER", program);
    entry
}

/// A value of several lines has its length before it.
fn push(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

/// syslog's number of a level.
fn priority(level: &str) -> &'static str {
    match level {
        "debug" => "7",
        "info" => "6",
        "warn" => "4",
        "error" => "3",
        _ => "2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: &'static str, text: &str) -> Line {
        Line { level, caller: "node/mod.rs:7".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn an_entry_has_its_priority_and_where_it_comes_from() {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().join("socket");
        let journald = UnixDatagram::bind(&address).unwrap();
        let journal = Journal::open(&address).unwrap();
        for (level, priority) in [("debug", 7), ("info", 6), ("warn", 4), ("error", 3), ("fatal", 2)] {
            journal.write(&line(level, "{\"msg\":\"ready\"}\n")).unwrap();
            let mut entry = [0; 512];
            let length = journald.recv(&mut entry).unwrap();
            let text = std::str::from_utf8(&entry[..length]).unwrap();
            let (fields, program) = text.split_once("SYSLOG_IDENTIFIER=").unwrap();
            assert_eq!(fields, format!("PRIORITY={priority}\nMESSAGE={{\"msg\":\"ready\"}}\nPACKAGE=node\n"));
            assert!(program.len() > 1 && program.ends_with('\n') && !program.contains('/'), "{program}");
        }
    }

    #[test]
    fn a_message_of_several_lines_cannot_add_fields() {
        let entry = entry(&line("info", "a\nPRIORITY=0\n"), "etcd");
        let expected = b"PRIORITY=6\nMESSAGE\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\nPACKAGE=node\nSYSLOG_IDENTIFIER=etcd\n";
        assert_eq!(entry, expected);
    }

    #[test]
    fn a_journal_that_comes_back_is_written_to_and_one_that_never_was_cannot_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().join("socket");
        assert!(Journal::open(&address).is_err());
        let first = UnixDatagram::bind(&address).unwrap();
        let journal = Journal::open(&address).unwrap();
        drop(first);
        assert!(journal.write(&line("info", "lost")).is_err());
        std::fs::remove_file(&address).unwrap();
        let second = UnixDatagram::bind(&address).unwrap();
        journal.write(&line("info", "kept")).unwrap();
        assert!(second.recv(&mut [0; 512]).unwrap() > 0);
    }
}
