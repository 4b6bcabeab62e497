//! Observe, plan, act, status: one step of one cluster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use kube::runtime::controller::Action;
use rand::seq::IndexedRandom;
use serde_json::json;

use super::{Context, Error, TROUBLED, WAITING, auth, fresh, migration, order_of, write_status};
use crate::act::{self, Refusals};
use crate::certificates::{issuer, keep};
use crate::crd::status::Phase;
use crate::crd::{EtcdCluster, EtcdRestore};
use crate::events;
use crate::observe::ask::Asked;
use crate::observe::kubernetes::Objects;
use crate::observe::{self, Etcd, Member, Order, World, ask, source, world};
use crate::plan::{self, Decision, Step, presence};
use crate::status;

/// After a step: what it changed is looked at as soon as it can be seen.
const AFTER_STEP: Duration = Duration::from_millis(200);
/// Failures in a row after which what was known of a cluster is not taken for true any more.
const LASTING: u32 = 3;
/// At rest. Certificates end, and members may fall silent behind a pod that looks well.
const AT_REST: Duration = Duration::from_secs(60);

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
    let (seen, done) = match look(&cluster, &context).await {
        Ok(None) => return Ok(Action::await_change()),
        Ok(Some(seen)) => (true, follow(seen, &context).await),
        Err(error) => (false, Err(error)),
    };
    context.metrics.reconciled(done.is_ok(), started.elapsed());
    match &done {
        Ok(_) => context.backoff.forget(&uid),
        Err(error) => tell(&cluster, &context, error, seen).await,
    }
    done
}

/// `None`: the cluster has gone.
async fn look(cluster: &EtcdCluster, context: &Context) -> Result<Option<Seen>, Error> {
    match observe(cluster, context.caches.objects(cluster), context, false).await {
        Ok(seen) if is_at_rest(&seen) => return Ok(Some(seen)),
        // A cache may be behind: nothing is decided by it alone.
        Ok(_) | Err(Error::Certificates(_)) => {}
        Err(error) => return Err(error),
    }
    let Some((cluster, objects)) = observe::kubernetes::read(&context.client, cluster).await? else { return Ok(None) };
    observe(&cluster, objects, context, true).await.map(Some)
}

/// Does what is to be done, and tells of it.
async fn follow(Seen { mut world, asked, decision }: Seen, context: &Context) -> Result<Action, Error> {
    world.auth = auth::keep(&world, &asked, context).await?;
    let cluster = &world.cluster;
    let namespace = cluster.namespace().unwrap_or_default();
    let (decision, is_refused) =
        if cluster.spec.paused { (decision, false) } else { ensure(&namespace, &world, decision, context).await? };
    // On the way to plain text, the last member with TLS is the last that knows the operator.
    let is_auth_in_the_way = world.auth.as_ref().is_some_and(|auth| !auth.is_ready && !cluster.spec.auth.enabled);
    let decision = if is_auth_in_the_way { decision.hold() } else { decision };
    report(&world, &decision, context).await?;
    let Some(step) = &decision.step else {
        let is_steady =
            matches!(decision.situation.phase, Phase::Running | Phase::Hibernated | Phase::Paused | Phase::Invalid);
        let is_troubled = world.certificates.trouble.is_some()
            || is_refused
            || world.auth.as_ref().is_some_and(|auth| !auth.is_ready);
        let delay = match (is_troubled, is_steady) {
            (true, _) => TROUBLED,
            (false, true) => AT_REST,
            (false, false) => WAITING,
        };
        let exchange = world.certificates.exchange.as_ref().map(|(_, wait)| wait.unsigned_abs());
        return Ok(Action::requeue(exchange.map_or(delay, |wait| wait.min(delay))));
    };
    tracing::info!(cluster = cluster.name_any(), namespace, step = ?step, "{}", decision.situation.message);
    let view = match &world.etcd {
        Etcd::Seen(view) => Some(view),
        Etcd::Nobody | Etcd::Silent(_) => None,
    };
    if *step == Step::CutOver {
        return migration::cut_over(&namespace, &world, context).await;
    }
    let done = act::perform(step, &namespace, &context.client, view, &asked).await;
    context.metrics.stepped(step.kind(), done.is_ok());
    done?;
    Ok(Action::requeue(AFTER_STEP))
}

/// Everything but the step. What Kubernetes refuses is told, and hinders only the step that needs it; returns whether there is any.
async fn ensure(
    namespace: &str,
    world: &World,
    decision: Decision,
    context: &Context,
) -> Result<(Decision, bool), Error> {
    let mut refusals = Refusals::default();
    act::ensure_all(&context.client, namespace, world, &context.caches, &mut refusals).await?;
    refusals.note(monitor(namespace, world, context).await)?;
    refusals.note(migration::mirror(namespace, world, context).await)?;
    let client = &context.client;
    let taken = match (&decision.makes_room_for, &decision.step) {
        (Some(pod), _) => {
            let taken = act::would_take(client, namespace, pod.as_ref()).await;
            refusals.note_of(&act::of_pod(&pod.name_any()), taken)?.is_some()
        }
        (None, Some(Step::GrowVolume { volume, size })) => {
            let what =
                format!("{volume} can't grow as spec.storage.size says; allow its storage class to expand volumes");
            refusals.note_of(&what, act::would_grow(client, namespace, volume, size).await)?.is_some()
        }
        (None, _) => true,
    };
    // A cluster doesn't begin behind names that are somebody else's.
    let is_in_the_way = world.members.is_empty() && refusals.has_foreign();
    let decision = if taken && !is_in_the_way { decision } else { decision.hold() };
    let words = refusals.into_words();
    Ok((decision.despite(&words), !words.is_empty()))
}

