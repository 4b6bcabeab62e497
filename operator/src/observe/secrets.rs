//! Secrets of certificates. They are read by name, never watched, and kept for a while.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::{Client, ResourceExt};
use parking_lot::Mutex;

use crate::certificates::wanted::{self, Kind};
use crate::crd::EtcdCluster;
use crate::desired::name;

/// A Secret that somebody deletes or changes is noticed within this time.
const AGE: Duration = Duration::from_secs(300);

struct Kept {
    read: Instant,
    /// Which were asked for.
    names: Vec<String>,
    secrets: Vec<Secret>,
}

/// By the uid of their cluster.
#[derive(Default)]
pub struct Secrets {
    kept: Mutex<HashMap<String, Kept>>,
}

impl Secrets {
    /// Those of a cluster, at most [`AGE`] old; read anew if `afresh`.
    pub async fn of(&self, client: &Client, cluster: &EtcdCluster, afresh: bool) -> kube::Result<Vec<Secret>> {
        let (uid, names) = (cluster.uid().unwrap_or_default(), names(cluster));
        if let Some(kept) = self.kept.lock().get(&uid)
            && !afresh
            && kept.read.elapsed() < AGE
            && kept.names == names
        {
            return Ok(kept.secrets.clone());
        }
        let api: Api<Secret> = Api::namespaced(client.clone(), &cluster.namespace().unwrap_or_default());
        let mut secrets = Vec::new();
        for name in &names {
            secrets.extend(api.get_opt(name).await?);
        }
        self.kept.lock().insert(uid, Kept { read: Instant::now(), names, secrets: secrets.clone() });
        Ok(secrets)
    }

    /// After some were written. What somebody else wrote is no younger for it.
    pub fn keep(&self, cluster: &EtcdCluster, secrets: Vec<Secret>) {
        if let Some(kept) = self.kept.lock().get_mut(&cluster.uid().unwrap_or_default()) {
            kept.secrets = secrets;
        }
    }

    /// Drops what is about others than these uids.
    pub fn retain(&self, uids: &HashSet<String>) {
        self.kept.lock().retain(|uid, _| uids.contains(uid));
    }
}

/// Those that the operator writes, and those from which it takes what is in them.
fn names(cluster: &EtcdCluster) -> Vec<String> {
    let mut names = vec![name::authority_secret(&cluster.name_any())];
    // Also those of a side that is off: members may be on their way there.
    for kind in [Kind::Server, Kind::Client, Kind::Peer] {
        names.push(wanted::secret(cluster, kind));
        names.extend(wanted::source(cluster, kind));
    }
    names
}
