//! `restart`: every member anew, one by one.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use quorate_operator::crd::{EtcdCluster, label};
use serde_json::json;

use super::{follow, say};
use crate::Error;
use crate::access::Access;
use crate::arguments::Patience;

/// Any new value is a change of the pods, which the operator rolls out.
const RESTARTED: &str = "quorate.io/restarted-at";

pub async fn run(access: &Access, name: &str, patience: Patience) -> Result<(), Error> {
    let cluster = access.cluster(name).await?;
    must_be_looked_after(&cluster, name)?;
    if cluster.spec.replicas == 0 {
        let remedy = format!("`kubectl quorate resume {name}` starts it");
        return Err(Error::situation(format!("{name} is hibernated: there is nothing to restart"), remedy));
    }
    let value = Timestamp::now().to_string();
    access.patch(name, json!({"spec": {"podTemplate": {"annotations": {RESTARTED: value}}}})).await?;
    if !patience.wait {
        return say::line(&format!(
            "{name} restarts, one member at a time; `kubectl quorate status {name} --watch` shows it"
        ));
    }
    let is_done =
        async |cluster: &EtcdCluster| Ok(follow::is_at_rest(cluster) && all_are_new(access, name, &value).await?);
    let begun = Timestamp::now();
    follow::until(access, name, "the restart", patience.timeout, is_done).await?;
    let took: SignedDuration = Timestamp::now().duration_since(begun);
    say::line(&format!("all members of {name} have restarted in {} s", took.as_secs()))
}

/// Nothing happens to a cluster that is paused.
pub fn must_be_looked_after(cluster: &EtcdCluster, name: &str) -> Result<(), Error> {
    if !cluster.spec.paused {
        return Ok(());
    }
    let remedy = format!("`kubectl quorate unpause {name}` first");
    Err(Error::situation(format!("{name} is paused: the operator would do nothing"), remedy))
}

async fn all_are_new(access: &Access, name: &str, value: &str) -> Result<bool, Error> {
    let ours = ListParams::default().labels(&format!("{}={name}", label::CLUSTER));
    let pods = access.list::<Pod>(&ours).await?;
    Ok(pods.iter().all(|pod| pod.annotations().get(RESTARTED).is_some_and(|found| found == value)))
}
