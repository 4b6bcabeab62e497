#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;

use super::fixture::{Fault, Sim};
use super::next;
use super::step::Step;
use crate::crd::condition::Reason;
use crate::crd::member::{Begins, Leaves};
use crate::crd::repair::Auto;
use crate::crd::status::Phase;
use crate::crd::storage::Policy;
use crate::observe::Row;

#[test]
fn a_volume_that_nobody_provides_is_named() {
    let mut sim = Sim::new(1);
    sim.reconcile(Fault::None);
    sim.breathe();
    let mut world = sim.world();
    world.etcd = crate::observe::Etcd::Nobody;
    let claim = json!({"metadata": {"name": "data-a", "creationTimestamp": "2023-11-14T22:00:00Z"},
        "spec": {"storageClassName": "fast"}, "status": {"phase": "Pending"}});
    world.members[0].volume = serde_json::from_value(claim).unwrap();
    world.members[0].pod = None;
    let message = next(&world).situation.message;
    assert!(message.contains("its volume data-a isn't provided") && message.contains("\"fast\""), "{message}");
}

#[test]
fn claims_that_were_deleted_under_running_members_are_told() {
    let mut sim = Sim::settled(3);
    let name = sim.volumes.keys().next().unwrap().clone();
    sim.volumes.get_mut(&name).unwrap().metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(sim.now));
    let decision = next(&sim.world());
    assert_eq!((decision.step, decision.situation.reason), (None, Reason::VolumesLeaving));
    assert!(decision.situation.message.contains(&name) && decision.situation.message.contains("quorate restart"));
}

#[test]
fn nothing_begins_beside_what_an_earlier_cluster_of_the_name_left() {
    let mut world = Sim::new(3).world();
    world.left = vec!["a-old".to_owned()];
    let decision = next(&world);
    assert_eq!((decision.step, decision.situation.reason), (None, Reason::UnknownMember));
    assert!(decision.situation.message.contains("a-old"));
    world.left.clear();
    assert!(matches!(next(&world).step, Some(Step::Intend(_))));
}

#[test]
fn a_cluster_forms_from_one_member_and_grows_by_learners() {
    let sim = Sim::settled(3);
    let joining = ["Intend", "Announce", "Record", "Promote"];
    let expected = [&["Intend", "Record", "Disarm"][..], &joining, &["Disarm"], &joining, &["Disarm"]].concat();
    // A learner is disarmed as soon as it serves, which is before or after its promotion.
    let mut kinds = sim.kinds();
    let mut expected = expected;
    kinds.sort_unstable();
    expected.sort_unstable();
    assert_eq!(kinds, expected);
    assert_eq!(sim.rows.len(), 3);
    assert!(sim.records.values().all(|record| record.spec.begins == Begins::Joined && record.spec.id.is_some()));
}

#[test]
fn at_rest_nothing_is_done() {
    let mut sim = Sim::settled(3);
    let before = sim.done.len();
    for _ in 0..10 {
        sim.breathe();
        let decision = sim.reconcile(Fault::None);
        assert_eq!((decision.step, decision.situation.phase), (None, Phase::Running));
    }
    assert_eq!(sim.done.len(), before);
}

#[test]
fn the_newest_follower_leaves_first_and_the_leader_hands_over_before_it_goes() {
    let mut sim = Sim::settled(3);
    let newest = sim.rows[2].name.clone();
    sim.scale(2);
    sim.settle();
    assert!(!sim.records.contains_key(&newest));
    // Now the leader is the newer of the two, and goes last all the same.
    sim.leader = sim.rows[1].id;
    let leader = sim.name_of(sim.leader);
    sim.scale(1);
    sim.settle();
    assert_eq!(sim.records.keys().cloned().collect::<Vec<_>>(), [leader]);
    assert!(!sim.kinds().contains(&"HandOver"));
}

#[test]
fn a_leader_that_must_leave_hands_over_first() {
    let mut sim = Sim::settled(3);
    let leader = sim.leader;
    let name = sim.name_of(leader);
    sim.records.get_mut(&name).unwrap().spec.leaves = Some(Leaves::Replaced);
    let before = sim.done.len();
    sim.settle();
    assert!(matches!(sim.done[before], Step::HandOver { from, .. } if from == leader), "{:?}", sim.done[before]);
    assert!(matches!(sim.done[before + 1], Step::Remove { id, .. } if id == leader));
    assert_eq!(sim.rows.len(), 3);
}

#[test]
fn a_removed_members_volume_goes_or_stays_by_the_policy() {
    for (policy, left) in [(Policy::Delete, 2), (Policy::Retain, 3)] {
        let mut sim = Sim::settled(3);
        sim.cluster.spec.storage.reclaim.on_scale_down = policy;
        sim.scale(2);
        sim.settle();
        assert_eq!(sim.volumes.len(), left);
        assert_eq!(sim.pods.len(), 2);
    }
}

