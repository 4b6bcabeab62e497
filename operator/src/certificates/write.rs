//! Writes Secrets.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::exchange::Write;
use super::issue;
use super::keep::{CHANGED, Error, RESTARTS, Site, find};
use super::material::{Material, Pair};
use super::wanted::{Leaf, Wanted};
use crate::{act, desired};

impl Site<'_> {
    pub(super) async fn write(
        &self,
        secrets: &mut Vec<Secret>,
        wanted: &[Wanted],
        write: &Write,
        found: Option<&Material>,
    ) -> Result<(), Error> {
        let Some(one) = wanted.iter().find(|one| one.secret == write.secret) else { return Ok(()) };
        let pair = match (found, &one.leaf) {
            (Some(found), _) if !write.takes_wanted => found.pair.clone(),
            (Some(found), Leaf::Own { .. })
                if one.place(Some(found), self.now).has.is_some_and(|has| has.is_wanted) =>
            {
                found.pair.clone()
            }
            _ => self.leaf(one)?,
        };
        let mut annotations = BTreeMap::from([(CHANGED.to_owned(), self.now.to_string())]);
        let before = find(secrets, &write.secret);
        if let Some(value) = before.and_then(|secret| secret.annotations().get(RESTARTS)) {
            annotations.insert(RESTARTS.to_owned(), value.clone());
        }
        self.put(secrets, &write.secret, &pair, write.trust.pem(), annotations).await
    }

    fn leaf(&self, wanted: &Wanted) -> Result<Pair, Error> {
        Ok(match &wanted.leaf {
            Leaf::Given(pair) => pair.clone(),
            Leaf::Own { authority, names } => {
                issue::leaf(wanted.kind, &self.cluster.name_any(), names, authority, self.now)?
            }
        })
    }

    /// Without names: members let only those in whose certificates are for where they come from, if they are for anything.
    pub(super) fn probe(&self, wanted: &Wanted) -> Result<Pair, Error> {
        Ok(match &wanted.leaf {
            Leaf::Given(pair) => pair.clone(),
            Leaf::Own { authority, .. } => {
                issue::leaf(wanted.kind, &self.cluster.name_any(), &[], authority, self.now)?
            }
        })
    }

    pub(super) async fn put(
        &self,
        secrets: &mut Vec<Secret>,
        name: &str,
        pair: &Pair,
        trusted: String,
        annotations: BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let cluster = self.cluster;
        let mut secret = Secret { type_: Some("kubernetes.io/tls".to_owned()), ..Secret::default() };
        secret.metadata.name = Some(name.to_owned());
        secret.metadata.namespace = cluster.namespace();
        secret.metadata.annotations = Some(annotations);
        secret.metadata.labels = Some(desired::member::cluster_labels(&cluster.name_any()));
        secret.metadata.owner_references = Some(desired::member::owner(cluster).into_iter().collect());
        let data = [("tls.crt", pair.certificate.clone()), ("tls.key", pair.key.clone()), ("ca.crt", trusted)];
        secret.data = Some(data.map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes()))).into());
        tracing::info!(cluster = cluster.name_any(), secret = name, "writes certificates");
        let applied = act::apply(self.client, &cluster.namespace().unwrap_or_default(), &secret).await?;
        secrets.retain(|secret| secret.name_any() != name);
        secrets.push(applied);
        Ok(())
    }
}
