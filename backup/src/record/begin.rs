//! Where the record goes on: at the newest chunk that the cluster may have gone on from, or else at the newest backup.

use crate::changes::{Chunk, Name, Start};

/// Everything that the store says about where the record ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Newest first.
    pub(super) chunks: Vec<Name>,
    /// Revision of the newest backup of this cluster that isn't beyond the cluster's.
    pub(super) backup: Option<i64>,
}

/// Where to begin, and what is to be told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Begin {
    pub(super) revision: i64,
    /// The chunk that ends there; the recorder compares its last row, if it can read it.
    pub(super) chunk: Option<Name>,
    /// Beyond the cluster's revision, by another history that it had.
    pub(super) gone_back_from: Option<i64>,
    pub(super) has_backup: bool,
}

impl Found {
    /// `now`: the cluster's revision.
    pub(super) fn begin(&self, now: i64) -> Begin {
        let chunk = self.chunks.iter().filter(|name| name.done() <= now).max_by_key(|name| (name.done(), name.after));
        let gone_back_from = self.chunks.iter().map(Name::done).max().filter(|done| *done > now);
        let revision = chunk.map(Name::done).or(self.backup).unwrap_or(now);
        Begin { revision, chunk: chunk.copied(), gone_back_from, has_backup: self.backup.is_some() }
    }
}

/// The row that the first event is compared with.
pub(super) fn start(revision: i64, chunk: Option<&Chunk>) -> Start {
    let link = chunk.and_then(|chunk| {
        let mut rows = chunk.rows.iter().rev();
        let last = rows.find(|row| row.revision().is_ok_and(|at| at.main == revision));
        let is_before = chunk.after == revision && chunk.first_sub() == 0;
        last.map(crate::changes::Row::link).or_else(|| chunk.link.clone().filter(|_| is_before))
    });
    Start { revision, link }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(after: i64, last: i64) -> Name {
        Name { after, first_sub: 0, last, unfinished: false, sha256: [0; 8] }
    }

    #[test]
    fn the_record_goes_on_at_its_end_or_at_a_backup_or_now() {
        let found = Found { chunks: vec![name(1, 5), name(5, 9)], backup: Some(12) };
        assert_eq!(found.begin(20).revision, 9);
        assert_eq!(Found { backup: Some(12), ..Found::default() }.begin(20).revision, 12);
        let begin = Found::default().begin(20);
        assert_eq!((begin.revision, begin.has_backup, begin.gone_back_from), (20, false, None));
    }

    #[test]
    fn an_unfinished_revision_is_recorded_again() {
        let found = Found { chunks: vec![name(1, 5), Name { unfinished: true, ..name(5, 9) }], backup: None };
        assert_eq!(found.begin(20).revision, 8);
    }

    #[test]
    fn a_cluster_that_has_gone_back_goes_on_at_an_older_chunk() {
        let found = Found { chunks: vec![name(1, 5), name(5, 9)], backup: None };
        let begin = found.begin(7);
        assert_eq!((begin.revision, begin.gone_back_from), (5, Some(9)));
    }
}
