//! Who is interested in a key: exact keys by hash, spans by an interval tree.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use bytes::Bytes;

use super::Range;
use super::intervals::Intervals;

#[derive(Debug)]
pub(super) struct Matcher<T> {
    keys: HashMap<Bytes, Subscribers<T>>,
    spans: Intervals<T>,
}

impl<T> Default for Matcher<T> {
    fn default() -> Self {
        Self { keys: HashMap::new(), spans: Intervals::default() }
    }
}

impl<T: Copy + Eq + Hash> Matcher<T> {
    /// True if nobody watched this very range before.
    pub(super) fn insert(&mut self, range: &Range, subscriber: T) -> bool {
        match range {
            Range::Key(key) => match self.keys.get_mut(key) {
                Some(subscribers) => {
                    subscribers.insert(subscriber);
                    false
                }
                None => {
                    self.keys.insert(key.clone(), Subscribers::One(subscriber));
                    true
                }
            },
            Range::Span { start, end } => self.spans.insert(start, end.as_ref(), subscriber),
        }
    }

    /// True if the last subscriber of this very range left.
    pub(super) fn remove(&mut self, range: &Range, subscriber: T) -> bool {
        match range {
            Range::Key(key) => {
                let Some(subscribers) = self.keys.get_mut(key) else { return false };
                if !subscribers.remove(subscriber) || !subscribers.is_empty() {
                    return false;
                }
                self.keys.remove(key);
                true
            }
            Range::Span { start, end } => self.spans.remove(start, end.as_ref(), subscriber),
        }
    }

    /// Visits a subscriber once for each of its ranges that contains `key`.
    pub(super) fn visit(&self, key: &[u8], mut visit: impl FnMut(T)) {
        if let Some(subscribers) = self.keys.get(key) {
            subscribers.each(&mut visit);
        }
        self.spans.visit(key, &mut visit);
    }
}

/// A set that costs next to nothing for one member, the usual number.
#[derive(Debug)]
pub(super) enum Subscribers<T> {
    None,
    One(T),
    #[allow(clippy::box_collection, reason = "keeps the usual case small: there are two of these for every watcher")]
    Many(Box<HashSet<T>>),
}

impl<T: Copy + Eq + Hash> Subscribers<T> {
    pub(super) fn insert(&mut self, subscriber: T) {
        match self {
            Self::None => *self = Self::One(subscriber),
            Self::One(only) if *only == subscriber => {}
            Self::One(first) => *self = Self::Many(Box::new(HashSet::from([*first, subscriber]))),
            Self::Many(many) => {
                many.insert(subscriber);
            }
        }
    }

    /// True if it was a member.
    pub(super) fn remove(&mut self, subscriber: T) -> bool {
        match self {
            Self::One(only) if *only == subscriber => {
                *self = Self::None;
                true
            }
            Self::None | Self::One(_) => false,
            Self::Many(many) => many.remove(&subscriber),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::One(_) => false,
            Self::Many(many) => many.is_empty(),
        }
    }

    pub(super) fn each(&self, visit: &mut impl FnMut(T)) {
        match self {
            Self::None => {}
            Self::One(only) => visit(*only),
            Self::Many(many) => many.iter().copied().for_each(visit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_watched_by_many_reaches_each_of_them_once_until_they_leave() {
        let mut matcher = Matcher::default();
        let range = Range::Key(Bytes::from_static(b"k"));
        assert!(matcher.insert(&range, 0));
        for subscriber in 1..100 {
            assert!(!matcher.insert(&range, subscriber));
        }
        let mut seen = Vec::new();
        matcher.visit(b"k", |subscriber| seen.push(subscriber));
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        for subscriber in 0..99 {
            assert!(!matcher.remove(&range, subscriber));
        }
        assert!(matcher.remove(&range, 99));
        matcher.visit(b"k", |_| unreachable!());
    }
}
