//! One step.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::objects::{delete, gone, larger};
use crate::crd::EtcdMember;
use crate::crd::member::Begins;
use crate::etcd_client;
use crate::observe::View;
use crate::observe::ask::Asked;
use crate::plan::Step;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Kubernetes refused a step")]
    Kubernetes(#[from] kube::Error),
    #[error("the cluster refused a step")]
    Etcd(#[from] etcd_client::Error),
    #[error("no member can be asked for a step any more")]
    Nobody,
}

/// Whatever comes of it, the next reconcile looks at everything anew: an answer that was lost proves nothing.
pub async fn perform(
    step: &Step,
    namespace: &str,
    client: &Client,
    view: Option<&View>,
    asked: &Asked,
) -> Result<(), Error> {
    let members: Api<EtcdMember> = Api::namespaced(client.clone(), namespace);
    let record = async |name: &str, spec: Value| {
        let patch = Patch::Merge(json!({"spec": spec}));
        members.patch(name, &PatchParams::default(), &patch).await.map(drop)
    };
    match step {
        Step::Intend(member) => drop(members.create(&PostParams::default(), member).await?),
        Step::Record { member, id, initial_cluster } => {
            record(member, json!({"id": format!("{id:x}"), "initialCluster": initial_cluster})).await?;
        }
        Step::Elect { member } => record(member, json!({"begins": Begins::Recovering})).await?,
        Step::Disarm { member } => record(member, json!({"begins": Begins::Joined})).await?,
        Step::Dismiss { member, why } => record(member, json!({"leaves": why})).await?,
        Step::Reinstate { member } => record(member, json!({"leaves": null})).await?,
        Step::Readdress { member, peer_url } => record(member, json!({"peerUrl": peer_url})).await?,
        Step::Update { id, peer_url, .. } => leader(view, asked)?.update(*id, peer_url).await?,
        Step::Announce { peer_url, .. } => leader(view, asked)?.add_learner(peer_url).await?,
        Step::Promote { id, .. } => leader(view, asked)?.promote(*id).await?,
        Step::Remove { id, .. } => leader(view, asked)?.remove(*id).await?,
        // No member is asked for it, but the mirror.
        Step::CutOver => {}
        Step::HandOver { to, .. } => leader(view, asked)?.hand_over(*to).await?,
        Step::DeletePod { pod, uid } => {
            delete::<Pod>(client, namespace, pod, uid).await?;
        }
        Step::DeleteVolume { volume, uid } => {
            delete::<PersistentVolumeClaim>(client, namespace, volume, uid).await?;
        }
        Step::GrowVolume { volume, size } => {
            let volumes: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
            volumes.patch(volume, &PatchParams::default(), &Patch::Merge(larger(size))).await?;
        }
        Step::Forget { member } => gone(members.delete(member, &DeleteParams::default()).await)?,
    }
    Ok(())
}

/// Who is asked for a change: the leader if it is one of ours, and otherwise a member that can pass it on to it.
pub fn leader<'a>(view: Option<&View>, asked: &'a Asked) -> Result<&'a etcd_client::Client, Error> {
    let leader = view.map(View::leader).unwrap_or_default();
    let is_voter = |id: u64| view.and_then(|view| view.row(id)).is_some_and(|row| !row.is_learner);
    let usefulness = |(id, _): &&(u64, etcd_client::Client)| (*id == leader, is_voter(*id));
    asked.clients.iter().max_by_key(usefulness).map(|(_, client)| client).ok_or(Error::Nobody)
}
