//! Sizes, flags, page headers and meta pages. All numbers are little-endian.

use super::Error;

/// Page size of the files we write; files are read with the size they record.
pub const PAGE_BYTES: usize = 4096;

/// bbolt's bound.
pub const KEY_BYTES_MAX: usize = 32768;

/// bbolt's bound.
pub const VALUE_BYTES_MAX: usize = (1 << 31) - 2;

/// What bbolt opens: 1 KiB to 16 MiB, powers of two.
pub(super) const PAGE_BYTES_MIN: u64 = 1 << 10;
pub(super) const PAGE_BYTES_LARGEST: u64 = 1 << 24;

pub(super) const HEADER_BYTES: usize = 16;
/// An element of a branch or a leaf page.
pub(super) const ELEMENT_BYTES: usize = 16;
/// Root page and sequence; inside a leaf element of the root tree.
pub(super) const BUCKET_BYTES: usize = 16;
/// Up to and with its checksum.
pub(super) const META_BYTES: usize = 64;

pub(super) const BRANCH: u16 = 0x01;
pub(super) const LEAF: u16 = 0x02;
pub(super) const META: u16 = 0x04;
pub(super) const FREELIST: u16 = 0x10;

/// Flag of a leaf element that is a bucket.
pub(super) const BUCKET_ELEMENT: u32 = 0x01;

/// Stands for "free pages aren't recorded" in a meta page.
pub(super) const NO_FREELIST: u64 = u64::MAX;

/// In a freelist page's count: the real count is the first number of the list.
pub(super) const COUNT_OVERFLOW: u16 = 0xffff;

const MAGIC: u32 = 0xed0c_daed;
const VERSION: u32 = 2;

/// A page's first 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u64,
    pub(super) flags: u16,
    pub(super) count: u16,
    /// Pages behind this one that belong to it.
    pub(super) overflow: u32,
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&self.id.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.flags.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.count.to_le_bytes());
        bytes[12..].copy_from_slice(&self.overflow.to_le_bytes());
        bytes
    }

    /// `None` if `bytes` is too short.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            id: u64_at(bytes, 0)?,
            flags: u16_at(bytes, 8)?,
            count: u16_at(bytes, 10)?,
            overflow: u32_at(bytes, 12)?,
        })
    }
}

/// A meta page's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) page_bytes: u32,
    pub(super) root: u64,
    pub(super) freelist: u64,
    /// One above the highest page in use.
    pub(super) pages: u64,
    pub(super) transaction: u64,
}

impl Meta {
    pub(super) fn to_page(self) -> [u8; PAGE_BYTES] {
        let mut page = [0; PAGE_BYTES];
        let header = Header { id: self.transaction % 2, flags: META, count: 0, overflow: 0 };
        page[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
        let meta = &mut page[HEADER_BYTES..HEADER_BYTES + META_BYTES];
        meta[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        meta[4..8].copy_from_slice(&VERSION.to_le_bytes());
        meta[8..12].copy_from_slice(&self.page_bytes.to_le_bytes());
        meta[16..24].copy_from_slice(&self.root.to_le_bytes());
        meta[32..40].copy_from_slice(&self.freelist.to_le_bytes());
        meta[40..48].copy_from_slice(&self.pages.to_le_bytes());
        meta[48..56].copy_from_slice(&self.transaction.to_le_bytes());
        let checksum = fnv64a(&meta[..56]);
        meta[56..64].copy_from_slice(&checksum.to_le_bytes());
        page
    }

    /// `None` if it isn't a valid meta page.
    pub(super) fn parse(page: &[u8]) -> Option<Self> {
        let meta = page.get(HEADER_BYTES..HEADER_BYTES + META_BYTES)?;
        let valid =
            u32_at(meta, 0)? == MAGIC && u32_at(meta, 4)? == VERSION && u64_at(meta, 56)? == fnv64a(&meta[..56]);
        let parsed = Self {
            page_bytes: u32_at(meta, 8)?,
            root: u64_at(meta, 16)?,
            freelist: u64_at(meta, 32)?,
            pages: u64_at(meta, 40)?,
            transaction: u64_at(meta, 48)?,
        };
        let size = u64::from(parsed.page_bytes);
        (valid && size.is_power_of_two() && (PAGE_BYTES_MIN..=PAGE_BYTES_LARGEST).contains(&size)).then_some(parsed)
    }

    /// Bytes of the file in use.
    pub(super) fn file_bytes(&self) -> Result<u64, Error> {
        self.pages.checked_mul(u64::from(self.page_bytes)).filter(|_| self.pages >= 2).ok_or(Error::Invalid)
    }
}

fn fnv64a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
