use std::collections::BTreeSet;

use bytes::Bytes;

use super::revision::Run;

/// More ranges than that are no use: no server takes as many operations.
pub(super) const RANGES_MAX: usize = 20_000;

/// One deletion of the target's, of some keys that follow one another there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deletion {
    pub(super) key: Bytes,
    /// Empty: the key alone.
    pub(super) range_end: Bytes,
    pub(super) count: usize,
}

/// Finds ranges that hold exactly the keys of a run, by asking how many keys are in them. A run is made of ascending keys, and a
/// range is deleted in ascending order.
#[derive(Debug)]
pub(super) struct Fold<'a> {
    /// The next is the last.
    waiting: Vec<&'a [Bytes]>,
    /// Without keys, of a run that has forgotten them.
    forgotten: Option<&'a Run>,
    /// No server deletes a key in a transaction that writes it.
    written: &'a BTreeSet<Bytes>,
    found: Vec<Deletion>,
}

/// The keys in the range aren't those that the source deleted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfolded {
    /// The target lacks some.
    Missing,
    /// Some are to stay, and nobody knows which.
    Forgotten,
    TooMany,
}

impl<'a> Fold<'a> {
    pub(super) fn new(run: &'a Run, written: &'a BTreeSet<Bytes>) -> Self {
        let forgotten = run.is_forgotten().then_some(run);
        let waiting = if forgotten.is_some() { Vec::new() } else { vec![run.keys.as_slice()] };
        Self { waiting, forgotten, written, found: Vec::new() }
    }

    /// The range to ask about; none if all are found.
    pub(super) fn question(&mut self) -> Option<Deletion> {
        if let Some(run) = self.forgotten {
            return Some(range(&run.first, &run.last, run.count));
        }
        loop {
            match self.waiting.last()? {
                [] => drop(self.waiting.pop()),
                [key] => {
                    self.found.push(single(key));
                    self.waiting.pop();
                }
                [first, .., last] if self.written.range::<Bytes, _>(first..=last).next().is_some() => self.halve(),
                [first, .., last] => {
                    let count = self.waiting.last().map_or(0, |keys| keys.len());
                    return Some(range(first, last, count));
                }
            }
        }
    }

    /// How many keys are in the range that was asked about.
    pub(super) fn answer(&mut self, asked: Deletion, count: usize) -> Result<(), Unfolded> {
        if count < asked.count {
            return Err(Unfolded::Missing);
        }
        if count > asked.count && self.forgotten.is_some() {
            return Err(Unfolded::Forgotten);
        }
        if count > asked.count {
            self.halve();
        } else {
            self.found.push(asked);
            self.waiting.pop();
            self.forgotten = None;
        }
        if self.found.len() > RANGES_MAX { Err(Unfolded::TooMany) } else { Ok(()) }
    }

    pub(super) fn found(self) -> Vec<Deletion> {
        self.found
    }

    fn halve(&mut self) {
        if let Some(keys) = self.waiting.pop() {
            let (low, high) = keys.split_at(keys.len() / 2);
            self.waiting.extend([high, low]);
        }
    }
}

pub(super) fn single(key: &Bytes) -> Deletion {
    Deletion { key: key.clone(), range_end: Bytes::new(), count: 1 }
}

/// `last` is included: nothing is between a key and the same with a zero behind it.
fn range(first: &Bytes, last: &Bytes, count: usize) -> Deletion {
    let range_end = [last, &b"\0"[..]].concat().into();
    Deletion { key: first.clone(), range_end, count }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(keys: &[&'static str]) -> Run {
        let keys: Vec<Bytes> = keys.iter().map(|key| Bytes::from_static(key.as_bytes())).collect();
        Run { first: keys[0].clone(), last: keys[keys.len() - 1].clone(), count: keys.len(), keys }
    }

    /// Folds as a target with these keys has it.
    fn fold(run: &Run, target: &[&str], written: &[&'static str]) -> Result<Vec<(String, usize)>, Unfolded> {
        let written = written.iter().map(|key| Bytes::from_static(key.as_bytes())).collect();
        let mut fold = Fold::new(run, &written);
        while let Some(asked) = fold.question() {
            let is_in = |key: &&&str| asked.key <= key.as_bytes() && asked.range_end > key.as_bytes();
            let count = target.iter().filter(is_in).count();
            fold.answer(asked, count)?;
        }
        let name = |one: Deletion| (String::from_utf8(one.key.to_vec()).unwrap(), one.count);
        Ok(fold.found().into_iter().map(name).collect())
    }

    fn named(deletions: &[(&str, usize)]) -> Vec<(String, usize)> {
        deletions.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect()
    }

    #[test]
    fn a_range_that_holds_nothing_else_is_one_deletion() {
        let target = ["a", "b", "c", "d", "e"];
        assert_eq!(fold(&run(&["b", "c", "d"]), &target, &[]), Ok(named(&[("b", 3)])));
        assert_eq!(fold(&run(&["b"]), &target, &[]), Ok(named(&[("b", 1)])));
    }

    #[test]
    fn a_key_that_stays_divides_a_range() {
        let target = ["a", "b", "b1", "c", "d", "e"];
        assert_eq!(fold(&run(&["a", "b", "c", "d"]), &target, &[]), Ok(named(&[("a", 2), ("c", 2)])));
        let all = run(&["a", "b", "c", "d", "e"]);
        assert_eq!(fold(&all, &["a", "b", "c", "c1", "d", "e"], &[]), Ok(named(&[("a", 2), ("c", 1), ("d", 2)])));
    }

    #[test]
    fn a_key_that_is_written_divides_a_range() {
        let target = ["a", "b", "c", "d"];
        assert_eq!(fold(&run(&["a", "b", "c", "d"]), &target, &["b1"]), Ok(named(&[("a", 2), ("c", 2)])));
    }

    #[test]
    fn a_key_that_is_missing_is_no_fold() {
        assert_eq!(fold(&run(&["a", "b", "c"]), &["a", "c"], &[]), Err(Unfolded::Missing));
    }

    #[test]
    fn forgotten_keys_are_a_range_or_nothing() {
        let forgotten = Run { keys: Vec::new(), ..run(&["a", "b", "c"]) };
        assert_eq!(fold(&forgotten, &["a", "b", "c", "d"], &[]), Ok(named(&[("a", 3)])));
        assert_eq!(fold(&forgotten, &["a", "b", "c", "bb"], &[]), Err(Unfolded::Forgotten));
    }
}
