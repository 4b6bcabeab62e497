//! The keys that a user may read and write, of all its roles together.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_proto::authpb::{Permission, Role, User, permission::Type};

use super::registry::ROOT;

/// What one user may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rights {
    pub is_root: bool,
    pub read: Ranges,
    pub write: Ranges,
}

impl Rights {
    pub fn of(user: &User, roles: &BTreeMap<String, Role>) -> Self {
        let (mut read, mut write) = (Vec::new(), Vec::new());
        for permission in user.roles.iter().filter_map(|role| roles.get(role)).flat_map(|role| &role.key_permission) {
            let range = Range::of(&permission.key, &permission.range_end);
            match permission.perm_type() {
                Type::Read => read.push(range),
                Type::Write => write.push(range),
                Type::Readwrite => {
                    read.push(range.clone());
                    write.push(range);
                }
            }
        }
        Self {
            is_root: user.roles.iter().any(|role| role == ROOT),
            read: Ranges::merged(read),
            write: Ranges::merged(write),
        }
    }
}

/// Half open; no end is above all keys.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    start: Bytes,
    end: Option<Bytes>,
}

impl Range {
    fn of(key: &Bytes, range_end: &[u8]) -> Self {
        let end = match range_end {
            // The key alone: up to its immediate successor.
            [] => Some([key, &[0][..]].concat().into()),
            [0] => None,
            _ => Some(Bytes::copy_from_slice(range_end)),
        };
        Self { start: key.clone(), end }
    }

    fn reaches(&self, end: Option<&Bytes>) -> bool {
        match (&self.end, end) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(end)) => own >= end,
        }
    }
}

/// Ascending ranges that neither overlap nor touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range>);

impl Ranges {
    fn merged(mut ranges: Vec<Range>) -> Self {
        ranges.sort_by(|one, other| one.start.cmp(&other.start));
        let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if last.end.as_ref().is_none_or(|end| *end >= range.start) => {
                    if !last.reaches(range.end.as_ref()) {
                        last.end = range.end;
                    }
                }
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    /// Every key of a request's range is in one of these.
    pub fn cover(&self, key: &Bytes, range_end: &[u8]) -> bool {
        let wanted = Range::of(key, range_end);
        let before = self.0.partition_point(|range| range.start <= wanted.start);
        let Some(range) = before.checked_sub(1).and_then(|place| self.0.get(place)) else { return false };
        range.end.as_ref().is_none_or(|end| *end > wanted.start) && range.reaches(wanted.end.as_ref())
    }
}

/// etcd's rule for what may be granted: a key, or a range with something in it.
pub(in crate::store) fn is_grantable(permission: &Permission) -> bool {
    let Permission { key, range_end, .. } = permission;
    !key.is_empty() && (range_end.is_empty() || range_end[..] == [0] || key < range_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(given: &[(&'static str, &'static str)]) -> Ranges {
        Ranges::merged(
            given.iter().map(|(key, end)| Range::of(&Bytes::from_static(key.as_bytes()), end.as_bytes())).collect(),
        )
    }

    #[track_caller]
    fn check(
        given: &[(&'static str, &'static str)],
        covered: &[(&'static str, &'static str)],
        not: &[(&'static str, &'static str)],
    ) {
        let ranges = ranges(given);
        for (key, end) in covered {
            assert!(ranges.cover(&Bytes::from_static(key.as_bytes()), end.as_bytes()), "[{key}, {end})");
        }
        for (key, end) in not {
            assert!(!ranges.cover(&Bytes::from_static(key.as_bytes()), end.as_bytes()), "[{key}, {end})");
        }
    }

    #[test]
    fn a_key_is_covered_by_itself_and_by_ranges_around_it() {
        check(&[("b", "")], &[("b", "")], &[("a", ""), ("b\0", ""), ("b", "c"), ("b", "\0"), ("c", "")]);
        check(&[("b", "d")], &[("b", ""), ("c", ""), ("b", "d"), ("c", "cz")], &[("d", ""), ("a", "c"), ("c", "e")]);
        check(&[("b", "\0")], &[("b", ""), ("z", ""), ("c", "\0"), ("b", "x")], &[("a", ""), ("a", "\0")]);
    }

    #[test]
    fn ranges_of_several_roles_add_up_where_they_touch_and_not_across_a_gap() {
        check(&[("a", "b"), ("b", "c")], &[("a", "c")], &[]);
        check(&[("b", "c"), ("a", "b"), ("c", "\0")], &[("a", "\0")], &[]);
        check(&[("a", "b"), ("b\0", "c")], &[("a", "b"), ("b\0", "c")], &[("a", "c"), ("b", "")]);
        check(&[("a", "z"), ("b", "c")], &[("b", "y")], &[]);
        check(&[], &[], &[("a", "")]);
    }
}
