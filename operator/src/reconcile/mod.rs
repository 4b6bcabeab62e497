//! From an event to what is done: observe, plan, act, status; one file a resource. [`cluster`] has the walk that matters most;
//! [`backup`], [`schedule`] and [`order`] (an `EtcdRestore`) go the same way.

mod auth;
pub mod backup;
pub mod cluster;
mod migration;
pub mod order;
mod rehearsal;
pub mod schedule;

pub use auth::Looks;

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::reflector::Store;
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::act;
use crate::backoff::Backoff;
use crate::certificates::keep;
use crate::crd::{EtcdBackup, EtcdBackupSchedule, EtcdCluster, EtcdRestore};
use crate::digest;
use crate::events::Events;
use crate::metrics::Metrics;
use crate::observe::cache::Caches;
use crate::observe::job::{self, Outcome};
use crate::observe::secrets::Secrets;
use crate::unwatched::Unwatched;

/// While somebody else has to mend a Secret, which isn't watched.
pub const TROUBLED: Duration = Duration::from_secs(5);
/// While something is awaited that no event tells of, such as a learner's progress.
const WAITING: Duration = Duration::from_secs(2);
/// What a resource's store or encryption names and is not there.
const REFERENCE_MISSING: &str = "ReferenceMissing";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Kubernetes can't be asked or refuses")]
    Kubernetes(#[from] kube::Error),
    #[error(transparent)]
    Objects(#[from] act::ObjectsError),
    #[error(transparent)]
    Act(#[from] act::Error),
    #[error(transparent)]
    Certificates(#[from] keep::Error),
}

/// What every reconcile needs.
pub struct Context {
    pub client: Client,
    /// Of members whose resource names none.
    pub image: String,
    /// Of what carries backups.
    pub worker_image: String,
    pub caches: Caches,
    pub clusters: Store<EtcdCluster>,
    pub schedules: Store<EtcdBackupSchedule>,
    pub secrets: Secrets,
    pub backoff: Backoff,
    pub events: Events,
    pub metrics: Arc<Metrics>,
    pub unwatched: Unwatched,
    pub auth: Looks,
}

impl Context {
    /// Forgets what is gone.
    pub fn retain(&self) {
        let clusters: HashSet<String> = uids(&self.clusters);
        self.secrets.retain(&clusters);
        self.metrics.retain(&clusters);
        self.auth.retain(&clusters);
        let schedules: HashSet<String> = uids(&self.schedules);
        self.metrics.retain_schedules(&schedules);
        let all: HashSet<String> = [clusters, schedules, uids(&self.caches.backups), uids(&self.caches.restores)]
            .into_iter()
            .flatten()
            .collect();
        self.backoff.retain(&all);
        self.unwatched.retain(&all);
    }

    fn cluster(&self, namespace: &str, name: &str) -> Option<Arc<EtcdCluster>> {
        find(&self.clusters, namespace, name)
    }
}

fn find<K: Resource<DynamicType = ()> + Clone + 'static>(
    store: &Store<K>,
    namespace: &str,
    name: &str,
) -> Option<Arc<K>> {
    store.find(|object| object.namespace().as_deref() == Some(namespace) && object.name_any() == name)
}

/// As it is now: a cache may be behind, and what is made twice is not the same. `None` if it has gone.
async fn fresh<K>(client: &Client, object: &K) -> kube::Result<Option<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
    Ok(api.get_opt(&object.name_any()).await?.filter(|found| found.uid() == object.uid()))
}

fn uids<K: Resource<DynamicType = ()> + Clone + 'static>(store: &Store<K>) -> HashSet<String> {
    store.state().iter().filter_map(|object| object.uid()).collect()
}

/// What came of a Job of this name that the object with this uid owns.
async fn outcome(client: &Client, namespace: &str, name: &str, owner: &str) -> kube::Result<Outcome> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let is_ours = |job: &Job| job.owner_references().iter().any(|found| found.uid == owner);
    let Some(job) = jobs.get_opt(name).await?.filter(is_ours) else { return Ok(Outcome::Absent) };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let of_job = ListParams::default().labels(&format!("{}={name}", job::LABEL));
    Ok(job::outcome(Some(&job), &pods.list(&of_job).await?.items))
}

/// Writes a status that says something new.
async fn write_status<K, S>(client: &Client, object: &K, before: Option<&S>, status: &S) -> kube::Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    S: Serialize + PartialEq,
{
    if before == Some(status) {
        return Ok(());
    }
    let api: Api<K> = Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
    let mut value = json!(status);
    name_what_is_gone(&json!(before), &mut value);
    let patch = Patch::Merge(json!({"status": value}));
    match api.patch_status(&object.name_any(), &PatchParams::default(), &patch).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

/// By a merge, what is not mentioned stays.
fn name_what_is_gone(before: &Value, after: &mut Value) {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object_mut()) else { return };
    for (key, old) in before {
        match after.get_mut(key) {
            Some(new) => name_what_is_gone(old, new),
            None => drop(after.insert(key.clone(), Value::Null)),
        }
    }
}

/// Makes a Deployment the wanted one, or makes it go, when something else is wanted than before, and now and then. `uid` is the owner's.
async fn keep_deployment(
    context: &Context,
    uid: &str,
    namespace: &str,
    name: &str,
    wanted: Option<&Deployment>,
    has_pod: bool,
) -> kube::Result<()> {
    let hash = digest::short(json!(wanted).to_string());
    if has_pod == wanted.is_some() && !context.unwatched.is_due(uid, "Deployment", &hash) {
        return Ok(());
    }
    let api: Api<Deployment> = Api::namespaced(context.client.clone(), namespace);
    match wanted {
        Some(wanted) => {
            act::apply(&context.client, namespace, wanted).await?;
        }
        None => {
            let found = api.get_opt(name).await?;
            if found.is_some_and(|found| found.owner_references().iter().any(|owner| owner.uid == uid)) {
                api.delete(name, &DeleteParams::default()).await?;
            }
        }
    }
    context.unwatched.made(uid, "Deployment", hash);
    Ok(())
}

/// The EtcdRestore that is at work on a cluster.
fn order_of(restores: &[Arc<EtcdRestore>], namespace: Option<&str>, cluster: &str) -> Option<Arc<EtcdRestore>> {
    let is_its = |restore: &&Arc<EtcdRestore>| {
        restore.namespace().as_deref() == namespace
            && restore.spec.cluster_name == cluster
            && crate::plan::order::is_at_work(restore)
    };
    restores.iter().find(is_its).cloned()
}

/// Those of a cluster.
fn backups_of(context: &Context, namespace: &str, cluster: &str) -> Vec<Arc<EtcdBackup>> {
    let is_its = |backup: &Arc<EtcdBackup>| {
        backup.namespace().as_deref() == Some(namespace) && backup.spec.cluster_name == cluster
    };
    context.caches.backups.state().into_iter().filter(is_its).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_status_says_no_more_goes_however_deep_it_was() {
        let before = json!({"a": 1, "recorder": {"phase": "Recording", "gap": {"after": 1}}, "list": [{"x": 1}], "gone": {"b": 2}});
        let mut after = json!({"a": 2, "recorder": {"phase": "Recording"}, "list": [{"y": 1}]});
        name_what_is_gone(&before, &mut after);
        let wanted = json!({"a": 2, "recorder": {"phase": "Recording", "gap": null}, "list": [{"y": 1}], "gone": null});
        assert_eq!(after, wanted);
    }
}
