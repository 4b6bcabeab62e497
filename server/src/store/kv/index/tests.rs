//! The tree against the model, and the claims that a reader of the store relies on.

use std::ops::ControlFlow;

use proptest::prelude::*;

use super::model::Model;
use super::*;

/// What a client or the compactor may do. Keys are numbers here; [`key`] spells them.
#[derive(Debug, Clone)]
enum Op {
    Put(u16),
    Delete(u16),
    /// Several changes in one revision, the same key among them more than once.
    Txn(Vec<(bool, u8)>),
    /// Puts in key order, as objects with generated names or a restore bring them.
    Series {
        from: u16,
        count: u16,
        step: i8,
    },
    DeleteRange {
        from: u16,
        count: u16,
    },
    /// Compacts to somewhere between the last compaction (0) and now (255).
    Compact(u8),
    Read(Read),
}

#[derive(Debug, Clone)]
struct Read {
    from: u16,
    to: u16,
    end: u8,
    /// Which readable revision: from the last compaction (0) to now (255).
    age: u8,
    limit: u16,
}

fn key(number: u16) -> Vec<u8> {
    let kind = ["pods", "leases", "events", "", "configmaps/kube-system"][usize::from(number % 5)];
    match number % 301 {
        0 => vec![0xff; usize::from(number / 301 + 1)],
        1 => format!("/registry/{kind}/{}{number}", "long".repeat(3000)).into_bytes(),
        2 => format!("/registry/{kind}/{number}{}", "long".repeat(2000)).into_bytes(),
        _ => format!("/registry/{kind}/{number:05}").into_bytes(),
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => any::<u16>().prop_map(|k| Op::Put(k % 5000)),
        4 => any::<u16>().prop_map(|k| Op::Delete(k % 5000)),
        4 => prop::collection::vec(any::<(bool, u8)>(), 1..12).prop_map(Op::Txn),
        4 => (any::<u16>(), 1..900u16, prop_oneof![Just(5i8), Just(1), Just(-5)])
            .prop_map(|(from, count, step)| Op::Series { from: from % 9000, count, step }),
        3 => (any::<u16>(), 1..2500u16).prop_map(|(from, count)| Op::DeleteRange { from: from % 9000, count }),
        3 => any::<u8>().prop_map(Op::Compact),
        8 => (any::<u16>(), any::<u16>(), any::<u8>(), any::<u8>(), 0..600u16).prop_map(|(from, to, end, age, limit)| {
            Op::Read(Read { from: from % 9000, to: to % 9000, end, age, limit })
        }),
    ]
}

/// Both indexes, driven side by side.
#[derive(Default)]
struct Pair {
    index: Index,
    model: Model,
    now: Revision,
    compacted: i64,
    rows: Vec<(Vec<u8>, Revision)>,
}

impl Pair {
    fn next(&mut self) {
        self.now = Revision::new(self.now.main + 1, 0);
    }

    fn put(&mut self, key: &[u8]) {
        assert_eq!(self.index.put(key, self.now), self.model.put(key, self.now));
        self.rows.push((key.to_vec(), self.now));
        self.now.sub += 1;
    }

    fn delete(&mut self, key: &[u8]) {
        let previous = self.model.delete(key, self.now);
        assert_eq!(self.index.delete(key, self.now), previous);
        if previous.is_some() {
            self.rows.push((key.to_vec(), self.now));
            self.now.sub += 1;
        }
    }

    fn revision(&self, age: u8) -> i64 {
        self.compacted + (self.now.main - self.compacted) * i64::from(age) / 255
    }

    fn run(&mut self, op: Op) {
        self.next();
        match op {
            Op::Put(k) => self.put(&key(k)),
            Op::Delete(k) => self.delete(&key(k)),
            Op::Txn(changes) => {
                for (put, k) in changes {
                    let key = key(u16::from(k));
                    if put { self.put(&key) } else { self.delete(&key) }
                }
            }
            Op::Series { from, count, step } => {
                let numbers = (0..count).map(|i| from.wrapping_add_signed(i as i16 * i16::from(step)));
                for k in numbers {
                    self.put(&key(k % 12_000));
                    self.next();
                }
            }
            Op::DeleteRange { from, count } => (from..from + count).for_each(|k| self.delete(&key(k))),
            Op::Compact(age) => self.compact(self.revision(age)),
            Op::Read(read) => self.read(&read),
        }
        self.index.root.check(Bounds { from: None, to: None });
        assert_eq!(self.index.len_keys(), self.model.len_keys());
    }

