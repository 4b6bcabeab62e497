//! The data of a backup takes the place of a running cluster's: its members are retired, a new first member begins with the backup, and
//! when all new members are there the old ones are cleared away. Until the new cluster has served, nothing is lost: whoever takes the
//! order back has the old members again.

use super::replace::delete_pod;
use super::shrink::clear;
use super::step::{Decision, Situation, Step};
use crate::crd::condition::Reason;
use crate::crd::member::{Begins, Leaves};
use crate::crd::status::Phase;
use crate::crd::storage::Policy;
use crate::observe::{Member, World, pod};

fn restoring(message: impl Into<String>) -> Situation {
    Situation::new(Phase::Changing, Reason::Restoring, message)
}

/// What comes before everything else: old members stop, or come back.
pub fn next(world: &World) -> Option<Decision> {
    match &world.order {
        Some(order) => {
            let is_old = |member: &&Member| member.object.spec.incarnation.as_ref() != Some(&order.uid);
            if let Some(old) = world.members.iter().find(is_old) {
                let message = format!("{} makes room for the data of EtcdRestore {}", old.name(), order.name);
                let step = Step::Dismiss { member: old.name(), why: Leaves::Restored };
                return Some(restoring(message).with(step));
            }
            stop(world)
        }
        None if world.retired.is_empty() => None,
        None if has_served(world) => None,
        None => Some(reinstate(world)),
    }
}

/// Members that were made under another order than the retired ones.
fn newcomers(world: &World) -> impl Iterator<Item = &Member> {
    let old = world.retired.first().map(|member| &member.object.spec.incarnation);
    world.members.iter().filter(move |member| old != Some(&member.object.spec.incarnation))
}

/// Clients may have written to the new cluster.
fn has_served(world: &World) -> bool {
    newcomers(world).any(|member| member.object.spec.begins == Begins::Joined)
}

/// It was to begin with the data of a backup, and that was taken back.
pub fn is_taken_back(world: &World, member: &Member) -> bool {
    world.order.is_none()
        && !world.retired.is_empty()
        && !has_served(world)
        && newcomers(world).any(|newcomer| newcomer.name() == member.name())
}

/// No old member runs when the first new one starts: clients would see two clusters.
fn stop(world: &World) -> Option<Decision> {
    let pods = || world.retired.iter().filter_map(|member| member.pod.as_ref());
    if let Some(running) = pods().find(|pod| !pod::is_leaving(pod)) {
        return Some(restoring("the old members stop; their volumes stay").with(delete_pod(running)));
    }
    let is_ending = |ending: &k8s_openapi::api::core::v1::Pod| !pod::is_out_of_reach(ending, world.now);
    pods().any(is_ending).then(|| restoring("waiting for the old members to stop").waiting())
}

/// The order was taken back before the new cluster served.
fn reinstate(world: &World) -> Decision {
    if let Some(new) = newcomers(world).next() {
        let situation = restoring(format!("the restoration was taken back: {} goes", new.name()));
        if let Some(pod) = &new.pod {
            return if pod::is_leaving(pod) { situation.waiting() } else { situation.with(delete_pod(pod)) };
        }
        return clear(new, Policy::Delete, situation);
    }
    let situation = restoring("the restoration was taken back: the old members come back");
    match world.retired.first() {
        Some(old) => situation.with(Step::Reinstate { member: old.name() }),
        None => situation.waiting(),
    }
}

/// Everything is as wanted: what is left of the old members goes.
pub fn clear_retired(world: &World) -> Option<Decision> {
    let old = world.retired.first()?;
    let policy = world.order.as_ref().map_or(Policy::Retain, |order| order.old_volumes);
    Some(clear(old, policy, restoring(format!("the new members serve; {} is cleared away", old.name()))))
}
