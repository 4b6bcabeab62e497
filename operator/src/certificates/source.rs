//! Where what the Secrets are to have comes from.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::check;
use super::issue;
use super::issuer;
use super::keep::{Error, ROTATE, Site, find};
use super::material::{self, Material, Pair, Trust};
use super::wanted::{self, Kind, Leaf, Wanted};
use crate::crd::tls::Mode;
use crate::desired::name;

impl Site<'_> {
    /// What every Secret is to have.
    pub(super) async fn wanted(&self, secrets: &mut Vec<Secret>) -> Result<Vec<Wanted>, Error> {
        let kinds = wanted::kinds(self.cluster);
        let own = match kinds.iter().any(|(_, mode)| *mode == Mode::Auto) {
            true => Some(self.authority(secrets).await?),
            false => None,
        };
        let mut all = Vec::new();
        for (kind, mode) in kinds {
            let (leaf, trust) = match (wanted::source(self.cluster, kind), &own) {
                (None, Some((authority, trust))) => {
                    let names = wanted::names(self.cluster, kind);
                    (Leaf::Own { authority: authority.clone(), names }, trust.clone())
                }
                (None, None) => continue,
                (Some(source), _) => {
                    let material = self.given(secrets, kind, mode, &source).await?;
                    (Leaf::Given(material.pair), material.trust)
                }
            };
            all.push(Wanted { secret: wanted::secret(self.cluster, kind), kind, leaf, trust });
        }
        Ok(all)
    }

    /// The cluster's own, made if there is none. Members that trust another go on with that until they have learned of this one.
    async fn authority(&self, secrets: &mut Vec<Secret>) -> Result<(Pair, Trust), Error> {
        let name = name::authority_secret(&self.cluster.name_any());
        let found = find(secrets, &name).and_then(|secret| material::pair(secret).ok());
        let pair = match found {
            Some(pair) => pair,
            None if !self.is_fresh => return Err(Error::Unmade),
            None => self.make_authority(secrets).await?,
        };
        let trust = Trust::read(&pair.certificate).map_err(|reason| Error::Secret { secret: name, reason })?;
        Ok((pair, trust))
    }

    async fn make_authority(&self, secrets: &mut Vec<Secret>) -> Result<Pair, Error> {
        let pair = issue::authority(&self.cluster.name_any(), self.now)?;
        let name = name::authority_secret(&self.cluster.name_any());
        let asked = self.cluster.annotations().get(ROTATE).cloned().unwrap_or_default();
        let annotations = BTreeMap::from([(ROTATE.to_owned(), asked)]);
        self.put(secrets, &name, &pair, pair.certificate.clone(), annotations).await?;
        Ok(pair)
    }

    /// Another authority, if one is due.
    pub(super) async fn rotate(&self, secrets: &mut Vec<Secret>) -> Result<bool, Error> {
        let Some(secret) = find(secrets, &name::authority_secret(&self.cluster.name_any())) else { return Ok(false) };
        let Ok(pair) = material::pair(secret) else { return Ok(false) };
        let done = secret.annotations().get(ROTATE).map(String::as_str);
        let has_own = wanted::kinds(self.cluster).iter().any(|(_, mode)| *mode == Mode::Auto);
        if !has_own || !wanted::is_rotation_due(self.cluster, &pair, done, self.now) {
            return Ok(false);
        }
        if !self.is_fresh {
            return Err(Error::Unmade);
        }
        self.make_authority(secrets).await.map(|_| true)
    }

    /// What somebody else made, if it can serve.
    async fn given(&self, secrets: &[Secret], kind: Kind, mode: Mode, source: &str) -> Result<Material, Error> {
        let Some(secret) = find(secrets, source) else {
            let why = match mode {
                Mode::CertManager => issuer::complaint(self.client, self.cluster, kind).await?,
                _ => format!("there is no Secret {source}; make it with the keys tls.crt, tls.key and ca.crt"),
            };
            return Err(Error::Trouble(why));
        };
        let bad = |why: String| Error::Trouble(format!("Secret {source}: {why}"));
        let material = material::read(secret).map_err(bad)?;
        // Who trusts it reads another Secret of the same side, whose authorities are checked with it.
        let other = match kind {
            Kind::Server => wanted::source(self.cluster, Kind::Client),
            Kind::Client => wanted::source(self.cluster, Kind::Server),
            Kind::Peer => None,
        };
        let trust = match other.and_then(|name| material::read(find(secrets, &name)?).ok()) {
            Some(other) => other.trust,
            None => material.trust.clone(),
        };
        check::leaf(self.cluster, kind, &material, &trust, self.now).map_err(bad)?;
        Ok(material)
    }
}
