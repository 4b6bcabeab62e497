//! What watches keep at hand of the objects that belong to clusters, so that a look at a cluster at rest asks Kubernetes for nothing.
//! It may be behind: whatever is to be changed is read anew before.

use std::fmt::Debug;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::Api;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{Predicate, PredicateConfig, WatchStreamExt, predicates, watcher};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::kubernetes::{Objects, gather};
use crate::crd::{EtcdBackup, EtcdCluster, EtcdMember, EtcdRestore, label};

/// Objects with the operator's label.
#[derive(Clone)]
pub struct Caches {
    pub members: Store<EtcdMember>,
    pub pods: Store<Pod>,
    pub volumes: Store<PersistentVolumeClaim>,
    pub services: Store<Service>,
    pub budgets: Store<PodDisruptionBudget>,
    pub backups: Store<EtcdBackup>,
    pub restores: Store<EtcdRestore>,
}

impl Caches {
    pub async fn synced(&self) -> Result<(), reflector::store::WriterDropped> {
        self.members.wait_until_ready().await?;
        self.pods.wait_until_ready().await?;
        self.volumes.wait_until_ready().await?;
        self.services.wait_until_ready().await?;
        self.budgets.wait_until_ready().await
    }

    /// A cluster's members.
    pub fn objects(&self, cluster: &EtcdCluster) -> Objects {
        gather(cluster, of(&self.members, cluster), &of(&self.pods, cluster), &of(&self.volumes, cluster))
    }
}

/// A cluster's objects of a kind.
pub fn of<K>(store: &Store<K>, cluster: &EtcdCluster) -> Vec<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let (name, namespace) = (cluster.name_any(), cluster.namespace());
    let is_its =
        |object: &Arc<K>| object.namespace() == namespace && object.labels().get(label::CLUSTER) == Some(&name);
    store.state().into_iter().filter(is_its).map(Arc::unwrap_or_clone).collect()
}

/// What the operator made.
pub fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!("{}={}", label::MANAGED_BY.0, label::MANAGED_BY.1))
}

/// What users make.
pub fn all() -> watcher::Config {
    watcher::Config::default()
}

/// What can be watched.
pub trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}
impl<K> Watched for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static
{
}

/// A store, and the stream that fills it and tells of each change.
pub fn watch<K: Watched>(
    client: &Client,
    namespace: Option<&str>,
    which: watcher::Config,
) -> (Store<K>, impl Stream<Item = Result<K, watcher::Error>> + Send + use<K>) {
    let (store, writer) = reflector::store();
    let forget = |object: &mut K| object.managed_fields_mut().clear();
    let events = watcher(api::<K>(client, namespace), which).modify(forget).default_backoff();
    (store, events.reflect(writer).touched_objects().boxed())
}

/// The stream alone: of what is kept already, or never looked at.
pub fn events<K: Watched>(
    client: &Client,
    namespace: Option<&str>,
    which: watcher::Config,
) -> impl Stream<Item = Result<K, watcher::Error>> + Send + use<K> {
    watcher(api::<K>(client, namespace), which).default_backoff().touched_objects().boxed()
}

/// All clusters. A change of the status alone, which the operator writes itself, is no event.
pub fn watch_clusters(
    client: &Client,
    namespace: Option<&str>,
) -> (Store<EtcdCluster>, impl Stream<Item = Result<EtcdCluster, watcher::Error>> + Send + use<>) {
    let (store, writer) = reflector::store();
    let events = watcher(api::<EtcdCluster>(client, namespace), watcher::Config::default()).default_backoff();
    let changed = predicates::generation.combine(predicates::annotations);
    (store, events.reflect(writer).touched_objects().predicate_filter(changed, PredicateConfig::default()).boxed())
}

/// In one namespace or in all.
pub fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}
