//! What Kubernetes says about a member's pod.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};

use super::job;
use crate::crd::label;
use crate::desired::pod::CONTAINER;
use crate::desired::worker;

/// After the time that a pod has to end by itself, its node is taken for gone.
const NODE_PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// Characters of what a server said that are repeated.
const LINE: usize = 300;

pub fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// It has ended (evicted, or its node was shut down), and never runs again.
pub fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// Its time to end is long over: the node is gone.
pub fn is_out_of_reach(pod: &Pod, now: Timestamp) -> bool {
    let Some(deleted) = &pod.metadata.deletion_timestamp else { return false };
    // Kubernetes sets this time to when the pod should be gone.
    now.duration_since(deleted.0) > NODE_PATIENCE
}

/// Clients are sent to it.
pub fn is_ready(pod: &Pod) -> bool {
    !is_leaving(pod) && condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

pub fn unready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = condition(pod, "Ready")?;
    (ready.status != "True").then(|| ready.last_transition_time.as_ref().map(|time| time.0))?
}

/// No node takes it but the one of its volume, which is gone, cut off or drained. The scheduler says so in words only.
pub fn bound_elsewhere_since(pod: &Pod) -> Option<Timestamp> {
    let unscheduled = condition(pod, "PodScheduled").filter(|condition| condition.status == "False")?;
    let message = unscheduled.message.as_deref()?;
    let is_bound = message.contains("PersistentVolume's node affinity") || message.contains("volume node affinity");
    unscheduled.last_transition_time.as_ref().filter(|_| is_bound).map(|time| time.0)
}

/// The server is running, or was until a moment ago. A pod that was never scheduled, can't pull its image or can't mount says
/// nothing about its member's data.
pub fn has_run(pod: &Pod) -> bool {
    container(pod).is_some_and(|status| {
        let waits = status.state.as_ref().is_some_and(|state| state.waiting.is_some());
        !waits && status.started.is_some()
    })
}

/// What the container that fetched the member's first data said at its end.
pub fn fetched(pod: &Pod) -> Option<String> {
    let statuses = pod.status.as_ref()?.init_container_statuses.as_ref()?;
    job::said(statuses.iter().find(|status| status.name == worker::CONTAINER)?)
}

/// What the server said when it ended last, if it has not served since.
pub fn last_words(pod: &Pod) -> Option<String> {
    let status = container(pod)?;
    if status.ready { None } else { job::said(status) }
}

/// What keeps it from running, in Kubernetes' words, and what the server said when it ended last; nothing while it is merely on its way.
pub fn obstacle(pod: &Pod) -> Option<String> {
    let why = unstarted(pod)?;
    let fetched = fetched(pod).and_then(|said| job::failure(&said)).map(|failure| failure.message);
    let said = fetched.or_else(|| last_words(pod).map(|said| last_line(&said))).filter(|said| !said.is_empty());
    Some(said.map_or_else(|| why.clone(), |said| format!("{why}; at its last end it said: {said}")))
}

/// The log of a server that leaves no last words ends with them.
pub fn last_line(text: &str) -> String {
    text.lines().next_back().unwrap_or_default().chars().take(LINE).collect()
}

fn unstarted(pod: &Pod) -> Option<String> {
    statuses(pod).find_map(held_up).or_else(|| inits(pod).find_map(failed)).or_else(|| unscheduled(pod))
}

/// The server doesn't run in it, and won't as it is: neither what runs beside it nor a server that merely fails its probes counts.
pub fn is_stuck(pod: &Pod) -> bool {
    let is_held_up = inits(pod).chain(container(pod)).any(|status| held_up(status).is_some());
    (is_held_up || inits(pod).any(|status| failed(status).is_some())) && !runs(pod) || unscheduled(pod).is_some()
}

fn runs(pod: &Pod) -> bool {
    container(pod).is_some_and(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()))
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| status.container_statuses.iter().chain(&status.init_container_statuses)).flatten()
}

/// Kubernetes' words about a container that it doesn't start.
fn held_up(status: &ContainerStatus) -> Option<String> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone()?;
    let is_on_its_way = matches!(reason.as_str(), "ContainerCreating" | "PodInitializing");
    (!is_on_its_way).then(|| sentence(&reason, waiting.message.as_deref()))
}

/// Of a container that has to end well before others start, and hasn't.
fn failed(status: &ContainerStatus) -> Option<String> {
    let ended = status.state.as_ref()?.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
    let reason = ended.reason.as_deref().unwrap_or("Error");
    // What is for programs is told in words elsewhere, see `fetched`.
    let message = ended.message.as_deref().filter(|said| job::failure(said).is_none());
    Some(sentence(&format!("{} ended with {reason}", status.name), message))
}

fn inits(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten())
}

fn unscheduled(pod: &Pod) -> Option<String> {
    let unscheduled = condition(pod, "PodScheduled").filter(|condition| condition.status == "False")?;
    Some(sentence(unscheduled.reason.as_deref().unwrap_or("Unscheduled"), unscheduled.message.as_deref()))
}

/// Of the server.
pub fn image(pod: &Pod) -> Option<String> {
    let containers = &pod.spec.as_ref()?.containers;
    containers.iter().find(|container| container.name == CONTAINER)?.image.clone()
}

/// The server has ended by itself, and is started again and again.
pub fn crashes(pod: &Pod) -> bool {
    let has_ended = |status: &ContainerStatus| {
        !status.ready && status.last_state.as_ref().is_some_and(|last| last.terminated.is_some())
    };
    container(pod).is_some_and(has_ended)
}

/// It serves clients by TLS.
pub fn has_server_certificate(pod: &Pod) -> bool {
    has_argument(pod, "--cert-file=")
}

/// It can reach members by TLS.
pub fn has_peer_certificates(pod: &Pod) -> bool {
    has_argument(pod, "--peer-cert-file=")
}

/// Members reach it by TLS.
pub fn has_secured_peers(pod: &Pod) -> bool {
    has_argument(pod, "--listen-peer-urls=https://")
}

fn has_argument(pod: &Pod, start: &str) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers).filter(|one| one.name == CONTAINER);
    containers.flat_map(|one| one.args.iter().flatten()).any(|argument| argument.starts_with(start))
}

/// Hash of what it was made for.
pub fn intent(pod: &Pod) -> Option<&str> {
    pod.metadata.annotations.as_ref()?.get(label::INTENT).map(String::as_str)
}

fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.iter().find(|status| status.name == CONTAINER)
}

fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

fn sentence(reason: &str, message: Option<&str>) -> String {
    let message = message.unwrap_or_default();
    format!("{reason}: {message}").trim_end_matches(": ").chars().take(300).collect()
}
