//! What reading and writing transactions share.

use std::slice;

use quorate_proto::served::etcdserverpb::{self as pb, request_op::Request, response_op::Response};

use super::{Source, check_revision, compare::holds, pinned, range_reply};
use crate::store::{
    apply::header,
    error::{Error, Refusal},
    shared::Shared,
};

/// Which branch each transaction of a nest takes, in the order in which they are carried out.
pub(in crate::store) struct Taken(Vec<bool>);

impl Taken {
    pub(in crate::store) fn iter(&self) -> TakenBranches<'_> {
        TakenBranches(self.0.iter())
    }
}

pub(in crate::store) struct TakenBranches<'a>(slice::Iter<'a, bool>);

impl TakenBranches<'_> {
    /// The next transaction's branch: whether its compares held, and the operations.
    pub(in crate::store) fn next_ops<'r>(&mut self, request: &'r pb::TxnRequest) -> (bool, &'r [pb::RequestOp]) {
        let succeeded = self.0.next().copied().unwrap_or_default();
        (succeeded, if succeeded { &request.success } else { &request.failure })
    }
}

/// Evaluates all compares, those of nested transactions on the taken branches included, before anything is carried out.
pub(in crate::store) fn taken_branches(source: &impl Source, request: &pb::TxnRequest) -> Result<Taken, Error> {
    let mut taken = Taken(Vec::new());
    take(source, request, &mut taken)?;
    Ok(taken)
}

fn take(source: &impl Source, request: &pb::TxnRequest, taken: &mut Taken) -> Result<(), Error> {
    let mut succeeded = true;
    for compare in &request.compare {
        if !holds(source, compare)? {
            succeeded = false;
            break;
        }
    }
    taken.0.push(succeeded);
    for op in if succeeded { &request.success } else { &request.failure } {
        if let Some(Request::RequestTxn(nested)) = &op.request {
            take(source, nested, taken)?;
        }
    }
    Ok(())
}

/// A transaction that only ranges, at one revision.
pub(in crate::store) fn read_txn(shared: &Shared, request: &pb::TxnRequest) -> Result<pb::TxnResponse, Error> {
    pinned::read(shared, |source| {
        let taken = taken_branches(source, request)?;
        check(source, request, &mut taken.iter())?;
        let mut reply = execute(source, request, &mut taken.iter())?;
        reply.header = header(source.revision());
        Ok(reply)
    })
}

fn check(source: &impl Source, request: &pb::TxnRequest, taken: &mut TakenBranches<'_>) -> Result<(), Refusal> {
    for op in taken.next_ops(request).1 {
        match &op.request {
            Some(Request::RequestRange(range)) => check_revision(source, range.revision)?,
            Some(Request::RequestTxn(nested)) => check(source, nested, taken)?,
            Some(Request::RequestPut(_) | Request::RequestDeleteRange(_)) => {
                return Err(Refusal::NotSupported("a write in a reading transaction"));
            }
            None => {}
        }
    }
    Ok(())
}

fn execute(
    source: &impl Source,
    request: &pb::TxnRequest,
    taken: &mut TakenBranches<'_>,
) -> Result<pb::TxnResponse, Error> {
    let (succeeded, ops) = taken.next_ops(request);
    let mut responses = Vec::with_capacity(ops.len());
    for op in ops {
        let response = match &op.request {
            Some(Request::RequestRange(range)) => Some(Response::ResponseRange(range_reply(source, range)?)),
            Some(Request::RequestTxn(nested)) => Some(Response::ResponseTxn(execute(source, nested, taken)?)),
            _ => None,
        };
        responses.push(pb::ResponseOp { response });
    }
    Ok(pb::TxnResponse { header: header(0), succeeded, responses })
}
