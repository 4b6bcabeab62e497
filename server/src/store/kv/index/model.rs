//! The plainest index that can be right, which the tests hold the tree against.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::{KeyRange, Order, Row, Version};
use crate::store::kv::revision::Revision;

#[derive(Debug, Default)]
pub struct Model {
    keys: BTreeMap<Vec<u8>, Vec<Row>>,
}

impl Model {
    pub fn put(&mut self, key: &[u8], at: Revision) -> (Version, Option<Revision>) {
        let rows = self.keys.entry(key.to_vec()).or_default();
        let before = rows.last().copied();
        let version = Row::put_after(before, at);
        rows.push(Row::Put(version));
        (version, before.and_then(|row| row.live()).map(|live| live.modified))
    }

    pub fn delete(&mut self, key: &[u8], at: Revision) -> Option<Revision> {
        let rows = self.keys.get_mut(key)?;
        let before = rows.last()?.live()?;
        rows.push(Row::Tombstone(at));
        Some(before.modified)
    }

    pub fn get(&self, key: &[u8], at: i64) -> Option<Version> {
        newest(self.keys.get(key)?, at)?.live()
    }

    pub fn count(&self, range: &KeyRange) -> usize {
        self.count_at(range, i64::MAX)
    }

    pub fn count_at(&self, range: &KeyRange, at: i64) -> usize {
        self.live(range, at).count()
    }

    pub fn visit(
        &self,
        range: &KeyRange,
        at: Option<i64>,
        order: Order,
        mut f: impl FnMut(&[u8], Version) -> ControlFlow<()>,
    ) {
        let mut live: Vec<_> = self.live(range, at.unwrap_or(i64::MAX)).collect();
        if order == Order::Descending {
            live.reverse();
        }
        let _ = live.into_iter().try_for_each(|(key, version)| f(key, version));
    }

    pub fn compact_key(&mut self, key: &[u8], revision: i64, dropped: impl FnMut(Revision)) {
        let Some(rows) = self.keys.get_mut(key) else {
            return;
        };
        let old = rows.iter().take_while(|row| row.at().main <= revision).count();
        let kept = old > 0 && rows[old - 1].live().is_some();
        rows.drain(..old - usize::from(kept)).map(|row| row.at()).for_each(dropped);
        if rows.is_empty() {
            self.keys.remove(key);
        }
    }

    pub fn keeps(&self, key: &[u8], row: Revision, compacted: i64) -> bool {
        let newest = self.keys.get(key).and_then(|rows| newest(rows, compacted));
        newest.and_then(|row| row.live()).is_some_and(|live| live.modified == row)
    }

    pub fn get_row(&self, key: &[u8], at: Revision) -> Option<Row> {
        self.keys.get(key)?.iter().find(|row| row.at() == at).copied()
    }

    pub fn len_keys(&self) -> usize {
        self.keys.len()
    }

    fn live(&self, range: &KeyRange, at: i64) -> impl Iterator<Item = (&[u8], Version)> {
        let inside = self.keys.iter().filter(|(key, _)| range.contains(key));
        inside.filter_map(move |(key, rows)| Some((&**key, newest(rows, at)?.live()?)))
    }
}

fn newest(rows: &[Row], at: i64) -> Option<Row> {
    rows.iter().rev().find(|row| row.at().main <= at).copied()
}
