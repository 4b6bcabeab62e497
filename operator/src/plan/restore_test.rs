#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

use proptest::prelude::*;

use super::fixture::{CLUSTER_ID, Fault, Sim};
use super::step::{Decision, Step};
use crate::crd::condition::Reason;
use crate::crd::status::Phase;
use crate::crd::storage::Policy;
use crate::observe::Order;

fn order(old_volumes: Policy) -> Option<Order> {
    Some(Order { name: "r".to_owned(), uid: "order".to_owned(), replaces: CLUSTER_ID, old_volumes })
}

/// Until the new cluster runs, with these faults.
fn run(sim: &mut Sim, faults: impl IntoIterator<Item = Fault>) -> Decision {
    let mut faults = faults.into_iter();
    for _ in 0..300 {
        sim.breathe();
        let decision = sim.reconcile(faults.next().unwrap_or(Fault::None));
        if decision.situation.phase == Phase::Running && sim.world().retired.is_empty() {
            return decision;
        }
    }
    panic!("it never ends: {:#?}", sim.done.iter().rev().take(10).collect::<Vec<_>>());
}

fn id(sim: &Sim) -> String {
    sim.cluster.status.as_ref().unwrap().cluster_id.clone().unwrap()
}

#[test]
fn old_members_stop_before_the_new_one_starts_and_their_volumes_are_kept() {
    let mut sim = Sim::settled(3);
    let old: Vec<String> = sim.records.keys().cloned().collect();
    let before = sim.done.len();
    sim.order = order(Policy::Retain);
    run(&mut sim, []);
    let kinds: Vec<&str> = sim.done[before..].iter().map(Step::kind).collect();
    assert_eq!(kinds[..7], ["Dismiss", "Dismiss", "Dismiss", "DeletePod", "DeletePod", "DeletePod", "Intend"]);
    assert_eq!(kinds[kinds.len() - 3..], ["Forget", "Forget", "Forget"]);
    assert_eq!(id(&sim), format!("{:x}", CLUSTER_ID + 1));
    assert!(
        old.iter().all(|name| !sim.records.contains_key(name) && sim.volumes.contains_key(&format!("data-{name}")))
    );
    assert_eq!((sim.records.len(), sim.rows.len(), sim.volumes.len()), (3, 3, 6));
    // The order is done, and the cluster is one like others.
    sim.order = None;
    let status = sim.cluster.status.clone();
    assert_eq!(sim.settle().situation.reason, Reason::AsWanted);
    assert_eq!(sim.cluster.status.unwrap().cluster_id, status.unwrap().cluster_id);
}

#[test]
fn old_volumes_go_only_when_the_new_members_serve_and_it_was_asked_for() {
    let mut sim = Sim::settled(3);
    sim.order = order(Policy::Delete);
    run(&mut sim, []);
    assert_eq!(sim.volumes.len(), 3);
    let first = sim.kinds().iter().position(|kind| *kind == "DeleteVolume").unwrap();
    assert_eq!(sim.kinds()[..first].iter().filter(|kind| **kind == "Promote").count(), 4, "2 for each cluster");
}

#[test]
fn an_order_that_is_taken_back_before_the_new_cluster_served_changes_nothing() {
    for turns in 0..12 {
        let mut sim = Sim::settled(3);
        let old: Vec<String> = sim.records.keys().cloned().collect();
        sim.order = order(Policy::Delete);
        for _ in 0..turns {
            sim.reconcile(Fault::None);
            sim.breathe();
            // The backup can't be fetched.
            sim.down = sim.rows.iter().filter(|row| !old.contains(&row.name)).map(|row| row.id).collect();
        }
        sim.order = None;
        let settled = sim.settle();
        assert_eq!((settled.situation.phase, id(&sim)), (Phase::Running, format!("{CLUSTER_ID:x}")), "after {turns}");
        assert_eq!(sim.records.keys().cloned().collect::<Vec<_>>(), old, "after {turns}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_operator_that_is_killed_anywhere_restores_all_the_same(
        faults in prop::collection::vec(prop_oneof![Just(Fault::None), Just(Fault::Before), Just(Fault::After)], 0..60),
        replicas in 1..5i32,
    ) {
        let mut sim = Sim::settled(replicas);
        sim.order = order(Policy::Retain);
        run(&mut sim, faults);
        let wanted = usize::try_from(replicas).unwrap();
        prop_assert_eq!((sim.records.len(), sim.rows.len(), sim.volumes.len()), (wanted, wanted, 2 * wanted));
        prop_assert_eq!(id(&sim), format!("{:x}", CLUSTER_ID + 1));
    }
}
