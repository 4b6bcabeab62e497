//! A transaction's compares.

use std::cmp::Ordering;

use quorate_proto::served::etcdserverpb::{
    self as pb,
    compare::{CompareResult, CompareTarget, TargetUnion},
};

use super::{Selection, Source, index::Version, row::Pair};
use crate::store::error::Error;

/// Rows read at a time.
const CHUNK: usize = 256;

/// True if the compare holds for every key of its range. A range without keys compares as a key whose fields are all zero, but
/// its value equals nothing, not even the empty one.
pub(in crate::store) fn holds(source: &impl Source, compare: &pb::Compare) -> Result<bool, Error> {
    let versions: Vec<Version> = if compare.range_end.is_empty() {
        source.version(&compare.key)?.into_iter().collect()
    } else {
        let range =
            pb::RangeRequest { key: compare.key.clone(), range_end: compare.range_end.clone(), ..Default::default() };
        let mut selection = Selection::new(&range);
        source.select(&mut selection)?;
        selection.into_found().into_iter().map(|found| found.version).collect()
    };
    // As etcd, a target that it does not know compares as equal.
    let target = CompareTarget::try_from(compare.target).ok();
    if versions.is_empty() {
        return Ok(match target {
            Some(CompareTarget::Value) => false,
            _ => matches(compare, number(compare, target, 0)),
        });
    }
    let field = match target {
        Some(CompareTarget::Version) => |version: &Version| version.version,
        Some(CompareTarget::Create) => |version: &Version| version.created,
        Some(CompareTarget::Mod) => |version: &Version| version.modified.main,
        Some(CompareTarget::Value | CompareTarget::Lease) => return stored_holds(source, compare, &versions),
        None => |_: &Version| 0,
    };
    Ok(versions.iter().all(|version| matches(compare, number(compare, target, field(version)))))
}

/// For the targets that only the rows know.
fn stored_holds(source: &impl Source, compare: &pb::Compare, versions: &[Version]) -> Result<bool, Error> {
    let target = CompareTarget::try_from(compare.target).ok();
    for versions in versions.chunks(CHUNK) {
        let revisions: Vec<_> = versions.iter().map(|version| version.modified).collect();
        for row in source.rows(&revisions)? {
            let pair = Pair::parse(&row).ok_or_else(|| Error::Damaged("a key's row cannot be read".to_owned()))?;
            let ordering = match (target, &compare.target_union) {
                (Some(CompareTarget::Value), Some(TargetUnion::Value(value))) => pair.value.cmp(value),
                (Some(CompareTarget::Value), _) => pair.value.cmp(&[]),
                _ => number(compare, target, pair.lease),
            };
            if !matches(compare, ordering) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// `field` against the number that the request gives for its target, 0 if it gives another target's.
fn number(compare: &pb::Compare, target: Option<CompareTarget>, field: i64) -> Ordering {
    let given = match (target, &compare.target_union) {
        (Some(CompareTarget::Version), Some(TargetUnion::Version(given)))
        | (Some(CompareTarget::Create), Some(TargetUnion::CreateRevision(given)))
        | (Some(CompareTarget::Mod), Some(TargetUnion::ModRevision(given)))
        | (Some(CompareTarget::Lease), Some(TargetUnion::Lease(given))) => *given,
        (None, _) => return Ordering::Equal,
        _ => 0,
    };
    field.cmp(&given)
}

fn matches(compare: &pb::Compare, ordering: Ordering) -> bool {
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => ordering.is_eq(),
        Ok(CompareResult::NotEqual) => ordering.is_ne(),
        Ok(CompareResult::Greater) => ordering.is_gt(),
        Ok(CompareResult::Less) => ordering.is_lt(),
        // As etcd.
        Err(_) => true,
    }
}
