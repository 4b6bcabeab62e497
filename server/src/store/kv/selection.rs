//! Which versions a range request means, decided by the index alone.

use std::ops::ControlFlow;

use bytes::Bytes;
use quorate_proto::served::etcdserverpb::{
    self as pb,
    range_request::{SortOrder, SortTarget},
};

use super::index::{Index, KeyRange, Order, Version};

/// A version that a request selects.
#[derive(Debug, Clone)]
pub(in crate::store) struct Found {
    pub version: Version,
    /// Empty if the request needs the row anyway.
    pub key: Bytes,
}

/// A walk over the index in as many pieces as it takes.
pub(in crate::store) struct Selection<'r> {
    request: &'r pb::RangeRequest,
    /// What is left to walk.
    rest: KeyRange,
    order: Order,
    /// Versions to find before the walk may end.
    enough: usize,
    found: Vec<Found>,
    /// Live keys passed, found or filtered out.
    walked: usize,
    /// Ended with keys left.
    cut: bool,
}

impl<'r> Selection<'r> {
    pub(in crate::store) fn new(request: &'r pb::RangeRequest) -> Self {
        let (target, order) = (request.sort_target(), request.sort_order());
        // A limit can end the walk if keys decide the reply's order, and one more is walked to know that there is more. As in etcd
        // it also does without an order whatever the target, but not with a filter.
        let limit_ends_walk = target == SortTarget::Key || (order == SortOrder::None && !filters(request));
        let enough = match usize::try_from(request.limit) {
            Ok(limit) if limit > 0 && limit_ends_walk => limit.saturating_add(1),
            _ => usize::MAX,
        };
        let backwards = target == SortTarget::Key && order == SortOrder::Descend;
        Self {
            request,
            rest: KeyRange::new(&request.key, &request.range_end),
            order: if backwards { Order::Descending } else { Order::Ascending },
            enough,
            found: Vec::new(),
            walked: 0,
            cut: false,
        }
    }

    /// The revision that was asked for; `None` is now.
    pub(in crate::store) fn revision(&self) -> Option<i64> {
        (self.request.revision > 0).then_some(self.request.revision)
    }

    /// Walks at most `budget` keys on, as of revision `at`; true at the end of the walk.
    pub(in crate::store) fn walk(&mut self, index: &Index, at: Option<i64>, budget: usize) -> bool {
        if self.request.count_only {
            return true;
        }
        if let Some(key) = self.rest.single() {
            if let Some(version) = index.get(key, at.unwrap_or(i64::MAX)) {
                self.walked = 1;
                if self.selects(&version) {
                    let key = if self.request.keys_only { self.request.key.clone() } else { Bytes::new() };
                    self.found.push(Found { version, key });
                }
            }
            return true;
        }
        let mut left = budget;
        let mut stopped_at = None;
        let rest = self.rest.clone();
        index.visit(&rest, at, self.order, |key, version| {
            self.walked += 1;
            if self.selects(&version) {
                let key = if self.request.keys_only { Bytes::copy_from_slice(key) } else { Bytes::new() };
                self.found.push(Found { version, key });
                if self.found.len() >= self.enough {
                    self.cut = true;
                    return ControlFlow::Break(());
                }
            }
            left -= 1;
            if left == 0 {
                stopped_at = Some(key.to_vec());
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        match stopped_at {
            None => true,
            Some(key) => {
                self.rest = match self.order {
                    Order::Ascending => rest.after(&key),
                    Order::Descending => rest.before(&key),
                };
                false
            }
        }
    }

    fn selects(&self, version: &Version) -> bool {
        let &pb::RangeRequest { min_mod_revision, max_mod_revision, min_create_revision, max_create_revision, .. } =
            self.request;
        let modified = version.modified.main;
        (max_mod_revision == 0 || modified <= max_mod_revision)
            && (min_mod_revision == 0 || modified >= min_mod_revision)
            && (max_create_revision == 0 || version.created <= max_create_revision)
            && (min_create_revision == 0 || version.created >= min_create_revision)
    }

    /// Keys in the request's range at revision `at`, whatever its limit and filters; after the walk.
    pub(in crate::store) fn count(&self, index: &Index, at: Option<i64>) -> i64 {
        let count = if self.request.count_only || self.cut {
            let range = KeyRange::new(&self.request.key, &self.request.range_end);
            match at {
                Some(at) => index.count_at(&range, at),
                None => index.count(&range),
            }
        } else {
            self.walked
        };
        count as i64
    }

    /// What was found, in the order of the walk.
    pub(in crate::store) fn into_found(self) -> Vec<Found> {
        self.found
    }
}

fn filters(request: &pb::RangeRequest) -> bool {
    request.min_mod_revision != 0
        || request.max_mod_revision != 0
        || request.min_create_revision != 0
        || request.max_create_revision != 0
}
