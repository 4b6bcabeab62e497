//! Everything about a cluster that Kubernetes gives to this user.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod, Secret};
use kube::ResourceExt;
use kube::api::ListParams;
use quorate_operator::crd::{EtcdCluster, EtcdMember, label};

use super::gauges::{self, Gauges};
use crate::Error;
use crate::access::Access;

/// Events of a namespace that are looked through.
const EVENTS_LIMIT: u32 = 1000;

/// A cluster with what belongs to it.
#[derive(Clone, Debug)]
pub struct Found {
    pub cluster: EtcdCluster,
    pub members: Vec<EtcdMember>,
    pub pods: Vec<Pod>,
    pub volumes: Vec<PersistentVolumeClaim>,
    pub secrets: Vec<Secret>,
    /// Of the whole namespace.
    pub events: Vec<Event>,
    /// By member.
    pub gauges: BTreeMap<String, Gauges>,
    /// What is missing here, and why.
    pub notes: Vec<String>,
    pub now: Timestamp,
}

/// Only the cluster itself must be readable; of everything else that isn't, a note is made.
pub async fn read(access: &Access, name: &str) -> Result<Found, Error> {
    let cluster = access.cluster(name).await?;
    let ours = ListParams::default().labels(&format!("{}={name}", label::CLUSTER));
    let all = ListParams::default().limit(EVENTS_LIMIT);
    let (members, pods, volumes, secrets, events) = tokio::join!(
        access.list::<EtcdMember>(&ours),
        access.list::<Pod>(&ours),
        access.list::<PersistentVolumeClaim>(&ours),
        access.list::<Secret>(&ours),
        access.list::<Event>(&all),
    );
    let mut notes = Vec::new();
    let pods = or_note(pods, "restarts", &mut notes);
    let gauges = match gauges::read(access, &running(&pods)).await {
        Ok(gauges) => gauges,
        Err(error) => {
            notes.push(format!("lag is not shown: {error}"));
            BTreeMap::new()
        }
    };
    Ok(Found {
        cluster,
        members: or_note(members, "members that are on their way", &mut notes),
        pods,
        volumes: or_note(volumes, "volumes", &mut notes),
        secrets: or_note(secrets, "certificates", &mut notes),
        events: or_note(events, "events", &mut notes),
        gauges,
        notes,
        now: Timestamp::now(),
    })
}

fn running(pods: &[Pod]) -> Vec<String> {
    let is_running = |pod: &&Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
    pods.iter().filter(is_running).map(ResourceExt::name_any).collect()
}

fn or_note<T>(list: Result<Vec<T>, Error>, what: &str, notes: &mut Vec<String>) -> Vec<T> {
    list.unwrap_or_else(|error| {
        notes.push(format!("{what} are not shown: {error}"));
        Vec::new()
    })
}
