//! One watcher: what it wants and how far it is.

use super::{Delivery, Frame, Kind, Range};

/// What a client asked for.
#[derive(Debug, Clone)]
pub struct Interest {
    pub range: Range,
    /// 0: from now on. Otherwise the first revision to deliver, in the past or the future.
    pub start_revision: i64,
    pub filters: Filters,
    /// Events carry the version that they replaced.
    pub prev_kv: bool,
    /// Messages may be split within a revision.
    pub fragment: bool,
    /// Quiet times are answered with periodic progress messages.
    pub progress_notify: bool,
}

/// Which kinds of events are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filters {
    pub no_put: bool,
    pub no_delete: bool,
}

impl Filters {
    pub fn drop(self, kind: Kind) -> bool {
        match kind {
            Kind::Put => self.no_put,
            Kind::Delete => self.no_delete,
        }
    }
}

#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) interest: Interest,
    /// The lowest revision that it has not been given yet.
    pub(super) next_revision: i64,
    /// Reads history up to the cursor; otherwise the cursor serves it.
    pub(super) behind: bool,
    /// No event was delivered since the last progress tick.
    pub(super) quiet: bool,
    /// Matched in the step under way, not handed out yet.
    pub(super) pending: Vec<Delivery>,
}

impl Watcher {
    pub(super) fn new(interest: Interest, next_revision: i64, behind: bool) -> Self {
        Self { interest, next_revision, behind, quiet: true, pending: Vec::new() }
    }

    pub(super) fn wants(&self, frame: &Frame, kind: Kind) -> bool {
        frame.revision >= self.next_revision && !self.interest.filters.drop(kind)
    }
}
