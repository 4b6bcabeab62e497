//! Events of Kubernetes become reconciles.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};

use crate::act;
use crate::backoff::Backoff;
use crate::certificates::keep;
use crate::crd::{EtcdCluster, label};
use crate::events::Events;
use crate::metrics::Metrics;
use crate::observe::cache::{self, Caches};
use crate::observe::secrets::Secrets;
use crate::reconcile::{Context, Error, TROUBLED, reconcile};
use crate::serve::Health;
use crate::unwatched::Unwatched;

/// Clusters that are looked at at the same time.
const CONCURRENCY: u16 = 16;
/// At most, when members have refused a step.
const REFUSED: Duration = Duration::from_secs(1);
const TIDY: Duration = Duration::from_secs(60);
/// A burst of events is one reason to look.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// What it watches, and as whom.
pub struct Settings {
    /// This namespace alone, or all.
    pub namespace: Option<String>,
    /// Of members whose resource names none.
    pub image: String,
    /// The name in Events.
    pub identity: String,
}

/// Reconciles until `stop`, and finishes what it has begun.
pub async fn run(
    client: Client,
    settings: Settings,
    metrics: Arc<Metrics>,
    health: Health,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let namespace = settings.namespace.as_deref();
    let (members, member_events) = cache::watch(&client, namespace);
    let (pods, pod_events) = cache::watch(&client, namespace);
    let (volumes, volume_events) = cache::watch(&client, namespace);
    let (services, service_events) = cache::watch(&client, namespace);
    let (budgets, budget_events) = cache::watch(&client, namespace);
    let caches = Caches { members, pods, volumes, services, budgets };
    let context = Context {
        client: client.clone(),
        image: settings.image,
        caches: caches.clone(),
        secrets: Secrets::default(),
        backoff: Backoff::default(),
        events: Events::new(client.clone(), &settings.identity),
        metrics,
        unwatched: Unwatched::default(),
    };
    let ready = async {
        if caches.synced().await.is_ok() {
            health.is_ready();
        }
    };
    let (clusters, cluster_events) = cache::watch_clusters(&client, namespace);
    let context = Arc::new(context);
    let tidy = tidy(context.clone(), clusters.clone());
    let controller = Controller::for_stream(cluster_events, clusters)
        .with_config(Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
        .watches_stream(member_events, cluster_of)
        .watches_stream(pod_events, cluster_of)
        .watches_stream(volume_events, cluster_of)
        .watches_stream(service_events, cluster_of)
        .watches_stream(budget_events, cluster_of)
        .graceful_shutdown_on(stop)
        .run(reconcile, error_policy, context)
        .for_each(async |result| {
            // A failed reconcile has said so itself.
            if let Err(error) = result {
                tracing::debug!(error = &error as &dyn std::error::Error, "not reconciled");
            }
        });
    tokio::select! {
        _ = futures::future::join(ready, controller) => {}
        () = tidy => {}
    }
}

/// Memory of clusters that are gone is given back now and then: that they went may have been missed.
async fn tidy(context: Arc<Context>, clusters: Store<EtcdCluster>) {
    loop {
        tokio::time::sleep(TIDY).await;
        context.retain(&clusters.state());
    }
}

fn cluster_of<K: Resource<DynamicType = ()>>(object: K) -> Option<ObjectRef<EtcdCluster>> {
    let cluster = object.labels().get(label::CLUSTER)?;
    Some(ObjectRef::new(cluster).within(&object.namespace()?))
}

fn error_policy(cluster: Arc<EtcdCluster>, error: &Error, context: Arc<Context>) -> Action {
    Action::requeue(match error {
        Error::Certificates(keep::Error::Trouble(_)) => TROUBLED,
        // Members refuse until they have found each other, which takes seconds.
        Error::Act(act::Error::Etcd(_)) => context.backoff.next(&cluster.uid().unwrap_or_default()).min(REFUSED),
        _ => context.backoff.next(&cluster.uid().unwrap_or_default()),
    })
}
