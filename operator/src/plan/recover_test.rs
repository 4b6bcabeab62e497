#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

use proptest::prelude::*;
use serde_json::json;

use super::fixture::{CLUSTER_ID, Fault, Sim};
use super::step::{Decision, Step};
use crate::crd::condition::Reason;
use crate::crd::status::Phase;
use crate::desired::pod::is_forced;

/// Two of three have crashed for good, and the one that is left has the ids of all.
fn lost() -> (Sim, Vec<u64>) {
    let mut sim = Sim::settled(3);
    let ids: Vec<u64> = sim.rows.iter().map(|row| row.id).collect();
    sim.down = ids[1..].to_vec();
    sim.breathe();
    (sim, ids)
}

fn consent(sim: &mut Sim, text: &str) {
    sim.cluster.spec.recovery = Some(serde_json::from_value(json!({"consent": text})).unwrap());
}

/// Until it ends, with these faults.
fn run(sim: &mut Sim, faults: impl IntoIterator<Item = Fault>) -> Decision {
    let mut faults = faults.into_iter();
    for _ in 0..200 {
        sim.breathe();
        let decision = sim.reconcile(faults.next().unwrap_or(Fault::None));
        let forced = sim.pods.values().filter(|pod| is_forced(pod)).count();
        assert!(forced == 0 || sim.rows.len() == 1 || !sim.kinds().contains(&"Elect"), "grows while it is forced");
        if decision.situation.phase == Phase::Running {
            return decision;
        }
    }
    panic!("it never ends: {:#?}", sim.done.iter().rev().take(10).collect::<Vec<_>>());
}

#[test]
fn without_consent_a_lost_quorum_is_left_alone_and_says_what_consent_is() {
    let (mut sim, _) = lost();
    let before = sim.done.len();
    for text in [None, Some("yes"), Some("c1"), Some("c2-1"), Some("c1-2")] {
        text.inspect(|text| consent(&mut sim, text));
        for _ in 0..60 {
            sim.breathe();
            let decision = sim.reconcile(Fault::None);
            assert_eq!((decision.step, decision.situation.reason), (None, Reason::QuorumLost));
            assert!(
                decision.situation.message.contains("spec.recovery.consent to \"c1-1\""),
                "{}",
                decision.situation.message
            );
        }
    }
    assert_eq!(sim.done.len(), before);
}

#[test]
fn with_consent_the_survivor_with_the_most_starts_anew_and_the_others_are_made_anew() {
    let mut sim = Sim::settled(5);
    let ids: Vec<u64> = sim.rows.iter().map(|row| row.id).collect();
    sim.down = ids[2..].to_vec();
    sim.indexes.insert(ids[1], 1500);
    let survivor = sim.name_of(ids[1]);
    consent(&mut sim, &format!("{CLUSTER_ID:x}-1"));
    sim.breathe();
    // A quorum that was away for a moment comes back by itself.
    assert_eq!(sim.reconcile(Fault::None).step, None);
    run(&mut sim, []);
    assert!(sim.done.contains(&Step::Elect { member: survivor.clone() }));
    assert_eq!(sim.rows.len(), 5);
    let left: Vec<u64> = sim.rows.iter().map(|row| row.id).filter(|id| ids.contains(id)).collect();
    assert_eq!(left, [ids[1]]);
    // What was in the others' volumes is kept.
    assert_eq!(sim.volumes.len(), 9);
    let recovery = sim.cluster.status.as_ref().unwrap().recovery.clone().unwrap();
    assert_eq!((recovery.number, recovery.survivor, recovery.is_done), (1, survivor, true));
}

#[test]
fn a_consent_is_used_once() {
    let (mut sim, _) = lost();
    consent(&mut sim, "c1-1");
    run(&mut sim, []);
    sim.down = sim.rows[1..].iter().map(|row| row.id).collect();
    let before = sim.done.len();
    for _ in 0..60 {
        sim.breathe();
        let decision = sim.reconcile(Fault::None);
        assert_eq!((decision.step, decision.situation.reason), (None, Reason::QuorumLost));
        assert!(decision.situation.message.contains("\"c1-2\" (it says \"c1-1\""), "{}", decision.situation.message);
    }
    assert_eq!(sim.done.len(), before);
}

#[test]
fn consent_does_nothing_while_there_is_a_quorum() {
    let mut sim = Sim::settled(3);
    consent(&mut sim, "c1-1");
    let before = sim.done.len();
    let decision = run(&mut sim, []);
    assert!(decision.situation.message.contains("spec.recovery is not needed"), "{}", decision.situation.message);
    assert_eq!(sim.done.len(), before);
}

#[test]
fn a_quorum_that_comes_back_in_the_middle_goes_on_as_it_was() {
    let (mut sim, ids) = lost();
    consent(&mut sim, "c1-1");
    while !sim.kinds().contains(&"Elect") {
        sim.breathe();
        sim.reconcile(Fault::None);
    }
    sim.down.clear();
    run(&mut sim, []);
    assert_eq!(sim.rows.iter().map(|row| row.id).collect::<Vec<_>>(), ids);
}

#[test]
fn when_nobody_answers_the_user_names_the_survivor() {
    let (mut sim, ids) = lost();
    sim.down.clone_from(&ids);
    consent(&mut sim, "c1-1");
    let mut messages = Vec::new();
    for _ in 0..60 {
        sim.breathe();
        messages.push(sim.reconcile(Fault::None).situation.message);
    }
    assert!(messages.last().unwrap().contains("name one as spec.recovery.survivor"), "{messages:?}");
    let name = sim.name_of(ids[2]);
    sim.cluster.spec.recovery.as_mut().unwrap().survivor = Some("a-other".to_owned());
    assert!(sim.reconcile(Fault::None).situation.message.contains("a-other is no member with a volume"));
    sim.cluster.spec.recovery.as_mut().unwrap().survivor = Some(name.clone());
    sim.reconcile(Fault::None);
    assert_eq!(sim.done.last(), Some(&Step::Elect { member: name }));
}

proptest! {
    #[test]
    fn an_operator_that_ends_anywhere_still_recovers_once(
        faults in prop::collection::vec(prop_oneof![Just(Fault::None), Just(Fault::Before), Just(Fault::After)], 0..80),
    ) {
        let (mut sim, ids) = lost();
        consent(&mut sim, "c1-1");
        run(&mut sim, faults);
        prop_assert_eq!(sim.rows.len(), 3);
        prop_assert!(sim.rows.iter().any(|row| row.id == ids[0]));
        prop_assert_eq!(sim.cluster.status.as_ref().unwrap().recovery.as_ref().unwrap().number, 1);
    }
}