#[test]
fn an_announced_learner_that_is_not_wanted_any_more_is_removed_and_never_promoted() {
    let mut sim = Sim::settled(2);
    sim.scale(3);
    while sim.done.last().map(Step::kind) != Some("Announce") {
        sim.breathe();
        sim.reconcile(Fault::None);
    }
    sim.scale(2);
    let promotions = sim.kinds().iter().filter(|kind| **kind == "Promote").count();
    sim.settle();
    assert_eq!(sim.rows.len(), 2);
    assert_eq!(sim.records.len(), 2);
    assert_eq!(sim.kinds().iter().filter(|kind| **kind == "Promote").count(), promotions);
}

#[test]
fn a_record_that_the_cluster_never_heard_of_is_dropped_when_it_is_not_wanted() {
    let mut sim = Sim::settled(1);
    sim.scale(2);
    sim.breathe();
    sim.reconcile(Fault::None);
    assert_eq!(sim.done.last().map(Step::kind), Some("Intend"));
    sim.scale(1);
    sim.settle();
    assert_eq!((sim.records.len(), sim.rows.len()), (1, 1));
    assert_eq!(sim.done.last().map(Step::kind), Some("Forget"));
}

#[test]
fn a_list_that_failed_is_no_empty_list() {
    let mut sim = Sim::settled(3);
    sim.down = sim.rows.iter().map(|row| row.id).collect();
    sim.scale(1);
    let before = sim.done.len();
    let decision = sim.settle();
    assert_eq!((decision.situation.phase, decision.situation.reason), (Phase::Unavailable, Reason::QuorumLost));
    assert_eq!(sim.done.len(), before);
}

#[test]
fn a_lost_volume_is_replaced_under_a_new_name_and_id() {
    let mut sim = Sim::settled(3);
    let lost = sim.follower();
    let name = sim.name_of(lost);
    sim.volumes.remove(&format!("data-{name}"));
    sim.down.push(lost);
    sim.settle();
    assert_eq!(sim.rows.len(), 3);
    assert!(!sim.records.contains_key(&name) && sim.rows.iter().all(|row| row.id != lost));
}

#[test]
fn a_member_that_says_its_data_is_damaged_is_replaced_and_one_that_says_something_else_is_not() {
    let mut sim = Sim::settled(3);
    let damaged = sim.follower();
    sim.says_at_its_end(damaged, "failed to start the member: the log of this member can't be used: it was cut");
    sim.settle();
    assert!(sim.rows.iter().all(|row| row.id != damaged));
    assert_eq!(sim.volumes.len(), 4, "the damaged volume is kept");

    for said in [
        "failed to start the member: address already in use",
        "the store of this member can't be used: IO error: No space left on device: While appending to a file",
    ] {
        let mut sim = Sim::settled(3);
        let other = sim.follower();
        sim.says_at_its_end(other, said);
        sim.now += SignedDuration::from_hours(1);
        let decision = sim.settle();
        assert_eq!(decision.situation.phase, Phase::Degraded);
        assert!(sim.rows.iter().any(|row| row.id == other));
    }
}

#[test]
fn a_member_on_a_silent_node_is_given_up_after_the_time_that_the_spec_says() {
    let mut sim = Sim::settled(3);
    let gone = sim.follower();
    sim.loses_its_node(gone);
    sim.now += SignedDuration::from_secs(200);
    let decision = sim.settle();
    assert_eq!(decision.situation.phase, Phase::Degraded);
    assert!(sim.rows.iter().any(|row| row.id == gone), "five minutes are not over");
    sim.now += SignedDuration::from_secs(200);
    sim.settle();
    assert!(sim.rows.iter().all(|row| row.id != gone));
    assert_eq!(sim.rows.len(), 3);
}

/// The fourth of four, which runs and is behind.
fn with_a_learner() -> (Sim, u64) {
    let mut sim = Sim::settled(3);
    sim.scale(4);
    while sim.rows.len() < 4 || sim.rows[3].name.is_empty() {
        sim.breathe();
        sim.reconcile(Fault::None);
    }
    let learner = sim.rows[3].id;
    sim.down.push(learner);
    (sim, learner)
}

#[test]
fn a_learner_that_does_not_catch_up_is_given_up_and_one_with_much_to_copy_has_more_time() {
    for (mib, seconds) in [(0, 600), (2000, 800)] {
        let (mut sim, learner) = with_a_learner();
        sim.database_bytes = mib << 20;
        sim.now += SignedDuration::from_secs(seconds - 100);
        let decision = sim.reconcile(Fault::None);
        assert_eq!(decision.step, None, "{mib} MiB are not copied yet");
        sim.now += SignedDuration::from_secs(101);
        let decision = sim.settle();
        assert_eq!(decision.situation.phase, Phase::Running, "{decision:?}");
        assert!(
            sim.rows.len() == 4 && sim.rows.iter().all(|row| row.id != learner && !row.is_learner),
            "{:?}",
            sim.rows
        );
    }
}

