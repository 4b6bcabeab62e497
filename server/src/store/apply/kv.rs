//! Put and DeleteRange.

use bytes::Bytes;
use quorate_proto::served::etcdserverpb as pb;

use super::{execution::Execution, header};
use crate::store::{
    error::{Error, Refusal},
    kv::{Selection, Source, row::Pair},
};

pub(super) fn put(on: &mut Execution<'_>, request: &pb::PutRequest) -> Result<pb::PutResponse, Error> {
    check_put(on, request)?;
    put_checked(on, request)
}

/// What a put needs of the store.
pub(super) fn check_put(on: &Execution<'_>, request: &pb::PutRequest) -> Result<(), Refusal> {
    if request.lease != 0 && !on.state.leases.contains(request.lease) {
        return Err(Refusal::LeaseNotFound);
    }
    let needs_key = request.ignore_value || request.ignore_lease;
    if needs_key && on.state.index.get(&request.key, i64::MAX).is_none() {
        return Err(Refusal::KeyNotFound);
    }
    Ok(())
}

/// Fails only if storage does.
pub(super) fn put_checked(on: &mut Execution<'_>, request: &pb::PutRequest) -> Result<pb::PutResponse, Error> {
    let needs_old = request.prev_kv || request.ignore_value || request.ignore_lease;
    let old = if needs_old { on.current(&request.key)? } else { None };
    let (mut value, mut lease) = (&*request.value, request.lease);
    if request.ignore_value || request.ignore_lease {
        let pair = parse(old.as_ref())?;
        if request.ignore_value {
            value = pair.value;
        }
        if request.ignore_lease {
            lease = pair.lease;
        }
    }
    on.done.puts += 1;
    on.done.put_bytes += (request.key.len() + value.len()) as u64;
    on.write_pair(&request.key, value, lease);
    let prev_kv = if request.prev_kv { old.map(Into::into) } else { None };
    Ok(pb::PutResponse { header: header(on.revision()), prev_kv })
}

fn parse(row: Option<&Bytes>) -> Result<Pair<'_>, Error> {
    match row {
        // The key was there when the request was checked; a transaction may have deleted it since.
        None => Ok(Pair::default()),
        Some(row) => Pair::parse(row).ok_or_else(|| Error::Damaged("a key's row cannot be read".to_owned())),
    }
}

pub(super) fn delete_range(
    on: &mut Execution<'_>,
    request: &pb::DeleteRangeRequest,
) -> Result<pb::DeleteRangeResponse, Error> {
    on.done.deletes += 1;
    let prev_kvs;
    let deleted;
    if request.range_end.is_empty() {
        prev_kvs =
            if request.prev_kv { on.current(&request.key)?.map(Into::into).into_iter().collect() } else { Vec::new() };
        deleted = i64::from(on.delete_pair(&request.key));
    } else {
        let range = pb::RangeRequest {
            key: request.key.clone(),
            range_end: request.range_end.clone(),
            keys_only: true,
            ..Default::default()
        };
        let mut selection = Selection::new(&range);
        on.select(&mut selection)?;
        let found = selection.into_found();
        prev_kvs = if request.prev_kv {
            let revisions: Vec<_> = found.iter().map(|found| found.version.modified).collect();
            on.rows(&revisions)?.into_iter().map(Into::into).collect()
        } else {
            Vec::new()
        };
        for found in &found {
            on.delete_pair(&found.key);
        }
        deleted = found.len() as i64;
    }
    Ok(pb::DeleteRangeResponse { header: header(on.revision()), deleted, prev_kvs })
}
