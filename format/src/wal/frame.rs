//! The length field of a frame: record bytes in the low 56 bits, and the padding's size marked by the top bit.

use crate::protobuf::VARINT_LEN_MAX;

pub(crate) const LENGTH_FIELD_BYTES: usize = 8;

/// Tears happen at this granularity at the finest (etcd's `minSectorSize`).
pub(crate) const SECTOR_BYTES: u64 = 512;

/// Most bytes a frame adds to the data of an entry: length field, record fields, entry fields, padding.
pub const FRAME_OVERHEAD_BYTES_MAX: usize =
    LENGTH_FIELD_BYTES + 2 + 6 + 1 + VARINT_LEN_MAX + 2 + 3 * (1 + VARINT_LEN_MAX) + 7;

const LENGTH_MASK: u64 = (1 << 56) - 1;
const PADDED: u64 = 0x80;

/// What a length field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Length {
    pub(crate) record_bytes: u64,
    /// 0 to 7.
    pub(crate) padding_bytes: u64,
}

impl Length {
    pub(crate) fn of(record_bytes: usize) -> Self {
        let record_bytes = record_bytes as u64;
        Self { record_bytes, padding_bytes: record_bytes.wrapping_neg() % 8 }
    }

    pub(crate) fn to_field(self) -> [u8; LENGTH_FIELD_BYTES] {
        let mark = if self.padding_bytes == 0 { 0 } else { PADDED | self.padding_bytes };
        (self.record_bytes | mark << 56).to_le_bytes()
    }

    /// `None` if the mark isn't the one the record's size asks for.
    pub(crate) fn from_field(field: [u8; LENGTH_FIELD_BYTES]) -> Option<Self> {
        let record_bytes = u64::from_le_bytes(field) & LENGTH_MASK;
        let length = Self { record_bytes, padding_bytes: record_bytes.wrapping_neg() % 8 };
        (length.to_field() == field).then_some(length)
    }

    /// Record and padding, without the length field.
    pub(crate) fn body_bytes(self) -> u64 {
        self.record_bytes + self.padding_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_field_marks_its_padding_as_etcd_does() {
        assert_eq!(Length::of(16).to_field(), [16, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Length::of(4).to_field(), [4, 0, 0, 0, 0, 0, 0, 0x84]);
        assert_eq!(Length::of(0x1_0001).to_field(), [1, 0, 1, 0, 0, 0, 0, 0x87]);
    }

    #[test]
    fn a_length_field_with_a_wrong_mark_is_refused() {
        assert_eq!(Length::from_field([16, 0, 0, 0, 0, 0, 0, 0x84]), None);
        assert_eq!(Length::from_field([4, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(Length::from_field([4, 0, 0, 0, 0, 0, 0, 0xc4]), None);
        assert_eq!(Length::from_field([4, 0, 0, 0, 0, 0, 0, 0x84]), Some(Length::of(4)));
    }
}
