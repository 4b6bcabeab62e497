//! Events of Kubernetes become reconciles.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use k8s_openapi::api::batch::v1::Job;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, Resource, ResourceExt};

use crate::act;
use crate::backoff::Backoff;
use crate::certificates::keep;
use crate::crd::{EtcdBackup, EtcdBackupSchedule, EtcdCluster, EtcdRestore, label};
use crate::events::Events;
use crate::metrics::Metrics;
use crate::observe::cache::{self, Caches};
use crate::observe::secrets::Secrets;
use crate::reconcile::{self, Context, Error, Looks, TROUBLED};
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
    /// Of what carries backups.
    pub worker_image: String,
    /// The name in Events.
    pub identity: String,
}

/// Reconciles until `stop`, and finishes what it has begun.
pub async fn run(
    client: Client,
    settings: Settings,
    metrics: Arc<Metrics>,
    health: Health,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let namespace = settings.namespace.as_deref();
    let (members, member_events) = cache::watch(&client, namespace, cache::ours());
    let (pods, pod_events) = cache::watch(&client, namespace, cache::ours());
    let (volumes, volume_events) = cache::watch(&client, namespace, cache::ours());
    let (services, service_events) = cache::watch(&client, namespace, cache::ours());
    let (budgets, budget_events) = cache::watch(&client, namespace, cache::ours());
    // Each is told to one controller: what another has to hear of is watched twice.
    let (backups, backup_events) = cache::watch::<EtcdBackup>(&client, namespace, cache::all());
    let made_events = cache::events::<EtcdBackup>(&client, namespace, cache::ours());
    let (schedules, schedule_events) = cache::watch::<EtcdBackupSchedule>(&client, namespace, cache::all());
    let (restores, restore_events) = cache::watch::<EtcdRestore>(&client, namespace, cache::all());
    let order_events = cache::events::<EtcdRestore>(&client, namespace, cache::all());
    let job_events = cache::events::<Job>(&client, namespace, cache::ours());
    let caches =
        Caches { members, pods, volumes, services, budgets, backups: backups.clone(), restores: restores.clone() };
    let ready = {
        let caches = caches.clone();
        async move {
            if caches.synced().await.is_ok() {
                health.is_ready();
            }
        }
    };
    let (clusters, cluster_events) = cache::watch_clusters(&client, namespace);
    let context = Arc::new(Context {
        client: client.clone(),
        image: settings.image,
        worker_image: settings.worker_image,
        caches,
        clusters: clusters.clone(),
        schedules: schedules.clone(),
        secrets: Secrets::default(),
        backoff: Backoff::default(),
        events: Events::new(client.clone(), &settings.identity),
        metrics,
        unwatched: Unwatched::default(),
        auth: Looks::default(),
    });
    let stop = stop.shared();
    let config = || Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE);
    let of_clusters = Controller::for_stream(cluster_events, clusters)
        .with_config(config())
        .watches_stream(member_events, cluster_of)
        .watches_stream(pod_events, cluster_of)
        .watches_stream(volume_events, cluster_of)
        .watches_stream(service_events, cluster_of)
        .watches_stream(budget_events, cluster_of)
        .watches_stream(order_events, |order: EtcdRestore| {
            Some(ObjectRef::new(&order.spec.cluster_name).within(&order.namespace()?))
        })
        .graceful_shutdown_on(stop.clone())
        .run(reconcile::cluster::reconcile, error_policy, context.clone())
        .for_each(said);
    let of_backups = Controller::for_stream(backup_events, backups)
        .with_config(config())
        .watches_stream(job_events, |job: Job| named(&job, label::BACKUP))
        .graceful_shutdown_on(stop.clone())
        .run(reconcile::backup::reconcile, error_policy, context.clone())
        .for_each(said);
    let of_schedules = Controller::for_stream(schedule_events, schedules)
        .with_config(config())
        .watches_stream(made_events, |backup: EtcdBackup| named(&backup, label::SCHEDULE))
        .graceful_shutdown_on(stop.clone())
        .run(reconcile::schedule::reconcile, error_policy, context.clone())
        .for_each(said);
    let of_restores = Controller::for_stream(restore_events, restores)
        .with_config(config())
        .graceful_shutdown_on(stop)
        .run(reconcile::order::reconcile, error_policy, context.clone())
        .for_each(said);
    let controllers = futures::future::join5(ready, of_clusters, of_backups, of_schedules, of_restores);
    tokio::select! {
        _ = controllers => {}
        () = tidy(context) => {}
    }
}

/// A failed reconcile has said so itself.
async fn said<T, E: std::error::Error + 'static>(result: Result<T, E>) {
    if let Err(error) = result {
        tracing::debug!(error = &error as &dyn std::error::Error, "not reconciled");
    }
}

/// Memory of clusters that are gone is given back now and then: that they went may have been missed.
async fn tidy(context: Arc<Context>) {
    loop {
        tokio::time::sleep(TIDY).await;
        context.retain();
    }
}

fn cluster_of<K: Resource<DynamicType = ()>>(object: K) -> Option<ObjectRef<EtcdCluster>> {
    let cluster = object.labels().get(label::CLUSTER)?;
    Some(ObjectRef::new(cluster).within(&object.namespace()?))
}

/// The object that a label names.
fn named<K, O>(object: &K, key: &str) -> Option<ObjectRef<O>>
where
    K: Resource<DynamicType = ()>,
    O: Resource<DynamicType = ()>,
{
    Some(ObjectRef::new(object.labels().get(key)?).within(&object.namespace()?))
}

fn error_policy<K: Resource<DynamicType = ()>>(object: Arc<K>, error: &Error, context: Arc<Context>) -> Action {
    Action::requeue(match error {
        Error::Certificates(keep::Error::Trouble(_)) => TROUBLED,
        // Members refuse until they have found each other, which takes seconds.
        Error::Act(act::Error::Etcd(_)) => context.backoff.next(&object.uid().unwrap_or_default()).min(REFUSED),
        _ => context.backoff.next(&object.uid().unwrap_or_default()),
    })
}
