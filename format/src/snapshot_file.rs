//! A snapshot file: the database's bytes and their SHA-256 behind them.
//!
//! The database is whole pages, so a size of 32 beyond a multiple of 512 says that the checksum is there.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

/// Bytes of the checksum at the end.
pub const CHECKSUM_BYTES: u64 = 32;

const SECTOR_BYTES: u64 = 512;
const CHUNK_BYTES: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("snapshot missing hash (its size of {0} bytes is not a multiple of 512 plus 32)")]
    NoChecksum(u64),
    #[error("expected sha256 {expected}, got {actual}", expected = Hex(*.expected), actual = Hex(*.actual))]
    Checksum { expected: [u8; 32], actual: [u8; 32] },
    #[error("reading the snapshot")]
    Read(#[source] io::Error),
    #[error("copying the snapshot")]
    Write(#[source] io::Error),
}

/// Bytes as Go prints a byte slice, `[1 2 255]`: what etcd's message shows.
struct Hex([u8; 32]);

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(u8::to_string).collect();
        write!(f, "[{}]", numbers.join(" "))
    }
}

/// Whether a file of this size ends in a checksum.
pub fn has_checksum(file_bytes: u64) -> bool {
    file_bytes % SECTOR_BYTES == CHECKSUM_BYTES
}

/// Bytes of the database in a file of this size.
pub fn database_bytes(file_bytes: u64) -> u64 {
    if has_checksum(file_bytes) { file_bytes - CHECKSUM_BYTES } else { file_bytes }
}

/// Reads a snapshot of `file_bytes` from its start, copies the database to `out` and compares the checksum.
///
/// `progress` is told the bytes read so far. Returns the size of the database.
pub fn verify_to(
    input: &mut impl Read,
    file_bytes: u64,
    out: &mut impl Write,
    mut progress: impl FnMut(u64),
) -> Result<u64, Error> {
    if !has_checksum(file_bytes) {
        return Err(Error::NoChecksum(file_bytes));
    }
    let size_bytes = database_bytes(file_bytes);
    let mut checksum = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut done_bytes = 0;
    while done_bytes < size_bytes {
        let wanted = (size_bytes - done_bytes).min(CHUNK_BYTES as u64) as usize;
        input.read_exact(&mut chunk[..wanted]).map_err(Error::Read)?;
        checksum.update(&chunk[..wanted]);
        out.write_all(&chunk[..wanted]).map_err(Error::Write)?;
        done_bytes += wanted as u64;
        progress(done_bytes);
    }
    let mut expected = [0; CHECKSUM_BYTES as usize];
    input.read_exact(&mut expected).map_err(Error::Read)?;
    let actual: [u8; 32] = checksum.finalize().into();
    match expected == actual {
        true => Ok(size_bytes),
        false => Err(Error::Checksum { expected, actual }),
    }
}

/// Compares the checksum only.
pub fn verify(input: &mut impl Read, file_bytes: u64) -> Result<u64, Error> {
    verify_to(input, file_bytes, &mut io::sink(), |_| {})
}

/// Passes a database's bytes through and appends their checksum at the end: makes a snapshot while it streams.
pub struct Appender<W> {
    out: W,
    checksum: Sha256,
}

impl<W: Write> Appender<W> {
    pub fn new(out: W) -> Self {
        Self { out, checksum: Sha256::new() }
    }

    /// Writes the checksum and gives the output back.
    pub fn finish(mut self) -> io::Result<W> {
        let checksum: [u8; 32] = self.checksum.finalize().into();
        self.out.write_all(&checksum)?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Appender<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.checksum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(database: &[u8]) -> Vec<u8> {
        let mut appender = Appender::new(Vec::new());
        appender.write_all(database).unwrap();
        appender.finish().unwrap()
    }

    #[test]
    fn a_snapshot_reads_back_without_its_checksum() {
        let database = vec![7; 3 * 4096];
        let file = snapshot(&database);
        let mut out = Vec::new();
        let mut reported = 0;
        let size = verify_to(&mut file.as_slice(), file.len() as u64, &mut out, |bytes| reported = bytes).unwrap();
        assert_eq!((size, reported, out), (database.len() as u64, database.len() as u64, database));
    }

    #[test]
    fn a_changed_byte_shows_wherever_it_is() {
        let good = snapshot(&[7; 4096]);
        for at in [0, 4095, 4096, 4127] {
            let mut file = good.clone();
            file[at] ^= 1;
            let error = verify(&mut file.as_slice(), file.len() as u64).unwrap_err();
            assert!(matches!(error, Error::Checksum { .. }));
            assert!(error.to_string().starts_with("expected sha256 ["), "{error}");
        }
    }

    #[test]
    fn a_missing_checksum_is_told_by_the_size() {
        assert!(matches!(verify(&mut [0; 4096].as_slice(), 4096), Err(Error::NoChecksum(4096))));
        assert_eq!(database_bytes(4096), 4096);
        assert_eq!(database_bytes(4128), 4096);
    }
}
