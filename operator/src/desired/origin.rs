//! The data that a cluster's first member begins with: a container fetches it before the member starts.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::VolumeMount;
use kube::ResourceExt;

use super::pod::DATA;
use super::worker::{self, Errand};
use crate::crd::backup::EtcdBackup;
use crate::crd::bootstrap::{Migrate, Origin};
use crate::crd::store::{Encryption, Store, Worker};
use crate::crd::tls::Mode;
use crate::crd::{EtcdCluster, EtcdMember};

const OTHER_TLS: &str = "/etc/quorate/other-tls";

/// Where a backup is, and which.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub store: Store,
    pub encryption: Option<Encryption>,
    pub namespace: String,
    /// That was backed up.
    pub cluster: String,
    pub id: Option<String>,
    pub revision: Option<i64>,
    pub time: Option<Timestamp>,
    /// A file in place of a backup.
    pub snapshot: Option<String>,
    pub bump_revision: i64,
    /// The new members serve clients in plain text.
    pub is_plain: bool,
    pub worker: Worker,
}

/// Where the first member's data comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum From {
    /// From nowhere: it is empty.
    #[default]
    Nothing,
    Backup(Box<Source>),
    Etcd(Box<Migrate>),
    /// It can't be had, for this reason.
    Missing(String),
}

impl Source {
    /// As a resource has it; `found` is the EtcdBackup that it names. An error says what is missing.
    pub fn of(origin: &Origin, cluster: &EtcdCluster, found: Option<&EtcdBackup>) -> Result<Self, String> {
        let select = origin.select.clone().unwrap_or_default();
        let (store, encryption, name, id) = match (&origin.backup_name, found, &origin.store) {
            (Some(_), Some(backup), _) => {
                let id = backup.status.as_ref().and_then(|status| status.id.clone());
                let is_complete = backup.status.as_ref().is_some_and(|status| status.finished.is_some());
                let Some(id) = id.filter(|_| is_complete) else {
                    return Err(format!("EtcdBackup {} is not complete; waiting for it", backup.name_any()));
                };
                let spec = &backup.spec;
                (spec.store.clone(), spec.encryption.clone(), spec.cluster_name.clone(), Some(id))
            }
            (Some(name), None, _) => {
                return Err(format!(
                    "there is no EtcdBackup {name} in this namespace; name another, or give its store and id"
                ));
            }
            (None, _, Some(store)) => (store.clone(), origin.encryption.clone(), cluster.name_any(), select.id),
            (None, _, None) => return Err("neither backupName nor store is given".to_owned()),
        };
        Ok(Self {
            store,
            encryption: origin.encryption.clone().or(encryption),
            namespace: cluster.namespace().unwrap_or_default(),
            cluster: name,
            id,
            revision: select.revision,
            time: select.time.map(|time| time.0),
            snapshot: origin.snapshot.clone(),
            bump_revision: origin.bump_revision,
            is_plain: cluster.spec.tls.client.mode == Mode::Disabled,
            worker: origin.worker.clone(),
        })
    }

    pub fn reach(&self, errand: &mut Errand) {
        errand.store(&self.store, &self.namespace, &self.cluster);
        errand.identity(self.encryption.as_ref());
    }

    pub fn select(&self, errand: &mut Errand) {
        self.id.iter().for_each(|id| errand.flag("id", id));
        self.revision.iter().for_each(|revision| errand.flag("at-revision", revision));
        self.time.iter().for_each(|time| errand.flag("at", time));
        self.snapshot.iter().for_each(|name| errand.flag("snapshot", name));
    }
}

/// What fetches a member's data into its volume. None: it begins empty.
pub fn errand(from: &From, member: &EtcdMember) -> Option<(Errand, Worker)> {
    let (mut errand, worker) = match from {
        From::Nothing | From::Missing(_) => return None,
        From::Backup(source) => {
            let mut errand = Errand::new("restore");
            source.reach(&mut errand);
            source.select(&mut errand);
            if source.bump_revision > 0 {
                errand.flag("bump-revision", source.bump_revision);
                errand.arguments.push("--mark-compacted".to_owned());
            }
            if source.is_plain {
                errand.arguments.push("--refuse-authentication".to_owned());
            }
            (errand, source.worker.clone())
        }
        From::Etcd(migrate) => {
            let mut errand = Errand::new("copy");
            other(&mut errand, migrate, "endpoints", "");
            (errand, migrate.worker.clone())
        }
    };
    errand.flag("data-dir", format!("{DATA}/data"));
    errand.flag("name", member.name_any());
    errand.flag("initial-cluster", member.spec.initial_cluster.clone().unwrap_or_default());
    errand.flag("initial-cluster-token", &member.spec.token);
    errand.flag("initial-advertise-peer-urls", &member.spec.peer_url);
    errand.flag("report", worker::REPORT);
    let mount = VolumeMount { name: "data".to_owned(), mount_path: DATA.to_owned(), ..VolumeMount::default() };
    errand.mounts.push(mount);
    Some((errand, worker))
}

/// The way to the other etcd.
pub fn other(errand: &mut Errand, migrate: &Migrate, endpoints: &str, side: &str) {
    errand.flag(endpoints, migrate.endpoints.join(","));
    if let Some(secret) = &migrate.tls_secret {
        errand.secret("other-tls", secret, OTHER_TLS);
        for (flag, file) in [("cacert", "ca.crt"), ("cert", "tls.crt"), ("key", "tls.key")] {
            errand.flag(&format!("{side}{flag}"), format!("{OTHER_TLS}/{file}"));
        }
    }
}
