//! Compaction: reads below the revision end at once, the rows go later, off the writer's path.

use quorate_proto::served::etcdserverpb as pb;

use super::{execution::Execution, header};
use crate::store::{
    error::{Error, Refusal},
    state::meta,
};

pub(super) fn compact(
    on: &mut Execution<'_>,
    request: &pb::CompactionRequest,
) -> Result<pb::CompactionResponse, Error> {
    let revision = request.revision;
    if revision <= on.state.compacted {
        return Err(Refusal::Compacted.into());
    }
    if revision > on.state.revision {
        return Err(Refusal::FutureRevision.into());
    }
    on.state.compact(revision);
    on.write_fact(meta::COMPACTED, Some(meta::encode_number(revision)));
    Ok(pb::CompactionResponse { header: header(on.revision()) })
}
