use quorate_proto::etcdserverpb::WatchResponse;
use quorate_proto::mvccpb::event::EventType;

use super::divergence::Divergence;
use super::revision::Revision;

/// Makes whole revisions of what a watch of all keys sends.
#[derive(Debug)]
pub(super) struct Gatherer {
    /// The last that came whole.
    done: i64,
    /// Its other events come with the next response.
    open: Option<Revision>,
    /// The first may be missing: a compaction at a revision removes its deletions.
    may_lack_first: bool,
}

/// The watch doesn't go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Diverged(#[from] Divergence),
    #[error("the watch was cancelled: {0}")]
    Cancelled(String),
    #[error("the watch has sent an event of revision {got} behind {before}")]
    Disordered { before: i64, got: i64 },
}

impl Gatherer {
    /// `first`: the revision that the watch begins at.
    pub(super) fn new(first: i64) -> Self {
        Self { done: first - 1, open: None, may_lack_first: true }
    }

    /// The revisions that are whole with this response. Only a fragment leaves one open: etcd never spreads a revision over
    /// responses otherwise.
    pub(super) fn take(&mut self, response: WatchResponse) -> Result<Vec<Revision>, Trouble> {
        let WatchResponse { canceled, compact_revision, cancel_reason, fragment, events, .. } = response;
        if canceled {
            return Err(match compact_revision {
                0 => Trouble::Cancelled(cancel_reason),
                compacted => Divergence::Compacted { revision: self.done + 1, compacted }.into(),
            });
        }
        let mut whole = Vec::new();
        for event in events {
            let kind = event.r#type();
            let pair = event.kv.unwrap_or_default();
            let mut revision = match self.open.take() {
                Some(open) if open.number == pair.mod_revision => open,
                open => {
                    if let Some(open) = open {
                        self.done = open.number;
                        whole.push(open);
                    }
                    self.begin(pair.mod_revision)?
                }
            };
            match kind {
                EventType::Put => revision.put(pair),
                EventType::Delete => revision.delete(pair.key),
            }
            self.open = Some(revision);
        }
        if !fragment && let Some(open) = self.open.take() {
            self.done = open.number;
            whole.push(open);
        }
        Ok(whole)
    }

    fn begin(&mut self, number: i64) -> Result<Revision, Trouble> {
        let may_lack = std::mem::take(&mut self.may_lack_first);
        match number - self.done {
            1 => Ok(Revision::new(number)),
            2 if may_lack => Ok(Revision::new(number)),
            gap if gap > 1 => Err(Divergence::Skipped { before: self.done, got: number }.into()),
            _ => Err(Trouble::Disordered { before: self.done, got: number }),
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_proto::mvccpb::{Event, KeyValue};

    use super::*;

    fn response(fragment: bool, events: &[(i64, &'static str)]) -> WatchResponse {
        let event = |&(mod_revision, key): &(i64, &'static str)| Event {
            kv: Some(KeyValue { key: key.into(), mod_revision, ..KeyValue::default() }),
            ..Event::default()
        };
        WatchResponse { fragment, events: events.iter().map(event).collect(), ..WatchResponse::default() }
    }

    fn numbers(revisions: &[Revision]) -> Vec<(i64, usize)> {
        revisions.iter().map(|revision| (revision.number, revision.operations())).collect()
    }

    #[test]
    fn a_revision_is_whole_when_a_response_is_no_fragment() {
        let mut gatherer = Gatherer::new(5);
        let taken = gatherer.take(response(false, &[(5, "a"), (6, "b"), (6, "c")])).unwrap();
        assert_eq!(numbers(&taken), [(5, 1), (6, 2)]);
        let taken = gatherer.take(response(true, &[(7, "a"), (8, "b")])).unwrap();
        assert_eq!(numbers(&taken), [(7, 1)]);
        assert!(gatherer.take(response(true, &[(8, "c")])).unwrap().is_empty());
        assert_eq!(numbers(&gatherer.take(response(false, &[(8, "d"), (9, "a")])).unwrap()), [(8, 3), (9, 1)]);
        assert!(gatherer.take(response(false, &[])).unwrap().is_empty());
    }

    #[test]
    fn a_revision_that_is_missing_is_noticed() {
        let mut gatherer = Gatherer::new(5);
        assert_eq!(numbers(&gatherer.take(response(false, &[(6, "a")])).unwrap()), [(6, 1)]);
        let skipped = gatherer.take(response(false, &[(8, "a")])).unwrap_err();
        assert_eq!(skipped, Divergence::Skipped { before: 6, got: 8 }.into());
        assert!(matches!(Gatherer::new(5).take(response(false, &[(7, "a")])), Err(Trouble::Diverged(_))));
        assert!(matches!(Gatherer::new(5).take(response(false, &[(4, "a")])), Err(Trouble::Disordered { .. })));
    }

    #[test]
    fn a_compaction_ends_it() {
        let canceled = WatchResponse { canceled: true, compact_revision: 9, ..WatchResponse::default() };
        let trouble = Gatherer::new(5).take(canceled).unwrap_err();
        assert_eq!(trouble, Divergence::Compacted { revision: 5, compacted: 9 }.into());
    }
}
