#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

use proptest::prelude::*;

use super::fixture::{Fault, Sim};
use super::step::Step;
use crate::crd::tls::Mode;
use crate::desired::name;
use crate::observe::pod;

fn are_secured(sim: &Sim) -> bool {
    sim.rows.iter().all(|row| row.peer_urls.iter().all(|url| name::is_secured(url)))
}

fn plain(replicas: i32) -> Sim {
    let mut sim = Sim::new(replicas);
    sim.cluster.spec.tls.peer.mode = Mode::Disabled;
    sim.settle();
    assert!(!are_secured(&sim) && !sim.pods.values().any(pod::has_peer_certificates));
    sim
}

#[test]
fn members_get_certificates_first_and_then_another_scheme_one_at_a_time_and_the_leader_last() {
    let mut sim = plain(3);
    let begin = sim.done.len();
    sim.cluster.spec.tls.peer.mode = Mode::Auto;
    sim.settle();
    assert!(are_secured(&sim));
    let kinds: Vec<_> = sim.done[begin..].iter().map(Step::kind).filter(|kind| *kind != "HandOver").collect();
    let one = ["Readdress", "Update", "DeletePod"];
    assert_eq!(kinds, [["DeletePod"; 3], one, one, one].concat());

    let begin = sim.done.len();
    sim.cluster.spec.tls.peer.mode = Mode::Disabled;
    sim.settle();
    assert!(!are_secured(&sim) && !sim.pods.values().any(pod::has_peer_certificates));
    let kinds: Vec<_> = sim.done[begin..].iter().map(Step::kind).filter(|kind| *kind != "HandOver").collect();
    // The last to change needs no certificates any more when it starts again.
    assert_eq!(kinds, [&one[..], &one, &one, &["DeletePod"; 2]].concat());
}

#[test]
fn a_member_that_joins_in_the_middle_can_be_reached_by_all() {
    let mut sim = plain(3);
    sim.cluster.spec.tls.peer.mode = Mode::Auto;
    sim.scale(5);
    sim.settle();
    assert!(are_secured(&sim) && sim.rows.len() == 5);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    /// The fixture's members reach each other only by the scheme that each is listed with, and by TLS only with certificates.
    #[test]
    fn a_quorum_serves_throughout_whenever_the_operator_ends_and_the_mode_changes_back(
        looks in prop::collection::vec((0usize..3, 0u8..20), 1..80)
    ) {
        let mut sim = plain(3);
        for (fault, toss) in looks {
            if toss == 0 {
                let peer = &mut sim.cluster.spec.tls.peer;
                peer.mode = if peer.mode == Mode::Disabled { Mode::Auto } else { Mode::Disabled };
            }
            sim.breathe();
            let serving = sim.view().ready_voters().len();
            prop_assert!(serving >= 2, "{serving} of 3: {:?}", sim.done.iter().rev().take(6).collect::<Vec<_>>());
            sim.reconcile([Fault::None, Fault::Before, Fault::After][fault]);
        }
        sim.settle();
        prop_assert_eq!(are_secured(&sim), sim.cluster.spec.tls.peer.mode == Mode::Auto);
        prop_assert_eq!(sim.rows.len(), 3);
    }
}
