//! What the Secrets of a cluster are to have.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::exchange::{Has, Place};
use super::material::{Material, Pair, Trust, end, key_id};
use crate::crd::EtcdCluster;
use crate::crd::tls::Mode;
use crate::desired::name;

/// A third of a certificate's life before its end, so that a week without an operator does no harm.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// An authority is exchanged so long before its end.
const ROTATE_BEFORE: SignedDuration = SignedDuration::from_hours(365 * 24);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Shown by members to clients, and to themselves.
    Server,
    /// Shown by clients.
    Client,
    /// Shown by members to each other.
    Peer,
}

/// A Secret that is to be there.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub secret: String,
    pub kind: Kind,
    pub leaf: Leaf,
    pub trust: Trust,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    /// Signed by the cluster's own authority for these names.
    Own { authority: Pair, names: Vec<String> },
    /// As it is.
    Given(Pair),
}

/// Secrets that members and clients of a cluster read: which they are, and where what is in them comes from.
pub fn kinds(cluster: &EtcdCluster) -> Vec<(Kind, Mode)> {
    let tls = &cluster.spec.tls;
    let all = [(Kind::Server, tls.client.mode), (Kind::Client, tls.client.mode), (Kind::Peer, tls.peer.mode)];
    all.into_iter().filter(|(_, mode)| *mode != Mode::Disabled).collect()
}

/// The Secret that pods and clients read.
pub fn secret(cluster: &EtcdCluster, kind: Kind) -> String {
    let name = cluster.name_any();
    match kind {
        Kind::Server => name::server_secret(&name),
        Kind::Client => name::client_secret(&name),
        Kind::Peer => name::peer_secret(&name),
    }
}

/// The Secret from which it gets what it has, unless the cluster's own authority makes that.
pub fn source(cluster: &EtcdCluster, kind: Kind) -> Option<String> {
    let tls = &cluster.spec.tls;
    let (mode, given) = match kind {
        Kind::Server => (tls.client.mode, &tls.client.server_secret),
        Kind::Client => (tls.client.mode, &tls.client.client_secret),
        Kind::Peer => (tls.peer.mode, &tls.peer.secret),
    };
    match mode {
        Mode::Disabled | Mode::Auto => None,
        Mode::Secret => given.clone(),
        Mode::CertManager => Some(format!("{}-issued", secret(cluster, kind))),
    }
}

/// A Secret of the operator's name that somebody else made: it is neither trusted nor written.
pub fn foreign(cluster: &EtcdCluster, secrets: &[Secret]) -> Option<String> {
    let kinds = kinds(cluster).into_iter().map(|(kind, _)| secret(cluster, kind));
    let names: Vec<String> = kinds.chain([name::authority_secret(&cluster.name_any())]).collect();
    let uid = cluster.uid();
    let is_ours = |found: &Secret| found.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref());
    secrets.iter().find(|found| names.contains(&found.name_any()) && !is_ours(found)).map(ResourceExt::name_any)
}

impl Wanted {
    /// Where it is to be, and how far that is.
    pub fn place(&self, found: Option<&Material>, now: Timestamp) -> Place {
        let has = found.map(|found| Has { trust: found.trust.clone(), is_wanted: self.is_in(found, now) });
        Place { secret: self.secret.clone(), is_of_peers: self.kind == Kind::Peer, has, trust: self.trust.clone() }
    }

    fn is_in(&self, found: &Material, now: Timestamp) -> bool {
        match &self.leaf {
            Leaf::Given(pair) => *pair == found.pair,
            Leaf::Own { authority, names } => {
                found.names == *names
                    && found.signer.is_some()
                    && found.signer == key_id(authority)
                    && found.not_after.duration_since(now) > RENEW_BEFORE
            }
        }
    }
}

/// The cluster's own authority is to be replaced: somebody asks for it, or it ends within a year.
pub fn is_rotation_due(cluster: &EtcdCluster, authority: &Pair, done: Option<&str>, now: Timestamp) -> bool {
    let asked = cluster.annotations().get(super::keep::ROTATE).map(String::as_str);
    let ends = end(authority).is_none_or(|end| end.duration_since(now) < ROTATE_BEFORE);
    ends || (asked.is_some() && asked != done)
}

/// Names and addresses, sorted.
pub fn names(cluster: &EtcdCluster, kind: Kind) -> Vec<String> {
    let namespace = cluster.namespace().unwrap_or_default();
    let peers = name::peers(&cluster.name_any());
    let mut names = spellings(&format!("*.{peers}"), &namespace);
    match kind {
        Kind::Client => return Vec::new(),
        Kind::Peer => {
            // A member compares the address of another with the names that DNS has for it, and with the addresses of this name.
            names.push(format!("{peers}.{namespace}.svc"));
            names.extend(cluster.spec.tls.peer.extra_names.iter().cloned());
        }
        Kind::Server => {
            let client = name::client(&cluster.name_any());
            names.extend(spellings(&client, &namespace));
            names.extend([format!("{client}.{namespace}"), client, "localhost".to_owned(), "127.0.0.1".to_owned()]);
            names.extend(cluster.spec.tls.client.extra_names.iter().cloned());
        }
    }
    names.sort();
    names.dedup();
    names
}

/// A host inside of Kubernetes goes by several names.
fn spellings(host: &str, namespace: &str) -> Vec<String> {
    [format!("{host}.{namespace}.svc"), format!("{host}.{namespace}.svc.cluster.local")].to_vec()
}
