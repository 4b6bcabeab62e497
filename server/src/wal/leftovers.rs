use std::io;

use quorate_format::wal::{Encoder, Record};

use super::disk::File;

/// What stands behind the last record of the last segment: in a clean one nothing but zeros.
#[derive(Debug)]
pub(super) struct Leftovers {
    start: u64,
    /// Behind the last byte that isn't zero.
    pub(super) end: u64,
    /// Where the first sync mark stands, behind the first frame.
    pub(super) sync_mark: Option<u64>,
}

/// Frames begin at multiples of this.
const ALIGNMENT: usize = 8;
/// The longest frame of a crc record: length field, type, tag, five bytes of crc.
const MARK_BYTES_MAX: usize = 16;
const CHUNK_BYTES: usize = 1 << 20;

impl Leftovers {
    pub(super) fn find(file: &dyn File, start: u64, size: u64) -> io::Result<Self> {
        let mut found = Self { start, end: start, sync_mark: None };
        let mut chunk = vec![0; size.saturating_sub(start).min(CHUNK_BYTES as u64) as usize];
        let mut at = start;
        while at < size {
            let filled = fill(file, &mut chunk, at)?;
            let bytes = &chunk[..filled];
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                found.end = at + last as u64 + 1;
                if found.sync_mark.is_none() {
                    let offsets = (0..=last).step_by(ALIGNMENT).filter(|offset| at + *offset as u64 > start);
                    found.sync_mark = offsets
                        .into_iter()
                        .find(|offset| is_sync_mark(&bytes[*offset..]))
                        .map(|offset| at + offset as u64);
                }
            }
            if filled < chunk.len() || at + filled as u64 >= size {
                break;
            }
            // Overlapping, so that a mark across two chunks shows in the second.
            at += (filled - MARK_BYTES_MAX) as u64;
        }
        Ok(found)
    }

    pub(super) fn zero(&self, file: &dyn File) -> io::Result<()> {
        let zeros = vec![0; (self.end - self.start).min(CHUNK_BYTES as u64) as usize];
        let mut at = self.start;
        while at < self.end {
            let count = (self.end - at).min(CHUNK_BYTES as u64) as usize;
            file.write_all_at(&zeros[..count], at)?;
            at += count as u64;
        }
        Ok(())
    }
}

/// Whether the bytes begin with the frame of a crc record. A client could put the bytes of one into a value; if that very value is torn
/// the member refuses to start, which is the safe side.
fn is_sync_mark(bytes: &[u8]) -> bool {
    // Length field of 4 to 8 bytes of record, then type 4 and the crc's tag: cheap to see before anything else.
    let [4..=8, 0, 0, 0, 0, 0, 0, _, 8, 4, 16, varint @ ..] = bytes else { return false };
    let mut crc = 0_u64;
    for (place, byte) in varint.iter().take(5).enumerate() {
        crc |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let Ok(crc) = u32::try_from(crc) else { return false };
    let mut frame = Vec::with_capacity(MARK_BYTES_MAX);
    Encoder::new(crc).append(&Record::Crc(crc), &mut frame);
    bytes.starts_with(&frame)
}

/// As many bytes as there are, up to the buffer's size.
fn fill(file: &dyn File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
