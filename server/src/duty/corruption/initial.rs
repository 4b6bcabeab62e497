//! `InitialCorruptCheck`: a member that comes back compares itself with the others before it serves clients.

use std::time::{Duration, Instant};

use super::judge::Verdict;
use super::members::{Comparison, Error, Members};

/// Between two looks for members that could not be compared with yet.
const AGAIN: Duration = Duration::from_secs(5);
/// Between two looks for the member that would decide which of two is right.
const DECIDE_AGAIN: Duration = Duration::from_millis(500);

/// Returns when this member may serve; never when its data differs, as the member then ends.
///
/// With members that don't answer it compares itself when they do, beside serving: etcd leaves them out for good.
pub async fn compare_before_serving(members: &Members) {
    tracing::info!(local_member_id = format!("{:x}", members.own_id()), "starting initial corruption check");
    let rest = match compare(members).await {
        Ok(rest) => rest,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "nothing was compared");
            members.others()
        }
    };
    if rest.is_empty() {
        log_passed(members);
    } else {
        tracing::warn!(
            members = format!("{rest:x?}"),
            "initial corruption checking found no corruption, but goes on: it could not compare with every member"
        );
        tokio::spawn(compare_rest(members.clone(), rest));
    }
}

/// Those that are left to compare with.
async fn compare(members: &Members) -> Result<Vec<u64>, Error> {
    // Members that start at the same time are late by a little.
    let late = Instant::now() + members.raft.request_timeout();
    let comparison = loop {
        let comparison = members.compare_now().await?;
        let is_decided = comparison.verdict() != Verdict::NoMajority || comparison.not_compared.is_empty();
        if is_decided || Instant::now() > late {
            break comparison;
        }
        tokio::time::sleep(DECIDE_AGAIN).await;
    };
    comparison.log_not_compared();
    heed(members, &comparison).await;
    Ok(comparison.not_compared.into_iter().map(|(member, _)| member).collect())
}

/// Ends with the runtime, with the member, or when all have been compared.
async fn compare_rest(members: Members, mut rest: Vec<u64>) {
    while !rest.is_empty() {
        tokio::time::sleep(AGAIN).await;
        let others = members.others();
        rest.retain(|member| others.contains(member));
        // All histories are read only when there is somebody new to compare with.
        if rest.is_empty() || !members.answers(&rest).await {
            continue;
        }
        match compare(&members).await {
            Ok(left) => rest.retain(|member| left.contains(member)),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "nothing was compared");
            }
        }
    }
    log_passed(&members);
}

fn log_passed(members: &Members) {
    tracing::info!(
        local_member_id = format!("{:x}", members.own_id()),
        "initial corruption checking passed; no corruption"
    );
}

/// A member stays that more than half of the cluster agree with: etcd's ends then too if any other differs.
async fn heed(members: &Members, comparison: &Comparison) {
    let own_id = members.own_id();
    let advice = match comparison.verdict() {
        Verdict::Same => return,
        Verdict::Differ(differing) if !differing.contains(&own_id) => {
            tracing::error!(
                revision = comparison.own.hash_revision,
                members = comparison.told(),
                corrupted_member_ids = format!("{differing:x?}"),
                "found hash mismatch: the data of other members differs from that of this one and of the majority"
            );
            return;
        }
        Verdict::Differ(_) => "remove the member from the cluster and add it again with an empty data folder",
        Verdict::NoMajority => {
            "no more than half of the members agree, so find out whose data is right, and replace the other members"
        }
    };
    members.raft.declare_unfit(format!(
        "{own_id:x} found data inconsistency with peers at revision {} ({}): {advice}",
        comparison.own.hash_revision,
        comparison.told()
    ));
    // Whoever waits for raft to be unfit ends the member.
    std::future::pending::<()>().await;
}
