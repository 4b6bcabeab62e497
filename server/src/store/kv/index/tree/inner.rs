//! An inner node: children, what parts them, and their counts.

use std::ops::ControlFlow;

use super::super::Order;
use super::super::growth;
use super::super::packed_keys::PackedKeys;
use super::super::row::{Row, Version};
use super::leaf::FEW_KEYS;
use super::{Bounds, Node, Split, Written};
use crate::store::kv::revision::Revision;

/// Children of an inner node, at most.
pub const MAX_CHILDREN: usize = 64;
/// A node with fewer children joins a neighbour if both together stay below three quarters.
pub const FEW_CHILDREN: usize = MAX_CHILDREN / 4;

#[derive(Debug)]
pub struct Inner {
    /// One less than there are children: separator `i` is above every key below child `i` and not above any below `i + 1`.
    separators: PackedKeys,
    children: Vec<Node>,
    /// Of each child: keys below that are live now.
    live: Vec<usize>,
    /// Of each child: no key below was born or died after this main revision.
    turned: Vec<i64>,
}

impl Inner {
    /// A root above a node that split.
    pub fn new(left: Node, split: Split) -> Self {
        let mut separators = PackedKeys::default();
        separators.insert(0, &split.separator);
        Self::over(separators, vec![left, split.right])
    }

    pub fn len(&self) -> usize {
        self.children.len()
    }

    pub fn child(&self, key: &[u8]) -> &Node {
        &self.children[self.place(key)]
    }

    pub fn write(&mut self, key: &[u8], decide: impl FnOnce(Option<Row>) -> Option<Row>) -> Option<Written> {
        let i = self.place(key);
        let mut written = self.children[i].write(key, decide)?;
        if let Some(split) = written.split.take() {
            self.adopt(i, split);
            written.split = (self.len() > MAX_CHILDREN).then(|| self.split(i + 1));
        } else {
            let was_live = written.before.is_some_and(|row| row.live().is_some());
            self.live[i] = self.live[i] + usize::from(written.after.live().is_some()) - usize::from(was_live);
            self.turned[i] = self.turned[i].max(written.after.turned());
        }
        Some(written)
    }

    pub fn count(&self, bounds: Bounds<'_>, at: i64) -> usize {
        let (first, last) = self.span(bounds);
        let count = |i: usize| {
            let bounds = self.clip(bounds, i, first, last);
            let whole = bounds.from.is_none() && bounds.to.is_none();
            if whole && self.turned[i] <= at { self.live[i] } else { self.children[i].count(bounds, at) }
        };
        (first..=last).map(count).sum()
    }

