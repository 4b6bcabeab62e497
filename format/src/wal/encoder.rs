use super::frame::Length;
use super::record::{self, Entry, Kind, Record};
use crate::protobuf::{BYTES, VARINT_LEN_MAX, put_varint, varint_len};

/// Appends frames to a buffer and carries the crc chain.
///
/// A frame's first byte must land at a file offset that is a multiple of 8; frames keep it so.
#[derive(Debug, Clone, Default)]
pub struct Encoder {
    crc: u32,
    scratch: Vec<u8>,
}

impl Encoder {
    /// Goes on where a chain ended: [`Decoder::crc`](super::Decoder::crc) after the last record, or 0 for a new log.
    pub fn new(crc: u32) -> Self {
        Self { crc, scratch: Vec::new() }
    }

    /// The chain so far. A new segment begins with `Record::Crc` of this value.
    pub fn crc(&self) -> u32 {
        self.crc
    }

    pub fn append(&mut self, record: &Record, out: &mut Vec<u8>) {
        let mut data = std::mem::take(&mut self.scratch);
        data.clear();
        let kind = match record {
            Record::Metadata { node_id, cluster_id } => {
                record::put_metadata(&mut data, *node_id, *cluster_id);
                Kind::Metadata
            }
            Record::Entry(entry) => {
                self.append_entry(entry, out);
                self.scratch = data;
                return;
            }
            Record::State(state) => {
                record::put_state(&mut data, state);
                Kind::State
            }
            Record::Crc(crc) => {
                self.crc = *crc;
                Kind::Crc
            }
            Record::Snapshot(snapshot) => {
                record::put_snapshot(&mut data, snapshot);
                Kind::Snapshot
            }
        };
        self.frame(kind, &data, &[], out);
        self.scratch = data;
    }

    /// The hot path: the entry's data is read once for the crc and copied once.
    pub fn append_entry(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        let Entry { entry_type, term, index, data } = entry;
        let mut head = Head { bytes: [0; Head::CAPACITY], len: 0 };
        head.push(1 << 3);
        head.push(*entry_type as u8);
        head.push(2 << 3);
        head.varint(*term);
        head.push(3 << 3);
        head.varint(*index);
        if !data.is_empty() {
            head.push(4 << 3 | BYTES);
            head.varint(data.len() as u64);
        }
        self.frame(Kind::Entry, head.bytes(), data, out);
    }

    /// One frame whose data is `head` then `body`.
    fn frame(&mut self, kind: Kind, head: &[u8], body: &[u8], out: &mut Vec<u8>) {
        self.crc = crc32c::crc32c_append(crc32c::crc32c_append(self.crc, head), body);

        let data_len = head.len() + body.len();
        let mut record_len = 2 + 1 + varint_len(u64::from(self.crc));
        if data_len > 0 {
            record_len += 1 + varint_len(data_len as u64) + data_len;
        }
        let length = Length::of(record_len);
        let field = length.to_field();

        out.reserve(field.len() + record_len + 7);
        out.extend_from_slice(&field);
        out.extend_from_slice(&[1 << 3, kind as u8, 2 << 3]);
        put_varint(out, u64::from(self.crc));
        if data_len > 0 {
            out.push(3 << 3 | BYTES);
            put_varint(out, data_len as u64);
            out.extend_from_slice(head);
            out.extend_from_slice(body);
        }
        out.extend_from_slice(&[0; 7][..length.padding_bytes as usize]);
    }
}

/// An entry's fields before its data, on the stack.
struct Head {
    bytes: [u8; Head::CAPACITY],
    len: usize,
}

impl Head {
    /// Tags and type, and three varints.
    const CAPACITY: usize = 5 + 3 * VARINT_LEN_MAX;

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