#[test]
fn a_learner_whose_data_is_damaged_is_not_waited_for() {
    let (mut sim, learner) = with_a_learner();
    sim.says_at_its_end(learner, "failed to start the member: the store of this member can't be used");
    let decision = sim.reconcile(Fault::None);
    assert!(matches!(decision.step, Some(Step::Dismiss { why: Leaves::Replaced, .. })), "{decision:?}");
}

#[test]
fn nothing_is_given_up_against_the_policy_or_without_a_quorum_of_others() {
    let mut off = Sim::settled(3);
    off.cluster.spec.repair.auto = Auto::Disabled;
    let lost = off.follower();
    off.says_at_its_end(lost, "a part of the data folder is gone");
    assert_eq!(off.settle().situation.phase, Phase::Degraded);
    assert!(off.rows.iter().any(|row| row.id == lost));

    // Of two, the one that is left can't decide alone.
    let mut pair = Sim::settled(2);
    let lost = pair.follower();
    pair.says_at_its_end(lost, "a part of the data folder is gone");
    assert_eq!(pair.settle().situation.reason, Reason::QuorumLost);
    assert_eq!(pair.rows.len(), 2);
}

#[test]
fn a_member_that_never_started_is_removed_if_no_record_knows_it_and_one_that_runs_is_reported() {
    let mut sim = Sim::settled(3);
    let stranger = |name: &str| Row {
        id: 0xbad,
        name: name.to_owned(),
        peer_urls: vec!["http://elsewhere:2380".to_owned()],
        is_learner: true,
        ..Row::default()
    };
    sim.rows.push(stranger(""));
    sim.settle();
    assert_eq!(sim.rows.len(), 3);
    sim.rows.push(Row { is_learner: false, ..stranger("somebody") });
    sim.down.push(0xbad);
    let decision = sim.settle();
    assert_eq!(decision.situation.reason, Reason::UnknownMember);
    assert!(decision.situation.message.contains("somebody") && decision.situation.message.contains("bad"));
    assert_eq!(sim.rows.len(), 4);
}

#[test]
fn members_that_are_of_another_cluster_are_left_alone() {
    let mut sim = Sim::settled(3);
    sim.cluster.status.as_mut().unwrap().cluster_id = Some("ffff".to_owned());
    sim.scale(1);
    let decision = sim.settle();
    assert_eq!(decision.situation.phase, Phase::Invalid);
    assert_eq!(sim.rows.len(), 3);
}

#[test]
fn when_all_records_are_gone_no_second_cluster_is_formed() {
    let mut sim = Sim::settled(3);
    sim.records.clear();
    sim.pods.clear();
    let decision = sim.settle();
    assert_eq!(decision.situation.reason, Reason::QuorumLost);
    assert!(sim.records.is_empty());
}

#[test]
fn hibernation_stops_the_pods_and_keeps_the_members_and_their_volumes() {
    let mut sim = Sim::settled(3);
    let ids: Vec<u64> = sim.rows.iter().map(|row| row.id).collect();
    sim.scale(0);
    assert_eq!(sim.settle().situation.phase, Phase::Hibernated);
    assert_eq!((sim.pods.len(), sim.volumes.len(), sim.records.len()), (0, 3, 3));
    sim.scale(3);
    assert_eq!(sim.settle().situation.phase, Phase::Running);
    assert_eq!(sim.rows.iter().map(|row| row.id).collect::<Vec<_>>(), ids);
}

#[test]
fn a_pod_that_was_evicted_is_replaced_and_its_volume_is_not() {
    let mut sim = Sim::settled(3);
    let evicted = sim.follower();
    let name = sim.name_of(evicted);
    sim.pods.get_mut(&name).unwrap().status.as_mut().unwrap().phase = Some("Failed".to_owned());
    let rows = sim.rows.clone();
    sim.settle();
    assert_eq!(sim.rows, rows);
    assert_eq!(sim.volumes.len(), 3);
}

proptest! {
    /// Wherever the operator ends and however often the wish changes: one uniform configuration comes out, of the wanted size, and
    /// no step on the way risked the quorum (the fixture asserts that).
    #[test]
    fn an_operator_that_ends_anywhere_goes_on_from_there(
        wishes in prop::collection::vec((1i32..6, 0usize..12), 1..6),
        faults in prop::collection::vec(prop_oneof![3 => Just(Fault::None), 1 => Just(Fault::Before), 1 => Just(Fault::After)], 72),
        first in 1i32..4,
    ) {
        let mut sim = Sim::new(first);
        let mut faults = faults.into_iter();
        for (wish, reconciles) in &wishes {
            for _ in 0..*reconciles {
                sim.breathe();
                sim.reconcile(faults.next().unwrap_or(Fault::None));
            }
            sim.scale(*wish);
        }
        sim.settle();
        let wanted = sim.world().wanted();
        prop_assert_eq!(sim.rows.len(), wanted);
        prop_assert_eq!(sim.records.len(), wanted);
        prop_assert_eq!(sim.pods.len(), wanted);
        prop_assert_eq!(sim.volumes.len(), wanted);
        prop_assert!(sim.rows.iter().all(|row| !row.is_learner));
    }
}