    pub fn visit<F>(&self, bounds: Bounds<'_>, at: i64, order: Order, key: &mut Vec<u8>, f: &mut F) -> ControlFlow<()>
    where
        F: FnMut(&[u8], Version) -> ControlFlow<()>,
    {
        let (first, last) = self.span(bounds);
        let mut visit = |i: usize| {
            let nothing_there = self.live[i] == 0 && self.turned[i] <= at;
            if nothing_there {
                return ControlFlow::Continue(());
            }
            self.children[i].visit(self.clip(bounds, i, first, last), at, order, key, f)
        };
        match order {
            Order::Ascending => (first..=last).try_for_each(&mut visit),
            Order::Descending => (first..=last).rev().try_for_each(&mut visit),
        }
    }

    pub fn compact(&mut self, key: &[u8], revision: i64, dropped: impl FnMut(Revision)) -> bool {
        let i = self.place(key);
        let gone = self.children[i].compact(key, revision, dropped);
        if gone {
            self.tend(i);
        }
        gone
    }

    pub fn tally(&self) -> (usize, i64) {
        (self.live.iter().sum(), self.turned.iter().copied().max().unwrap_or(i64::MIN))
    }

    /// The child of a node that has one; of a node without any, nothing.
    pub fn take_only_child(&mut self) -> Option<Node> {
        self.children.pop()
    }

    pub fn heap_bytes(&self) -> usize {
        let children: usize = self.children.iter().map(Node::heap_bytes).sum();
        children
            + self.separators.heap_bytes()
            + self.children.capacity() * size_of::<Node>()
            + self.live.capacity() * size_of::<usize>()
            + self.turned.capacity() * size_of::<i64>()
    }

    fn over(separators: PackedKeys, children: Vec<Node>) -> Self {
        let (live, turned) = children.iter().map(Node::tally).unzip();
        Self { separators, children, live, turned }
    }

    /// The child below which the key belongs.
    fn place(&self, key: &[u8]) -> usize {
        match self.separators.search(key) {
            Ok(i) => i + 1,
            Err(i) => i,
        }
    }

    /// First and last child that the bounds touch; the first is not behind the last if the bounds are in order.
    fn span(&self, bounds: Bounds<'_>) -> (usize, usize) {
        let first = bounds.from.map_or(0, |from| self.place(from));
        (first, bounds.to.map_or(self.len() - 1, |to| self.separators.below(to)))
    }

    /// The bounds as child `i` has to keep them.
    fn clip<'a>(&self, bounds: Bounds<'a>, i: usize, first: usize, last: usize) -> Bounds<'a> {
        Bounds { from: bounds.from.filter(|_| i == first), to: bounds.to.filter(|_| i == last) }
    }

    /// Takes in the part that child `i` split off.
    fn adopt(&mut self, i: usize, Split { separator, right }: Split) {
        self.separators.insert(i, &separator);
        growth::reserve(&mut self.children, 1);
        growth::reserve(&mut self.live, 1);
        growth::reserve(&mut self.turned, 1);
        self.children.insert(i + 1, right);
        self.live.insert(i + 1, 0);
        self.turned.insert(i + 1, 0);
        self.retally(i);
        self.retally(i + 1);
    }

    /// Cuts off the upper children: half of them, or a quarter when the latest came last, as it does when keys arrive in order.
    fn split(&mut self, adopted: usize) -> Split {
        let at = if adopted + 1 == self.len() { MAX_CHILDREN / 4 * 3 } else { self.len() / 2 };
        let right = Self::over(self.separators.part(at..self.separators.len()), self.children.split_off(at));
        let separator = self.separators.key(at - 1);
        let mut left = std::mem::take(&mut self.children);
        left.shrink_to_fit();
        *self = Self::over(self.separators.part(0..at - 1), left);
        Split { separator, right: Node::Inner(right) }
    }

    /// Sees to child `i` after it lost an entry: removes it when empty, joins it with a neighbour when there is room.
    fn tend(&mut self, i: usize) {
        let len = self.children[i].len();
        if len == 0 {
            self.remove(i);
        } else if self.has_few(i) {
            if i + 1 < self.len() && self.can_join(i) {
                self.join(i);
            } else if i > 0 && self.can_join(i - 1) {
                self.join(i - 1);
            }
        }
    }

    fn has_few(&self, i: usize) -> bool {
        match &self.children[i] {
            Node::Leaf(leaf) => leaf.len() < FEW_KEYS,
            Node::Inner(inner) => inner.len() < FEW_CHILDREN,
        }
    }

    fn can_join(&self, i: usize) -> bool {
        match (&self.children[i], &self.children[i + 1]) {
            (Node::Leaf(left), Node::Leaf(right)) => left.can_absorb(right),
            (Node::Inner(left), Node::Inner(right)) => left.len() + right.len() <= MAX_CHILDREN / 4 * 3,
            // Leaves are all at one depth.
            _ => false,
        }
    }

    /// Joins child `i` with the one behind it.
    fn join(&mut self, i: usize) {
        let separator = self.separators.key(i);
        let right = self.remove(i + 1);
        match (&mut self.children[i], right) {
            (Node::Leaf(left), Node::Leaf(right)) => left.absorb(right),
            (Node::Inner(left), Node::Inner(right)) => left.absorb(&separator, right),
            _ => {}
        }
        self.retally(i);
    }

    /// Takes in the children of the node behind this one, which `separator` parts from it.
    fn absorb(&mut self, separator: &[u8], next: Self) {
        self.separators.insert(self.separators.len(), separator);
        self.separators.append(&next.separators);
        self.children.extend(next.children);
        self.live.extend(next.live);
        self.turned.extend(next.turned);
    }

    fn remove(&mut self, i: usize) -> Node {
        if self.separators.len() > 0 {
            self.separators.remove(i.saturating_sub(1));
        }
        self.live.remove(i);
        self.turned.remove(i);
        self.children.remove(i)
    }

    fn retally(&mut self, i: usize) {
        (self.live[i], self.turned[i]) = self.children[i].tally();
    }

    #[cfg(test)]
    pub fn check(&self, bounds: Bounds<'_>) -> usize {
        let len = self.len();
        assert!((1..=MAX_CHILDREN).contains(&len));
        assert_eq!([self.separators.len() + 1, self.live.len(), self.turned.len()], [len; 3]);
        let separators: Vec<_> = (0..len - 1).map(|i| self.separators.key(i)).collect();
        let mut depths = Vec::new();
        for i in 0..len {
            assert!(self.children[i].len() > 0);
            let (live, turned) = self.children[i].tally();
            assert!(self.live[i] == live && self.turned[i] >= turned);
            let from = if i == 0 { bounds.from } else { Some(&*separators[i - 1]) };
            let to = if i == len - 1 { bounds.to } else { Some(&*separators[i]) };
            depths.push(self.children[i].check(Bounds { from, to }));
        }
        assert!(depths.iter().all(|depth| *depth == depths[0]));
        depths[0] + 1
    }
}
