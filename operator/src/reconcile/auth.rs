//! Users, roles and passwords of a cluster, and whether its clients have to say who they are.
//!
//! The operator is `root` by the common name of its certificate, before and after authentication is on, and needs no password.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use parking_lot::Mutex;
use rand::distr::{Alphanumeric, SampleString};
use serde_json::json;

use super::Context;
use crate::act;
use crate::certificates::keep;
use crate::crd::EtcdCluster;
use crate::crd::auth::AuthStatus;
use crate::crd::condition::{self, Reason};
use crate::desired::{self, name};
use crate::digest;
use crate::etcd_client::{self, Client};
use crate::observe::ask::Asked;
use crate::observe::auth::{found, password};
use crate::observe::world::Authentication;
use crate::observe::{Etcd, World};
use crate::plan::auth::{self, Change, Password, ROOT, Text, Wanted};

/// Of a password that is made up: 190 bits.
const CHARACTERS: usize = 32;
/// Members are asked no more often while nothing has changed: for them each question is an entry of the log.
const OFTEN: Duration = Duration::from_secs(15);

/// What was seen at the last look, by the uid of the cluster.
#[derive(Default)]
pub struct Looks {
    last: Mutex<HashMap<String, Look>>,
}

struct Look {
    at: Instant,
    generation: Option<i64>,
    /// Of what is wanted and what the members have, when the two were the same.
    settled: Option<String>,
}

impl Looks {
    fn is_due(&self, cluster: &EtcdCluster) -> bool {
        let last = self.last.lock();
        let is_fresh = |look: &Look| look.at.elapsed() < OFTEN && look.generation == cluster.metadata.generation;
        !(is_ready(cluster) && last.get(&cluster.uid().unwrap_or_default()).is_some_and(is_fresh))
    }

    fn is_settled(&self, cluster: &EtcdCluster, key: &str) -> bool {
        let last = self.last.lock();
        let look = last.get(&cluster.uid().unwrap_or_default());
        look.is_some_and(|look| look.settled.as_deref() == Some(key))
    }

    fn looked(&self, cluster: &EtcdCluster, settled: Option<String>) {
        let look = Look { at: Instant::now(), generation: cluster.metadata.generation, settled };
        self.last.lock().insert(cluster.uid().unwrap_or_default(), look);
    }

    /// Drops what is about others than these uids.
    pub fn retain(&self, uids: &HashSet<String>) {
        self.last.lock().retain(|uid, _| uids.contains(uid));
    }
}

fn is_ready(cluster: &EtcdCluster) -> bool {
    let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|one| one.type_ == condition::AUTH_READY && one.status == "True")
}

/// Makes users and roles what they should be. `None`: it is as it was before, or can't be found out. What a member refuses is told,
/// and hinders nothing else.
pub async fn keep(world: &World, asked: &Asked, context: &Context) -> kube::Result<Option<Authentication>> {
    let cluster = &world.cluster;
    let known = cluster.status.as_ref().and_then(|status| status.auth.clone()).unwrap_or_default();
    let is_enabled = cluster.spec.auth.enabled;
    let Etcd::Seen(view) = &world.etcd else { return Ok(None) };
    if cluster.spec.paused || !(is_enabled || known.enabled) || !context.auth.is_due(cluster) {
        return Ok(None);
    }
    let Ok(client) = act::leader(Some(view), asked) else { return Ok(None) };
    let kept = match is_enabled {
        true => match (Site { world, context, client, asked }).enable(known.clone(), view.cluster_id).await {
            Err(error) if act::is_refusal(&error) => {
                Authentication::new(known, Reason::AuthRefused, act::sentence(&error))
            }
            kept => kept?,
        },
        false => disable(known, asked).await,
    };
    if !kept.is_ready {
        context.auth.looked(cluster, None);
    }
    Ok(Some(kept))
}

/// Users and roles stay, for the next time.
async fn disable(mut status: AuthStatus, asked: &Asked) -> Authentication {
    let words = "spec.auth.enabled is false: clients need not say who they are".to_owned();
    let Some((_, client)) = asked.clients.iter().find(|(_, client)| client.is_secured()) else {
        let words =
            "authentication is still on: no member serves by TLS any more, where the operator is root".to_owned();
        return Authentication::new(status, Reason::AuthPending, words);
    };
    match act::change_auth(client, &Change::Disable).await {
        Ok(()) => {
            auth::note(&mut status, &Change::Disable);
            Authentication {
                done: vec![Change::Disable.to_string()],
                ..Authentication::new(status, Reason::AuthOff, words)
            }
        }
        Err(error) => Authentication::new(status, Reason::AuthRefused, act::sentence(&error)),
    }
}

struct Site<'a> {
    world: &'a World,
    context: &'a Context,
    client: &'a Client,
    asked: &'a Asked,
}