    fn compact(&mut self, revision: i64) {
        for (key, row) in &self.rows {
            assert_eq!(self.index.keeps(key, *row, revision), self.model.keeps(key, *row, revision));
        }
        let mut keys: Vec<_> = self.rows.iter().map(|(key, _)| key.clone()).collect();
        keys.sort();
        keys.dedup();
        let mut all = Vec::new();
        for key in keys {
            let (mut dropped, mut expected) = (Vec::new(), Vec::new());
            self.index.compact_key(&key, revision, |row| dropped.push(row));
            self.model.compact_key(&key, revision, |row| expected.push(row));
            assert_eq!(dropped, expected);
            all.extend(dropped);
        }
        all.sort();
        self.rows.retain(|(_, row)| all.binary_search(row).is_err());
        self.compacted = revision;
    }

    fn read(&self, read: &Read) {
        let (from, mut to) = (key(read.from), key(read.to));
        match read.end % 4 {
            0 => to = b"\0".to_vec(),
            1 => to.clear(),
            _ => {}
        }
        let range = KeyRange::new(&from, &to);
        let at = self.revision(read.age);
        assert_eq!(self.index.get(&from, at), self.model.get(&from, at));
        assert_eq!(self.index.count(&range), self.model.count(&range));
        assert_eq!(self.index.count_at(&range, at), self.model.count_at(&range, at));
        for order in [Order::Ascending, Order::Descending] {
            for at in [None, Some(at)] {
                let (mut seen, mut expected) = (Vec::new(), Vec::new());
                self.index.visit(&range, at, order, collect(&mut seen, read.limit));
                self.model.visit(&range, at, order, collect(&mut expected, read.limit));
                assert_eq!(seen, expected);
            }
        }
    }

    /// Everything readable, compared, and once more on an index restored from the rows.
    fn compare_all(&self) {
        let mut restored = Index::new();
        for (key, row) in &self.rows {
            let version = self.model.get_row(key, *row).unwrap();
            restored.restore(key, version);
            restored.restore(key, version);
        }
        restored.root.check(Bounds { from: None, to: None });
        for index in [&self.index, &restored] {
            assert_eq!(index.len_keys(), self.model.len_keys());
            for age in [0, 90, 200, 255] {
                let (mut seen, mut expected) = (Vec::new(), Vec::new());
                let at = Some(self.revision(age));
                index.visit(&KeyRange::all(), at, Order::Ascending, collect(&mut seen, u16::MAX));
                self.model.visit(&KeyRange::all(), at, Order::Ascending, collect(&mut expected, u16::MAX));
                assert_eq!(seen, expected);
                assert_eq!(index.count_at(&KeyRange::all(), self.revision(age)), expected.len());
            }
        }
    }
}

