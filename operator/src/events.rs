//! What is told by Events: each step, and what stands in the way when it begins to.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource, ResourceExt};

use crate::crd::condition::{self, Reason};
use crate::crd::status::{EtcdClusterStatus, Phase};
use crate::crd::{EtcdCluster, EtcdMember};
use crate::observe::world::Authentication;
use crate::plan::Decision;

/// Of a decision, compared with the status before and after it.
pub fn of(cluster: &EtcdCluster, decision: &Decision, after: &EtcdClusterStatus) -> Vec<Event> {
    let before = cluster.status.clone().unwrap_or_default();
    let situation = &decision.situation;
    let mut events = Vec::new();
    if let Some(step) = &decision.step {
        let secondary = step.member().map(|member| reference(cluster, member));
        events.push(event(EventType::Normal, step.kind(), situation.reason.text(), &situation.message, secondary));
    }
    let is_new = before.phase != Some(situation.phase);
    let was_refused = before.conditions.iter().any(|condition| condition.reason == Reason::ObjectRefused.text());
    let is_refused = situation.reason == Reason::ObjectRefused && !was_refused;
    let is_bad = matches!(situation.phase, Phase::Degraded | Phase::Unavailable | Phase::Invalid);
    let type_ = match situation.phase {
        _ if is_refused || is_bad && is_new => Some(EventType::Warning),
        Phase::Running if is_new => Some(EventType::Normal),
        _ => None,
    };
    events.extend(type_.map(|type_| event(type_, situation.reason.text(), "Observe", &situation.message, None)));
    for told in [condition::TLS_READY, condition::AUTH_READY] {
        let of = |status: &EtcdClusterStatus| status.conditions.iter().find(|one| one.type_ == told).cloned();
        if let (Some(before), Some(after)) = (of(&before), of(after))
            && (before.reason != after.reason || (after.status == "False" && before.message != after.message))
        {
            let type_ = if after.status == "True" { EventType::Normal } else { EventType::Warning };
            events.push(event(type_, &after.reason, "Observe", &after.message, None));
        }
    }
    for member in &after.members {
        let Some(obstacle) = &member.message else { continue };
        let word = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
        let known = before.members.iter().find(|known| known.name == member.name);
        let was = known.and_then(|known| known.message.as_deref()).map(word);
        if was != Some(word(obstacle)) {
            let note = format!("{} can't run: {obstacle}", member.name);
            let about = Some(reference(cluster, &member.name));
            events.push(event(EventType::Warning, "MemberCannotRun", "Observe", &note, about));
        }
    }
    events
}

/// What was changed of users and roles.
pub fn of_auth(auth: &Authentication) -> Option<Event> {
    let note = auth.done.join("; ");
    (!auth.done.is_empty()).then(|| event(EventType::Normal, "AuthChanged", "Auth", &note, None))
}

pub fn event(type_: EventType, reason: &str, action: &str, note: &str, secondary: Option<ObjectReference>) -> Event {
    // The API's bound is 1024 bytes.
    let note: String = note.chars().take(1000).collect();
    Event { type_, reason: reason.to_owned(), note: Some(note), action: action.to_owned(), secondary }
}

fn reference(cluster: &EtcdCluster, member: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(EtcdMember::api_version(&()).into_owned()),
        kind: Some(EtcdMember::kind(&()).into_owned()),
        name: Some(member.to_owned()),
        namespace: cluster.namespace(),
        ..ObjectReference::default()
    }
}

/// Publishes events. One that is refused is logged, and hinders nothing.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    pub fn new(client: Client, instance: &str) -> Self {
        let reporter = Reporter { controller: "quorate-operator".to_owned(), instance: Some(instance.to_owned()) };
        Self { recorder: Recorder::new(client, reporter) }
    }

    pub async fn publish(&self, cluster: &EtcdCluster, events: Vec<Event>) {
        self.publish_about(&cluster.object_ref(&()), events).await;
    }

    pub async fn publish_about(&self, object: &ObjectReference, events: Vec<Event>) {
        for event in events {
            if let Err(error) = self.recorder.publish(&event, object).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "an event was not taken");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap in a test is its report")]

    use super::*;
    use crate::crd::status::MemberStatus;
    use crate::plan::{Situation, Step};

    fn cluster(phase: Phase, obstacle: Option<&str>) -> EtcdCluster {
        let mut cluster = EtcdCluster::new("a", serde_json::from_value(serde_json::json!({})).unwrap());
        cluster.status = Some(status(phase, obstacle));
        cluster
    }

    fn status(phase: Phase, obstacle: Option<&str>) -> EtcdClusterStatus {
        let member =
            MemberStatus { name: "a-1".to_owned(), message: obstacle.map(str::to_owned), ..MemberStatus::default() };
        EtcdClusterStatus { phase: Some(phase), members: vec![member], ..EtcdClusterStatus::default() }
    }

    fn reasons(events: &[Event]) -> Vec<&str> {
        events.iter().map(|event| event.reason.as_str()).collect()
    }

    #[test]
    fn each_step_is_told_and_an_unchanged_situation_is_not_repeated() {
        let lost = || Situation::new(Phase::Unavailable, Reason::QuorumLost, "no quorum");
        let after = status(Phase::Unavailable, None);
        let told = of(&cluster(Phase::Running, None), &lost().waiting(), &after);
        assert_eq!((reasons(&told), told[0].type_), (vec!["QuorumLost"], EventType::Warning));
        assert!(of(&cluster(Phase::Unavailable, None), &lost().waiting(), &after).is_empty());
        let promote = lost().with(Step::Promote { member: "a-1".to_owned(), id: 1 });
        let told = of(&cluster(Phase::Unavailable, None), &promote, &after);
        assert_eq!(reasons(&told), ["Promote"]);
        assert_eq!(told[0].secondary.as_ref().unwrap().name.as_deref(), Some("a-1"));
    }

    #[test]
    fn a_refusal_is_told_when_it_begins() {
        let rolling = || Situation::new(Phase::Changing, Reason::ObjectRefused, "refused").waiting();
        let after = status(Phase::Changing, None);
        let told = of(&cluster(Phase::Changing, None), &rolling(), &after);
        assert_eq!((reasons(&told), told[0].type_), (vec!["ObjectRefused"], EventType::Warning));
        let mut before = cluster(Phase::Changing, None);
        let condition = serde_json::json!({"type": "Progressing", "status": "True", "reason": "ObjectRefused", "message": "",
            "lastTransitionTime": "2026-11-28T05:00:00Z"});
        before.status.as_mut().unwrap().conditions = vec![serde_json::from_value(condition).unwrap()];
        assert!(of(&before, &rolling(), &after).is_empty());
    }

    #[test]
    fn what_keeps_a_pod_from_running_is_told_once() {
        let calm = || Situation::new(Phase::Running, Reason::AsWanted, "fine").waiting();
        let stuck = status(Phase::Running, Some("ErrImagePull: no such image"));
        assert_eq!(reasons(&of(&cluster(Phase::Running, None), &calm(), &stuck)), ["MemberCannotRun"]);
        let before = cluster(Phase::Running, Some("ErrImagePull: other words"));
        assert!(of(&before, &calm(), &stuck).is_empty());
    }
}
