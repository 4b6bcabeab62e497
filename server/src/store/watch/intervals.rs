//! Key spans and who is interested in them: finds every span that contains a key.
//!
//! An interval tree: a treap ordered by (start, end) in which each node knows the greatest end below it. Insertion and
//! removal take O(log n) steps on average, a look-up O(log n) for every span it finds, whatever way the spans overlap.

use std::cmp::Ordering;

use bytes::Bytes;

use super::matcher::Subscribers;

type Link = Option<u32>;

#[derive(Debug)]
pub(super) struct Intervals<T> {
    nodes: Vec<Node<T>>,
    free: Vec<u32>,
    root: Link,
    /// State of the generator of priorities; it only balances the tree, so a fixed seed does.
    seed: u64,
}

#[derive(Debug)]
struct Node<T> {
    start: Bytes,
    /// `None`: no end.
    end: Option<Bytes>,
    /// The greatest end in this subtree.
    reach: Option<Bytes>,
    priority: u64,
    left: Link,
    right: Link,
    subscribers: Subscribers<T>,
}

impl<T> Default for Intervals<T> {
    fn default() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), root: None, seed: 0x9e37_79b9_7f4a_7c15 }
    }
}

/// Orders ends: no end is the greatest.
fn compare_ends(left: Option<&Bytes>, right: Option<&Bytes>) -> Ordering {
    match (left, right) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(left), Some(right)) => left.cmp(right),
    }
}

fn ends_after(end: Option<&Bytes>, key: &[u8]) -> bool {
    end.is_none_or(|end| key < &end[..])
}

impl<T: Copy + Eq + std::hash::Hash> Intervals<T> {
    /// True if the span was not there before.
    pub(super) fn insert(&mut self, start: &Bytes, end: Option<&Bytes>, subscriber: T) -> bool {
        if let Some(found) = self.find(start, end) {
            self.nodes[found as usize].subscribers.insert(subscriber);
            return false;
        }
        let node = self.new_node(start.clone(), end.cloned(), subscriber);
        let (left, right) = self.split(self.root, node);
        let left = self.merge(left, Some(node));
        self.root = self.merge(left, right);
        true
    }

    /// True if the span left with its last subscriber.
    pub(super) fn remove(&mut self, start: &Bytes, end: Option<&Bytes>, subscriber: T) -> bool {
        let Some(found) = self.find(start, end) else { return false };
        let subscribers = &mut self.nodes[found as usize].subscribers;
        if !subscribers.remove(subscriber) || !subscribers.is_empty() {
            return false;
        }
        self.root = self.unlink(self.root, found);
        let node = &mut self.nodes[found as usize];
        (node.start, node.end, node.reach) = (Bytes::new(), Some(Bytes::new()), Some(Bytes::new()));
        (node.left, node.right, node.subscribers) = (None, None, Subscribers::None);
        self.free.push(found);
        true
    }

