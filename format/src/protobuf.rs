//! The few protobuf wire rules the WAL's fixed, tiny messages need, without a buffer of their own.
//!
//! Written by hand because frames are built in place on the path of every write: lengths first, then each byte once.

/// Most bytes a 64-bit varint takes.
pub(crate) const VARINT_LEN_MAX: usize = 10;

pub(crate) const VARINT: u8 = 0;
pub(crate) const BYTES: u8 = 2;

pub(crate) fn varint_len(value: u64) -> usize {
    // 7 bits a byte; zero takes one byte.
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_uint(out: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(out, u64::from(field) << 3 | u64::from(VARINT));
    put_varint(out, value);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    put_varint(out, u64::from(field) << 3 | u64::from(BYTES));
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Takes one varint off the front of `bytes`; `None` if it is cut short or longer than 64 bits.
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().copied().take(VARINT_LEN_MAX).enumerate() {
        if at == VARINT_LEN_MAX - 1 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            *bytes = &bytes[at + 1..];
            return Some(value);
        }
    }
    None
}

/// One field of a message: only the two wire types these messages use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Uint(u64),
    Bytes(&'a [u8]),
}

/// Takes one field off the front of `bytes`; `None` if it is cut short or of another wire type.
pub(crate) fn take_field<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let tag = take_varint(bytes)?;
    let field = u32::try_from(tag >> 3).ok().filter(|field| *field > 0)?;
    match (tag & 7) as u8 {
        VARINT => Some((field, Value::Uint(take_varint(bytes)?))),
        BYTES => {
            let len = usize::try_from(take_varint(bytes)?).ok()?;
            let (value, rest) = bytes.split_at_checked(len)?;
            *bytes = rest;
            Some((field, Value::Bytes(value)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_reads_back_and_its_length_is_known_beforehand() {
        for value in [0, 1, 127, 128, 16383, 16384, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value));
            let mut rest = out.as_slice();
            assert_eq!(take_varint(&mut rest), Some(value));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn a_varint_of_more_than_64_bits_is_refused() {
        assert_eq!(take_varint(&mut [0xff; 10].as_slice()), None);
        assert_eq!(take_varint(&mut [0x80; 3].as_slice()), None);
    }
}