fn collect(into: &mut Vec<(Vec<u8>, Version)>, limit: u16) -> impl FnMut(&[u8], Version) -> ControlFlow<()> {
    move |key, version| {
        into.push((key.to_vec(), version));
        if into.len() > usize::from(limit) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_tree_answers_as_the_model_does(ops in prop::collection::vec(op(), 1..120)) {
        let mut pair = Pair::default();
        ops.into_iter().for_each(|op| pair.run(op));
        pair.compare_all();
        // Deleting and compacting everything leaves nothing behind.
        pair.next();
        (0..12_000).for_each(|k| pair.delete(&key(k)));
        pair.compact(pair.now.main);
        prop_assert_eq!(pair.index.len_keys(), 0);
        prop_assert!(pair.rows.is_empty() && matches!(pair.index.root, Node::Leaf(_)));
    }
}

fn at(main: i64, sub: i64) -> Revision {
    Revision { main, sub }
}

#[test]
fn a_deleted_key_restarts_at_version_1() {
    let mut index = Index::new();
    index.put(b"a", at(2, 0));
    assert_eq!(index.put(b"a", at(3, 0)).0.version, 2);
    assert_eq!(index.delete(b"a", at(4, 0)), Some(at(3, 0)));
    assert_eq!(index.delete(b"a", at(5, 0)), None);
    assert_eq!(index.put(b"a", at(5, 0)), (Version { modified: at(5, 0), created: 5, version: 1 }, None));
    assert_eq!(index.get(b"a", 3).map(|v| (v.created, v.version)), Some((2, 2)));
    assert_eq!(index.get(b"a", 4), None);
    assert_eq!(index.get(b"a", 1), None);
}

#[test]
fn one_revision_may_put_delete_and_put_a_key_again() {
    let mut index = Index::new();
    index.put(b"a", at(2, 0));
    index.delete(b"a", at(3, 0));
    index.put(b"a", at(3, 1));
    index.delete(b"a", at(4, 0));
    index.put(b"a", at(4, 1));
    index.put(b"a", at(4, 2));
    assert_eq!(index.get(b"a", 3), Some(Version { modified: at(3, 1), created: 3, version: 1 }));
    assert_eq!(index.get(b"a", 4), Some(Version { modified: at(4, 2), created: 4, version: 2 }));
    assert_eq!([1, 2, 3, 4].map(|at| index.count_at(&KeyRange::all(), at)), [0, 1, 1, 1]);
    let mut dropped = Vec::new();
    index.compact_key(b"a", 3, |row| dropped.push(row));
    assert_eq!(dropped, [at(2, 0), at(3, 0)]);
    assert!(index.keeps(b"a", at(3, 1), 3) && !index.keeps(b"a", at(3, 0), 3));
}

#[test]
fn a_key_is_forgotten_when_compaction_drops_its_tombstone() {
    let mut index = Index::new();
    index.put(b"a", at(2, 0));
    index.delete(b"a", at(3, 0));
    index.compact_key(b"a", 2, |_| unreachable!("the put is still readable at 2"));
    assert_eq!((index.len_keys(), index.count(&KeyRange::all())), (1, 0));
    let mut dropped = Vec::new();
    index.compact_key(b"a", 3, |row| dropped.push(row));
    assert_eq!((dropped, index.len_keys()), (vec![at(2, 0), at(3, 0)], 0));
}

#[test]
fn keys_that_arrive_in_order_fill_their_leaves() {
    let mut index = Index::new();
    for i in 0..100_000 {
        index.put(format!("{i:064}").as_bytes(), at(i + 2, 0));
    }
    index.root.check(Bounds { from: None, to: None });
    assert!(index.memory_bytes() < 32 * 100_000, "{} bytes", index.memory_bytes());
}

#[test]
fn a_walk_in_chunks_sees_each_key_once_whatever_is_written_between() {
    let mut index = Index::new();
    for i in 0..1000 {
        index.put(&key(i), at(2, i.into()));
    }
    for order in [Order::Ascending, Order::Descending] {
        let mut expected = Vec::new();
        index.visit(&KeyRange::all(), Some(2), order, collect(&mut expected, u16::MAX));
        let (mut seen, mut range, mut revision) = (Vec::new(), KeyRange::all(), 3);
        loop {
            let before = seen.len();
            index.visit(&range, Some(2), order, collect(&mut seen, before as u16 + 99));
            let Some((last, _)) = seen.last().filter(|_| seen.len() > before) else {
                break;
            };
            range = if order == Order::Ascending { range.after(last) } else { range.before(last) };
            for i in 0..50 {
                index.put(&key(i * 13 + before as u16), at(revision, i.into()));
            }
            index.delete(&key(before as u16), at(revision + 1, 0));
            revision += 2;
        }
        assert_eq!(seen, expected);
    }
}

/// Grows to three levels of inner nodes, and shrinks back to a lone leaf.
#[test]
fn a_tree_that_shrinks_stays_whole() {
    let count = 150_000;
    // 7919 has no factor in common with the count, so this names every key once, all over the tree.
    let name = |i: i64| format!("/registry/{:06}", i * 7919 % count).into_bytes();
    let mut index = Index::new();
    (0..count).for_each(|i| assert_eq!(index.put(&name(i), at(i + 2, 0)).1, None));
    assert_eq!(index.root.check(Bounds { from: None, to: None }), 3);
    let mut revision = count + 2;
    for step in 0..25 {
        let left: Vec<_> = (step * count / 25..count).map(name).collect();
        let (gone, kept) = left.split_at(count as usize / 25);
        for key in gone {
            assert!(index.delete(key, at(revision, 0)).is_some());
            index.compact_key(key, revision, |_| {});
            revision += 1;
        }
        index.root.check(Bounds { from: None, to: None });
        assert_eq!(index.count(&KeyRange::all()), kept.len());
        assert!(kept.iter().all(|key| index.get(key, NOW).is_some()));
    }
    assert!(matches!(&index.root, Node::Leaf(leaf) if leaf.len() == 0));
}
