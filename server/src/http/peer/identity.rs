//! A call must come from our cluster and be meant for us: addresses get recycled, and an acknowledgement of another
//! cluster's entries would be counted.

use std::time::{Duration, Instant};

use http::HeaderMap;
use parking_lot::Mutex;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::raft::{CLUSTER_ID_HEADER, FROM_HEADER, Identity, TO_HEADER};

static STRANGERS: Mutex<Option<Instant>> = Mutex::new(None);
static OTHER_CLUSTERS: Mutex<Option<Instant>> = Mutex::new(None);
/// Between two lines about the same mistake.
const LOG_AGAIN: Duration = Duration::from_secs(10);

fn log_now(last: &Mutex<Option<Instant>>) -> bool {
    let now = Instant::now();
    let mut last = last.lock();
    let due = last.is_none_or(|last| now.duration_since(last) >= LOG_AGAIN);
    if due {
        *last = Some(now);
    }
    due
}

/// The member that calls.
pub fn check(metadata: &MetadataMap, own: Identity) -> Result<u64, Status> {
    let cluster_id = id(metadata, CLUSTER_ID_HEADER)?;
    if cluster_id != own.cluster_id {
        if log_now(&OTHER_CLUSTERS) {
            tracing::warn!(
                local_cluster_id = format!("{:x}", own.cluster_id),
                remote_cluster_id = format!("{cluster_id:x}"),
                "request cluster ID mismatch"
            );
        }
        let mut refusal = Status::new(Code::FailedPrecondition, "etcdserver: cluster ID mismatch");
        if let Ok(own) = format!("{:x}", own.cluster_id).parse() {
            refusal.metadata_mut().insert(CLUSTER_ID_HEADER, own);
        }
        return Err(refusal);
    }
    let member_id = id(metadata, TO_HEADER)?;
    if member_id != own.member_id {
        // It asks again and again, ten times a second.
        if log_now(&STRANGERS) {
            tracing::warn!(
                local_member_id = format!("{:x}", own.member_id),
                wanted_member_id = format!("{member_id:x}"),
                "a peer looks for another member at this address"
            );
        }
        return Err(Status::new(Code::FailedPrecondition, format!("this is member {:x}", own.member_id)));
    }
    id(metadata, FROM_HEADER)
}

/// The member of our cluster that a call says it comes from.
pub fn caller(headers: &HeaderMap, own: Identity) -> Option<u64> {
    let id = |name| u64::from_str_radix(headers.get(name)?.to_str().ok()?, 16).ok();
    (id(CLUSTER_ID_HEADER)? == own.cluster_id).then(|| id(FROM_HEADER)).flatten()
}

fn id(metadata: &MetadataMap, name: &'static str) -> Result<u64, Status> {
    metadata
        .get(name)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| u64::from_str_radix(value, 16).ok())
        .ok_or_else(|| Status::invalid_argument(format!("the peer protocol demands the header {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_cluster_and_our_member_are_accepted() {
        let own = Identity { cluster_id: 0xcafe, member_id: 7 };
        let headers = |cluster: &str, to: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert(CLUSTER_ID_HEADER, cluster.parse().unwrap());
            metadata.insert(TO_HEADER, to.parse().unwrap());
            metadata.insert(FROM_HEADER, "8".parse().unwrap());
            metadata
        };
        assert!(check(&headers("cafe", "7"), own).is_ok());
        assert_eq!(check(&headers("cafe", "8"), own).unwrap_err().code(), Code::FailedPrecondition);
        assert_eq!(check(&headers("beef", "7"), own).unwrap_err().code(), Code::FailedPrecondition);
        assert_eq!(check(&headers("zz", "7"), own).unwrap_err().code(), Code::InvalidArgument);
        assert_eq!(check(&MetadataMap::new(), own).unwrap_err().code(), Code::InvalidArgument);
    }
}
