use bytes::Bytes;
use quorate_proto::mvccpb::KeyValue;
use tokio::sync::OwnedSemaphorePermit;

/// Deletions of a larger revision are kept as ranges: their keys are forgotten, and can't be told apart any more.
pub(super) const BYTES_MAX: usize = 16 << 20;

/// One revision of the source, whole.
#[derive(Debug, Default)]
pub(super) struct Revision {
    pub(super) number: i64,
    /// In the order in which the source did them: it is part of what is compared.
    pub(super) parts: Vec<Part>,
    /// Keys, values and what holds them.
    pub(super) bytes: usize,
    /// Its share of the memory for revisions that wait.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Put(KeyValue),
    Delete(Run),
}

/// Deletions one behind the other, of ascending keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: Bytes,
    pub(super) last: Bytes,
    pub(super) count: usize,
    /// All of them, or none if the revision is too large.
    pub(super) keys: Vec<Bytes>,
}

impl Revision {
    pub(super) fn new(number: i64) -> Self {
        Self { number, ..Self::default() }
    }

    pub(super) fn put(&mut self, pair: KeyValue) {
        self.bytes += size_of::<Part>() + pair.key.len() + pair.value.len();
        self.parts.push(Part::Put(pair));
    }

    pub(super) fn delete(&mut self, key: Bytes) {
        let bytes = size_of::<Bytes>() + key.len();
        let keeps = self.bytes + bytes <= BYTES_MAX;
        if let Some(Part::Delete(run)) = self.parts.last_mut()
            && run.last < key
        {
            run.count += 1;
            if keeps && !run.keys.is_empty() {
                self.bytes += bytes;
                run.keys.push(key.clone());
            }
            run.last = key;
        } else {
            self.bytes += size_of::<Part>() + bytes;
            let keys = vec![key.clone()];
            self.parts.push(Part::Delete(Run { first: key.clone(), last: key, count: 1, keys }));
        }
        if !keeps {
            self.forget_keys();
        }
    }

    fn forget_keys(&mut self) {
        for part in &mut self.parts {
            if let Part::Delete(run) = part
                && run.count > 1
            {
                self.bytes -= run.keys.iter().map(|key| size_of::<Bytes>() + key.len()).sum::<usize>();
                run.keys = Vec::new();
                // The first and the last may be pieces of large responses.
                (run.first, run.last) = (Bytes::copy_from_slice(&run.first), Bytes::copy_from_slice(&run.last));
            }
        }
    }

    /// Operations if nothing is folded.
    pub(super) fn operations(&self) -> usize {
        let operations = |part: &Part| match part {
            Part::Put(_) => 1,
            Part::Delete(run) => run.count,
        };
        self.parts.iter().map(operations).sum()
    }

    pub(super) fn puts(&self) -> impl DoubleEndedIterator<Item = &KeyValue> {
        self.parts.iter().filter_map(|part| match part {
            Part::Put(pair) => Some(pair),
            Part::Delete(_) => None,
        })
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.parts.iter().filter_map(|part| match part {
            Part::Put(_) => None,
            Part::Delete(run) => Some(run),
        })
    }

    /// Whether it writes or deletes this key, as far as is known.
    pub(super) fn touches(&self, key: &Bytes) -> bool {
        self.puts().any(|pair| pair.key == *key) || self.runs().any(|run| run.touches(key))
    }
}

impl Run {
    fn touches(&self, key: &Bytes) -> bool {
        match self.keys.as_slice() {
            [] => self.first <= *key && *key <= self.last,
            keys => keys.binary_search(key).is_ok(),
        }
    }

    /// Its keys were too many to be kept.
    pub(super) fn is_forgotten(&self) -> bool {
        self.keys.len() < self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletions_of_ascending_keys_are_a_run() {
        let mut revision = Revision::new(5);
        for key in ["a", "b", "d", "c"] {
            revision.delete(Bytes::from_static(key.as_bytes()));
        }
        revision.put(KeyValue { key: "x".into(), ..KeyValue::default() });
        revision.delete("y".into());
        let counts: Vec<usize> = revision.runs().map(|run| run.count).collect();
        assert_eq!((counts, revision.operations()), (vec![3, 1, 1], 6));
        assert!(revision.touches(&"d".into()) && revision.touches(&"x".into()) && !revision.touches(&"bb".into()));
    }

    #[test]
    fn a_revision_that_is_too_large_forgets_its_keys() {
        let mut revision = Revision::new(5);
        let many = BYTES_MAX / 100;
        for number in 0..many {
            revision.delete(format!("{number:0100}").into());
        }
        let runs: Vec<&Run> = revision.runs().collect();
        assert!(revision.bytes < 1000, "{}", revision.bytes);
        assert!(runs.len() == 1 && runs[0].count == many && runs[0].is_forgotten());
        assert_eq!(runs[0].last, format!("{:0100}", many - 1));
    }
}
