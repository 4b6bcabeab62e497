//! A member's pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, HTTPGetAction, Lifecycle,
    LifecycleHandler, PersistentVolumeClaimVolumeSource, Pod, PodAffinityTerm, PodAntiAffinity, PodSecurityContext,
    PodSpec, Probe, SeccompProfile, SecretVolumeSource, SecurityContext, SleepAction, Volume, VolumeMount,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource, ResourceExt};

use super::origin::From;
use super::{flags, member, name, origin};
use crate::crd::bootstrap::Spanning;
use crate::crd::member::Begins;
use crate::crd::pod::AntiAffinity;
use crate::crd::storage::Medium;
use crate::crd::tls::Mode;
use crate::crd::{EtcdCluster, EtcdMember, label};
use crate::digest;

/// The container of the server.
pub const CONTAINER: &str = "etcd";
/// The user of our images; any other would do as well.
const USER: i64 = 65532;
const FORCE: &str = "ETCD_FORCE_NEW_CLUSTER";
/// A member that is to stop goes on serving until clients are led elsewhere: kube-proxy learns of its end within a second or two.
const FAREWELL_SECONDS: i64 = 3;
const SKIP_ADDRESSES: &str = "ETCD_PEER_SKIP_CLIENT_SAN_VERIFICATION";
/// Where the volume is.
pub const DATA: &str = "/var/lib/etcd";

/// What a pod is made of beside its resource.
pub struct Build<'a> {
    pub image: &'a str,
    /// Another value makes other pods.
    pub restart_for: Option<&'a str>,
    /// Hash of the certificates that its Secrets have.
    pub certificates: Option<&'a str>,
    /// It can reach members by TLS.
    pub has_peer_certificates: bool,
    /// What the first member begins with.
    pub from: &'a From,
    /// Of the container that fetches it.
    pub worker_image: &'a str,
}

