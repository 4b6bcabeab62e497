#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

use std::collections::BTreeSet;

use kube::ResourceExt;
use serde_json::json;

use super::fixture::{Fault, Sim};
use super::step::Step;
use super::version;
use crate::crd::condition::Reason;
use crate::crd::status::Phase;
use crate::crd::storage::Medium;
use crate::observe::pod;

fn deleted_pods(steps: &[Step]) -> Vec<String> {
    let pods = steps.iter().filter_map(|step| match step {
        Step::DeletePod { pod, .. } => Some(pod.clone()),
        _ => None,
    });
    pods.collect()
}

fn images(sim: &Sim) -> BTreeSet<String> {
    sim.pods.values().map(|pod| pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap()).collect()
}

#[test]
fn a_changed_setting_restarts_the_members_one_at_a_time_and_the_leader_last_after_it_handed_over() {
    let mut sim = Sim::settled(3);
    let (before, leader) = (sim.done.len(), sim.name_of(sim.leader));
    sim.cluster.spec.etcd.snapshot_count = Some(5000);
    sim.settle();
    let steps = &sim.done[before..];
    let deleted = deleted_pods(steps);
    assert_eq!(deleted.len(), 3);
    assert_eq!(deleted[2], leader);
    assert!(matches!(steps[2], Step::HandOver { .. }), "{steps:?}");
    assert_eq!(steps.len(), 4);
}

#[test]
fn a_roll_is_over_when_the_last_member_is_there_again_and_not_when_it_still_serves() {
    let mut sim = Sim::settled(1);
    sim.cluster.spec.etcd.snapshot_count = Some(5000);
    assert!(matches!(sim.reconcile(Fault::None).step, Some(Step::DeletePod { .. })));
    let lasting = sim.reconcile(Fault::None);
    assert_eq!((lasting.step, lasting.situation.phase), (None, Phase::Unavailable));
    assert_eq!(sim.settle().situation.phase, Phase::Running);
}

#[test]
fn the_next_member_waits_until_the_one_before_serves() {
    let mut sim = Sim::settled(3);
    sim.cluster.spec.etcd.snapshot_count = Some(5000);
    let first = sim.reconcile(Fault::None);
    assert!(matches!(first.step, Some(Step::DeletePod { .. })));
    // Gone, and not there again.
    for _ in 0..3 {
        let decision = sim.reconcile(Fault::None);
        assert_eq!((decision.step, decision.situation.reason), (None, Reason::RollingOut));
    }
    sim.breathe();
    // There again, and not ready.
    let id = sim.rows.iter().map(|row| row.id).find(|id| *id != sim.leader).unwrap();
    sim.loses_its_node(id);
    let decision = sim.reconcile(Fault::None);
    assert_eq!((decision.step, decision.situation.reason), (None, Reason::RollingOut));
}

#[test]
fn a_bad_image_stops_with_the_first_member_and_a_better_one_starts_with_it() {
    let mut sim = Sim::settled(3);
    let good = images(&sim);
    sim.cluster.spec.image.tag = Some("v3.7.4".to_owned());
    sim.reconcile(Fault::None);
    sim.breathe();
    let broken = sim.done.iter().rev().find_map(|step| deleted_pods(std::slice::from_ref(step)).pop()).unwrap();
    let id = sim.rows.iter().find(|row| row.name == broken).unwrap().id;
    sim.says_at_its_end(id, "");
    for _ in 0..5 {
        let decision = sim.reconcile(Fault::None);
        assert_eq!(decision.step, None);
        assert!(decision.situation.message.contains(&broken), "{}", decision.situation.message);
        assert!(decision.situation.message.contains("CrashLoopBackOff"), "{}", decision.situation.message);
    }
    let before = sim.done.len();
    sim.cluster.spec.image.tag = None;
    sim.down.clear();
    sim.settle();
    assert_eq!(deleted_pods(&sim.done[before..]), [broken]);
    assert_eq!(images(&sim), good);
}

#[test]
fn one_or_two_members_restart_though_nobody_can_stand_in_for_them() {
    for replicas in [1, 2] {
        let mut sim = Sim::settled(replicas);
        let before = sim.done.len();
        sim.cluster.spec.etcd.snapshot_count = Some(5000);
        sim.settle();
        assert_eq!(deleted_pods(&sim.done[before..]).len(), usize::try_from(replicas).unwrap());
    }
}