/// The EtcdRestore that is at work on it.
async fn order(
    cluster: &EtcdCluster,
    has_retired: bool,
    context: &Context,
    afresh: bool,
) -> kube::Result<Option<Arc<EtcdRestore>>> {
    let (namespace, name) = (cluster.namespace(), cluster.name_any());
    let all = context.caches.restores.state();
    let is_its = |restore: &Arc<EtcdRestore>| restore.namespace() == namespace && restore.spec.cluster_name == name;
    let is_known = all.iter().any(is_its);
    if !afresh || !(is_known || has_retired) {
        return Ok(order_of(&all, namespace.as_deref(), &name));
    }
    let restores: Api<EtcdRestore> = Api::namespaced(context.client.clone(), namespace.as_deref().unwrap_or_default());
    let fresh: Vec<Arc<EtcdRestore>> =
        restores.list(&ListParams::default()).await?.items.into_iter().map(Arc::new).collect();
    Ok(order_of(&fresh, namespace.as_deref(), &name))
}

fn order_to(restore: &EtcdRestore) -> Option<Order> {
    Some(Order {
        name: restore.name_any(),
        uid: restore.uid()?,
        replaces: u64::from_str_radix(restore.spec.confirm.as_ref()?, 16).ok()?,
        old_volumes: restore.spec.old_volumes,
    })
}

async fn observe(cluster: &EtcdCluster, objects: Objects, context: &Context, afresh: bool) -> Result<Seen, Error> {
    let now = Timestamp::now();
    let Objects { members, left } = objects;
    let (retired, members): (Vec<Member>, Vec<Member>) = members.into_iter().partition(Member::is_retired);
    let restore = order(cluster, !retired.is_empty(), context, afresh).await?;
    let from = source::of(&context.client, cluster, &members, restore.as_deref()).await?;
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
    if let (Etcd::Seen(view), true) = (&mut etcd, cluster.spec.spanning().is_some()) {
        let own: Vec<u64> = members.iter().filter_map(Member::id).collect();
        ask::ask_elsewhere(view, &own, tls).await;
    }
    let world = World {
        cluster: cluster.clone(),
        fresh_name: fresh_name(&cluster.name_any(), members.iter().chain(&retired)),
        members,
        retired,
        order: restore.as_deref().and_then(order_to),
        left,
        mirrored: migration::mirrored(cluster, context).await,
        worker_image: context.worker_image.clone(),
        from,
        etcd,
        now,
        default_image: context.image.clone(),
        certificates,
        auth: None,
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
        && world.order.is_none()
        && world.retired.is_empty()
        && !world.members.iter().any(lacks_something)
}

/// Five characters that nobody has had: a name is never used again.
fn fresh_name<'a>(cluster: &str, members: impl Iterator<Item = &'a Member> + Clone) -> String {
    const CHARACTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut random = rand::rng();
    loop {
        let suffix: String =
            (0..5).filter_map(|_| CHARACTERS.choose(&mut random).map(|character| char::from(*character))).collect();
        let name = format!("{cluster}-{suffix}");
        if members.clone().all(|member| member.name() != name) {
            return name;
        }
    }
}

async fn monitor(namespace: &str, world: &World, context: &Context) -> kube::Result<()> {
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

async fn report(world: &World, decision: &Decision, context: &Context) -> Result<(), Error> {
    let status = status::of(world, decision);
    context.metrics.observed(&world.cluster, &status);
    let mut events = events::of(&world.cluster, decision, &status);
    events.extend(world.auth.as_ref().and_then(events::of_auth));
    context.events.publish(&world.cluster, events).await;
    let cluster = &world.cluster;
    Ok(write_status(&context.client, cluster, cluster.status.as_ref(), &status).await?)
}

/// Users see what keeps the operator from going on, and what it doesn't know because of that.
async fn tell(cluster: &EtcdCluster, context: &Context, error: &Error, has_seen: bool) {
    let words = act::sentence(error);
    tracing::warn!(cluster = cluster.name_any(), namespace = cluster.namespace(), "{words}");
    let is_lasting = context.backoff.failures(&cluster.uid().unwrap_or_default()) >= LASTING;
    // One answer that was lost says nothing.
    let unknown = !has_seen && is_lasting;
    let told = async {
        // What was reported before the failure stays.
        let Some(cluster) = fresh(&context.client, cluster).await? else { return Ok(()) };
        let status = status::of_failure(&cluster, &words, unknown, Timestamp::now());
        write_status(&context.client, &cluster, cluster.status.as_ref(), &status).await
    };
    if let Err(error) = told.await {
        tracing::debug!(error = &error as &dyn std::error::Error, "the status could not be written either");
    }
}
