//! Transactions: compare, check, then change.

use quorate_proto::served::etcdserverpb::{self as pb, request_op::Request, response_op};

use super::{
    execution::Execution,
    header,
    kv::{check_put, delete_range, put_checked},
};
use crate::store::{
    error::{Error, Refusal},
    kv::{TakenBranches, check_revision, range_reply, taken_branches},
};

/// All compares, those of nested transactions included, see the store as it was; then everything that could be refused is
/// checked; then the operations run in order, each seeing those before it.
pub(super) fn txn(on: &mut Execution<'_>, request: &pb::TxnRequest) -> Result<pb::TxnResponse, Error> {
    let taken = taken_branches(on, request)?;
    check(on, request, &mut taken.iter())?;
    let mut reply = execute(on, request, &mut taken.iter())?;
    reply.header = header(on.revision());
    Ok(reply)
}

/// True if any branch, taken or not, contains a put.
pub(super) fn puts(request: &pb::TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).any(|op| match &op.request {
        Some(Request::RequestPut(_)) => true,
        Some(Request::RequestTxn(nested)) => puts(nested),
        _ => false,
    })
}

fn check(on: &Execution<'_>, request: &pb::TxnRequest, taken: &mut TakenBranches<'_>) -> Result<(), Refusal> {
    for op in taken.next_ops(request).1 {
        match &op.request {
            Some(Request::RequestRange(range)) => check_revision(on, range.revision)?,
            Some(Request::RequestPut(put)) => check_put(on, put)?,
            Some(Request::RequestTxn(nested)) => check(on, nested, taken)?,
            Some(Request::RequestDeleteRange(_)) | None => {}
        }
    }
    Ok(())
}

fn execute(
    on: &mut Execution<'_>,
    request: &pb::TxnRequest,
    taken: &mut TakenBranches<'_>,
) -> Result<pb::TxnResponse, Error> {
    use response_op::Response;
    let (succeeded, ops) = taken.next_ops(request);
    let mut responses = Vec::with_capacity(ops.len());
    for op in ops {
        let response = match &op.request {
            Some(Request::RequestRange(range)) => {
                on.done.ranges += 1;
                Some(Response::ResponseRange(range_reply(on, range)?))
            }
            Some(Request::RequestPut(put)) => Some(Response::ResponsePut(put_checked(on, put)?)),
            Some(Request::RequestDeleteRange(range)) => Some(Response::ResponseDeleteRange(delete_range(on, range)?)),
            Some(Request::RequestTxn(nested)) => Some(Response::ResponseTxn(execute(on, nested, taken)?)),
            None => None,
        };
        responses.push(pb::ResponseOp { response });
    }
    // A nested reply has a header without a revision, as etcd's.
    Ok(pb::TxnResponse { header: header(0), succeeded, responses })
}