#[test]
fn members_in_memory_are_replaced_and_never_restarted() {
    let mut sim = Sim::new(3);
    sim.cluster.spec.storage.medium = Medium::Memory;
    sim.settle();
    let (before, ids) = (sim.done.len(), sim.rows.iter().map(|row| row.id).collect::<Vec<_>>());
    sim.cluster.spec.etcd.snapshot_count = Some(5000);
    sim.settle();
    assert!(sim.rows.len() == 3 && sim.rows.iter().all(|row| !ids.contains(&row.id)), "{:?}", sim.rows);
    for (at, step) in sim.done.iter().enumerate().skip(before) {
        // A pod goes when its member has left.
        let Step::DeletePod { pod, .. } = step else { continue };
        let left = |step: &Step| matches!(step, Step::Remove { member: Some(member), .. } if member == pod);
        assert!(sim.done[before..at].iter().any(left), "{pod}");
    }

    let mut alone = Sim::new(1);
    alone.cluster.spec.storage.medium = Medium::Memory;
    alone.settle();
    alone.cluster.spec.etcd.snapshot_count = Some(5000);
    let decision = alone.settle();
    assert!(decision.situation.message.contains("scale to 3 members first"), "{}", decision.situation.message);
}

#[test]
fn what_runs_beside_the_members_is_mended_one_member_at_a_time() {
    let mut sim = Sim::settled(3);
    for row in sim.rows.clone() {
        sim.side_container_crashes(&row.name);
    }
    let before = sim.done.len();
    sim.cluster.spec.etcd.snapshot_count = Some(5000);
    let first = sim.reconcile(Fault::None);
    assert!(matches!(first.step, Some(Step::DeletePod { .. })), "{first:?}");
    let second = sim.reconcile(Fault::None);
    assert_eq!((second.step, second.situation.reason), (None, Reason::RollingOut), "the first is not there again");
    sim.settle();
    assert_eq!(deleted_pods(&sim.done[before..]).len(), 3);

    // What is made now crashes too: the others keep what they have.
    sim.cluster.spec.etcd.snapshot_count = Some(6000);
    let Some(Step::DeletePod { pod, .. }) = sim.reconcile(Fault::None).step else { panic!("nothing is restarted") };
    sim.breathe();
    sim.side_container_crashes(&pod);
    for _ in 0..3 {
        sim.breathe();
        let decision = sim.reconcile(Fault::None);
        assert_eq!(decision.step, None);
        assert!(decision.situation.message.contains("container=side"), "{}", decision.situation.message);
    }
}

#[test]
fn a_pod_goes_only_for_one_that_kubernetes_would_take() {
    let mut sim = Sim::settled(3);
    sim.cluster.spec.etcd.snapshot_count = Some(5000);
    let decision = sim.reconcile(Fault::Before);
    let (Some(Step::DeletePod { pod, .. }), Some(next)) = (&decision.step, &decision.makes_room_for) else {
        panic!("{decision:?}")
    };
    assert_eq!((next.name_any(), pod::intent(next) == pod::intent(&sim.pods[pod])), (pod.clone(), false));
    let held = decision.hold().despite(&["Pod \"a\" is invalid: spec.x".to_owned()]);
    assert_eq!((held.step, held.situation.reason), (None, Reason::ObjectRefused));
    assert!(held.situation.message.ends_with("; Kubernetes refuses: Pod \"a\" is invalid: spec.x"));
    let steady = Sim::settled(3).settle().despite(&["Service \"a\" is invalid".to_owned()]);
    assert_eq!((steady.situation.phase, steady.situation.reason), (Phase::Invalid, Reason::ObjectRefused));
}

#[test]
fn a_member_that_what_is_asked_for_keeps_from_running_is_not_given_up() {
    let mut sim = Sim::settled(3);
    sim.cluster.spec.etcd.extra_args = vec!["--nonsense=1".to_owned()];
    let Some(Step::DeletePod { pod, .. }) = sim.reconcile(Fault::None).step else { panic!("nothing is restarted") };
    sim.breathe();
    let id = sim.rows.iter().find(|row| row.name == pod).unwrap().id;
    sim.loses_its_node(id);
    sim.says_at_its_end(id, "flag provided but not defined: -nonsense");
    for _ in 0..3 {
        sim.now += jiff::SignedDuration::from_secs(3600);
        let decision = sim.reconcile(Fault::None);
        assert_eq!(decision.step, None, "{decision:?}");
        assert!(decision.situation.message.contains("-nonsense"), "{}", decision.situation.message);
    }
    // Taken back, it is itself again.
    sim.cluster.spec.etcd.extra_args = Vec::new();
    let decision = sim.reconcile(Fault::None);
    assert!(matches!(&decision.step, Some(Step::DeletePod { pod: again, .. }) if *again == pod), "{decision:?}");
}