impl Site<'_> {
    async fn enable(&self, known: AuthStatus, cluster_id: u64) -> kube::Result<Authentication> {
        let cluster = &self.world.cluster;
        if let Some(told) = self.stranger(&known).await? {
            return Ok(told);
        }
        let root_secret = root_secret(cluster);
        let secrets = self.secrets(&root_secret).await?;
        let wanted = auth::wanted(&cluster.spec.auth, &root_secret, |name, key| password(&secrets, name, key));
        let mut status = auth::intend(known, &wanted, &root_secret, format!("{cluster_id:x}"));
        let done = match self.bring(&wanted, &mut status).await {
            Ok(done) => done,
            Err(Stopped::Kubernetes(error)) => return Err(error),
            Err(Stopped::Etcd(error)) => {
                return Ok(Authentication::new(status, Reason::AuthRefused, act::sentence(&error)));
            }
        };
        let missing: Vec<String> =
            wanted.users.iter().filter_map(|(name, user)| missing(name, &user.password)).collect();
        let (reason, words) = match missing.is_empty() {
            true => (
                Reason::AuthAsDeclared,
                "users and roles are as declared, and clients have to say who they are".to_owned(),
            ),
            false => (Reason::PasswordMissing, missing.join("; ")),
        };
        Ok(Authentication { done, ..Authentication::new(status, reason, words) })
    }

    /// Members wouldn't know the operator for `root`, now or when authentication is on.
    async fn stranger(&self, known: &AuthStatus) -> kube::Result<Option<Authentication>> {
        let cluster = &self.world.cluster;
        let told = |reason, words| Some(Authentication::new(known.clone(), reason, words));
        if !self.asked.clients.iter().all(|(_, client)| client.is_secured()) {
            let words = "some members serve plain text: authentication waits until all serve by TLS".to_owned();
            return Ok(told(Reason::AuthPending, words));
        }
        let secrets = self.context.secrets.of(&self.context.client, cluster, false).await?;
        let shown = keep::client_name(cluster, &secrets);
        if shown.as_deref() == Some(ROOT) {
            return Ok(None);
        }
        let words = format!(
            "spec.tls.client: the operator's certificate has the common name {:?}, and members have to know it for root; issue it with \
             the common name root",
            shown.unwrap_or_default()
        );
        Ok(told(Reason::NotRoot, words))
    }

    /// Those that passwords are in. They aren't watched.
    async fn secrets(&self, root_secret: &str) -> kube::Result<Vec<Secret>> {
        let cluster = &self.world.cluster;
        let namespace = cluster.namespace().unwrap_or_default();
        let api: Api<Secret> = Api::namespaced(self.context.client.clone(), &namespace);
        let given = cluster.spec.auth.users.iter().filter_map(|user| user.password_secret.as_ref());
        let names: HashSet<&str> = given.map(|secret| secret.name.as_str()).chain([root_secret]).collect();
        let mut secrets = Vec::new();
        for name in names {
            let mut found = api.get_opt(name).await?;
            if found.is_none() && name == root_secret && cluster.spec.auth.root_secret.is_none() {
                let made = desired::auth::root_secret(cluster, &random());
                match act::ensure(&self.context.client, &namespace, &made).await {
                    // It is told as one that is missing.
                    Err(error) if act::is_refusal(&error) => tracing::warn!(name, "{}", act::sentence(&error)),
                    made => made?,
                }
                found = api.get_opt(name).await?;
            }
            secrets.extend(found);
        }
        Ok(secrets)
    }

    /// What was done, in words.
    async fn bring(&self, wanted: &Wanted, status: &mut AuthStatus) -> Result<Vec<String>, Stopped> {
        let cluster = &self.world.cluster;
        let said = self.client.auth_status().await?;
        let key = digest::short(format!("{status:?} {:?} {} {wanted:?}", said.enabled, said.auth_revision));
        if self.context.auth.is_settled(cluster, &key) {
            self.context.auth.looked(cluster, Some(key));
            return Ok(Vec::new());
        }
        let found = found(self.client, said.enabled).await?;
        let changes = auth::changes(wanted, &found, status, &Text(random()));
        if changes.is_empty() {
            auth::settle(status, wanted);
            self.context.auth.looked(cluster, Some(key));
            return Ok(Vec::new());
        }
        self.write(status).await?;
        let mut done = Vec::new();
        for change in changes {
            let made = act::change_auth(self.client, &change).await;
            self.context.metrics.stepped("Auth", made.is_ok());
            made?;
            auth::note(status, &change);
            done.push(change.to_string());
        }
        tracing::info!(cluster = cluster.name_any(), namespace = cluster.namespace(), "{}", done.join("; "));
        auth::settle(status, wanted);
        self.context.auth.looked(cluster, None);
        Ok(done)
    }

    /// Before anything is changed.
    async fn write(&self, auth: &AuthStatus) -> kube::Result<()> {
        let cluster = &self.world.cluster;
        if cluster.status.as_ref().and_then(|status| status.auth.as_ref()) == Some(auth) {
            return Ok(());
        }
        let api: Api<EtcdCluster> =
            Api::namespaced(self.context.client.clone(), &cluster.namespace().unwrap_or_default());
        let patch = Patch::Merge(json!({"status": {"auth": auth}}));
        api.patch_status(&cluster.name_any(), &PatchParams::default(), &patch).await.map(drop)
    }
}

/// Why not everything was done.
enum Stopped {
    Kubernetes(kube::Error),
    Etcd(etcd_client::Error),
}

impl From<kube::Error> for Stopped {
    fn from(error: kube::Error) -> Self {
        Self::Kubernetes(error)
    }
}

impl From<etcd_client::Error> for Stopped {
    fn from(error: etcd_client::Error) -> Self {
        Self::Etcd(error)
    }
}

fn root_secret(cluster: &EtcdCluster) -> String {
    cluster.spec.auth.root_secret.clone().unwrap_or_else(|| name::root_secret(&cluster.name_any()))
}

fn missing(user: &str, password: &Password) -> Option<String> {
    match password {
        Password::Missing(why) => Some(format!("the password of user {user} is missing: {why}")),
        Password::None | Password::Given { .. } => None,
    }
}

fn random() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), CHARACTERS)
}
