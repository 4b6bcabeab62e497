use crate::position::Position;

/// The term of every index of the log: one item a change of term, so it stays tiny.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// First position of each run of one term, in order. The first may be the position in front of the first entry.
    runs: Vec<Position>,
    last_index: u64,
}

impl Terms {
    /// Knows the term of `start` only.
    pub(super) fn new(start: Position) -> Self {
        Self { runs: vec![start], last_index: start.index }
    }

    /// For a log whose first entries are to come, with none known before them.
    pub(super) fn unknown_before(first_index: u64) -> Self {
        Self { runs: Vec::new(), last_index: first_index.saturating_sub(1) }
    }

    pub(super) fn push(&mut self, position: Position) {
        if self.runs.last().is_none_or(|run| run.term != position.term) {
            self.runs.push(position);
        }
        self.last_index = position.index;
    }

    pub(super) fn truncate_after(&mut self, index: u64) {
        while self.runs.last().is_some_and(|run| run.index > index) {
            self.runs.pop();
        }
        self.last_index = self.last_index.min(index);
    }

    /// Forgets what is in front of `start`.
    pub(super) fn start_at(&mut self, start: Position) {
        let keep_from = self.runs.partition_point(|run| run.index <= start.index);
        self.runs.drain(..keep_from);
        if self.runs.first().is_none_or(|run| run.term != start.term) {
            self.runs.insert(0, start);
        } else if let Some(run) = self.runs.first_mut() {
            *run = start;
        }
        self.last_index = self.last_index.max(start.index);
    }

    /// `None` if the index isn't in the log.
    pub(super) fn term_of(&self, index: u64) -> Option<u64> {
        if index > self.last_index {
            return None;
        }
        let behind = self.runs.partition_point(|run| run.index <= index);
        self.runs.get(behind.checked_sub(1)?).map(|run| run.term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(term: u64, index: u64) -> Position {
        Position { term, index }
    }

    #[test]
    fn every_index_has_the_term_it_was_written_in() {
        let mut terms = Terms::new(at(0, 0));
        for position in [at(1, 1), at(1, 2), at(3, 3), at(3, 4), at(4, 5)] {
            terms.push(position);
        }
        assert_eq!(
            (0..7).map(|index| terms.term_of(index)).collect::<Vec<_>>(),
            [Some(0), Some(1), Some(1), Some(3), Some(3), Some(4), None]
        );
        terms.truncate_after(3);
        terms.push(at(5, 4));
        assert_eq!((2..6).map(|index| terms.term_of(index)).collect::<Vec<_>>(), [Some(1), Some(3), Some(5), None]);
        terms.start_at(at(3, 3));
        assert_eq!((2..6).map(|index| terms.term_of(index)).collect::<Vec<_>>(), [None, Some(3), Some(5), None]);
        terms.start_at(at(7, 10));
        assert_eq!(
            (4..12).map(|index| terms.term_of(index)).collect::<Vec<_>>(),
            [None, None, None, None, None, None, Some(7), None]
        );
    }
}
