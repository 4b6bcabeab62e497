//! Keeps the Secrets of certificates as they should be.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::{Client, ResourceExt};
use rustls::ClientConfig;

use super::exchange::{self, Next, Question};
use super::issue;
use super::material::{self, Material, Pair};
use super::prove::{self, Doubt, Probe};
use super::wanted::{self, Kind, Wanted};
use crate::act;
use crate::client_tls;
use crate::crd::EtcdCluster;
use crate::crd::status::CertificateStatus;
use crate::crd::tls::Mode;
use crate::desired::name;
use crate::digest;
use crate::etcd_client::Target;

/// On the resource: another value asks for another authority. On the authority's Secret: the value that was followed.
pub const ROTATE: &str = "quorate.io/rotate-ca";
/// On a Secret: when it was last written in the course of an exchange.
pub(super) const CHANGED: &str = "quorate.io/trust-changed-at";
/// On a Secret: the members read their authorities at their start alone.
pub(super) const RESTARTS: &str = "quorate.io/restart-to-trust";
/// A kubelet brings a changed Secret to a pod whose annotation changes within seconds. Who doesn't know it then reads it at its start
/// alone.
const DELIVERED: SignedDuration = SignedDuration::from_secs(30);
/// Between two steps of an exchange.
const PROBING: SignedDuration = SignedDuration::from_secs(2);
/// More writes than an exchange needs.
const ROUNDS: usize = 8;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Kubernetes can't be asked for Secrets, or doesn't take one")]
    Kubernetes(#[from] kube::Error),
    #[error(transparent)]
    Issue(#[from] issue::Error),
    /// Nothing is made by what a cache says alone.
    #[error("the cluster's authority is to be made")]
    Unmade,
    #[error("there are no certificates to start members with: {0}")]
    Trouble(String),
    #[error("there is a Secret {0} that this EtcdCluster didn't make and needs the name of; give it another name")]
    Foreign(String),
    #[error("the Secret {secret} can't be used: {reason}; delete it, and another is made")]
    Secret { secret: String, reason: String },
}

impl Error {
    /// What somebody has to mend, while everything else can go on.
    fn trouble(&self) -> Option<String> {
        match self {
            Self::Trouble(why) => Some(why.clone()),
            Self::Issue(error) => Some(act::sentence(error)),
            Self::Kubernetes(error) if act::is_refusal(error) => Some(act::sentence(self)),
            Self::Kubernetes(_) | Self::Unmade | Self::Foreign(_) | Self::Secret { .. } => None,
        }
    }
}

/// How certificates are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Certificates {
    pub list: Vec<CertificateStatus>,
    /// What an exchange waits for, and when to look at it again.
    pub exchange: Option<(String, SignedDuration)>,
    /// What keeps given certificates from being taken, and what to do about it.
    pub trouble: Option<String>,
    /// Pods have to be made anew when it changes.
    pub restart_for: Option<String>,
    /// Hash of what members are to read.
    pub hash: Option<String>,
}

/// What certificates are kept for.
pub struct Site<'a> {
    pub client: &'a Client,
    pub cluster: &'a EtcdCluster,
    /// Members that run.
    pub members: &'a [Target],
    pub now: Timestamp,
    /// Members may be asked, and decisions made.
    pub is_fresh: bool,
}

