//! Certificates of cert-manager, whose kind may not be there.

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt};
use serde_json::json;

use super::wanted::{self, Kind};
use crate::act::FIELD_MANAGER;
use crate::crd::tls::{IssuerRef, Mode};
use crate::crd::{EtcdCluster, label};
use crate::desired::member::{cluster_labels, owner};

fn kind() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("cert-manager.io", "v1", "Certificate"))
}

/// Those that the resource asks for.
pub fn certificates(cluster: &EtcdCluster) -> Vec<DynamicObject> {
    let tls = &cluster.spec.tls;
    let kinds = wanted::kinds(cluster).into_iter().filter(|(_, mode)| *mode == Mode::CertManager);
    kinds
        .filter_map(|(kind, _)| {
            let issuer = if kind == Kind::Peer { &tls.peer.issuer_ref } else { &tls.client.issuer_ref };
            Some(certificate(cluster, kind, issuer.as_ref()?))
        })
        .collect()
}

fn certificate(cluster: &EtcdCluster, which: Kind, issuer: &IssuerRef) -> DynamicObject {
    let (mut dns, mut addresses) = (Vec::new(), Vec::new());
    for name in wanted::names(cluster, which) {
        if name.parse::<std::net::IpAddr>().is_ok() { addresses.push(name) } else { dns.push(name) }
    }
    let (common_name, usages) = match which {
        // With authentication this is the user's name, and etcd's first user is root.
        Kind::Client => ("root".to_owned(), json!(["digital signature", "client auth"])),
        Kind::Server => {
            (format!("{} server", cluster.name_any()), json!(["digital signature", "server auth", "client auth"]))
        }
        Kind::Peer => {
            (format!("{} peer", cluster.name_any()), json!(["digital signature", "server auth", "client auth"]))
        }
    };
    let mut spec = json!({
        "secretName": wanted::source(cluster, which),
        "commonName": common_name,
        "usages": usages,
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "issuerRef": {"name": issuer.name, "kind": issuer.kind, "group": issuer.group},
    });
    for (key, names) in [("dnsNames", dns), ("ipAddresses", addresses)] {
        if !names.is_empty() {
            spec[key] = json!(names);
        }
    }
    let mut object = DynamicObject::new(&wanted::secret(cluster, which), &kind()).data(json!({"spec": spec}));
    object.metadata.namespace = cluster.namespace();
    object.metadata.labels = Some(cluster_labels(&cluster.name_any()));
    object.metadata.owner_references = Some(owner(cluster).into_iter().collect());
    object
}

/// Makes them what the resource asks for, and deletes those that it asks for no more. `false`: Kubernetes doesn't know the kind.
pub async fn keep(client: &Client, cluster: &EtcdCluster) -> kube::Result<bool> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &cluster.namespace().unwrap_or_default(), &kind());
    let wanted = certificates(cluster);
    let of_cluster = ListParams::default().labels(&format!("{}={}", label::CLUSTER, cluster.name_any()));
    let there = match api.list(&of_cluster).await {
        Ok(there) => there.items,
        // Of an unknown kind the answer has a code alone. Without permission there is nothing to delete either.
        Err(kube::Error::Api(status)) if status.code == 404 || (status.code == 403 && wanted.is_empty()) => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    for object in &wanted {
        api.patch(&object.name_any(), &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(object)).await?;
    }
    let uid = cluster.metadata.uid.as_ref();
    let is_ours = |found: &DynamicObject| found.owner_references().iter().any(|owner| Some(&owner.uid) == uid);
    let is_wanted = |found: &DynamicObject| wanted.iter().any(|object| object.name_any() == found.name_any());
    for left in there.iter().filter(|found| is_ours(found) && !is_wanted(found)) {
        match api.delete(&left.name_any(), &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// What a Certificate says of itself.
pub async fn complaint(client: &Client, cluster: &EtcdCluster, which: Kind) -> kube::Result<String> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &cluster.namespace().unwrap_or_default(), &kind());
    let name = wanted::secret(cluster, which);
    let found = match api.get_opt(&name).await {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(format!("there is no Certificate {name} yet")),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            return Ok("cert-manager is not installed: Kubernetes knows no kind Certificate of cert-manager.io; install it, or \
                       choose another mode"
                .to_owned());
        }
        Err(error) => return Err(error),
    };
    let conditions = found.data["status"]["conditions"].as_array();
    let ready = conditions.and_then(|conditions| conditions.iter().find(|condition| condition["type"] == "Ready"));
    let message = ready.and_then(|ready| ready["message"].as_str()).unwrap_or("its issuer has said nothing yet");
    Ok(format!(
        "Certificate {name} is not issued: {message}; see that its issuer {} is there and ready",
        found.data["spec"]["issuerRef"]["name"]
    ))
}
