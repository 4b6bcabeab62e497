#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

use super::*;
use crate::crd::auth::AuthStatus;
use crate::observe::Alarm;
use crate::observe::world::Authentication;
use crate::plan;
use crate::plan::fixture::Sim;

fn holds(status: &EtcdClusterStatus, type_: &str) -> bool {
    status.conditions.iter().find(|condition| condition.type_ == type_).unwrap().status == "True"
}

fn status(sim: &Sim) -> EtcdClusterStatus {
    let world = sim.world();
    of(&world, &plan::next(&world))
}

#[test]
fn a_cluster_at_rest_says_the_same_however_often_it_is_looked_at() {
    let mut sim = Sim::settled(3);
    let first = status(&sim);
    sim.cluster.status = Some(first.clone());
    sim.breathe();
    sim.breathe();
    assert_eq!(status(&sim), first);
    assert_eq!((first.ready.as_deref(), first.phase), (Some("3/3"), Some(Phase::Running)));
    assert!(holds(&first, condition::AVAILABLE) && holds(&first, condition::QUORUM_HEALTHY));
    assert!(!holds(&first, condition::DEGRADED) && !holds(&first, condition::PROGRESSING));
    assert_eq!(first.members.iter().filter(|member| member.role == Some(Role::Leader)).count(), 1);
}

#[test]
fn what_can_not_be_found_out_for_long_is_unknown() {
    let mut sim = Sim::settled(3);
    sim.cluster.status = Some(status(&sim));
    let hiccup = of_failure(&sim.cluster, "no answer", false, sim.now);
    assert!(holds(&hiccup, condition::AVAILABLE) && !holds(&hiccup, condition::PROGRESSING));
    let outage = of_failure(&sim.cluster, "no answer", true, sim.now);
    let of = |type_: &str| outage.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    for type_ in [condition::AVAILABLE, condition::DEGRADED, condition::QUORUM_HEALTHY, condition::TLS_READY] {
        assert_eq!((of(type_).status.as_str(), of(type_).reason.as_str()), ("Unknown", "Failing"), "{type_}");
    }
    assert_eq!(of(condition::PROGRESSING).status, "False");
    sim.cluster.status = Some(outage.clone());
    assert_eq!(of_failure(&sim.cluster, "no answer", true, sim.now + jiff::SignedDuration::from_secs(9)), outage);
}

#[test]
fn one_member_away_is_degraded_and_available_and_two_away_are_neither_available_nor_healthy() {
    let mut sim = Sim::settled(3);
    let away = sim.follower();
    sim.down.push(away);
    let one = status(&sim);
    assert!(
        holds(&one, condition::AVAILABLE)
            && holds(&one, condition::DEGRADED)
            && !holds(&one, condition::QUORUM_HEALTHY)
    );
    assert!(one.message.unwrap().contains(&sim.name_of(away)));
    sim.down = sim.rows.iter().map(|row| row.id).collect();
    let all = status(&sim);
    assert!(!holds(&all, condition::AVAILABLE));
    assert!(all.cluster_id.is_some(), "once it is known, it stays");
}

#[test]
fn an_alarm_is_told_with_its_cure_and_the_worst_of_them_first() {
    let mut sim = Sim::settled(3);
    let member = sim.follower();
    for (alarm, reason, cure) in
        [(Alarm::NoSpace, "NoSpace", "quotaBackendBytes"), (Alarm::Corrupt, "Corrupt", "delete its volume")]
    {
        sim.alarms.insert((member, alarm));
        let status = status(&sim);
        assert!(holds(&status, condition::AVAILABLE) && holds(&status, condition::DEGRADED));
        let degraded = status.conditions.iter().find(|condition| condition.type_ == condition::DEGRADED).unwrap();
        assert_eq!(degraded.reason, reason);
        let message = status.message.unwrap();
        assert!(message.contains(cure) && message.contains(&sim.name_of(member)), "{message}");
    }
}

#[test]
fn sizes_are_rounded_so_that_writes_are_not_written_about() {
    let mib = 1 << 20;
    for (bytes, shown) in [
        (0, "<16Mi"),
        (15 * mib, "<16Mi"),
        (17 * mib, "16Mi"),
        (300 * mib, "288Mi"),
        (2047 * mib, "1920Mi"),
        (2048 * mib, "2048Mi"),
    ] {
        assert_eq!(rounded(bytes), shown);
    }
}

#[test]
fn authentication_is_told_when_it_was_looked_at_and_stays_as_it_was_until_then() {
    let auth = |status: &EtcdClusterStatus| {
        let found = status.conditions.iter().find(|condition| condition.type_ == condition::AUTH_READY);
        found.map(|condition| (condition.status.clone(), condition.reason.clone()))
    };
    let mut sim = Sim::settled(3);
    assert_eq!(auth(&status(&sim)), None, "nobody asks for it");
    sim.cluster.spec.auth.enabled = true;
    let waits = Some(("False".to_owned(), "AuthPending".to_owned()));
    assert_eq!(auth(&status(&sim)), waits);
    let mut world = sim.world();
    let known = AuthStatus { enabled: true, ..AuthStatus::default() };
    world.auth = Some(Authentication::new(known.clone(), Reason::AuthAsDeclared, "as declared".to_owned()));
    let told = of(&world, &plan::next(&world));
    let ready = Some(("True".to_owned(), "AuthAsDeclared".to_owned()));
    assert_eq!((auth(&told), told.auth.as_ref()), (ready.clone(), Some(&known)));
    sim.cluster.status = Some(told);
    let kept = status(&sim);
    assert_eq!((auth(&kept), kept.auth), (ready, Some(known)), "no look, nothing new");
    sim.cluster.metadata.generation = Some(7);
    assert_eq!(auth(&status(&sim)), waits, "something else may be declared");
}