impl Site<'_> {
    /// Makes and exchanges what is due, and puts what it wrote in the place of the Secrets that were read.
    pub async fn keep(&self, secrets: &mut Vec<Secret>) -> Result<Certificates, Error> {
        let mut certificates = Certificates::default();
        if !self.cluster.spec.paused {
            match self.exchange(secrets).await {
                Ok(waits) => certificates.exchange = waits,
                Err(error) => match error.trouble() {
                    // Members that run go on with what they have.
                    Some(why) if self.has_all(secrets) => certificates.trouble = Some(why),
                    _ => return Err(error),
                },
            }
        }
        let materials = self.materials(secrets);
        certificates.list = materials
            .iter()
            .map(|(kind, material)| CertificateStatus {
                secret: wanted::secret(self.cluster, *kind),
                not_after: material.not_after.to_string(),
                authorities: material.trust.fingerprints(),
            })
            .collect();
        let restarts = |secret: &&Secret| secret.annotations().contains_key(RESTARTS);
        if secrets.iter().any(|secret| restarts(&secret)) {
            let trust: Vec<_> = materials
                .iter()
                .filter(|(kind, _)| *kind != Kind::Client)
                .map(|(_, material)| material.trust.fingerprints().join(","))
                .collect();
            certificates.restart_for = Some(digest::short(trust.join(";")));
        }
        let of_members = materials.iter().filter(|(kind, _)| *kind != Kind::Client);
        let files: Vec<_> =
            of_members.map(|(_, read)| format!("{}{}", read.pair.certificate, read.trust.pem())).collect();
        certificates.hash = (!files.is_empty()).then(|| digest::short(files.concat()));
        Ok(certificates)
    }

    fn has_all(&self, secrets: &[Secret]) -> bool {
        self.materials(secrets).len() == wanted::kinds(self.cluster).len()
    }

    /// What members and clients read now.
    fn materials(&self, secrets: &[Secret]) -> Vec<(Kind, Material)> {
        let kinds = wanted::kinds(self.cluster).into_iter();
        kinds
            .filter_map(|(kind, _)| {
                let secret = find(secrets, &wanted::secret(self.cluster, kind))?;
                Some((kind, material::read(secret).ok()?))
            })
            .collect()
    }

    /// Until nothing more can be done at once.
    async fn exchange(&self, secrets: &mut Vec<Secret>) -> Result<Option<(String, SignedDuration)>, Error> {
        if let Some(name) = wanted::foreign(self.cluster, secrets) {
            return Err(Error::Foreign(name));
        }
        let grace = SignedDuration::from_secs(self.cluster.spec.tls.client_grace_seconds);
        let mut agreed = None;
        for _ in 0..ROUNDS {
            let wanted = self.wanted(secrets).await?;
            let materials: BTreeMap<String, Material> = wanted
                .iter()
                .filter_map(|one| Some((one.secret.clone(), material::read(find(secrets, &one.secret)?).ok()?)))
                .collect();
            let places: Vec<_> = wanted.iter().map(|one| one.place(materials.get(&one.secret), self.now)).collect();
            let changed = wanted.iter().filter_map(|one| changed(find(secrets, &one.secret)?)).max();
            let next = exchange::next(&places, changed, grace, self.now, agreed);
            if !self.is_fresh && !matches!(next, Next::Settled | Next::Wait(_)) {
                return Ok(Some(("it goes on".to_owned(), PROBING)));
            }
            match next {
                Next::Settled if self.rotate(secrets).await? => {}
                Next::Settled => return Ok(None),
                Next::Write(writes) => {
                    for write in &writes {
                        self.write(secrets, &wanted, write, materials.get(&write.secret)).await?;
                    }
                }
                Next::Wait(end) => {
                    let why = format!(
                        "clients have until {} to read their Secret again",
                        end.round(jiff::Unit::Second).unwrap_or(end)
                    );
                    return Ok(Some((why, end.duration_since(self.now))));
                }
                Next::Ask(question) => {
                    let probes = self.probes(&wanted, &materials)?;
                    let doubts = prove::doubts(question, &probes, self.members).await;
                    if doubts.is_empty() {
                        agreed = Some(question);
                        continue;
                    }
                    if question == Question::Accepts {
                        self.restart_those_who_refuse(secrets, &wanted, &doubts, changed).await?;
                    }
                    return Ok(Some((sentence(question, &doubts), PROBING)));
                }
            }
        }
        Ok(Some(("certificates change under way".to_owned(), PROBING)))
    }

    /// One for each port of members.
    fn probes(&self, wanted: &[Wanted], materials: &BTreeMap<String, Material>) -> Result<Vec<Probe>, Error> {
        let of = |kind: Kind| {
            let one = wanted.iter().find(|one| one.kind == kind)?;
            Some((one, materials.get(&one.secret)?))
        };
        let mut probes = Vec::new();
        for (port, shower, dialler) in
            [(name::CLIENT_PORT, Kind::Server, Kind::Client), (name::PEER_PORT, Kind::Peer, Kind::Peer)]
        {
            let (Some((_, server)), Some((one, client))) = (of(shower), of(dialler)) else { continue };
            probes.push(Probe {
                port: u16::try_from(port).unwrap_or_default(),
                is_of_peers: shower == Kind::Peer,
                shows: self.probe(one)?,
                trust: client.trust.clone(),
                expects: server.pair.clone(),
            });
        }
        Ok(probes)
    }

    /// Members that don't know an authority although its Secret was delivered long ago are restarted, one at a time.
    async fn restart_those_who_refuse(
        &self,
        secrets: &mut Vec<Secret>,
        wanted: &[Wanted],
        doubts: &[Doubt],
        changed: Option<Timestamp>,
    ) -> Result<(), Error> {
        let is_delivered = changed.is_some_and(|changed| self.now.duration_since(changed) > DELIVERED);
        let is_known = secrets.iter().any(|secret| secret.annotations().contains_key(RESTARTS));
        if is_known || !is_delivered || !doubts.iter().any(|doubt| doubt.is_refusal) {
            return Ok(());
        }
        let Some(one) = wanted.iter().find(|one| one.kind != Kind::Client) else { return Ok(()) };
        let Some(secret) = find(secrets, &one.secret) else { return Ok(()) };
        let Ok(found) = material::read(secret) else { return Ok(()) };
        let mut annotations = secret.annotations().clone();
        annotations.insert(RESTARTS.to_owned(), "true".to_owned());
        annotations.retain(|key, _| [CHANGED, RESTARTS].contains(&key.as_str()));
        self.put(secrets, &one.secret, &found.pair, found.trust.pem(), annotations).await
    }
}

