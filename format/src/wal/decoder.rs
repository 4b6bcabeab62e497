use std::io::{self, Read};

use bytes::Bytes;

use super::frame::{LENGTH_FIELD_BYTES, Length, SECTOR_BYTES};
use super::record::{self, Kind, Record};
use crate::protobuf::{Value, take_field, take_varint};

/// Reads the records of one segment in order.
///
/// Memory: one record. Stops at the first frame that isn't whole; [`Decoder::offset`] is then where the good part ends.
#[derive(Debug)]
pub struct Decoder<R> {
    reader: R,
    segment_bytes: u64,
    last_segment: bool,
    offset: u64,
    crc: u32,
    /// `None` until the first crc record of a log whose start isn't known.
    chain: Option<u32>,
    records: u64,
}

/// Why a segment can't be read on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The last write before a crash got only partly to the disk: cut the segment at `offset` and go on. Nothing from
    /// there on was ever acknowledged. Only the last segment can be torn.
    #[error("torn record at offset {offset}: {reason}")]
    Torn { offset: u64, reason: &'static str },
    /// Anything else: what was once written whole has changed. Records behind it may have been acknowledged.
    #[error("damaged record at offset {offset}: {reason}")]
    Damaged { offset: u64, reason: &'static str },
    #[error("reading at offset {offset}")]
    Read {
        offset: u64,
        #[source]
        source: io::Error,
    },
}

/// The protobuf fields of `walpb.Record`.
struct RawRecord {
    kind: Kind,
    crc: u32,
    data: Option<(usize, usize)>,
}

impl<R: Read> Decoder<R> {
    /// Reads a segment of `segment_bytes` from its first byte.
    ///
    /// `chain`: the crc where the segment before it ended ([`Decoder::crc`]), or `None` if that one isn't known. `last_segment`:
    /// no segment follows, so that a torn tail is possible. Wrap a file in a `BufReader`.
    pub fn new(reader: R, segment_bytes: u64, chain: Option<u32>, last_segment: bool) -> Self {
        Self { reader, segment_bytes, last_segment, offset: 0, crc: chain.unwrap_or(0), chain, records: 0 }
    }

    /// Reads on in the middle of a segment: `reader` stands at `offset`, where a frame begins, and `crc` is the chain in front of it.
    /// What it cannot read is damage, never a torn tail.
    pub fn resume(reader: R, segment_bytes: u64, offset: u64, crc: u32) -> Self {
        // Past the two records of the head.
        Self { reader, segment_bytes, last_segment: false, offset, crc, chain: Some(crc), records: 2 }
    }

    /// The next record, or `None` at the end: the end of the file or preallocated space.
    ///
    /// Behind the end of the last segment there may be leavings of a write that tore before its first sector; zero
    /// everything from [`Decoder::offset`] before appending there.
    #[allow(clippy::should_implement_trait, reason = "an iterator of results would go on behind an error")]
    pub fn next(&mut self) -> Result<Option<Record>, Error> {
        let Some(length) = self.length_field()? else { return Ok(None) };
        let room_bytes = self.segment_bytes.saturating_sub(self.offset + LENGTH_FIELD_BYTES as u64);
        let body_bytes = length.body_bytes().min(room_bytes);
        let mut body = vec![0; usize::try_from(body_bytes).map_err(|_| self.damaged("record larger than memory"))?];
        let read_bytes = read_up_to(&mut self.reader, &mut body).map_err(|source| self.unreadable(source))?;
        body.truncate(read_bytes);

        if (read_bytes as u64) < length.body_bytes() {
            return Err(self.torn_unless_intact(&body, "it reaches beyond the end of the file"));
        }
        let Some(raw) = RawRecord::parse(&body[..length.record_bytes as usize]) else {
            return Err(self.torn_or_damaged(&body, "it is not a WAL record"));
        };
        let data = raw.data.map_or(0..0, |(start, end)| start..end);
        let crc = crc32c::crc32c_append(self.crc, &body[data.clone()]);
        if raw.kind != Kind::Crc && crc != raw.crc {
            return Err(self.torn_or_damaged(&body, "its checksum is wrong"));
        }
        self.check_place(&raw)?;
        let data = Bytes::from(body).slice(data);
        let Some(record) = record::parse(raw.kind, raw.crc, &data) else {
            return Err(self.damaged("its data is not of the record's type"));
        };

        self.crc = raw.crc;
        self.chain = Some(raw.crc);
        self.records += 1;
        self.offset += LENGTH_FIELD_BYTES as u64 + length.body_bytes();
        Ok(Some(record))
    }

    /// Where the next frame begins: behind the last whole record. A multiple of 8.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The chain behind the last record read: what [`Encoder::new`](super::Encoder::new) and the next segment go on from.
    pub fn crc(&self) -> u32 {
        self.crc
    }

    /// `None` at the end of the segment.
    fn length_field(&mut self) -> Result<Option<Length>, Error> {
        let mut field = [0; LENGTH_FIELD_BYTES];
        let wanted = self.segment_bytes.saturating_sub(self.offset).min(LENGTH_FIELD_BYTES as u64) as usize;
        let got = read_up_to(&mut self.reader, &mut field[..wanted]).map_err(|source| self.unreadable(source))?;
        if got == 0 {
            return Ok(None);
        }
        if got < LENGTH_FIELD_BYTES {
            return Err(self.torn_unless_earlier("the file ends inside a length field"));
        }
        if field != [0; LENGTH_FIELD_BYTES] {
            return Length::from_field(field)
                .map(Some)
                .ok_or_else(|| self.damaged("its length field contradicts itself"));
        }
        // Sectors are written whole: a length field that never reached the disk leaves the rest of its sector zero, too.
        let mut sector = [0; SECTOR_BYTES as usize];
        let behind = self.offset + LENGTH_FIELD_BYTES as u64;
        let rest_bytes = (behind.next_multiple_of(SECTOR_BYTES) - behind) as usize;
        let got = read_up_to(&mut self.reader, &mut sector[..rest_bytes]).map_err(|source| self.unreadable(source))?;
        match sector[..got].iter().all(|byte| *byte == 0) {
            true => Ok(None),
            false => Err(self.damaged("its length field is zero, but data follows in the same sector")),
        }
    }

    /// Every segment begins with a crc record and a metadata record, and metadata stands nowhere else.
    fn check_place(&self, raw: &RawRecord) -> Result<(), Error> {
        match (self.records, raw.kind) {
            (0, Kind::Crc) | (2.., Kind::Crc) => match self.chain {
                Some(chain) if chain != raw.crc => {
                    Err(self.damaged("the checksum chain is broken: the record before it is missing"))
                }
                _ => Ok(()),
            },
            (0, _) => Err(self.damaged("a segment begins with a crc record")),
            (1, Kind::Metadata) => Ok(()),
            (1, _) => Err(self.damaged("a segment's second record is its metadata")),
            (_, Kind::Metadata) => Err(self.damaged("metadata in the middle of a segment")),
            _ => Ok(()),
        }
    }

    /// etcd's rule: a bad record is torn if one of its sectors is all zero, because preallocated space is.
    fn torn_or_damaged(&self, body: &[u8], reason: &'static str) -> Error {
        let mut rest = body;
        let mut at = self.offset + LENGTH_FIELD_BYTES as u64;
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(rest.len().min((SECTOR_BYTES - at % SECTOR_BYTES) as usize));
            if chunk.iter().all(|byte| *byte == 0) {
                return self.torn_unless_intact(body, reason);
            }
            at += chunk.len() as u64;
            rest = behind;
        }
        self.damaged(reason)
    }

    /// A record also says its own size. If by that it is whole and its checksum right, then not the write but the length
    /// field is at fault, and cutting here would drop acknowledged records. (etcd cuts.)
    fn torn_unless_intact(&self, body: &[u8], reason: &'static str) -> Error {
        if self.intact_by_its_own_size(body) {
            return self.damaged("its length field is wrong");
        }
        self.torn_unless_earlier(reason)
    }

    fn intact_by_its_own_size(&self, body: &[u8]) -> bool {
        let mut rest = body;
        let mut number = |field: u32| match take_field(&mut rest) {
            Some((found, Value::Uint(value))) if found == field => Some(value),
            _ => None,
        };
        let (Some(kind), Some(crc)) = (number(1).and_then(Kind::from_number), number(2)) else { return false };
        if kind == Kind::Crc {
            return true;
        }
        match take_field(&mut rest) {
            Some((3, Value::Bytes(data))) => u64::from(crc32c::crc32c_append(self.crc, data)) == crc,
            _ => false,
        }
    }

    fn torn_unless_earlier(&self, reason: &'static str) -> Error {
        match self.last_segment {
            true => Error::Torn { offset: self.offset, reason },
            false => self.damaged(reason),
        }
    }

    fn damaged(&self, reason: &'static str) -> Error {
        Error::Damaged { offset: self.offset, reason }
    }

    fn unreadable(&self, source: io::Error) -> Error {
        Error::Read { offset: self.offset, source }
    }
}

impl<'a> Decoder<&'a [u8]> {
    /// Reads a segment that is in memory.
    pub fn over(segment: &'a [u8], chain: Option<u32>, last_segment: bool) -> Self {
        Self::new(segment, segment.len() as u64, chain, last_segment)
    }
}

impl RawRecord {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut kind = None;
        let mut crc = 0;
        let mut data = None;
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut ahead = rest;
            if take_varint(&mut ahead)? >> 3 > 3 {
                return None;
            }
            match take_field(&mut rest)? {
                (1, Value::Uint(number)) => kind = Some(Kind::from_number(number)?),
                (2, Value::Uint(value)) => crc = u32::try_from(value).ok()?,
                (3, Value::Bytes(value)) => {
                    let end = bytes.len() - rest.len();
                    data = Some((end - value.len(), end));
                }
                _ => return None,
            }
        }
        Some(Self { kind: kind?, crc, data })
    }
}

/// Fills `buffer` as far as the reader goes.
fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
