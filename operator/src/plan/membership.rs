//! The order of precedence: what an interrupted change left behind comes first, then what is broken, then what is wanted.

use super::step::{Decision, Situation, Step};
use super::{grow, migrate, quorum, readdress, recover, replace, restore, roll, shrink, version, volume};
use crate::crd::condition::Reason;
use crate::crd::member::Begins;
use crate::crd::status::Phase;
use crate::observe::{Alarm, Etcd, Member, Row, Silence, View, World};

/// The step that comes next for a cluster that is not being deleted.
pub fn next(world: &World) -> Decision {
    let mut decision = first(world);
    // Whatever else is under way, what is refused is said.
    if let Some(refusal) = version::choose(world).refusal
        && decision.situation.reason != Reason::VersionRefused
    {
        decision.situation.message += &format!("; {refusal}");
    }
    decision
}

fn first(world: &World) -> Decision {
    if world.cluster.spec.paused {
        let message = "spec.paused is set: everything is left as it is";
        return Situation::new(Phase::Paused, Reason::Paused, message).waiting();
    }
    if let Some(decision) = restore::next(world) {
        return decision;
    }
    if world.members.is_empty() {
        return without_members(world);
    }
    if world.wanted() == 0 {
        return hibernate(world);
    }
    if let Some(decision) = replace::ended_pod(world).or_else(|| roll::unstick(world)) {
        return decision;
    }
    match &world.etcd {
        Etcd::Seen(view) => with_view(world, view),
        Etcd::Nobody => silent(world, &Silence::default()),
        Etcd::Silent(silence) => silent(world, silence),
    }
}

fn without_members(world: &World) -> Decision {
    match world.cluster_id() {
        None if world.wanted() == 0 => {
            Situation::new(Phase::Hibernated, Reason::Hibernated, "no members are wanted, and none were ever made").waiting()
        }
        None if !world.left.is_empty() => Situation::new(
            Phase::Forming,
            Reason::UnknownMember,
            format!(
                "waiting for the records of an earlier EtcdCluster of this name to go ({}), since its members may still run; if nobody \
                 deletes them, delete them or give them to this one, see the page on failures",
                world.left.join(", ")
            ),
        )
        .waiting(),
        None => grow::found(world).unwrap_or_else(|| grow::form(world)),
        Some(id) => Situation::new(
            Phase::Unavailable,
            Reason::QuorumLost,
            format!(
                "all EtcdMember resources of cluster {id:x} are gone; nothing new is formed in its place, since volumes with its data \
                 may be left. Restore the resources from a backup, or delete the EtcdCluster and make it anew"
            ),
        )
        .waiting(),
    }
}

fn hibernate(world: &World) -> Decision {
    let situation = |message: &str| Situation::new(Phase::Hibernated, Reason::Hibernated, message);
    let mut pods = world.members.iter().filter_map(|member| member.pod.as_ref());
    match pods.find(|pod| pod.metadata.deletion_timestamp.is_none()) {
        Some(pod) => situation("the members stop; their volumes stay").with(replace::delete_pod(pod)),
        None => situation("the members are stopped; their volumes are kept").waiting(),
    }
}

/// Nobody gave a list: nothing is decided about members, unless the user has consented to a new beginning.
fn silent(world: &World, silence: &Silence) -> Decision {
    let why = if silence.why.is_empty() { String::new() } else { format!(" ({})", silence.why) };
    if world.cluster_id().is_none() {
        if let Some(decision) = grow::found(world) {
            return decision;
        }
        return grow::begin(world, &why);
    }
    if let Some(decision) = recover::next(world, &silence.answers) {
        return decision;
    }
    let message = format!(
        "no quorum of the members answers{why}{}; the members are left as they are. {}",
        obstacles(world),
        recover::advice(world)
    );
    Situation::new(Phase::Unavailable, Reason::QuorumLost, message).waiting()
}

fn with_view(world: &World, view: &View) -> Decision {
    if let Some(latched) = world.cluster_id().filter(|latched| *latched != view.cluster_id) {
        return Situation::new(
            Phase::Invalid,
            Reason::UnknownMember,
            format!(
                "the members say that they are of cluster {:x}, and this was cluster {latched:x}: nothing is done with them",
                view.cluster_id
            ),
        )
        .waiting();
    }
    let steps = [
        disarm,
        migrate::cut_over,
        recover::unforce,
        grow::record,
        readdress::update,
        shrink::finish_departure,
        shrink::remove_strangers,
        shrink::depart,
        grow::settle_learner,
        grow::announce,
        replace::dismiss_broken,
        shrink::dismiss_surplus,
        grow::intend,
        // Before what is derived from it: the quota follows the size.
        volume::grow,
        roll::next,
        readdress::next,
    ];
    if !quorum::can_change(view) {
        return recover::next(world, &view.answers).unwrap_or_else(|| lost_quorum(world, view));
    }
    steps.iter().find_map(|step| step(world, view)).unwrap_or_else(|| steady(world, view))
}

