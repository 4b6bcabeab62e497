//! Observe, plan, act, status: one step of one cluster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::{Client, ResourceExt};
use rand::seq::IndexedRandom;
use serde_json::json;

use crate::act;
use crate::backoff::Backoff;
use crate::certificates::{issuer, keep};
use crate::crd::EtcdCluster;
use crate::crd::status::{EtcdClusterStatus, Phase};
use crate::events::{self, Events};
use crate::metrics::Metrics;
use crate::observe::ask::Asked;
use crate::observe::cache::Caches;
use crate::observe::kubernetes::Objects;
use crate::observe::secrets::Secrets;
use crate::observe::{self, Etcd, Member, World, ask, world};
use crate::plan::{self, Decision, presence};
use crate::status;
use crate::unwatched::Unwatched;

/// After a step: what it changed is looked at as soon as it can be seen.
const AFTER_STEP: Duration = Duration::from_millis(200);
/// While something is awaited that no event tells of, such as a learner's progress.
const WAITING: Duration = Duration::from_secs(2);
/// While somebody else has to mend a Secret, which isn't watched.
pub const TROUBLED: Duration = Duration::from_secs(5);
/// At rest. Certificates end, and members may fall silent behind a pod that looks well.
const AT_REST: Duration = Duration::from_secs(60);

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
    pub caches: Caches,
    pub secrets: Secrets,
    pub backoff: Backoff,
    pub events: Events,
    pub metrics: Arc<Metrics>,
    pub unwatched: Unwatched,
}

impl Context {
    /// Forgets clusters that are gone.
    pub fn retain(&self, clusters: &[Arc<EtcdCluster>]) {
        let uids = clusters.iter().filter_map(|cluster| cluster.uid()).collect();
        self.secrets.retain(&uids);
        self.metrics.retain(&uids);
        self.backoff.retain(&uids);
        self.unwatched.retain(&uids);
    }
}

/// What was seen of a cluster, and the connections by which it was.
struct Seen {
    world: World,
    asked: Asked,
    decision: Decision,
}

pub async fn reconcile(cluster: Arc<EtcdCluster>, context: Arc<Context>) -> Result<Action, Error> {
    let started = Instant::now();
    let uid = cluster.uid().unwrap_or_default();
    if cluster.metadata.deletion_timestamp.is_some() {
        // Everything is owned by the cluster, or kept.
        return Ok(Action::await_change());
    }
    let done = step(&cluster, &context).await;
    context.metrics.reconciled(done.is_ok(), started.elapsed());
    match &done {
        Ok(_) => context.backoff.forget(&uid),
        Err(error) => tell(&cluster, &context, error).await,
    }
    done
}

async fn step(cluster: &EtcdCluster, context: &Context) -> Result<Action, Error> {
    let cached = observe(cluster, context.caches.objects(cluster), context, false).await;
    let Seen { world, asked, decision } = match cached {
        Ok(seen) if is_at_rest(&seen) => seen,
        // A cache may be behind: nothing is decided by it alone.
        Ok(_) | Err(Error::Certificates(_)) => {
            let Some((cluster, objects)) = observe::kubernetes::read(&context.client, cluster).await? else {
                return Ok(Action::await_change());
            };
            observe(&cluster, objects, context, true).await?
        }
        Err(error) => return Err(error),
    };
    let cluster = &world.cluster;
    let namespace = cluster.namespace().unwrap_or_default();
    if !cluster.spec.paused {
        act::ensure_all(&context.client, &namespace, &world, &context.caches).await?;
        monitor(&namespace, &world, context).await?;
    }
    report(&namespace, &world, &decision, context).await?;
    let Some(step) = &decision.step else {
        let is_steady =
            matches!(decision.situation.phase, Phase::Running | Phase::Hibernated | Phase::Paused | Phase::Invalid);
        let delay = match &world.certificates.trouble {
            Some(_) => TROUBLED,
            None if is_steady => AT_REST,
            None => WAITING,
        };
        let exchange = world.certificates.exchange.as_ref().map(|(_, wait)| wait.unsigned_abs());
        return Ok(Action::requeue(exchange.map_or(delay, |wait| wait.min(delay))));
    };
    tracing::info!(cluster = cluster.name_any(), namespace, step = ?step, "{}", decision.situation.message);
    let view = match &world.etcd {
        Etcd::Seen(view) => Some(view),
        Etcd::Nobody | Etcd::Silent(_) => None,
    };
    let done = act::perform(step, &namespace, &context.client, view, &asked).await;
    context.metrics.stepped(step.kind(), done.is_ok());
    done?;
    Ok(Action::requeue(AFTER_STEP))
}

