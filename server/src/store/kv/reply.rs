//! The reply to a range request.

use std::cmp::Ordering;

use bytes::Bytes;
use quorate_proto::{
    EncodedKeyValue,
    served::etcdserverpb::{
        self as pb,
        range_request::{SortOrder, SortTarget},
    },
};

use super::{Selection, Source, row::Pair, selection::Found};
use crate::store::{
    apply::header,
    error::{Error, Refusal},
};

/// Answers a range. Sorting and filtering happen on what the index knows; rows are read only for what the reply holds, unless
/// values decide the order.
pub(in crate::store) fn range_reply(
    source: &impl Source,
    request: &pb::RangeRequest,
) -> Result<pb::RangeResponse, Error> {
    let now = source.revision();
    let at = if request.revision > 0 { request.revision } else { now };
    if at > now {
        return Err(Refusal::FutureRevision.into());
    }
    if at < source.compacted() {
        return Err(Refusal::Compacted.into());
    }
    let mut selection = Selection::new(request);
    let count = source.select(&mut selection)?;
    let mut reply = pb::RangeResponse { header: header(now), kvs: Vec::new(), more: false, count };
    if request.count_only {
        return Ok(reply);
    }
    let mut found = selection.into_found();
    let by_value = request.sort_target() == SortTarget::Value;
    let mut rows = Vec::new();
    if by_value {
        rows = rows_sorted_by_value(source, &found, request.sort_order())?;
    } else {
        sort(&mut found, request);
    }
    if let Ok(limit) = usize::try_from(request.limit)
        && limit > 0
        && found.len() > limit
    {
        found.truncate(limit);
        rows.truncate(limit);
        reply.more = true;
    }
    reply.kvs = match (request.keys_only, by_value) {
        // As etcd since 3.7: the index knows all of these but the lease, which stays 0.
        (true, false) => found.iter().map(key_only).collect(),
        (true, true) => rows.iter().map(without_value).collect::<Result<_, _>>()?,
        (false, true) => rows.into_iter().map(EncodedKeyValue::from).collect(),
        (false, false) => {
            let revisions: Vec<_> = found.iter().map(|found| found.version.modified).collect();
            source.rows(&revisions)?.into_iter().map(EncodedKeyValue::from).collect()
        }
    };
    Ok(reply)
}

/// Ties stay in key order.
fn sort(found: &mut [Found], request: &pb::RangeRequest) {
    let by = |field: fn(&Found) -> i64| move |a: &Found, b: &Found| field(a).cmp(&field(b));
    match request.sort_target() {
        SortTarget::Key | SortTarget::Value => {}
        SortTarget::Version => sort_by(found, request.sort_order(), by(|found| found.version.version)),
        SortTarget::Create => sort_by(found, request.sort_order(), by(|found| found.version.created)),
        SortTarget::Mod => sort_by(found, request.sort_order(), by(|found| found.version.modified.main)),
    }
}

fn sort_by<T>(items: &mut [T], order: SortOrder, by: impl Fn(&T, &T) -> Ordering) {
    match order {
        // Without an order, any target but the key means ascending.
        SortOrder::None | SortOrder::Ascend => items.sort_by(by),
        SortOrder::Descend => items.sort_by(|a, b| by(b, a)),
    }
}

fn rows_sorted_by_value(source: &impl Source, found: &[Found], order: SortOrder) -> Result<Vec<Bytes>, Error> {
    let revisions: Vec<_> = found.iter().map(|found| found.version.modified).collect();
    let mut rows = Vec::with_capacity(found.len());
    for row in source.rows(&revisions)? {
        let value = row.slice_ref(parse(&row)?.value);
        rows.push((value, row));
    }
    sort_by(&mut rows, order, |a, b| a.0.cmp(&b.0));
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn key_only(found: &Found) -> EncodedKeyValue {
    let pair = Pair {
        key: &found.key,
        create_revision: found.version.created,
        mod_revision: found.version.modified.main,
        version: found.version.version,
        ..Pair::default()
    };
    pair.encode().into()
}

fn without_value(row: &Bytes) -> Result<EncodedKeyValue, Error> {
    Ok(Pair { value: &[], ..parse(row)? }.encode().into())
}

fn parse(row: &[u8]) -> Result<Pair<'_>, Error> {
    Pair::parse(row).ok_or_else(|| Error::Damaged("a key's row cannot be read".to_owned()))
}
