#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::exchange::{Has, Next, Place, Question, next};
use super::material::Trust;
use super::wanted_test::authority;

const NAMES: [&str; 3] = ["server", "client", "peer"];

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// What one reader of a Secret has read: whom it trusts, and which authority signed what it shows.
#[derive(Clone, PartialEq)]
struct Held {
    trust: Trust,
    shows: Trust,
}

/// Secrets, and processes that read them whenever it pleases them: members (server and peer) and clients.
struct Sim {
    secrets: Vec<Held>,
    wanted: Trust,
    /// By process, what it holds of each Secret that it reads.
    members: Vec<[Held; 2]>,
    clients: Vec<Held>,
    changed: Option<Timestamp>,
    now: Timestamp,
}

impl Sim {
    fn new(authority: Trust) -> Self {
        let held = Held { trust: authority.clone(), shows: authority.clone() };
        Self {
            secrets: vec![held.clone(); 3],
            wanted: authority,
            members: vec![[held.clone(), held.clone()]; 3],
            clients: vec![held; 2],
            changed: None,
            now: now(),
        }
    }

    fn places(&self) -> Vec<Place> {
        let place = |(index, held): (usize, &Held)| Place {
            secret: NAMES[index].to_owned(),
            is_of_peers: index == 2,
            has: Some(Has { trust: held.trust.clone(), is_wanted: held.shows == self.wanted }),
            trust: self.wanted.clone(),
        };
        self.secrets.iter().enumerate().map(place).collect()
    }

    fn agrees(&self, question: Question) -> bool {
        self.members.iter().flatten().all(|held| match question {
            Question::Accepts => held.trust.contains(&self.wanted),
            Question::Shows => held.shows == self.wanted,
        })
    }

    /// One look of the operator, which may be ended after any write. `true`: nothing is left to do.
    fn look(&mut self, writes: usize) -> bool {
        let grace = SignedDuration::from_secs(60);
        match next(&self.places(), self.changed, grace, self.now, None) {
            Next::Settled => return true,
            Next::Wait(_) => {}
            Next::Write(all) => self.write(&all[..writes.min(all.len())]),
            Next::Ask(question) if self.agrees(question) => {
                let Next::Write(all) = next(&self.places(), self.changed, grace, self.now, Some(question)) else {
                    panic!("agreed, and nothing is written")
                };
                self.write(&all[..writes.min(all.len())]);
            }
            Next::Ask(_) => {}
        }
        false
    }

    fn write(&mut self, writes: &[super::exchange::Write]) {
        for write in writes {
            let index = NAMES.iter().position(|name| *name == write.secret).unwrap();
            let shows = if write.takes_wanted { self.wanted.clone() } else { self.secrets[index].shows.clone() };
            self.secrets[index] = Held { trust: write.trust.clone(), shows };
            self.changed = Some(self.now);
        }
    }

    /// Nobody is refused: clients and members at each other, members among themselves.
    fn check(&self) {
        for [server, peer] in &self.members {
            for client in &self.clients {
                assert!(client.trust.contains(&server.shows), "a client refuses a member");
                assert!(server.trust.contains(&client.shows), "a member refuses a client");
            }
            for [_, other] in &self.members {
                assert!(peer.trust.contains(&other.shows), "a member refuses another");
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Looks(usize),
    MemberReads(usize, usize),
    ClientsRead,
    AnotherAuthority(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1usize..=3).prop_map(Event::Looks),
        4 => (0usize..3, 0usize..2).prop_map(|(member, secret)| Event::MemberReads(member, secret)),
        // In the time of grace all of them have read.
        2 => Just(Event::ClientsRead),
        1 => (0usize..3).prop_map(Event::AnotherAuthority),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn nobody_is_refused_in_any_order_of_reading_and_of_ending(events in prop::collection::vec(event(), 0..120)) {
        let authorities: Vec<Trust> = (0..3).map(|_| authority()).collect();
        let mut sim = Sim::new(authorities[0].clone());
        for event in events {
            match event {
                Event::Looks(writes) => drop(sim.look(writes)),
                Event::MemberReads(member, secret) => sim.members[member][secret] = sim.secrets[secret * 2].clone(),
                Event::ClientsRead => {
                    sim.clients = vec![sim.secrets[1].clone(); 2];
                    sim.now += SignedDuration::from_secs(60);
                }
                // It begins when the one before is over.
                Event::AnotherAuthority(which) if sim.places().iter().all(|place| place.has.as_ref().is_some_and(|has| has.trust == place.trust && has.is_wanted)) => {
                    sim.wanted = authorities[which].clone();
                }
                Event::AnotherAuthority(_) => {}
            }
            sim.check();
        }
        // And it comes to an end.
        for _ in 0..20 {
            sim.look(3);
            sim.members = vec![[sim.secrets[0].clone(), sim.secrets[2].clone()]; 3];
            sim.clients = vec![sim.secrets[1].clone(); 2];
            sim.now += SignedDuration::from_secs(60);
            sim.check();
        }
        prop_assert!(sim.look(3));
        prop_assert!(sim.secrets.iter().all(|held| held.trust == sim.wanted && held.shows == sim.wanted));
    }
}

fn place(secret: &str, has: Option<(&Trust, bool)>, trust: &Trust) -> Place {
    let has = has.map(|(trust, is_wanted)| Has { trust: trust.clone(), is_wanted });
    Place { secret: secret.to_owned(), is_of_peers: secret == "peer", has, trust: trust.clone() }
}

#[test]
fn a_renewal_by_the_same_authority_asks_nobody() {
    let own = authority();
    let places = [place("server", Some((&own, false)), &own), place("peer", Some((&own, true)), &own)];
    let Next::Write(writes) = next(&places, Some(now()), SignedDuration::from_secs(60), now(), None) else {
        panic!("nothing is written")
    };
    assert_eq!(writes.len(), 1);
    assert!(writes[0].takes_wanted && writes[0].secret == "server" && writes[0].trust == own);
}

#[test]
fn a_secret_that_is_lost_in_the_middle_trusts_whom_the_others_of_its_side_do() {
    let (old, new) = (authority(), authority());
    let both = old.with(&new);
    let places = [
        place("server", Some((&both, false)), &new),
        place("client", None, &new),
        place("peer", Some((&new, true)), &new),
    ];
    let Next::Write(writes) = next(&places, None, SignedDuration::ZERO, now(), None) else {
        panic!("nothing is written")
    };
    assert_eq!(writes.len(), 1);
    assert!(writes[0].takes_wanted && writes[0].secret == "client" && writes[0].trust == both);
}

#[test]
fn clients_have_their_time() {
    let (old, new) = (authority(), authority());
    let both = old.with(&new);
    let grace = SignedDuration::from_secs(60);
    let waits = |is_wanted: bool| {
        let places = [place("server", Some((&both, is_wanted)), &new)];
        let agreed = Some(if is_wanted { Question::Shows } else { Question::Accepts });
        assert_eq!(next(&places, Some(now()), grace, now(), agreed), Next::Wait(now() + grace));
        assert!(matches!(next(&places, Some(now()), grace, now() + grace, agreed), Next::Write(_)));
    };
    waits(false);
    waits(true);
}