/// What keeps members from running, which is what has to be mended.
fn obstacles(world: &World) -> String {
    let of = |member: &Member| Some(format!("{} can't run: {}", member.name(), member.obstacle(world.now)?));
    let all: Vec<String> = world.members.iter().filter_map(of).collect();
    if all.is_empty() { String::new() } else { format!("; {}", all.join("; ")) }
}

/// Some member gave a list, but too few follow the leader to change anything.
fn lost_quorum(world: &World, view: &View) -> Decision {
    let message = format!(
        "{} of {} voting members serve, too few to agree on anything{}; the members are left as they are. {}",
        view.ready_voters().len(),
        view.voters().count(),
        obstacles(world),
        recover::advice(world)
    );
    Situation::new(Phase::Unavailable, Reason::QuorumLost, message).waiting()
}

/// Once the cluster has formed, its first member must not form another on an empty volume.
fn disarm(world: &World, view: &View) -> Option<Decision> {
    let armed = world.members.iter().find(|member| {
        member.object.spec.begins != Begins::Joined
            && member.row(&view.rows).is_some_and(|row| !row.name.is_empty() && view.is_ready(row.id))
            && member.id().is_some()
    })?;
    let situation = Situation::new(Phase::Forming, Reason::Forming, format!("{} serves", armed.name()));
    Some(situation.with(Step::Disarm { member: armed.name() }))
}

/// Nothing that the operator could do without choosing which data is worth less.
fn alarmed(alarm: Alarm, name: &str) -> Decision {
    let (reason, message) = match alarm {
        Alarm::NoSpace => (
            Reason::NoSpace,
            format!(
                "the database of {name} has reached its quota, and writes are refused: delete or compact, `etcdctl defrag`, or raise \
                 spec.etcd.quotaBackendBytes, and then `etcdctl alarm disarm`"
            ),
        ),
        Alarm::Corrupt => (
            Reason::Corrupt,
            format!(
                "the data of {name} differs from the others': delete its volume and its pod, so that another member takes its place, \
                 and then `etcdctl alarm disarm`"
            ),
        ),
    };
    Situation::new(Phase::Degraded, reason, message).waiting()
}

/// Its name, and what keeps it from running.
fn with_obstacle(world: &World, row: &Row) -> String {
    let obstacle = world.member_of(row).and_then(|member| member.obstacle(world.now));
    obstacle.map_or_else(|| row.name.clone(), |why| format!("{} ({why})", row.name))
}

fn steady(world: &World, view: &View) -> Decision {
    let (serving, away): (Vec<&Row>, Vec<&Row>) = world.own_voters(view).partition(|row| view.is_ready(row.id));
    let (ready, wanted) = (serving.len(), world.wanted());
    if ready < wanted {
        let away: Vec<String> = away.into_iter().map(|row| with_obstacle(world, row)).collect();
        let message = format!("{ready} of {wanted} members serve; waiting for {}", away.join(", "));
        return Situation::new(Phase::Degraded, Reason::MembersMissing, message).waiting();
    }
    if let Some(left) = world.members.iter().find(|member| member.row(&view.rows).is_none()) {
        let message =
            format!("all {wanted} members serve; waiting for the pod of {}, which has left, to end", left.name());
        return Situation::new(Phase::Changing, Reason::Shrinking, message).waiting();
    }
    if let Some(decision) = migrate::follow(world) {
        return decision;
    }
    if let Some(decision) = restore::clear_retired(world) {
        return decision;
    }
    if let Some((alarm, id)) = view.alarms().first() {
        let name = view.row(*id).map_or_else(|| format!("{id:x}"), |row| row.name.clone());
        return alarmed(*alarm, &name);
    }
    if let Some(decision) = volume::leaving(world) {
        return decision;
    }
    if let Some(refusal) = version::choose(world).refusal {
        return Situation::new(Phase::Invalid, Reason::VersionRefused, refusal).waiting();
    }
    if recover::has_consent(world) {
        let message = format!(
            "all {wanted} members serve; spec.recovery is not needed: remove it, or it is used when a quorum is lost"
        );
        return Situation::new(Phase::Running, Reason::AsWanted, message).waiting();
    }
    let hint = if wanted.is_multiple_of(2) {
        format!(" ({wanted} tolerate no more failures than {})", wanted - 1)
    } else {
        String::new()
    };
    Situation::new(Phase::Running, Reason::AsWanted, format!("all {wanted} members serve{hint}")).waiting()
}
