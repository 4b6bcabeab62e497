//! The keys that commands are about.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use bytes::Bytes;

use crate::failure::Failure;

/// A key with the end of its range; an empty end is the key alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub key: Bytes,
    pub range_end: Bytes,
}

const ZERO: Bytes = Bytes::from_static(b"\0");

/// An argument as the bytes it is.
pub(crate) fn to_bytes(arg: &OsStr) -> Bytes {
    Bytes::copy_from_slice(arg.as_bytes())
}

impl KeyRange {
    /// Reads the arguments of get and del with their flags.
    pub(crate) fn from_args(key: &OsStr, end: Option<&OsStr>, prefix: bool, from_key: bool) -> Result<Self, Failure> {
        if prefix && from_key {
            return Err(Failure::bad_args("`--prefix` and `--from-key` cannot be set at the same time, choose one"));
        }
        let key = to_bytes(key);
        if let Some(end) = end {
            if prefix || from_key {
                return Err(Failure::bad_args(
                    "too many arguments, only accept one argument when `--prefix` or `--from-key` is set",
                ));
            }
            return Ok(Self { key, range_end: to_bytes(end) });
        }
        Ok(if prefix {
            Self::with_prefix(key)
        } else if from_key {
            Self { key: if key.is_empty() { ZERO } else { key }, range_end: ZERO }
        } else {
            Self { key, range_end: Bytes::new() }
        })
    }

    /// Every key that starts like this.
    pub(crate) fn with_prefix(key: Bytes) -> Self {
        if key.is_empty() {
            return Self { key: ZERO, range_end: ZERO };
        }
        let range_end = prefix_end(&key);
        Self { key, range_end }
    }
}

/// The first key behind all those with the prefix; behind a prefix of 0xff bytes there is none, and the range is open.
pub(crate) fn prefix_end(prefix: &[u8]) -> Bytes {
    match prefix.iter().rposition(|byte| *byte < 0xff) {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end.into()
        }
        None => ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_key_of_its_length() {
        for (prefix, end) in [(&b"a"[..], &b"b"[..]), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"/a/", b"/a0")] {
            assert_eq!(prefix_end(prefix), end);
        }
    }

    #[test]
    fn an_empty_prefix_is_every_key() {
        let all = KeyRange { key: ZERO, range_end: ZERO };
        assert_eq!(KeyRange::from_args("".as_ref(), None, true, false).unwrap(), all);
        assert_eq!(KeyRange::from_args("".as_ref(), None, false, true).unwrap(), all);
    }
}
