//! Members that run with what the resource said before are restarted: one at a time, each only while all others serve, the leader last.
//! Before all others comes one that is listed in another way than it listens: nobody new reaches it.

use super::replace::delete_pod;
use super::step::{Decision, Situation, Step};
use super::{presence, quorum, readdress, shrink};
use crate::crd::condition::Reason;
use crate::crd::member::Leaves;
use crate::crd::status::Phase;
use crate::observe::{Member, View, World, pod};

fn rolling(message: String) -> Situation {
    Situation::new(Phase::Changing, Reason::RollingOut, message)
}

/// Its pod was made for something else than the resource says now.
fn is_outdated(world: &World, member: &Member) -> bool {
    let Some(found) = &member.pod else { return false };
    let wanted = presence::pod_of(world, &member.object);
    !pod::is_leaving(found) && pod::intent(found) != pod::intent(&wanted)
}

/// It is the first to run what the resource says now, while others still have what was before: what ails it may be that, and its data is
/// well.
pub fn is_trial(world: &World, member: &Member) -> bool {
    !is_outdated(world, member) && world.members.iter().any(|other| is_outdated(world, other))
}

/// A pod that can't run for a reason that the resource may have mended by now is made anew at once: nothing runs in it that could be
/// disturbed.
pub fn unstick(world: &World) -> Option<Decision> {
    let is_stuck = |member: &&Member| {
        let pod = member.pod.as_ref();
        world.has_volumes() && pod.is_some_and(pod::is_stuck) && is_outdated(world, member)
    };
    let member = world.members.iter().find(is_stuck)?;
    let message = format!("{} could not run, and starts with what the resource says now", member.name());
    restart(world, member, message)
}

/// The next restart, or what it waits for.
pub fn next(world: &World, view: &View) -> Option<Decision> {
    let outdated: Vec<&Member> = world.members.iter().filter(|member| is_outdated(world, member)).collect();
    if outdated.is_empty() {
        return None;
    }
    let left = outdated.len();
    let is_served = |member: &Member| member.pod.as_ref().is_some_and(pod::is_ready);
    let (candidate, id) = outdated.iter().filter_map(|member| Some((*member, member.row(&view.rows)?.id))).min_by_key(
        |(member, id)| {
            let place = (*id == view.leader(), view.is_ready(*id), is_served(member));
            (!readdress::is_under_way(member), place, member.name())
        },
    )?;
    let name = candidate.name();
    // What runs beside a member may be what the resource mends.
    let is_held_up = |member: &Member| !is_served(member) && outdated.iter().all(|old| old.name() != member.name());
    let is_away = |member: &&Member| {
        let row = member.row(&view.rows);
        member.name() != name && row.is_some_and(|row| !answers(view, row.id) || is_held_up(member))
    };
    if let Some(other) = world.members.iter().find(is_away) {
        let why = other.pod.as_ref().and_then(pod::obstacle).unwrap_or_else(|| "it is starting".to_owned());
        let message = format!("{left} members are to restart; waiting for {} to serve ({why})", other.name());
        return Some(rolling(message).waiting());
    }
    if !quorum::can_restart(view, id) {
        return Some(rolling(format!("{name} is to restart; waiting for the others to have a quorum")).waiting());
    }
    if view.leader() == id
        && let Some(to) = shrink::heir(view, id)
    {
        let message = format!("{name} leads, and hands over before it restarts");
        return Some(rolling(message).with(Step::HandOver { from: id, to }));
    }
    if !world.has_volumes() {
        return Some(without_volumes(world, view, candidate, id));
    }
    restart(world, candidate, format!("{name} restarts with what the resource says now; {left} to go"))
}

fn answers(view: &View, id: u64) -> bool {
    view.is_ready(id) && view.has_caught_up(id)
}

/// Its pod goes only for one that Kubernetes would take.
fn restart(world: &World, member: &Member, message: String) -> Option<Decision> {
    let next = presence::pod_of(world, &member.object);
    Some(rolling(message).with(delete_pod(member.pod.as_ref()?)).for_pod(next))
}

/// A restart would lose what the member has: another takes its place.
fn without_volumes(world: &World, view: &View, member: &Member, id: u64) -> Decision {
    let name = member.name();
    if view.voters().count() < 3 || !quorum::can_remove(view, id) {
        let message = format!(
            "{name} can't be restarted: storage.medium is Memory, and its data would be lost; scale to 3 members first"
        );
        return Situation::new(Phase::Degraded, Reason::RollingOut, message).waiting();
    }
    let message = format!("{name} has its data in memory, and another with what the resource says now takes its place");
    let step = Step::Dismiss { member: name, why: Leaves::Replaced };
    rolling(message).with(step).for_pod(presence::pod_of(world, &member.object))
}
