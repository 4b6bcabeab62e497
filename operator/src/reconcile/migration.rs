//! Another etcd is followed by a mirror, until this cluster takes over.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::controller::Action;
use rand::distr::{Alphanumeric, SampleString};

use super::{Context, Error, WAITING, keep_deployment, write_status};
use crate::act;
use crate::crd::member::Begins;
use crate::crd::status::{EtcdClusterStatus, MigrationPhase, MigrationStatus};
use crate::crd::{EtcdCluster, label};
use crate::desired::{follower, job};
use crate::observe::World;
use crate::observe::follower as observed;
use crate::plan::{Step, migrate};

/// Of the word by which a mirror knows the operator.
const TOKEN_CHARACTERS: usize = 32;

/// What the mirror of another etcd says, while there is to be one.
pub async fn mirrored(cluster: &EtcdCluster, context: &Context) -> Option<Result<observed::Mirrored, String>> {
    if !migrate::is_under_way(cluster) {
        return None;
    }
    let namespace = cluster.namespace().unwrap_or_default();
    let pod = observed::pod_of(&context.caches.pods, &namespace, label::MIGRATION, &cluster.name_any())?;
    Some(observed::status(&pod).await)
}

/// Keeps the mirror of another etcd running until this cluster takes over.
pub async fn mirror(namespace: &str, world: &World, context: &Context) -> kube::Result<()> {
    let cluster = &world.cluster;
    let Some(asked) = cluster.spec.migrate() else { return Ok(()) };
    let name = follower::name_of_mirror(&cluster.name_any());
    let members = world.members.iter().map(|member| member.object.clone()).collect();
    // As soon as it has served, and the oldest for as long as it is there: others come and go.
    let to = job::candidates(members, cluster).into_iter().find(|member| member.spec.begins == Begins::Joined);
    let wanted = to.filter(|_| migrate::is_under_way(&world.cluster));
    let wanted = wanted.map(|to| follower::mirror(cluster, asked, &to, &context.worker_image));
    if wanted.is_some() {
        let token = Alphanumeric.sample_string(&mut rand::rng(), TOKEN_CHARACTERS);
        let secrets: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
        if secrets.get_opt(&name).await?.is_none() {
            act::ensure(&context.client, namespace, &follower::token(cluster, &token)).await?;
        }
    }
    let pod = observed::pod_of(&context.caches.pods, namespace, label::MIGRATION, &cluster.name_any());
    let uid = cluster.uid().unwrap_or_default();
    keep_deployment(context, &uid, namespace, &name, wanted.as_ref(), pod.is_some()).await
}

/// Nothing of the other etcd is missing here, and from now on clients may write: that is written down before they are let in.
pub async fn cut_over(namespace: &str, world: &World, context: &Context) -> Result<Action, Error> {
    let cluster = &world.cluster;
    let pod = observed::pod_of(&context.caches.pods, namespace, label::MIGRATION, &cluster.name_any());
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let secret = secrets.get_opt(&follower::name_of_mirror(&cluster.name_any())).await?;
    let token = secret.and_then(|secret| String::from_utf8(secret.data?.remove(follower::TOKEN_KEY)?.0).ok());
    let cut = match (pod, token) {
        (Some(pod), Some(token)) => observed::cut_over(&pod, &token).await,
        _ => Err("the mirror is not there".to_owned()),
    };
    context.metrics.stepped(Step::CutOver.kind(), cut.is_ok());
    let before = cluster.status.clone().unwrap_or_default();
    let migration = match &cut {
        Ok(cut) => MigrationStatus {
            phase: MigrationPhase::Done,
            message: Some(format!("both had the same at revision {}", cut.revision)),
            lag: None,
            revision: Some(cut.revision),
            hash_kv: cut.hash,
        },
        Err(why) => {
            let message = Some(format!("not taken over yet: {why}"));
            let lag = before.migration.as_ref().and_then(|migration| migration.lag);
            MigrationStatus { phase: MigrationPhase::Following, message, lag, revision: None, hash_kv: None }
        }
    };
    let status = EtcdClusterStatus { migration: Some(migration), ..before };
    write_status(&context.client, cluster, cluster.status.as_ref(), &status).await?;
    Ok(Action::requeue(if cut.is_ok() { Duration::ZERO } else { WAITING }))
}