#[test]
fn a_refused_version_is_told_while_a_roll_hangs_and_members_fall_back_to_what_serves() {
    let mut sim = Sim::settled(3);
    let good = images(&sim);
    sim.cluster.spec.image.tag = Some("v3.7.4".to_owned());
    sim.reconcile(Fault::None);
    sim.breathe();
    let broken = sim.done.iter().rev().find_map(|step| deleted_pods(std::slice::from_ref(step)).pop()).unwrap();
    let id = sim.rows.iter().find(|row| row.name == broken).unwrap().id;
    sim.says_at_its_end(id, "");
    sim.reconcile(Fault::None);
    sim.cluster.spec.image.tag = Some("v3.9.0".to_owned());
    let decision = sim.reconcile(Fault::Before);
    assert!(decision.situation.message.contains("3.9.0 is more than one minor above"), "{decision:?}");
    assert_eq!(version::choose(&sim.world()).image, *good.first().unwrap());
}

#[test]
fn the_tag_of_an_image_counts_for_more_than_the_version_beside_it() {
    for (tag, is_refused) in [("v3.6.4", true), ("3.6.4-amd64", true), ("v3.7.4", false), ("latest", false)] {
        let mut sim = Sim::settled(3);
        sim.cluster.spec.version = Some("3.7.3".to_owned());
        sim.cluster.spec.image.tag = Some(tag.to_owned());
        let refusal = version::choose(&sim.world()).refusal;
        assert_eq!(refusal.is_some(), is_refused, "{tag}: {refusal:?}");
    }
}

#[test]
fn versions_rise_by_one_minor_and_never_fall() {
    for (version, words) in [("3.9.0", "ask for 3.8 first"), ("3.6.12", "ask for 3.7 or newer")] {
        let mut sim = Sim::settled(3);
        let before = (sim.done.len(), images(&sim));
        sim.cluster.spec.version = Some(version.to_owned());
        let decision = sim.settle();
        assert_eq!((decision.situation.phase, decision.situation.reason), (Phase::Invalid, Reason::VersionRefused));
        assert!(decision.situation.message.contains(words), "{}", decision.situation.message);
        assert_eq!((sim.done.len(), images(&sim)), before);
        // A member that is made meanwhile runs what the others run.
        sim.scale(5);
        sim.settle();
        assert_eq!((sim.pods.len(), images(&sim)), (5, before.1));
    }
    for version in ["3.8.0", "3.7.0", "3.7.9"] {
        let mut sim = Sim::settled(3);
        sim.cluster.spec.version = Some(version.to_owned());
        sim.settle();
        assert_eq!(images(&sim), BTreeSet::from([format!("image:v{version}")]));
    }
}

#[test]
fn half_an_upgrade_can_be_taken_back() {
    let mut sim = Sim::settled(3);
    sim.cluster.spec.version = Some("3.8.0".to_owned());
    sim.reconcile(Fault::None);
    sim.breathe();
    assert_eq!(images(&sim).len(), 2);
    sim.cluster.spec.version = None;
    sim.settle();
    assert_eq!(images(&sim), BTreeSet::from(["image:v3.7.3".to_owned()]));
}

#[test]
fn volumes_grow_in_place() {
    let mut sim = Sim::settled(3);
    let before = sim.done.len();
    sim.cluster.spec = serde_json::from_value(json!({"storage": {"size": "16Gi"}})).unwrap();
    sim.settle();
    let grown = sim.done[before..].iter().map(Step::kind).collect::<Vec<_>>();
    assert_eq!(grown, ["GrowVolume"; 3]);
}

#[test]
fn a_paused_cluster_is_left_alone() {
    let mut sim = Sim::settled(3);
    sim.cluster.spec.paused = true;
    sim.scale(5);
    sim.cluster.spec.etcd.snapshot_count = Some(5000);
    let decision = sim.reconcile(Fault::None);
    assert_eq!((decision.step, decision.situation.phase), (None, Phase::Paused));
    sim.cluster.spec.paused = false;
    sim.settle();
    assert_eq!(sim.rows.len(), 5);
}
