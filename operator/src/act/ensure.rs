//! Everything but the step: what is always to be there.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};

use super::objects::{Error, FIELD_MANAGER, ensure, keep};
use super::refusal::Refusals;
use crate::crd::label;
use crate::crd::services::Budget;
use crate::desired;
use crate::observe::cache::{self, Caches};
use crate::observe::{Etcd, Member, View, World};
use crate::plan::{migrate, presence};

/// One thing that is refused keeps nothing else from being there.
pub async fn ensure_all(
    client: &Client,
    namespace: &str,
    world: &World,
    caches: &Caches,
    refusals: &mut Refusals,
) -> Result<(), Error> {
    let services = owned(world, cache::of(&caches.services, &world.cluster));
    keep(client, namespace, &services, wanted_services(world), refusals).await?;
    let budgets = owned(world, cache::of(&caches.budgets, &world.cluster));
    keep(client, namespace, &budgets, wanted_budget(world), refusals).await?;
    for member in &world.members {
        refusals.note(own_volume(client, namespace, world, member).await)?;
        if presence::wants_volume(world, member) {
            let claim = desired::volume::claim(&world.cluster, &member.object);
            let what = format!("the volume of {}, which spec.storage is about", member.name());
            refusals.note_of(&what, ensure(client, namespace, &claim).await)?;
        }
        if presence::lacks_pod(world, member) {
            let pod = presence::pod_of(world, &member.object);
            refusals.note_of(&of_pod(&member.name()), ensure(client, namespace, &pod).await)?;
        }
        if let Some(pod) = member.pod.as_ref().filter(|pod| presence::has_old_files(world, pod)) {
            let hash = &world.certificates.hash;
            refusals.note(mark(client, namespace, pod, json!({"annotations": {label::CERTIFICATES: hash}})).await)?;
        }
    }
    if let Etcd::Seen(view) = &world.etcd {
        refusals.note(label_voters(client, namespace, world, view).await)?;
    }
    Ok(())
}

/// A pod, and what of the resource it is made from.
pub fn of_pod(name: &str) -> String {
    format!("the pod of {name}, made from spec.podTemplate, spec.resources, spec.image and spec.etcd")
}

/// Those that the cluster or its members own.
fn owned<K: Resource>(world: &World, objects: Vec<K>) -> Vec<K> {
    let owners: Vec<_> =
        world.members.iter().map(|member| member.object.uid()).chain([world.cluster.uid()]).flatten().collect();
    let is_owned = |object: &K| object.owner_references().iter().any(|owner| owners.contains(&owner.uid));
    objects.into_iter().filter(is_owned).collect()
}

fn wanted_services(world: &World) -> Vec<Service> {
    let cluster = &world.cluster;
    let exposure = cluster.spec.services.per_member.as_ref();
    let of_members = exposure.into_iter().flat_map(|exposure| {
        world.members.iter().map(|member| desired::services::member(cluster, &member.object, exposure))
    });
    [desired::services::peers(cluster), desired::services::client(cluster)].into_iter().chain(of_members).collect()
}

fn wanted_budget(world: &World) -> Vec<PodDisruptionBudget> {
    let voters = match &world.etcd {
        Etcd::Seen(view) => view.voters().count(),
        Etcd::Nobody | Etcd::Silent(_) => {
            world.cluster.status.as_ref().map_or(0, |status| usize::try_from(status.voters).unwrap_or_default())
        }
    };
    let elsewhere = match &world.etcd {
        Etcd::Seen(view) => voters - world.own_voters(view).count(),
        Etcd::Nobody | Etcd::Silent(_) if world.is_spanning() => voters.saturating_sub(world.wanted()),
        Etcd::Nobody | Etcd::Silent(_) => 0,
    };
    let is_wanted = world.cluster.spec.disruption.budget == Budget::Auto;
    is_wanted.then(|| desired::services::budget(&world.cluster, voters - elsewhere, elsewhere)).into_iter().collect()
}

/// `false`: Kubernetes doesn't know the kind.
pub async fn keep_pod_monitor(client: &Client, namespace: &str, world: &World) -> kube::Result<bool> {
    let kind = desired::monitor::kind();
    let api: Api<kube::api::DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    let name = world.cluster.name_any();
    let done = match &world.cluster.spec.monitoring.pod_monitor {
        Some(asked) => {
            let monitor = desired::monitor::pod_monitor(&world.cluster, asked);
            api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&monitor)).await.map(drop)
        }
        None => match api.get_opt(&name).await {
            Ok(Some(found))
                if found.owner_references().iter().any(|owner| Some(&owner.uid) == world.cluster.uid().as_ref()) =>
            {
                api.delete(&name, &DeleteParams::default()).await.map(drop)
            }
            found => found.map(drop),
        },
    };
    match done {
        Ok(()) => Ok(true),
        // Of an unknown kind the answer has a code alone.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

/// Who owns a volume decides whether it goes with the cluster.
async fn own_volume(client: &Client, namespace: &str, world: &World, member: &Member) -> kube::Result<()> {
    let Some(volume) = &member.volume else { return Ok(()) };
    let owners = desired::volume::owners(&world.cluster);
    if volume.owner_references() == owners {
        return Ok(());
    }
    let volumes: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let patch = Patch::Merge(json!({"metadata": {"ownerReferences": owners}}));
    volumes.patch_metadata(&volume.name_any(), &PatchParams::default(), &patch).await.map(drop)
}

/// Clients reach those that the cluster itself says vote, and are led away from one that leaves before it does.
async fn label_voters(client: &Client, namespace: &str, world: &World, view: &View) -> kube::Result<()> {
    for member in &world.members {
        let Some(pod) = &member.pod else { continue };
        let votes = member.object.spec.leaves.is_none()
            && !migrate::is_under_way(&world.cluster)
            && member.row(&view.rows).is_some_and(|row| !row.is_learner && !row.name.is_empty());
        let is_labelled = pod.labels().get(label::VOTER).is_some_and(|value| value == "true");
        if votes != is_labelled {
            let value = if votes { json!("true") } else { json!(null) };
            mark(client, namespace, pod, json!({"labels": {label::VOTER: value}})).await?;
        }
    }
    Ok(())
}

/// Changes a pod's metadata, if it is still there.
async fn mark(client: &Client, namespace: &str, pod: &Pod, metadata: Value) -> kube::Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let patch = Patch::Merge(json!({"metadata": metadata}));
    match pods.patch_metadata(&pod.name_any(), &PatchParams::default(), &patch).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}
