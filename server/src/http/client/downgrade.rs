//! `Maintenance.Downgrade`: whether the cluster may go back by one minor version, and that it should or shouldn't.
//!
//! What is agreed on here is an intent; `duty` lowers the cluster's version to it.

use quorate_proto::membershippb;
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::downgrade_request::DowngradeAction;
use tonic::Status;

use super::member::Member;
use crate::http::status::{self, DowngradeRefusal};
use crate::version::Version;

/// The cluster's version afterwards.
pub async fn downgrade(member: &Member, request: &pb::DowngradeRequest) -> Result<String, Status> {
    let known = match DowngradeAction::try_from(request.action) {
        Ok(DowngradeAction::Validate) => {
            let target = target(&request.version)?;
            // As in etcd, the version that is told is the one from before the question about it.
            let known = cluster_version(member)?;
            validate(member, target).await?;
            known
        }
        Ok(DowngradeAction::Enable) => {
            if let Err(refusal) = enable(member, &request.version).await {
                tracing::warn!(target_version = %request.version, error = refusal.message(), "reject downgrade request");
                return Err(refusal);
            }
            cluster_version(member)?
        }
        Ok(DowngradeAction::Cancel) => {
            // etcd answers as if it had done it, also when there was nothing to cancel.
            if let Err(refusal) = cancel(member).await {
                tracing::warn!(error = refusal.message(), "failed to cancel downgrade");
            }
            cluster_version(member)?
        }
        Err(_) => return Err(status::unknown_method()),
    };
    Ok(known.short())
}

fn target(text: &str) -> Result<Version, Status> {
    Version::parse(text).ok_or_else(|| status::downgrade(DowngradeRefusal::Format))
}

fn cluster_version(member: &Member) -> Result<Version, Status> {
    let known = member.store().cluster_version();
    known.as_deref().and_then(Version::parse).ok_or_else(|| status::downgrade(DowngradeRefusal::VersionUnknown))
}

async fn validate(member: &Member, target: Version) -> Result<(), Status> {
    member.raft().read_barrier().await.map_err(status::raft)?;
    if cluster_version(member)?.previous() != Some(target) {
        return Err(status::downgrade(DowngradeRefusal::Target));
    }
    if member.store().downgrade().is_some() {
        return Err(status::downgrade(DowngradeRefusal::InProgress));
    }
    Ok(())
}

async fn enable(member: &Member, version: &str) -> Result<(), Status> {
    let target = target(version)?;
    validate(member, target).await?;
    set(member, membershippb::DowngradeInfoSetRequest { enabled: true, ver: target.to_string() }).await
}

async fn cancel(member: &Member) -> Result<(), Status> {
    member.raft().read_barrier().await.map_err(status::raft)?;
    if member.store().downgrade().is_none() {
        return Err(status::downgrade(DowngradeRefusal::NoneInFlight));
    }
    set(member, membershippb::DowngradeInfoSetRequest { enabled: false, ver: String::new() }).await
}

async fn set(member: &Member, request: membershippb::DowngradeInfoSetRequest) -> Result<(), Status> {
    let request = pb::InternalRaftRequest { downgrade_info_set: Some(request), ..Default::default() };
    member.raft().propose(request).await.map(drop).map_err(status::raft)
}
