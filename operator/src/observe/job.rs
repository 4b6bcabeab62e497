//! What came of a Job that runs `quorate-backup`: what its last pod said at its end.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde::Deserialize;
use serde_json::Value;

use super::pod;
use crate::desired::worker::CONTAINER;

/// Kubernetes' own label on the pods of a Job.
pub const LABEL: &str = "batch.kubernetes.io/job-name";

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// There is no such Job.
    Absent,
    Running {
        failed: i32,
        /// What keeps its pod from running, or what the last one failed for.
        trouble: Option<String>,
    },
    /// With its report; none if the pod has gone already.
    Succeeded(Option<Value>),
    Failed(Failure),
}

/// As `quorate-backup` tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Failure {
    /// A word that programs may act on.
    #[serde(rename = "error")]
    pub reason: String,
    pub message: String,
    /// Pods that ended so.
    #[serde(skip)]
    pub tries: i32,
}

pub fn outcome(job: Option<&Job>, pods: &[Pod]) -> Outcome {
    let Some(job) = job else { return Outcome::Absent };
    let status = job.status.clone().unwrap_or_default();
    let condition = |type_: &str| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.find(|condition| condition.type_ == type_ && condition.status == "True").cloned()
    };
    let said = pods.iter().filter_map(|pod| Some((made(pod), last_words(pod)?))).max_by_key(|(made, _)| *made);
    let said = said.map(|(_, said)| said);
    if condition("Complete").is_some() {
        let report = said.and_then(|said| serde_json::from_str(&said).ok());
        return Outcome::Succeeded(report);
    }
    let failed = status.failed.unwrap_or_default();
    if let Some(end) = condition("Failed") {
        let own = said.as_deref().and_then(failure);
        let words = end.message.unwrap_or_else(|| "its pods failed".to_owned());
        let reason = end.reason.unwrap_or_else(|| "Failed".to_owned());
        let message = |message| Failure { reason: reason.clone(), message, tries: failed };
        return Outcome::Failed(match own {
            Some(own) if reason == "DeadlineExceeded" => {
                message(format!("{words}; the last try ended with: {}", own.message))
            }
            Some(own) => Failure { tries: failed, ..own },
            None => {
                let obstacle = pods.iter().find_map(pod::obstacle);
                let said = said.map(|said| pod::last_line(&said));
                let why = obstacle.or(said).map(|why| format!(" ({why})")).unwrap_or_default();
                message(format!("{words}{why}"))
            }
        });
    }
    let obstacle = pods.iter().filter(|pod| !pod::has_ended(pod)).find_map(pod::obstacle);
    let trouble = obstacle.or_else(|| said.as_deref().and_then(failure).map(|failure| failure.message));
    Outcome::Running { failed, trouble }
}

/// A failure as the container reported it, among whatever a log ends with.
pub fn failure(said: &str) -> Option<Failure> {
    said.lines().rev().find_map(|line| serde_json::from_str(line).ok())
}

fn made(pod: &Pod) -> Option<jiff::Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

fn last_words(pod: &Pod) -> Option<String> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    said(statuses.iter().find(|status| status.name == CONTAINER)?)
}

/// At its last end.
pub fn said(status: &ContainerStatus) -> Option<String> {
    let ended = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
        state.as_ref().and_then(|state| state.terminated.as_ref()?.message.clone())
    };
    ended(&status.state).or_else(|| ended(&status.last_state))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap in a test is its report")]

    use serde_json::json;

    use super::*;

    fn job(status: Value) -> Job {
        serde_json::from_value(json!({"metadata": {"name": "a-take"}, "status": status})).unwrap()
    }

    fn pod(made: &str, said: &str) -> Pod {
        let state = json!({"terminated": {"exitCode": 1, "message": said}});
        let status = json!({"phase": "Failed", "containerStatuses": [
            {"name": "quorate-backup", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]});
        serde_json::from_value(json!({"metadata": {"name": made, "creationTimestamp": made}, "status": status}))
            .unwrap()
    }

    #[test]
    fn the_last_pod_is_the_one_that_counts() {
        let first = pod("2026-01-01T00:00:00Z", r#"{"error": "StoreDenied", "message": "no"}"#);
        let last = pod("2026-01-01T00:01:00Z", "{\"a\":1}\n{\"error\": \"StoreMissing\", \"message\": \"gone\"}");
        let ended = job(json!({"failed": 2, "conditions": [{"type": "Failed", "status": "True"}]}));
        let Outcome::Failed(failure) = outcome(Some(&ended), &[last.clone(), first.clone()]) else { unreachable!() };
        assert_eq!((failure.reason.as_str(), failure.message.as_str(), failure.tries), ("StoreMissing", "gone", 2));
        let goes_on = job(json!({"failed": 1}));
        let trouble = Some("no".to_owned());
        assert_eq!(outcome(Some(&goes_on), &[first]), Outcome::Running { failed: 1, trouble });
        let done = job(json!({"conditions": [{"type": "Complete", "status": "True"}]}));
        let report = pod("2026-01-01T00:02:00Z", r#"{"backup": {}}"#);
        assert_eq!(outcome(Some(&done), &[report, last]), Outcome::Succeeded(Some(json!({"backup": {}}))));
        assert_eq!(outcome(None, &[]), Outcome::Absent);
    }

    #[test]
    fn a_deadline_is_told_with_what_the_last_try_said() {
        let late = json!({"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}]});
        let said = pod("2026-01-01T00:00:00Z", r#"{"error": "StoreUnavailable", "message": "silence"}"#);
        let Outcome::Failed(failure) = outcome(Some(&job(late)), &[said]) else { unreachable!() };
        assert_eq!(failure.reason, "DeadlineExceeded");
        assert_eq!(failure.message, "too long; the last try ended with: silence");
    }
}
