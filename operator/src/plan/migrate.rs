//! A cluster takes over from another etcd: it follows until it is told that nobody writes there any more.

use super::step::{Decision, Situation, Step};
use crate::crd::EtcdCluster;
use crate::crd::condition::Reason;
use crate::crd::status::{MigrationPhase, MigrationStatus, Phase};
use crate::observe::{View, World};

/// It has not taken over yet: clients are not led here, and nobody but the mirror writes.
pub fn is_under_way(cluster: &EtcdCluster) -> bool {
    cluster.spec.migrate().is_some() && before(cluster).is_none_or(|status| status.phase != MigrationPhase::Done)
}

fn before(cluster: &EtcdCluster) -> Option<&MigrationStatus> {
    cluster.status.as_ref()?.migration.as_ref()
}

fn migrating(message: String) -> Situation {
    Situation::new(Phase::Changing, Reason::Migrating, message)
}

/// The user has said that the other etcd rests, and everything of it but the last is here.
pub fn cut_over(world: &World, _: &View) -> Option<Decision> {
    let asked = is_under_way(&world.cluster) && world.cluster.spec.cut_over;
    let follows = world.mirrored.as_ref()?.as_ref().is_ok_and(|told| told.phase == "Following" || told.phase == "Cut");
    (asked && follows).then(|| migrating("this cluster takes over from the other etcd".to_owned()).with(Step::CutOver))
}

/// Everything else is as wanted.
pub fn follow(world: &World) -> Option<Decision> {
    is_under_way(&world.cluster).then(|| migrating(message(world)).waiting())
}

fn message(world: &World) -> String {
    match &world.mirrored {
        None => "waiting for the mirror of the other etcd to start".to_owned(),
        Some(Err(why)) => format!("waiting for the mirror of the other etcd: {why}"),
        Some(Ok(told)) => match (told.phase.as_str(), &told.trouble) {
            ("Diverged", trouble) => format!(
                "what is here is not what is in the other etcd ({}); delete this EtcdCluster and its volumes, and make it anew",
                trouble.as_deref().unwrap_or("no reason given")
            ),
            (_, Some(trouble)) => format!("the mirror of the other etcd has trouble: {trouble}"),
            (_, None) if told.lag_revisions >= 10 => {
                "the other etcd is followed, and this cluster catches up".to_owned()
            }
            (_, None) => "the other etcd is followed; stop what writes to it, and set spec.cutOver".to_owned(),
        },
    }
}

/// What users are told of it.
pub fn status(world: &World) -> Option<MigrationStatus> {
    world.cluster.spec.migrate()?;
    let before = before(&world.cluster).cloned();
    if before.as_ref().is_some_and(|before| before.phase == MigrationPhase::Done) {
        return before;
    }
    let empty =
        || MigrationStatus { phase: MigrationPhase::Copying, message: None, lag: None, revision: None, hash_kv: None };
    let Some(Ok(told)) = &world.mirrored else {
        return Some(before.unwrap_or_else(empty));
    };
    let phase = match told.phase.as_str() {
        "Diverged" => MigrationPhase::Diverged,
        _ => MigrationPhase::Following,
    };
    let lag = if told.lag_revisions < 10 { 0 } else { 10_i64.pow(told.lag_revisions.ilog10()) };
    Some(MigrationStatus { phase, message: told.trouble.clone(), lag: Some(lag), ..empty() })
}
