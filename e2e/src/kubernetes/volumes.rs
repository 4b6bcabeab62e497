//! Disks for those who claim them: a provisioner of local volumes, as small as the tests need it.
//!
//! A volume is a folder of the node that the scheduler has chosen for the first pod, owned by root as a new disk is,
//! and stays on that node. It goes when its claim goes, and grows when its claim grows, in name only.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::api::Api;
use crate::Error;

/// The class's name; claims that name none get it too.
pub(super) const CLASS: &str = "local";
const PROVISIONER: &str = "quorate.test/local";
/// Where a node has its volumes, in its own mounts. [`super::node`] says where that is outside.
pub(super) const FOLDER: &str = "/var/lib/volumes";
/// Time between two looks at the claims.
const STEP: Duration = Duration::from_millis(250);

const CLAIMS: &str = "/api/v1/persistentvolumeclaims?resourceVersion=0";
const VOLUMES: &str = "/api/v1/persistentvolumes";

/// Runs in the background until it is dropped.
#[derive(Debug)]
pub(super) struct Provisioner {
    task: JoinHandle<()>,
}

impl Provisioner {
    /// `nodes`: names, and the folders in which they have their volumes.
    pub(super) async fn start(api: Api, nodes: Vec<(String, PathBuf)>, log: PathBuf) -> Result<Provisioner, Error> {
        let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": PROVISIONER, "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true});
        api.expect(Method::POST, "/apis/storage.k8s.io/v1/storageclasses", Some(&class)).await?;
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = round(&api, &nodes).await {
                    // The next round tries again; a test that waits for a disk in vain finds the reason here.
                    note(&log, &error);
                }
                tokio::time::sleep(STEP).await;
            }
        });
        Ok(Provisioner { task })
    }
}

impl Drop for Provisioner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn note(log: &Path, error: &Error) {
    if let Ok(mut file) = std::fs::File::options().create(true).append(true).open(log) {
        let _ = writeln!(file, "{error:?}");
    }
}

async fn round(api: &Api, nodes: &[(String, PathBuf)]) -> Result<(), Error> {
    let claims = api.expect(Method::GET, CLAIMS, None).await?;
    let volumes = api.expect(Method::GET, &format!("{VOLUMES}?resourceVersion=0"), None).await?;
    let volumes = items(&volumes);
    for claim in items(&claims).iter().filter(|claim| claim["spec"]["storageClassName"] == CLASS) {
        if claim["spec"]["volumeName"].is_null() {
            provide(api, nodes, claim).await?;
        } else if claim["status"]["phase"] == "Bound" {
            grow(api, claim).await?;
        }
    }
    for volume in volumes.iter().filter(|volume| volume["status"]["phase"] == "Released") {
        remove(api, nodes, volume).await?;
    }
    Ok(())
}

/// Makes the volume, if the scheduler has chosen a node.
async fn provide(api: &Api, nodes: &[(String, PathBuf)], claim: &Value) -> Result<(), Error> {
    let chosen = &claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"];
    let Some((node, folder)) = nodes.iter().find(|(name, _)| *chosen == name.as_str()) else { return Ok(()) };
    let metadata = &claim["metadata"];
    let name = format!("pvc-{}", metadata["uid"].as_str().unwrap_or_default());
    let folder = folder.join(&name);
    std::fs::create_dir_all(&folder).map_err(Error::io(format!("making {}", folder.display())))?;
    let here = json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]);
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": CLASS,
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": metadata["namespace"],
                "name": metadata["name"], "uid": metadata["uid"]},
            "local": {"path": format!("{FOLDER}/{name}")},
            "nodeAffinity": {"required": {"nodeSelectorTerms": here}}}});
    match api.call(Method::POST, VOLUMES, Some(&volume)).await? {
        (201 | 409, _) => Ok(()),
        (code, answer) => Err(Error::Answer { what: format!("making {name}"), answer: format!("{code} {answer}") }),
    }
}

/// Gives a claim what it asks for, if it asks for more.
async fn grow(api: &Api, claim: &Value) -> Result<(), Error> {
    let wanted = &claim["spec"]["resources"]["requests"]["storage"];
    if claim["status"]["capacity"]["storage"] == *wanted {
        return Ok(());
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let volume = format!("{VOLUMES}/{}", text(&claim["spec"]["volumeName"]));
    let capacity = json!({"capacity": {"storage": wanted}});
    api.expect(Method::PATCH, &volume, Some(&json!({"spec": capacity}))).await?;
    let (namespace, name) = (text(&claim["metadata"]["namespace"]), text(&claim["metadata"]["name"]));
    let status = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}/status");
    api.expect(Method::PATCH, &status, Some(&json!({"status": capacity}))).await.map(drop)
}

async fn remove(api: &Api, nodes: &[(String, PathBuf)], volume: &Value) -> Result<(), Error> {
    if volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"] != PROVISIONER {
        return Ok(());
    }
    let name = volume["metadata"]["name"].as_str().unwrap_or_default();
    for folder in nodes.iter().map(|(_, folder)| folder.join(name)).filter(|folder| folder.is_dir()) {
        std::fs::remove_dir_all(&folder).map_err(Error::io(format!("removing {}", folder.display())))?;
    }
    api.call(Method::DELETE, &format!("{VOLUMES}/{name}"), None).await.map(drop)
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}
