//! Pods and containers that run `quorate-backup`: its command line, and what it needs from Secrets and volumes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, EphemeralVolumeSource, PersistentVolumeClaimSpec,
    PersistentVolumeClaimTemplate, PersistentVolumeClaimVolumeSource, PodSpec, PodTemplateSpec, SecretKeySelector,
    SecretVolumeSource, Volume, VolumeMount, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::pod::{confined, restricted, variable};
use crate::crd::label;
use crate::crd::store::{Encryption, Store, Worker};

/// The container.
pub const CONTAINER: &str = "quorate-backup";
/// Where the kubelet looks for a container's last words.
pub const REPORT: &str = "/dev/termination-log";
pub const SPOOL: &str = "/var/lib/quorate/spool";
const STORE: &str = "/var/lib/quorate/store";
const AUTHORITY: &str = "/etc/quorate/store-ca";
const CREDENTIALS: &str = "/etc/quorate/store-credentials";
const IDENTITY: &str = "/etc/quorate/identity";

/// A command line, and what has to be there for it.
#[derive(Clone, Debug, Default)]
pub struct Errand {
    pub arguments: Vec<String>,
    pub environment: Vec<EnvVar>,
    pub volumes: Vec<Volume>,
    pub mounts: Vec<VolumeMount>,
}

impl Errand {
    pub fn new(command: &str) -> Self {
        Self { arguments: vec![command.to_owned()], ..Self::default() }
    }

    pub fn flag(&mut self, flag: &str, value: impl std::fmt::Display) {
        self.arguments.push(format!("--{flag}={value}"));
    }

    /// The store, with what it takes to be let in.
    pub fn store(&mut self, store: &Store, namespace: &str, cluster: &str) {
        self.flag("store", url(store, namespace, cluster));
        if let Some(s3) = &store.s3 {
            self.option("aws_region", s3.region.as_deref().unwrap_or("us-east-1"));
            if let Some(endpoint) = &s3.endpoint {
                self.option("aws_endpoint", endpoint);
                if endpoint.starts_with("http://") {
                    self.option("aws_allow_http", "true");
                }
            }
            if s3.virtual_hosted_style {
                self.option("aws_virtual_hosted_style_request", "true");
            }
            if let Some(encryption) = &s3.server_side_encryption {
                let algorithm = serde_json::to_value(encryption.algorithm).unwrap_or_default();
                self.option("aws_server_side_encryption", algorithm.as_str().unwrap_or_default());
                if let Some(key) = &encryption.key_id {
                    self.option("aws_sse_kms_key_id", key);
                }
            }
            if let Some(secret) = &s3.credentials_secret {
                self.secret_variable("AWS_ACCESS_KEY_ID", secret, "accessKeyId", false);
                self.secret_variable("AWS_SECRET_ACCESS_KEY", secret, "secretAccessKey", false);
                self.secret_variable("AWS_SESSION_TOKEN", secret, "sessionToken", true);
            }
            if let Some(secret) = &s3.ca_secret {
                self.secret("store-ca", secret, AUTHORITY);
                self.flag("store-ca-file", format!("{AUTHORITY}/ca.crt"));
            }
        }
        if let Some(secret) = store.gcs.as_ref().and_then(|gcs| gcs.credentials_secret.as_ref()) {
            self.secret("store-credentials", secret, CREDENTIALS);
            self.variable("GOOGLE_SERVICE_ACCOUNT", format!("{CREDENTIALS}/credentials.json"));
        }
        if let Some(azure) = &store.azure {
            self.option("azure_storage_account_name", &azure.account);
            if let Some(secret) = &azure.credentials_secret {
                self.secret_variable("AZURE_STORAGE_ACCOUNT_KEY", secret, "accountKey", true);
                self.secret_variable("AZURE_STORAGE_CLIENT_ID", secret, "clientId", true);
                self.secret_variable("AZURE_STORAGE_CLIENT_SECRET", secret, "clientSecret", true);
                self.secret_variable("AZURE_STORAGE_TENANT_ID", secret, "tenantId", true);
            }
        }
        if let Some(volume) = &store.volume {
            let claim = PersistentVolumeClaimVolumeSource {
                claim_name: volume.claim_name.clone(),
                ..PersistentVolumeClaimVolumeSource::default()
            };
            let source = Volume { persistent_volume_claim: Some(claim), ..Volume::default() };
            self.volume("store", source, STORE, false);
        }
    }

    /// To write backups for others' eyes only.
    pub fn recipients(&mut self, encryption: Option<&Encryption>) {
        for recipient in encryption.into_iter().flat_map(|encryption| &encryption.recipients) {
            self.flag("recipient", recipient);
        }
    }

    /// To read such backups.
    pub fn identity(&mut self, encryption: Option<&Encryption>) {
        if let Some(secret) = encryption.and_then(|encryption| encryption.identity_secret.as_ref()) {
            self.secret("identity", secret, IDENTITY);
            self.flag("identity-file", format!("{IDENTITY}/identity"));
        }
    }

