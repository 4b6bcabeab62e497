//! A B+tree that counts: each inner node knows how many keys are live below each child, and the newest revision at which
//! one of them was born or died. So a count is two descents, and a count at an old revision walks only what changed since.

mod inner;
mod leaf;

use std::ops::ControlFlow;

use super::Order;
use super::row::{Row, Version};
use crate::store::kv::revision::Revision;

use inner::Inner;
pub use leaf::Leaf;

#[derive(Debug)]
pub enum Node {
    Leaf(Leaf),
    Inner(Inner),
}

/// What a write did below a node, for the node above to count.
pub struct Written {
    pub before: Option<Row>,
    pub after: Row,
    /// The upper part of a node that grew too large, which the node above must take in.
    pub split: Option<Split>,
}

pub struct Split {
    /// Above every key left behind, not above any key of `right`.
    separator: Vec<u8>,
    right: Node,
}

/// The part of a node that a read wants: from `from`, up to but without `to`; `None` where it reaches over the node's edge.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    pub from: Option<&'a [u8]>,
    pub to: Option<&'a [u8]>,
}

impl Default for Node {
    fn default() -> Self {
        Node::Leaf(Leaf::default())
    }
}

impl Node {
    /// The leaf and the slot in it where the key is.
    pub fn find(&self, key: &[u8]) -> Option<(&Leaf, usize)> {
        let mut node = self;
        loop {
            match node {
                Node::Inner(inner) => node = inner.child(key),
                Node::Leaf(leaf) => return leaf.search(key).ok().map(|slot| (leaf, slot)),
            }
        }
    }

    /// Shows `decide` the newest row of the key and records the row it answers with; `None` when it answers with none.
    pub fn write(&mut self, key: &[u8], decide: impl FnOnce(Option<Row>) -> Option<Row>) -> Option<Written> {
        match self {
            Node::Inner(inner) => inner.write(key, decide),
            Node::Leaf(leaf) => leaf.write(key, decide),
        }
    }

    /// [`Node::write`] on the root, which grows a level when it splits.
    pub fn write_root(&mut self, key: &[u8], decide: impl FnOnce(Option<Row>) -> Option<Row>) -> Option<Written> {
        let mut written = self.write(key, decide)?;
        if let Some(split) = written.split.take() {
            let left = std::mem::take(self);
            *self = Node::Inner(Inner::new(left, split));
        }
        Some(written)
    }

    /// Keys within `bounds` that were live at main revision `at`.
    pub fn count(&self, bounds: Bounds<'_>, at: i64) -> usize {
        match self {
            Node::Inner(inner) => inner.count(bounds, at),
            Node::Leaf(leaf) => leaf.count(bounds, at),
        }
    }

    /// Visits the keys within `bounds` that were live at main revision `at`. `key` is the buffer they are put together in.
    pub fn visit<F>(&self, bounds: Bounds<'_>, at: i64, order: Order, key: &mut Vec<u8>, f: &mut F) -> ControlFlow<()>
    where
        F: FnMut(&[u8], Version) -> ControlFlow<()>,
    {
        match self {
            Node::Inner(inner) => inner.visit(bounds, at, order, key, f),
            Node::Leaf(leaf) => leaf.visit(bounds, at, order, key, f),
        }
    }

    /// Drops what compaction at `revision` makes unreachable of one key; true if that was all of it and the key is gone.
    pub fn compact(&mut self, key: &[u8], revision: i64, dropped: impl FnMut(Revision)) -> bool {
        match self {
            Node::Inner(inner) => inner.compact(key, revision, dropped),
            Node::Leaf(leaf) => leaf.compact(key, revision, dropped),
        }
    }

    /// [`Node::compact`] on the root, which loses a level when it is down to one child.
    pub fn compact_root(&mut self, key: &[u8], revision: i64, dropped: impl FnMut(Revision)) -> bool {
        let gone = self.compact(key, revision, dropped);
        while let Node::Inner(inner) = self
            && inner.len() <= 1
        {
            *self = inner.take_only_child().unwrap_or_default();
        }
        gone
    }

    pub fn heap_bytes(&self) -> usize {
        match self {
            Node::Inner(inner) => inner.heap_bytes(),
            Node::Leaf(leaf) => leaf.heap_bytes(),
        }
    }

    /// Entries: keys of a leaf, children of an inner node.
    fn len(&self) -> usize {
        match self {
            Node::Inner(inner) => inner.len(),
            Node::Leaf(leaf) => leaf.len(),
        }
    }

    /// Keys below that are live now, and the newest main revision at which one of those below was born or died.
    fn tally(&self) -> (usize, i64) {
        match self {
            Node::Inner(inner) => inner.tally(),
            Node::Leaf(leaf) => leaf.tally(),
        }
    }

    #[cfg(test)]
    pub fn check(&self, bounds: Bounds<'_>) -> usize {
        match self {
            Node::Inner(inner) => inner.check(bounds),
            Node::Leaf(leaf) => {
                leaf.check(bounds);
                0
            }
        }
    }
}