pub(super) fn find<'a>(secrets: &'a [Secret], name: &str) -> Option<&'a Secret> {
    secrets.iter().find(|secret| secret.name_any() == name)
}

fn changed(secret: &Secret) -> Option<Timestamp> {
    secret.annotations().get(CHANGED)?.parse().ok()
}

fn sentence(question: Question, doubts: &[Doubt]) -> String {
    let what = match question {
        Question::Accepts => "members to trust the new authority",
        Question::Shows => "members to show their new certificates",
    };
    let who: Vec<_> = doubts.iter().map(|doubt| format!("{} ({})", doubt.member, doubt.why)).collect();
    format!("waiting for {what}: {}", who.join(", "))
}

/// As whom the members know the operator.
pub fn client_name(cluster: &EtcdCluster, secrets: &[Secret]) -> Option<String> {
    let secret = find(secrets, &name::client_secret(&cluster.name_any()))?;
    material::common_name(&material::pair(secret).ok()?)
}

/// How the operator talks to the members.
pub fn client_tls(cluster: &EtcdCluster, secrets: &[Secret]) -> Result<Option<Arc<ClientConfig>>, Error> {
    let name = name::client_secret(&cluster.name_any());
    let bad = |reason: String| Error::Secret { secret: name.clone(), reason };
    let secret = match find(secrets, &name) {
        Some(secret) => secret,
        None if cluster.spec.tls.client.mode == Mode::Disabled => return Ok(None),
        None => return Err(bad("it is not there".to_owned())),
    };
    let material = match material::read(secret) {
        Ok(material) => material,
        Err(_) if cluster.spec.tls.client.mode == Mode::Disabled => return Ok(None),
        Err(reason) => return Err(bad(reason)),
    };
    let Pair { certificate, key } = &material.pair;
    let config = client_tls::config(material.trust.pem().as_bytes(), certificate.as_bytes(), key.as_bytes());
    config.map(|config| Some(Arc::new(config))).map_err(bad)
}
