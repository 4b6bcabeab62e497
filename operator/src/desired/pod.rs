//! A member's pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, HTTPGetAction,
    PersistentVolumeClaimVolumeSource, Pod, PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodSpec, Probe,
    SeccompProfile, SecretVolumeSource, SecurityContext, Volume, VolumeMount, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource, ResourceExt};
use sha2::{Digest, Sha256};

use super::{flags, member, name};
use crate::crd::member::Begins;
use crate::crd::pod::AntiAffinity;
use crate::crd::storage::Medium;
use crate::crd::tls::Mode;
use crate::crd::{EtcdCluster, EtcdMember, label};

/// The container of the server.
pub const CONTAINER: &str = "etcd";
/// The user of our images; any other would do as well.
const USER: i64 = 65532;
/// Where the volume is.
const DATA: &str = "/var/lib/etcd";

/// The pod of a member that may start.
pub fn pod(cluster: &EtcdCluster, member: &EtcdMember, image: &str) -> Pod {
    let template = &cluster.spec.pod_template;
    let mut labels = template.labels.clone();
    labels.extend(member::labels(&cluster.name_any(), &member.name_any()));
    let mut spec = spec(cluster, member, image);
    let mut annotations = template.annotations.clone();
    annotations.insert(label::INTENT.to_owned(), intent(&spec));
    // How a member begins is no part of what it is meant to be: afterwards it means nothing to it.
    if let Some(container) = spec.containers.first_mut() {
        container.env.get_or_insert_default().extend(beginning(member));
    }
    Pod {
        metadata: ObjectMeta {
            name: Some(member.name_any()),
            namespace: cluster.namespace(),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(member.controller_owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

/// Changes when the pod has to be made anew for what the resource says.
fn intent(spec: &PodSpec) -> String {
    let text = serde_json::to_string(spec).unwrap_or_default();
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn beginning(member: &EtcdMember) -> Vec<EnvVar> {
    let state = if member.spec.begins == Begins::Forming { "new" } else { "existing" };
    let pairs = [
        ("ETCD_INITIAL_CLUSTER", member.spec.initial_cluster.clone().unwrap_or_default()),
        ("ETCD_INITIAL_CLUSTER_STATE", state.to_owned()),
        ("ETCD_INITIAL_CLUSTER_TOKEN", member.spec.token.clone()),
    ];
    pairs.into_iter().map(|(key, value)| variable(key, value)).collect()
}

fn variable(key: &str, value: String) -> EnvVar {
    EnvVar { name: key.to_owned(), value: Some(value), value_from: None }
}

fn spec(cluster: &EtcdCluster, member: &EtcdMember, image: &str) -> PodSpec {
    let template = &cluster.spec.pod_template;
    let optional = |pairs: &BTreeMap<String, String>| (!pairs.is_empty()).then(|| pairs.clone());
    PodSpec {
        containers: vec![container(cluster, member, image)],
        volumes: Some(volumes(cluster, &member.name_any())),
        hostname: Some(member.name_any()),
        subdomain: Some(name::peers(&cluster.name_any())),
        affinity: template.affinity.clone().or_else(|| affinity(cluster)),
        topology_spread_constraints: (!template.topology_spread_constraints.is_empty())
            .then(|| template.topology_spread_constraints.clone()),
        node_selector: optional(&template.node_selector),
        tolerations: (!template.tolerations.is_empty()).then(|| template.tolerations.clone()),
        priority_class_name: template.priority_class_name.clone(),
        security_context: Some(template.security_context.clone().unwrap_or_else(restricted)),
        termination_grace_period_seconds: Some(template.termination_grace_period_seconds),
        image_pull_secrets: (!cluster.spec.image_pull_secrets.is_empty())
            .then(|| cluster.spec.image_pull_secrets.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        restart_policy: Some("Always".to_owned()),
        ..PodSpec::default()
    }
}

fn container(cluster: &EtcdCluster, member: &EtcdMember, image: &str) -> Container {
    let port = |name: &str, number| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        ..ContainerPort::default()
    };
    Container {
        name: CONTAINER.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: cluster.spec.image.pull_policy.map(|policy| format!("{policy:?}")),
        command: Some(vec!["/usr/local/bin/etcd".to_owned()]),
        args: Some(flags::of(cluster, member, &format!("{DATA}/data"))),
        env: (!cluster.spec.etcd.extra_env.is_empty()).then(|| cluster.spec.etcd.extra_env.clone()),
        ports: Some(vec![
            port("client", name::CLIENT_PORT),
            port("peer", name::PEER_PORT),
            port("metrics", name::METRICS_PORT),
        ]),
        resources: Some(cluster.spec.resources.clone()),
        volume_mounts: Some(mounts(cluster)),
        // A member with much to replay is slow to start, and none the worse for it.
        startup_probe: Some(probe("/livez", 1, 1800)),
        liveness_probe: Some(probe("/livez", 10, 6)),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        // Ours writes its reason to stop there; of others the last lines of the log must do.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

fn probe(path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(name::METRICS_PORT),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn secrets(cluster: &EtcdCluster) -> Vec<(&'static str, String)> {
    let name = cluster.name_any();
    let mut secrets = Vec::new();
    if cluster.spec.tls.client.mode == Mode::Auto {
        secrets.push((flags::SERVER, name::server_secret(&name)));
    }
    if cluster.spec.tls.peer.mode == Mode::Auto {
        secrets.push((flags::PEER, name::peer_secret(&name)));
    }
    secrets
}

fn volumes(cluster: &EtcdCluster, member: &str) -> Vec<Volume> {
    let mut data = Volume { name: "data".to_owned(), ..Volume::default() };
    match cluster.spec.storage.medium {
        Medium::Disk => {
            let claim_name = name::volume(member);
            data.persistent_volume_claim =
                Some(PersistentVolumeClaimVolumeSource { claim_name, ..PersistentVolumeClaimVolumeSource::default() });
        }
        Medium::Memory => {
            data.empty_dir = Some(EmptyDirVolumeSource {
                medium: Some("Memory".to_owned()),
                size_limit: Some(cluster.spec.storage.size.clone()),
            });
        }
    }
    let secrets = secrets(cluster).into_iter().map(|(volume, secret)| Volume {
        name: volume.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret),
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    });
    std::iter::once(data).chain(secrets).collect()
}

fn mounts(cluster: &EtcdCluster) -> Vec<VolumeMount> {
    let mount =
        |name: &str, path: String| VolumeMount { name: name.to_owned(), mount_path: path, ..VolumeMount::default() };
    let secrets = secrets(cluster)
        .into_iter()
        .map(|(volume, _)| VolumeMount { read_only: Some(true), ..mount(volume, flags::folder(volume)) });
    std::iter::once(mount("data", DATA.to_owned())).chain(secrets).collect()
}

/// Fits the Pod Security level `restricted`.
fn restricted() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// Two members on one node fail together.
fn affinity(cluster: &EtcdCluster) -> Option<Affinity> {
    let labels = BTreeMap::from([(label::CLUSTER.to_owned(), cluster.name_any())]);
    let term = |key: &str| PodAffinityTerm {
        label_selector: Some(LabelSelector { match_labels: Some(labels.clone()), ..LabelSelector::default() }),
        topology_key: key.to_owned(),
        ..PodAffinityTerm::default()
    };
    let preferred = |key: &str, weight| WeightedPodAffinityTerm { weight, pod_affinity_term: term(key) };
    let (node, zone) = ("kubernetes.io/hostname", "topology.kubernetes.io/zone");
    let anti = match cluster.spec.pod_template.anti_affinity {
        AntiAffinity::Off => return None,
        AntiAffinity::Preferred => PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![preferred(node, 100), preferred(zone, 50)]),
            ..PodAntiAffinity::default()
        },
        AntiAffinity::Required => PodAntiAffinity {
            required_during_scheduling_ignored_during_execution: Some(vec![term(node)]),
            preferred_during_scheduling_ignored_during_execution: Some(vec![preferred(zone, 50)]),
        },
    };
    Some(Affinity { pod_anti_affinity: Some(anti), ..Affinity::default() })
}
