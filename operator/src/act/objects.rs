//! Objects as they should be.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::refusal::{Refusals, is_refusal};
use crate::crd::label;
use crate::digest;

/// Who applies.
pub const FIELD_MANAGER: &str = "quorate-operator";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Kubernetes refuses an object")]
    Kubernetes(#[from] kube::Error),
    #[error("there is a {kind} {name} that this EtcdCluster didn't make and needs the name of; rename one of them")]
    Foreign { kind: String, name: String },
}

/// A kind that has namespaces.
pub trait Objects:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug
{
}
impl<K> Objects for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug
{
}

/// Makes an object what it should be, as far as its fields are ours.
pub async fn apply<K: Objects>(client: &Client, namespace: &str, object: &K) -> kube::Result<K> {
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.patch(&object.name_any(), &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(object)).await
}

/// Whether Kubernetes would take an object, and why not. That it is there already is no reason, and neither is a quota: what it takes the
/// place of counts too. Where that can't be found out, it would.
pub async fn would_take<K: Objects>(client: &Client, namespace: &str, object: &K) -> kube::Result<()> {
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let field_manager = Some(FIELD_MANAGER.to_owned());
    match api.create(&PostParams { dry_run: true, field_manager }, object).await {
        Err(kube::Error::Api(status))
            if status.message.contains("exceeded quota") || status.message.contains("does not support dry run") =>
        {
            Ok(())
        }
        tried => refusal_of(tried),
    }
}

/// Whether Kubernetes would give a volume more room, and why not.
pub async fn would_grow(client: &Client, namespace: &str, volume: &str, size: &Quantity) -> kube::Result<()> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    refusal_of(api.patch(volume, &dry, &Patch::Merge(larger(size))).await)
}

/// Of a dry run. Answers that are no refusal prove nothing.
fn refusal_of<T>(tried: kube::Result<T>) -> kube::Result<()> {
    match tried {
        Err(error) if is_refusal(&error) => Err(error),
        Err(kube::Error::Api(_)) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A change of a claim.
pub fn larger(size: &Quantity) -> Value {
    json!({"spec": {"resources": {"requests": {"storage": size}}}})
}

/// Makes an object that is not there. Another's is left alone.
pub async fn ensure<K: Objects>(client: &Client, namespace: &str, object: &K) -> kube::Result<()> {
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    match api.create(&parameters, object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Deletes the object with this uid. Another of its name is not meant, and one that is gone already is no error.
pub async fn delete<K: Objects>(client: &Client, namespace: &str, name: &str, uid: &str) -> kube::Result<()> {
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    gone(api.delete(name, &DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() }).await)
}

pub fn gone<T>(deleted: kube::Result<T>) -> kube::Result<()> {
    match deleted {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        deleted => deleted.map(drop),
    }
}

/// Makes a cluster's objects of a kind the wanted ones: applies those that differ from what is there, and deletes those that are not
/// wanted any more. `there` has the cluster's alone.
pub async fn keep<K: Objects>(
    client: &Client,
    namespace: &str,
    there: &[K],
    wanted: Vec<K>,
    refusals: &mut Refusals,
) -> Result<(), Error> {
    for mut object in wanted.iter().cloned() {
        seal(&mut object);
        let found = there.iter().find(|found| found.name_any() == object.name_any());
        if !found.is_some_and(|found| is_as_wanted(found, &object)) {
            refusals.note(make(client, namespace, found, &object).await)?;
        }
    }
    let is_wanted = |found: &K| wanted.iter().any(|object| object.name_any() == found.name_any());
    for left in there.iter().filter(|found| found.meta().deletion_timestamp.is_none() && !is_wanted(found)) {
        delete::<K>(client, namespace, &left.name_any(), &left.uid().unwrap_or_default()).await?;
    }
    Ok(())
}

async fn make<K: Objects>(client: &Client, namespace: &str, found: Option<&K>, wanted: &K) -> Result<(), Error> {
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let name = wanted.name_any();
    if found.is_none() {
        refuse_foreign(api.get_opt(&name).await?, wanted)?;
    }
    match apply(client, namespace, wanted).await {
        // Somebody changed the key of a list's entry, such as a Service's port: applying would add a second one beside it.
        Err(kube::Error::Api(status)) if status.code == 422 && found.is_some() => {
            api.patch(&name, &PatchParams::default(), &Patch::Merge(wanted)).await?;
        }
        applied => drop(applied?),
    }
    Ok(())
}

/// What somebody else made is not taken over.
fn refuse_foreign<K: Objects>(found: Option<K>, wanted: &K) -> Result<(), Error> {
    let Some(found) = found else { return Ok(()) };
    let owners = |object: &K| object.owner_references().iter().map(|owner| owner.uid.clone()).collect::<Vec<_>>();
    let ours = owners(wanted);
    if owners(&found).iter().any(|owner| ours.contains(owner)) {
        return Ok(());
    }
    Err(Error::Foreign { kind: K::kind(&()).into_owned(), name: found.name_any() })
}

/// Notes what was wanted: what is wanted no more is not seen by a comparison.
fn seal<K: Objects>(object: &mut K) {
    let text = serde_json::to_string(object).unwrap_or_default();
    let hash = digest::short(text);
    object.annotations_mut().insert(label::INTENT.to_owned(), hash);
}

fn is_as_wanted<K: Objects>(found: &K, wanted: &K) -> bool {
    match (serde_json::to_value(found), serde_json::to_value(wanted)) {
        (Ok(found), Ok(wanted)) => contains(&found, &wanted),
        _ => false,
    }
}

/// Everything that is wanted is there. Kubernetes adds defaults, and others their own fields.
fn contains(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| contains(found, wanted)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| contains(found, wanted))
        }
        (found, wanted) => found == wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::contains;

    #[test]
    fn defaults_of_others_are_no_difference_and_edits_are() {
        let wanted = json!({"spec": {"ports": [{"port": 1}], "selector": {"a": "b"}}});
        let there =
            json!({"spec": {"ports": [{"port": 1, "protocol": "TCP"}], "selector": {"a": "b"}, "type": "ClusterIP"}});
        assert!(contains(&there, &wanted));
        for edited in [
            json!({"spec": {"ports": [{"port": 2}], "selector": {"a": "b"}}}),
            json!({"spec": {"ports": [{"port": 1}, {"port": 2}], "selector": {"a": "b"}}}),
            json!({"spec": {"ports": [{"port": 1}]}}),
        ] {
            assert!(!contains(&edited, &wanted), "{edited}");
        }
    }
}
