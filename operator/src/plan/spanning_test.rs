#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

use serde_json::json;

use super::fixture::{Fault, Sim};
use super::step::Step;
use crate::observe::Row;

/// A resource with two of its own, and one member elsewhere.
fn sim() -> Sim {
    let mut sim = Sim::new(2);
    let spanning = json!({
        "peerUrl": "https://$(MEMBER).east.test:2380", "clientUrl": "https://$(MEMBER).east.test:2379",
        "members": ["e-1", "e-2"], "static": {"initialCluster": "e-1=x,e-2=y,w-1=z", "token": "t"},
    });
    sim.cluster.spec.bootstrap = Some(serde_json::from_value(json!({"spanning": spanning})).unwrap());
    sim
}

#[test]
fn all_first_members_are_made_before_any_is_waited_for() {
    let mut sim = sim();
    for name in ["e-1", "e-2"] {
        let decision = sim.reconcile(Fault::None);
        let Some(Step::Intend(member)) = decision.step else { panic!("{decision:?}") };
        assert_eq!(member.metadata.name.as_deref(), Some(name));
    }
    assert_eq!(sim.reconcile(Fault::None).step, None);
}

#[test]
fn one_that_is_to_join_waits_for_a_learner_elsewhere() {
    let mut sim = Sim::settled(2);
    sim.cluster.spec.bootstrap = self::sim().cluster.spec.bootstrap;
    sim.rows.push(Row {
        id: 77,
        name: "w-1".to_owned(),
        peer_urls: vec!["https://w-1.west.test:2380".to_owned()],
        is_learner: true,
        ..Row::default()
    });
    sim.scale(3);
    let before = sim.done.len();
    for _ in 0..5 {
        sim.reconcile(Fault::None);
        sim.breathe();
    }
    assert!(matches!(sim.done[before..], [Step::Intend(_)]), "{:?}", &sim.done[before..]);
    sim.rows.retain(|row| row.id != 77);
    let decision = sim.reconcile(Fault::None);
    assert!(matches!(decision.step, Some(Step::Announce { .. })), "{decision:?}");
}

#[test]
fn members_elsewhere_are_neither_strangers_nor_counted() {
    let mut sim = Sim::settled(2);
    sim.cluster.spec.bootstrap = self::sim().cluster.spec.bootstrap;
    sim.rows.push(Row {
        id: 77,
        name: "w-1".to_owned(),
        peer_urls: vec!["https://w-1.west.test:2380".to_owned()],
        ..Row::default()
    });
    let before = sim.done.len();
    // It does not answer the fixture: two of three serve.
    sim.breathe();
    for _ in 0..5 {
        sim.reconcile(Fault::None);
        sim.breathe();
    }
    assert!(
        !sim.done[before..]
            .iter()
            .any(|step| matches!(step, Step::Remove { .. } | Step::Dismiss { .. } | Step::Intend(_))),
        "{:?}",
        &sim.done[before..]
    );
    sim.scale(1);
    let mut dismissed = Vec::new();
    for _ in 0..20 {
        let decision = sim.reconcile(Fault::None);
        if let Some(Step::Dismiss { member, .. }) = decision.step {
            dismissed.push(member);
        }
        sim.breathe();
    }
    assert!(dismissed.len() <= 1 && !dismissed.contains(&"w-1".to_owned()), "{dismissed:?}");
    assert!(sim.rows.iter().any(|row| row.id == 77));
}