    /// Room for a snapshot.
    pub fn spool(&mut self, worker: &Worker) {
        let size = worker.spool_size.clone();
        let source = match &worker.spool_class {
            None => Volume {
                empty_dir: Some(EmptyDirVolumeSource { size_limit: size, ..EmptyDirVolumeSource::default() }),
                ..Volume::default()
            },
            Some(class) => {
                let size = size.unwrap_or_else(|| Quantity("8Gi".to_owned()));
                let requests = BTreeMap::from([("storage".to_owned(), size)]);
                let claim = PersistentVolumeClaimSpec {
                    access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
                    storage_class_name: Some(class.clone()),
                    resources: Some(VolumeResourceRequirements { requests: Some(requests), limits: None }),
                    ..PersistentVolumeClaimSpec::default()
                };
                let template = PersistentVolumeClaimTemplate { metadata: None, spec: claim };
                Volume {
                    ephemeral: Some(EphemeralVolumeSource { volume_claim_template: Some(template) }),
                    ..Volume::default()
                }
            }
        };
        self.volume("spool", source, SPOOL, false);
    }

    /// Files of a Secret.
    pub fn secret(&mut self, volume: &str, secret: &str, path: &str) {
        let source = SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        };
        self.volume(volume, Volume { secret: Some(source), ..Volume::default() }, path, true);
    }

    fn volume(&mut self, name: &str, source: Volume, path: &str, is_read_only: bool) {
        self.volumes.push(Volume { name: name.to_owned(), ..source });
        self.mounts.push(VolumeMount {
            name: name.to_owned(),
            mount_path: path.to_owned(),
            read_only: is_read_only.then_some(true),
            ..VolumeMount::default()
        });
    }

    fn option(&mut self, key: &str, value: &str) {
        self.flag("store-option", format!("{key}={value}"));
    }

    fn variable(&mut self, name: &str, value: String) {
        self.environment.push(variable(name, value));
    }

    fn secret_variable(&mut self, name: &str, secret: &str, key: &str, is_optional: bool) {
        let source =
            SecretKeySelector { name: secret.to_owned(), key: key.to_owned(), optional: is_optional.then_some(true) };
        self.environment.push(EnvVar {
            name: name.to_owned(),
            value: None,
            value_from: Some(EnvVarSource { secret_key_ref: Some(source), ..EnvVarSource::default() }),
        });
    }

    /// The container that does it.
    pub fn container(&self, image: &str, worker: &Worker) -> Container {
        Container {
            name: CONTAINER.to_owned(),
            image: Some(image.to_owned()),
            command: Some(vec!["/usr/local/bin/quorate-backup".to_owned()]),
            args: Some(self.arguments.clone()),
            env: (!self.environment.is_empty()).then(|| self.environment.clone()),
            volume_mounts: (!self.mounts.is_empty()).then(|| self.mounts.clone()),
            resources: Some(worker.resources.clone()),
            security_context: Some(confined()),
            termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
            ..Container::default()
        }
    }

    /// A pod of this container alone.
    pub fn pod(&self, container: Container, worker: &Worker, labels: BTreeMap<String, String>) -> PodTemplateSpec {
        let mut all = worker.labels.clone();
        all.extend(labels);
        let optional = |pairs: &BTreeMap<String, String>| (!pairs.is_empty()).then(|| pairs.clone());
        PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(all),
                annotations: optional(&worker.annotations),
                ..ObjectMeta::default()
            }),
            spec: Some(PodSpec {
                containers: vec![container],
                volumes: (!self.volumes.is_empty()).then(|| self.volumes.clone()),
                node_selector: optional(&worker.node_selector),
                tolerations: (!worker.tolerations.is_empty()).then(|| worker.tolerations.clone()),
                priority_class_name: worker.priority_class_name.clone(),
                service_account_name: worker.service_account_name.clone(),
                image_pull_secrets: (!worker.image_pull_secrets.is_empty()).then(|| worker.image_pull_secrets.clone()),
                // An identity at an object store has a token of its own, which is mounted all the same.
                automount_service_account_token: Some(false),
                enable_service_links: Some(false),
                security_context: Some(restricted()),
                ..PodSpec::default()
            }),
        }
    }
}

/// As `--store` has it.
pub fn url(store: &Store, namespace: &str, cluster: &str) -> String {
    let prefix = store.prefix.replace("$(NAMESPACE)", namespace).replace("$(CLUSTER)", cluster);
    let base = match (&store.s3, &store.gcs, &store.azure) {
        (Some(s3), _, _) => format!("s3://{}", s3.bucket),
        (None, Some(gcs), _) => format!("gs://{}", gcs.bucket),
        (None, None, Some(azure)) => format!("az://{}", azure.container),
        (None, None, None) => format!("file://{STORE}"),
    };
    if prefix.is_empty() { base } else { format!("{base}/{prefix}") }
}

/// Where it is, for people.
pub fn location(store: &Store, namespace: &str, cluster: &str, id: &str) -> String {
    let url = url(store, namespace, cluster);
    let url = match &store.volume {
        Some(volume) => url.replace(&format!("file://{STORE}"), &format!("claim {}:", volume.claim_name)),
        None => url,
    };
    format!("{url}/backups/{id}")
}

/// On the objects of errands.
pub fn labels(key: &str, name: &str) -> BTreeMap<String, String> {
    let name_label = ("app.kubernetes.io/name", "quorate-backup");
    let pairs = [label::MANAGED_BY, name_label, (key, name)];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