    /// Visits the subscribers of every span that contains `key`.
    pub(super) fn visit(&self, key: &[u8], visit: &mut impl FnMut(T)) {
        self.visit_below(self.root, key, visit);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    fn visit_below(&self, link: Link, key: &[u8], visit: &mut impl FnMut(T)) {
        let Some(at) = link else { return };
        let node = &self.nodes[at as usize];
        if !ends_after(node.reach.as_ref(), key) {
            return;
        }
        self.visit_below(node.left, key, visit);
        if &node.start[..] <= key {
            if ends_after(node.end.as_ref(), key) {
                node.subscribers.each(visit);
            }
            self.visit_below(node.right, key, visit);
        }
    }

    fn find(&self, start: &Bytes, end: Option<&Bytes>) -> Link {
        let mut link = self.root;
        while let Some(at) = link {
            let node = &self.nodes[at as usize];
            link = match start.cmp(&node.start).then_with(|| compare_ends(end, node.end.as_ref())) {
                Ordering::Equal => return Some(at),
                Ordering::Less => node.left,
                Ordering::Greater => node.right,
            };
        }
        None
    }

    fn new_node(&mut self, start: Bytes, end: Option<Bytes>, subscriber: T) -> u32 {
        // xorshift64: quick, and good enough to keep a treap flat.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let node = Node {
            start,
            reach: end.clone(),
            end,
            priority: self.seed,
            left: None,
            right: None,
            subscribers: Subscribers::One(subscriber),
        };
        if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = node;
            at
        } else {
            self.nodes.push(node);
            // The hub admits far fewer watchers than 2^32.
            (self.nodes.len() - 1) as u32
        }
    }

    fn order(&self, left: u32, right: u32) -> Ordering {
        let (left, right) = (&self.nodes[left as usize], &self.nodes[right as usize]);
        left.start.cmp(&right.start).then_with(|| compare_ends(left.end.as_ref(), right.end.as_ref()))
    }

    fn update_reach(&mut self, at: u32) {
        let node = &self.nodes[at as usize];
        let mut reach = node.end.as_ref();
        for child in [node.left, node.right].into_iter().flatten() {
            let below = self.nodes[child as usize].reach.as_ref();
            if compare_ends(below, reach) == Ordering::Greater {
                reach = below;
            }
        }
        let reach = reach.cloned();
        self.nodes[at as usize].reach = reach;
    }

    /// Splits a subtree into what is ordered before `pivot` and what is after it.
    fn split(&mut self, link: Link, pivot: u32) -> (Link, Link) {
        let Some(at) = link else { return (None, None) };
        if self.order(at, pivot) == Ordering::Less {
            let (inner, right) = self.split(self.nodes[at as usize].right, pivot);
            self.nodes[at as usize].right = inner;
            self.update_reach(at);
            (Some(at), right)
        } else {
            let (left, inner) = self.split(self.nodes[at as usize].left, pivot);
            self.nodes[at as usize].left = inner;
            self.update_reach(at);
            (left, Some(at))
        }
    }

    /// Joins two subtrees; everything in `left` is ordered before everything in `right`.
    fn merge(&mut self, left: Link, right: Link) -> Link {
        let (Some(l), Some(r)) = (left, right) else { return left.or(right) };
        if self.nodes[l as usize].priority > self.nodes[r as usize].priority {
            let inner = self.merge(self.nodes[l as usize].right, Some(r));
            self.nodes[l as usize].right = inner;
            self.update_reach(l);
            Some(l)
        } else {
            let inner = self.merge(Some(l), self.nodes[r as usize].left);
            self.nodes[r as usize].left = inner;
            self.update_reach(r);
            Some(r)
        }
    }

    fn unlink(&mut self, link: Link, gone: u32) -> Link {
        let at = link?;
        if at == gone {
            let node = &self.nodes[at as usize];
            return self.merge(node.left, node.right);
        }
        if self.order(gone, at) == Ordering::Less {
            let below = self.unlink(self.nodes[at as usize].left, gone);
            self.nodes[at as usize].left = below;
        } else {
            let below = self.unlink(self.nodes[at as usize].right, gone);
            self.nodes[at as usize].right = below;
        }
        self.update_reach(at);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(0u8..4, 0..4).prop_map(Bytes::from)
    }

    proptest! {
        #[test]
        fn a_look_up_finds_exactly_the_spans_that_contain_the_key(
            steps in prop::collection::vec((any::<bool>(), key(), prop::option::of(key()), 0u8..4), 1..80),
            probes in prop::collection::vec(key(), 1..20),
        ) {
            let mut tree = Intervals::default();
            let mut model = BTreeSet::new();
            for (add, start, end, subscriber) in steps {
                let span_known = model.iter().any(|(s, e, _)| (s, e) == (&start, &end));
                if add {
                    prop_assert_eq!(tree.insert(&start, end.as_ref(), subscriber), !span_known);
                    model.insert((start, end, subscriber));
                } else {
                    let removed = model.remove(&(start.clone(), end.clone(), subscriber));
                    let span_left = removed && !model.iter().any(|(s, e, _)| (s, e) == (&start, &end));
                    prop_assert_eq!(tree.remove(&start, end.as_ref(), subscriber), span_left);
                }
            }
            for probe in probes {
                let mut found = Vec::new();
                tree.visit(&probe, &mut |subscriber| found.push(subscriber));
                let mut expected: Vec<u8> = model
                    .iter()
                    .filter(|(start, end, _)| *start <= probe && end.as_ref().is_none_or(|end| probe < *end))
                    .map(|(_, _, subscriber)| *subscriber)
                    .collect();
                found.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(found, expected);
            }
            let spans: BTreeSet<_> = model.iter().map(|(start, end, _)| (start, end)).collect();
            prop_assert_eq!(tree.len(), spans.len());
        }
    }
}
