//! Who shares a watch with whom.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::mvccpb::Event;
use tonic::Status;

use super::super::kv;
use super::super::namespace::Namespace;
use super::super::upstream::Upstream;
use super::broadcast::{Broadcast, State};
use super::seat::{Delivery, Interest, Subscriber, What};

/// Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

struct Shared {
    upstream: Upstream,
    namespace: Namespace,
    /// The broadcasts that newcomers join. Locked before any broadcast's state.
    listed: Mutex<HashMap<Interest, Arc<Broadcast>>>,
    coalesced_events: AtomicU64,
}

/// What sharing has saved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that went to clients without coming from a member again, so far.
    pub events: u64,
    /// Watchers without a watch of their own, now.
    pub watchers: usize,
}

impl Hub {
    pub fn new(upstream: Upstream, namespace: Namespace) -> Self {
        let shared = Shared { upstream, namespace, listed: Mutex::default(), coalesced_events: AtomicU64::new(0) };
        Self { shared: Arc::new(shared) }
    }

    pub fn counts(&self) -> Counts {
        let listed = self.shared.listed.lock();
        let watchers = listed.values().map(|broadcast| broadcast.state().subscribers.len().saturating_sub(1)).sum();
        Counts { events: self.shared.coalesced_events.load(Ordering::Relaxed), watchers }
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.shared.upstream
    }

    pub(super) fn namespace(&self) -> &Namespace {
        &self.shared.namespace
    }

    pub(super) fn leave_namespace(&self, events: &mut [Event]) -> Result<(), Status> {
        self.shared.namespace.events(events).map_err(kv::damaged)
    }

    pub(super) fn count_events(&self, events: usize, subscribers: usize) {
        let saved = events * subscribers.saturating_sub(1);
        self.shared.coalesced_events.fetch_add(saved as u64, Ordering::Relaxed);
    }

    /// Takes a new watcher in. `subscriber.from` is the revision it starts at.
    pub(super) fn join(&self, interest: Interest, mut subscriber: Subscriber) {
        let mut listed = self.shared.listed.lock();
        if let Some(broadcast) = listed.get(&interest) {
            let mut state = broadcast.state();
            if !state.is_over && may_join(&state, subscriber.from) && announce(&mut subscriber, &state) {
                let seat = subscriber.seat.clone();
                state.subscribers.push(subscriber);
                drop(state);
                seat.sit(broadcast);
                return;
            }
        }
        // Members refuse revisions below 0, with all who joined.
        let may_be_joined = subscriber.from >= 0;
        let broadcast = self.open(&interest, subscriber);
        if may_be_joined {
            listed.entry(interest).or_insert(broadcast);
        }
    }

    /// A broadcast for one subscriber that goes its own way, for now.
    pub(super) fn separate(&self, interest: &Interest, subscriber: Subscriber) {
        self.open(interest, subscriber);
    }

    fn open(&self, interest: &Interest, subscriber: Subscriber) -> Arc<Broadcast> {
        let broadcast = Broadcast::new(interest.clone(), subscriber.from);
        let seat = subscriber.seat.clone();
        broadcast.state().subscribers.push(subscriber);
        seat.sit(&broadcast);
        tokio::spawn(broadcast.clone().run(self.clone()));
        broadcast
    }

    /// After news: a broadcast that has reached the listed one gives it its subscribers, one that leads takes its place.
    /// False when nothing is left to do for this one.
    pub(super) fn settle(&self, broadcast: &Arc<Broadcast>) -> bool {
        let mut listed = self.shared.listed.lock();
        let Some(other) = listed.get(&broadcast.interest).cloned() else {
            listed.insert(broadcast.interest.clone(), broadcast.clone());
            return true;
        };
        if Arc::ptr_eq(&other, broadcast) {
            return true;
        }
        let mut own = broadcast.state();
        let mut others = other.state();
        let has_reached = others.header.is_some() && own.header.is_some() && own.next >= others.next;
        if others.is_over || !others.is_near() && own.is_near() {
            listed.insert(broadcast.interest.clone(), broadcast.clone());
            return true;
        }
        // Whoever has not heard of its creation hears it first.
        if !has_reached || own.subscribers.iter().any(|subscriber| !subscriber.is_announced) {
            return true;
        }
        own.is_over = true;
        let moved = std::mem::take(&mut own.subscribers);
        let next = own.next;
        for mut subscriber in moved {
            subscriber.from = subscriber.from.max(next);
            let seat = subscriber.seat.clone();
            others.subscribers.push(subscriber);
            seat.sit(&other);
        }
        false
    }

    pub(super) fn forget(&self, broadcast: &Arc<Broadcast>) {
        let mut listed = self.shared.listed.lock();
        if listed.get(&broadcast.interest).is_some_and(|listed| Arc::ptr_eq(listed, broadcast)) {
            listed.remove(&broadcast.interest);
        }
    }

    /// A header when no broadcast has one: any member's.
    pub(super) async fn header(
        &self,
        headers: &[(&'static str, String)],
    ) -> Result<Option<pb::ResponseHeader>, Status> {
        let range =
            pb::RangeRequest { key: vec![0].into(), count_only: true, serializable: true, ..Default::default() };
        let mut request = tonic::Request::new(range);
        for (name, value) in headers {
            if let Ok(value) = value.parse() {
                request.metadata_mut().insert(*name, value);
            }
        }
        let answer = self.upstream().unary::<_, pb::RangeResponse>("/etcdserverpb.KV/Range", request).await?;
        Ok(answer.into_inner().header)
    }
}

/// The broadcast still delivers all that a watcher from this revision on must see, and soon.
fn may_join(state: &State, from: i64) -> bool {
    match &state.header {
        Some(_) => (from == 0 || from >= state.next) && state.is_near(),
        None => from >= 0 && from >= state.next && (from == 0) == (state.next == 0),
    }
}

/// Tells a newcomer that it was created, if the broadcast it joins was. False: its queue has no room.
fn announce(subscriber: &mut Subscriber, state: &State) -> bool {
    let Some(header) = state.header else { return true };
    let created = Delivery { seat: subscriber.seat.number, what: What::Created(Some(header)) };
    if subscriber.deliveries.try_send(created).is_err() {
        return false;
    }
    subscriber.is_announced = true;
    if subscriber.from == 0 {
        subscriber.from = state.next;
    }
    true
}
