//! Volumes that are smaller than the resource says.

use super::step::{Decision, Situation, Step};
use crate::crd::condition::Reason;
use crate::crd::status::Phase;
use crate::desired::quantity;
use crate::observe::{View, World};

/// The next volume to ask more room for. Whether it is given is the storage class's business, and takes no restart.
pub fn grow(world: &World, _: &View) -> Option<Decision> {
    let size = &world.cluster.spec.storage.size;
    let wanted = quantity::bytes(size)?;
    let is_small = |claim: &&k8s_openapi::api::core::v1::PersistentVolumeClaim| {
        let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
        let asked = requests.and_then(|requests| quantity::bytes(requests.get("storage")?));
        claim.metadata.deletion_timestamp.is_none() && asked.is_some_and(|asked| asked < wanted)
    };
    let claim = world.members.iter().filter_map(|member| member.volume.as_ref()).find(is_small)?;
    let volume = claim.metadata.name.clone().unwrap_or_default();
    let message = format!("{volume} grows to {}", size.0);
    let situation = Situation::new(Phase::Changing, Reason::GrowingVolumes, message);
    Some(situation.with(Step::GrowVolume { volume, size: size.clone() }))
}

/// Claims that somebody has deleted: they go with their pods, and all data with them if that is at once.
pub fn leaving(world: &World) -> Option<Decision> {
    let claims = world.members.iter().filter_map(|member| member.volume.as_ref());
    let leaving: Vec<_> = claims
        .filter(|claim| claim.metadata.deletion_timestamp.is_some())
        .filter_map(|claim| claim.metadata.name.clone())
        .collect();
    if leaving.is_empty() {
        return None;
    }
    let message = format!(
        "all members serve, but {} will be deleted as soon as their pods end: restart the members one by one by `kubectl quorate \
         restart`, so that others take their place",
        leaving.join(", ")
    );
    Some(Situation::new(Phase::Degraded, Reason::VolumesLeaving, message).waiting())
}