async fn observe(cluster: &EtcdCluster, members: Objects, context: &Context, afresh: bool) -> Result<Seen, Error> {
    let now = Timestamp::now();
    let targets = observe::kubernetes::targets(&members);
    if afresh && !cluster.spec.paused {
        issue(cluster, context).await?;
    }
    let mut secrets = context.secrets.of(&context.client, cluster, afresh).await?;
    let site = keep::Site { client: &context.client, cluster, members: &targets, now, is_fresh: afresh };
    let certificates = site.keep(&mut secrets).await?;
    let tls = keep::client_tls(cluster, &secrets)?;
    context.secrets.keep(cluster, secrets);
    let (mut etcd, asked) = ask::ask(&targets, tls.clone()).await;
    if let Etcd::Seen(view) = &mut etcd {
        view.leaving = world::leaving(&members, &view.rows);
    }
    if let (Etcd::Seen(view), true) = (&mut etcd, cluster.spec.bootstrap.is_some()) {
        let own: Vec<u64> = members.iter().filter_map(Member::id).collect();
        ask::ask_elsewhere(view, &own, tls).await;
    }
    let world = World {
        cluster: cluster.clone(),
        fresh_name: fresh_name(&cluster.name_any(), &members),
        members,
        etcd,
        now,
        default_image: context.image.clone(),
        certificates,
    };
    let decision = plan::next(&world);
    Ok(Seen { world, asked, decision })
}

/// Nothing is to be changed, as far as the cache knows.
fn is_at_rest(Seen { world, decision, .. }: &Seen) -> bool {
    let lacks_something = |member: &Member| {
        presence::lacks_pod(world, member)
            || presence::wants_volume(world, member)
            || member.pod.as_ref().is_some_and(|pod| presence::has_old_files(world, pod))
    };
    decision.step.is_none()
        && decision.situation.phase == Phase::Running
        && world.certificates.exchange.is_none()
        && world.certificates.trouble.is_none()
        && !world.members.iter().any(lacks_something)
}

/// Five characters that nobody has had: a name is never used again.
fn fresh_name(cluster: &str, members: &[Member]) -> String {
    const CHARACTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut random = rand::rng();
    loop {
        let suffix: String =
            (0..5).filter_map(|_| CHARACTERS.choose(&mut random).map(|character| char::from(*character))).collect();
        let name = format!("{cluster}-{suffix}");
        if members.iter().all(|member| member.name() != name) {
            return name;
        }
    }
}

async fn monitor(namespace: &str, world: &World, context: &Context) -> Result<(), Error> {
    let uid = world.cluster.uid().unwrap_or_default();
    let wanted = json!(world.cluster.spec.monitoring.pod_monitor).to_string();
    if context.unwatched.is_due(&uid, "PodMonitor", &wanted) {
        act::keep_pod_monitor(&context.client, namespace, world).await?;
        context.unwatched.made(&uid, "PodMonitor", wanted);
    }
    Ok(())
}

/// Before the Secrets that cert-manager fills are read.
async fn issue(cluster: &EtcdCluster, context: &Context) -> Result<(), Error> {
    let uid = cluster.uid().unwrap_or_default();
    let wanted = json!(issuer::certificates(cluster)).to_string();
    // Where the kind isn't known, it may be by the next time.
    if context.unwatched.is_due(&uid, "Certificate", &wanted)
        && issuer::keep(&context.client, cluster).await.map_err(keep::Error::from)?
    {
        context.unwatched.made(&uid, "Certificate", wanted);
    }
    Ok(())
}

async fn report(namespace: &str, world: &World, decision: &Decision, context: &Context) -> Result<(), Error> {
    let status = status::of(world, decision);
    context.metrics.observed(&world.cluster, &status);
    context.events.publish(&world.cluster, events::of(&world.cluster, decision, &status)).await;
    write(namespace, &world.cluster, &status, context).await
}

/// Written only if it says something new.
async fn write(
    namespace: &str,
    cluster: &EtcdCluster,
    status: &EtcdClusterStatus,
    context: &Context,
) -> Result<(), Error> {
    if cluster.status.as_ref() == Some(status) {
        return Ok(());
    }
    let clusters: Api<EtcdCluster> = Api::namespaced(context.client.clone(), namespace);
    // What is not there any more has to be named to go.
    let mut value = json!(status);
    for key in ["message", "leader", "step", "clientSecret"] {
        value.as_object_mut().map(|fields| fields.entry(key).or_insert(json!(null)));
    }
    let patch = Patch::Merge(json!({"status": value}));
    clusters.patch_status(&cluster.name_any(), &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Users see what keeps the operator from going on.
async fn tell(cluster: &EtcdCluster, context: &Context, error: &Error) {
    let words = sentence(error);
    tracing::warn!(cluster = cluster.name_any(), namespace = cluster.namespace(), "{words}");
    let status = status::of_failure(cluster, &words, Timestamp::now());
    let told = write(&cluster.namespace().unwrap_or_default(), cluster, &status, context).await;
    if let Err(error) = told {
        tracing::debug!(error = &error as &dyn std::error::Error, "the status could not be written either");
    }
}

/// An error with its causes.
fn sentence(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |words, cause| format!("{words}: {cause}"))
}
