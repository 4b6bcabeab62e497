//! What a request may add to the database, by etcd's estimate.

use quorate_proto::served::etcdserverpb as pb;

/// Index and header of a pair, in etcd's estimate.
const PAIR_OVERHEAD_BYTES: usize = 256;
pub const LEASE_BYTES: usize = 64;

pub fn put(request: &pb::PutRequest) -> usize {
    PAIR_OVERHEAD_BYTES + request.key.len() + request.value.len()
}

/// The more expensive of the two branches.
pub fn txn(request: &pb::TxnRequest) -> usize {
    branch(&request.success).max(branch(&request.failure))
}

fn branch(ops: &[pb::RequestOp]) -> usize {
    ops.iter()
        .map(|op| match &op.request {
            Some(pb::request_op::Request::RequestPut(request)) => put(request),
            Some(pb::request_op::Request::RequestTxn(request)) => txn(request),
            _ => 0,
        })
        .sum()
}
