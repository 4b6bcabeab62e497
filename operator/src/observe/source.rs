//! Where the data of a cluster's first member is to come from.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::Client;
use kube::api::Api;

use super::Member;
use crate::crd::member::Begins;
use crate::crd::store::{Encryption, Store};
use crate::crd::{EtcdBackup, EtcdCluster, EtcdRestore};
use crate::desired::origin::{From, Source};

/// Of a cluster that has no first member yet, or one that has not served yet. Others need none.
pub async fn of(
    client: &Client,
    cluster: &EtcdCluster,
    members: &[Member],
    order: Option<&EtcdRestore>,
) -> kube::Result<From> {
    let begins = |member: &Member| member.object.spec.begins == Begins::Forming;
    if !members.is_empty() && !members.iter().any(begins) {
        return Ok(From::Nothing);
    }
    let origin = match (order, cluster.spec.origin(), cluster.spec.migrate()) {
        (Some(order), _, _) => &order.spec.origin,
        (None, Some(origin), _) => origin,
        (None, None, Some(migrate)) => {
            let namespace = cluster.metadata.namespace.clone().unwrap_or_default();
            let secrets = [("bootstrap.migrate.tlsSecret", migrate.tls_secret.as_deref(), &["ca.crt"][..])];
            return Ok(match missing_secret(client, &namespace, &secrets).await? {
                Some(missing) => From::Missing(missing),
                None => From::Etcd(Box::new(migrate.clone())),
            });
        }
        (None, None, None) => return Ok(From::Nothing),
    };
    let source = find(client, cluster, origin).await?;
    Ok(match source {
        Ok(source) => match missing(client, &source.namespace, &source.store, source.encryption.as_ref()).await? {
            Some(missing) => From::Missing(missing),
            None => From::Backup(Box::new(source)),
        },
        Err(missing) => From::Missing(missing),
    })
}

/// As a resource has it, with what it refers to.
pub async fn find(
    client: &Client,
    cluster: &EtcdCluster,
    origin: &crate::crd::bootstrap::Origin,
) -> kube::Result<Result<Source, String>> {
    let namespace = cluster.metadata.namespace.clone().unwrap_or_default();
    let backups: Api<EtcdBackup> = Api::namespaced(client.clone(), &namespace);
    let backup = match &origin.backup_name {
        Some(name) => backups.get_opt(name).await?,
        None => None,
    };
    Ok(Source::of(origin, cluster, backup.as_ref()))
}

/// What a store needs and nobody has made: a pod would wait for it without a word.
pub async fn missing(
    client: &Client,
    namespace: &str,
    store: &Store,
    encryption: Option<&Encryption>,
) -> kube::Result<Option<String>> {
    let (s3, gcs, azure) = (store.s3.as_ref(), store.gcs.as_ref(), store.azure.as_ref());
    let secrets = [
        (
            "store.s3.credentialsSecret",
            s3.and_then(|s3| s3.credentials_secret.as_deref()),
            &["accessKeyId", "secretAccessKey"][..],
        ),
        ("store.s3.caSecret", s3.and_then(|s3| s3.ca_secret.as_deref()), &["ca.crt"]),
        ("store.gcs.credentialsSecret", gcs.and_then(|gcs| gcs.credentials_secret.as_deref()), &["credentials.json"]),
        ("store.azure.credentialsSecret", azure.and_then(|azure| azure.credentials_secret.as_deref()), &[]),
        ("encryption.identitySecret", encryption.and_then(|one| one.identity_secret.as_deref()), &["identity"]),
    ];
    if let Some(missing) = missing_secret(client, namespace, &secrets).await? {
        return Ok(Some(missing));
    }
    let Some(volume) = &store.volume else { return Ok(None) };
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let found = claims.get_opt(&volume.claim_name).await?;
    Ok(found.is_none().then(|| {
        format!("store.volume.claimName: there is no PersistentVolumeClaim {} in this namespace", volume.claim_name)
    }))
}

/// A field, the Secret that it names, and keys that the Secret must have.
type Named<'a> = (&'a str, Option<&'a str>, &'a [&'a str]);

async fn missing_secret(client: &Client, namespace: &str, named: &[Named<'_>]) -> kube::Result<Option<String>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    for (field, name, keys) in named {
        let Some(name) = name else { continue };
        let Some(secret) = secrets.get_opt(name).await? else {
            return Ok(Some(format!("{field}: there is no Secret {name} in this namespace")));
        };
        let has = |key: &&&str| secret.data.as_ref().is_some_and(|data| data.contains_key(**key));
        if let Some(key) = keys.iter().find(|key| !has(key)) {
            return Ok(Some(format!("{field}: Secret {name} has no key {key}")));
        }
    }
    Ok(None)
}