/// The pod of a member that may start.
pub fn pod(cluster: &EtcdCluster, member: &EtcdMember, build: &Build<'_>) -> Pod {
    let template = &cluster.spec.pod_template;
    let mut labels = template.labels.clone();
    labels.extend(member::labels(&cluster.name_any(), &member.name_any()));
    let mut spec = spec(cluster, member, build);
    let mut annotations = template.annotations.clone();
    annotations.extend(build.restart_for.map(|hash| (label::TRUST.to_owned(), hash.to_owned())));
    annotations.insert(label::INTENT.to_owned(), intent(&spec, &template.labels, &annotations));
    // Members read other certificates by themselves.
    annotations.extend(build.certificates.map(|hash| (label::CERTIFICATES.to_owned(), hash.to_owned())));
    // How a member begins is no part of what it is meant to be: afterwards it means nothing to it.
    if let Some(container) = spec.containers.first_mut() {
        container.env.get_or_insert_default().extend(beginning(cluster, member));
    }
    if member.spec.begins == Begins::Forming
        && let Some((errand, worker)) = origin::errand(build.from, member)
    {
        let fetches = errand.container(build.worker_image, &worker);
        spec.init_containers.get_or_insert_default().push(fetches);
        spec.volumes.get_or_insert_default().extend(errand.volumes);
        spec.image_pull_secrets.get_or_insert_default().extend(worker.image_pull_secrets);
        spec.service_account_name = worker.service_account_name;
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
fn intent(spec: &PodSpec, labels: &BTreeMap<String, String>, annotations: &BTreeMap<String, String>) -> String {
    let text = serde_json::to_string(&(spec, labels, annotations)).unwrap_or_default();
    digest::short(text)
}

fn beginning(cluster: &EtcdCluster, member: &EtcdMember) -> Vec<EnvVar> {
    if let (Some(spanning), Begins::Forming) = (cluster.spec.spanning(), member.spec.begins)
        && spanning.static_list.is_none()
    {
        return searching(spanning, member);
    }
    let state = if member.spec.begins == Begins::Forming { "new" } else { "existing" };
    let pairs = [
        ("ETCD_INITIAL_CLUSTER", member.spec.initial_cluster.clone().unwrap_or_default()),
        ("ETCD_INITIAL_CLUSTER_STATE", state.to_owned()),
        ("ETCD_INITIAL_CLUSTER_TOKEN", member.spec.token.clone()),
    ];
    let mut variables: Vec<_> = pairs.into_iter().map(|(key, value)| variable(key, value)).collect();
    if member.spec.begins == Begins::Recovering {
        variables.push(variable(FORCE, "true".to_owned()));
    }
    variables
}

/// It finds the other first members by a service, or by service records.
fn searching(spanning: &Spanning, member: &EtcdMember) -> Vec<EnvVar> {
    let mut pairs = Vec::new();
    if let Some(discovery) = &spanning.discovery {
        pairs.push(("ETCD_DISCOVERY", discovery.url.clone()));
        pairs.push(("ETCD_DISCOVERY_TOKEN", discovery.token.clone()));
        let endpoints = &discovery.endpoints;
        pairs.push(("ETCD_DISCOVERY_ENDPOINTS", (!endpoints.is_empty()).then(|| endpoints.join(","))));
    }
    if let Some(dns) = &spanning.dns {
        pairs.push(("ETCD_DISCOVERY_SRV", Some(dns.domain.clone())));
        pairs.push(("ETCD_DISCOVERY_SRV_NAME", dns.service_name.clone()));
        pairs.push(("ETCD_INITIAL_CLUSTER_STATE", Some("new".to_owned())));
        pairs.push(("ETCD_INITIAL_CLUSTER_TOKEN", Some(member.spec.token.clone())));
    }
    pairs.into_iter().filter_map(|(key, value)| Some(variable(key, value?))).collect()
}

/// It starts a cluster of its member alone.
pub fn is_forced(pod: &Pod) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers.flat_map(|container| container.env.iter().flatten()).any(|variable| variable.name == FORCE)
}

fn environment(cluster: &EtcdCluster) -> Vec<EnvVar> {
    // Between Kubernetes, addresses are translated: a member knows others by who signed for them. etcd has a flag for it since 3.6, and
    // before does not mind a variable that it doesn't know.
    let translated = cluster.spec.spanning().is_some().then(|| variable(SKIP_ADDRESSES, "true".to_owned()));
    translated.into_iter().chain(cluster.spec.etcd.extra_env.iter().cloned()).collect()
}

pub fn variable(key: &str, value: String) -> EnvVar {
    EnvVar { name: key.to_owned(), value: Some(value), value_from: None }
}

fn spec(cluster: &EtcdCluster, member: &EtcdMember, build: &Build<'_>) -> PodSpec {
    let template = &cluster.spec.pod_template;
    let optional = |pairs: &BTreeMap<String, String>| (!pairs.is_empty()).then(|| pairs.clone());
    PodSpec {
        containers: std::iter::once(container(cluster, member, build)).chain(template.containers.clone()).collect(),
        init_containers: (!template.init_containers.is_empty()).then(|| template.init_containers.clone()),
        volumes: Some(volumes(cluster, &member.name_any(), build)),
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

fn container(cluster: &EtcdCluster, member: &EtcdMember, build: &Build<'_>) -> Container {
    let port = |name: &str, number| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        ..ContainerPort::default()
    };
    Container {
        name: CONTAINER.to_owned(),
        image: Some(build.image.to_owned()),
        image_pull_policy: cluster.spec.image.pull_policy.map(|policy| format!("{policy:?}")),
        command: Some(vec!["/usr/local/bin/etcd".to_owned()]),
        args: Some(flags::of(cluster, member, &format!("{DATA}/data"), build.has_peer_certificates)),
        env: Some(environment(cluster)).filter(|variables| !variables.is_empty()),
        ports: Some(vec![
            port("client", name::CLIENT_PORT),
            port("peer", name::PEER_PORT),
            port("metrics", name::METRICS_PORT),
        ]),
        resources: Some(cluster.spec.resources.clone()),
        volume_mounts: Some(mounts(cluster, build)),
        // A member with much to replay is slow to start, and none the worse for it.
        startup_probe: Some(probe("/livez", name::METRICS_PORT, 1, 1800)),
        liveness_probe: Some(probe("/livez", name::METRICS_PORT, 10, 6)),
        readiness_probe: Some(probe("/readyz", name::METRICS_PORT, 2, 2)),
        lifecycle: farewell(cluster.spec.pod_template.termination_grace_period_seconds),
        security_context: Some(confined()),
        // Ours writes its reason to stop there; of others the last lines of the log must do.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

/// Of little time to stop, most is the server's.
fn farewell(grace_period_seconds: i64) -> Option<Lifecycle> {
    let seconds = FAREWELL_SECONDS.min(grace_period_seconds / 3);
    let sleep = LifecycleHandler { sleep: Some(SleepAction { seconds }), ..LifecycleHandler::default() };
    (seconds > 0).then(|| Lifecycle { pre_stop: Some(sleep), ..Lifecycle::default() })
}

pub fn probe(path: &str, port: i32, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(port),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn secrets(cluster: &EtcdCluster, build: &Build<'_>) -> Vec<(&'static str, String)> {
    let name = cluster.name_any();
    let mut secrets = Vec::new();
    if cluster.spec.tls.client.mode != Mode::Disabled {
        secrets.push((flags::SERVER, name::server_secret(&name)));
    }
    if build.has_peer_certificates {
        secrets.push((flags::PEER, name::peer_secret(&name)));
    }
    secrets
}

fn volumes(cluster: &EtcdCluster, member: &str, build: &Build<'_>) -> Vec<Volume> {
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
    let secrets = secrets(cluster, build).into_iter().map(|(volume, secret)| Volume {
        name: volume.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret),
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    });
    std::iter::once(data).chain(secrets).chain(cluster.spec.pod_template.volumes.clone()).collect()
}

fn mounts(cluster: &EtcdCluster, build: &Build<'_>) -> Vec<VolumeMount> {
    let mount =
        |name: &str, path: String| VolumeMount { name: name.to_owned(), mount_path: path, ..VolumeMount::default() };
    let secrets = secrets(cluster, build)
        .into_iter()
        .map(|(volume, _)| VolumeMount { read_only: Some(true), ..mount(volume, flags::folder(volume)) });
    std::iter::once(mount("data", DATA.to_owned())).chain(secrets).collect()
}

/// A container that can't become more than it is.
pub fn confined() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}

/// Fits the Pod Security level `restricted`.
pub fn restricted() -> PodSecurityContext {
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
        AntiAffinity::Disabled => return None,
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

/// The image as the resource has it, or the default with the resource's version.
pub fn image(cluster: &EtcdCluster, default: &str) -> String {
    let image = &cluster.spec.image;
    let version = cluster.spec.version.as_ref().map(|version| format!("v{version}"));
    let (default_repository, default_tag) = default.rsplit_once(':').unwrap_or((default, "latest"));
    let repository = image.repository.as_deref().unwrap_or(default_repository);
    match (&image.digest, image.tag.as_ref().or(version.as_ref())) {
        (Some(digest), _) => format!("{repository}@{digest}"),
        (None, Some(tag)) => format!("{repository}:{tag}"),
        (None, None) => format!("{repository}:{default_tag}"),
    }
}
