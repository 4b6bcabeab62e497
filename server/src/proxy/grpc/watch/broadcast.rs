//! One watch on a member, and those who subscribe to it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::watch_request::RequestUnion;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use super::hub::Hub;
use super::seat::{Delivery, Interest, Subscriber, What};

const PATH: &str = "/etcdserverpb.Watch/Watch";
/// Waits between two tries to resume.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Revisions within which a broadcast counts as caught up.
const NEAR: i64 = 1000;
/// Requests to the member that have not gone out.
const QUEUED_REQUESTS: usize = 4;

#[derive(Debug)]
pub(super) struct Broadcast {
    pub interest: Interest,
    state: Mutex<State>,
    /// Subscribers came, left, or asked for something.
    changed: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    /// All events below it were delivered; 0: it begins with whatever comes.
    pub next: i64,
    /// Of the member's last message; `None` before the first.
    pub header: Option<pb::ResponseHeader>,
    pub subscribers: Vec<Subscriber>,
    /// Nobody is left, and nobody may come.
    pub is_over: bool,
}

impl State {
    /// Whoever subscribes here does not wait long for what it came for, nor misses what comes next.
    pub fn is_near(&self) -> bool {
        self.header.as_ref().is_some_and(|header| {
            let coming = header.revision + 1;
            (coming.saturating_sub(NEAR)..=coming).contains(&self.next)
        })
    }
}

/// Why the watch on a member ended.
enum End {
    NobodyLeft,
    /// The member ended it: everybody has heard.
    Canceled,
    Failed(Status),
}

/// What all subscribers shall hear.
enum Round {
    Created(Option<pb::ResponseHeader>),
    /// `next`: everything below it is in this message or was delivered before.
    Message {
        message: Arc<pb::WatchResponse>,
        next: i64,
    },
    Progress(Option<pb::ResponseHeader>),
}

impl Broadcast {
    pub fn new(interest: Interest, next: i64) -> Arc<Self> {
        let state = State { next, header: None, subscribers: Vec::new(), is_over: false };
        Arc::new(Self { interest, state: Mutex::new(state), changed: Notify::new() })
    }

    pub fn state(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }

    pub fn wake(&self) {
        self.changed.notify_one();
    }

    /// Serves until nobody is left.
    pub async fn run(self: Arc<Self>, hub: Hub) {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            let status = match self.watch(&hub).await {
                Ok(never) => match never {},
                Err(End::NobodyLeft | End::Canceled) => break,
                Err(End::Failed(status)) => status,
            };
            if self.interest.needs_leader() || is_final(&status) {
                self.fail(&status);
                break;
            }
            tracing::debug!(%status, "a watch on a member ended; resuming it");
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.changed.notified() => {}
            }
            if self.close_if_empty() {
                break;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.state().is_over = true;
        hub.forget(&self);
    }

    /// One watch on one member.
    async fn watch(self: &Arc<Self>, hub: &Hub) -> Result<std::convert::Infallible, End> {
        let (requests, queue) = mpsc::channel(QUEUED_REQUESTS);
        let create = self.create_request();
        requests.try_send(create).map_err(|_| End::Failed(Status::internal("the queue of a new watch is full")))?;
        let mut request = tonic::Request::new(ReceiverStream::new(queue));
        for (name, value) in &self.interest.headers {
            let value =
                MetadataValue::try_from(value).map_err(|_| End::Failed(Status::unauthenticated("bad token")))?;
            request.metadata_mut().insert(*name, value);
        }
        let opened = tokio::select! {
            opened = hub.upstream().stream::<pb::WatchRequest, pb::WatchResponse>(PATH, request) => opened,
            () = self.emptied() => return Err(End::NobodyLeft),
        };
        let mut messages = opened.map_err(End::Failed)?;
        loop {
            let message = tokio::select! {
                message = messages.message() => message,
                () = self.changed.notified() => {
                    if self.close_if_empty() {
                        return Err(End::NobodyLeft);
                    }
                    self.ask_for_progress(&requests);
                    continue;
                }
            };
            match message {
                Ok(Some(message)) => self.take(message, hub).await?,
                Ok(None) => return Err(End::Failed(Status::unavailable("the member ended the watch"))),
                Err(status) => return Err(End::Failed(status)),
            }
            if !hub.settle(self) {
                return Err(End::NobodyLeft);
            }
            self.ask_for_progress(&requests);
        }
    }

    fn create_request(&self) -> pb::WatchRequest {
        let Interest { key, range_end, filters, prev_kv, progress_notify, headers: _ } = self.interest.clone();
        let create = pb::WatchCreateRequest {
            key,
            range_end,
            filters,
            prev_kv,
            progress_notify,
            start_revision: self.state().next,
            ..Default::default()
        };
        pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
    }

    async fn take(self: &Arc<Self>, mut message: pb::WatchResponse, hub: &Hub) -> Result<(), End> {
        if message.canceled {
            self.cancel(message, hub);
            return Err(End::Canceled);
        }
        hub.leave_namespace(&mut message.events).map_err(End::Failed)?;
        let revision = message.header.as_ref().map(|header| header.revision).unwrap_or_default();
        let next = match message.events.last().and_then(|event| event.kv.as_ref()) {
            Some(pair) => {
                pair.decode().map_err(|error| End::Failed(super::super::kv::damaged(error)))?.mod_revision + 1
            }
            // A message of progress: nothing up to its revision is still to come.
            None if !message.created => revision + 1,
            None => 0,
        };
        let (is_created, is_answer) = (message.created, message.watch_id < 0);
        {
            let mut state = self.state();
            state.header = message.header;
            if is_created && state.next == 0 {
                state.next = revision + 1;
            }
            state.next = state.next.max(next);
        }
        let round = if is_created {
            Round::Created(message.header)
        } else if is_answer {
            Round::Progress(message.header)
        } else {
            hub.count_events(message.events.len(), self.state().subscribers.len());
            Round::Message { message: Arc::new(message), next }
        };
        self.deliver(&round, hub).await;
        Ok(())
    }

    /// Offers something to everybody. Whoever has no room for it gets a broadcast of its own; if there is nobody else, this is
    /// one, and waits.
    async fn deliver(self: &Arc<Self>, round: &Round, hub: &Hub) {
        let mut waiting = None;
        let mut behind = Vec::new();
        {
            let mut state = self.state();
            let subscribers = &mut state.subscribers;
            let is_alone = subscribers.len() == 1;
            for mut subscriber in std::mem::take(subscribers) {
                match subscriber.offer(round) {
                    Offered::Taken => subscribers.push(subscriber),
                    Offered::Gone => {}
                    Offered::Full(delivery) if is_alone => {
                        waiting = Some((subscriber.deliveries.clone(), delivery));
                        subscribers.push(subscriber);
                    }
                    Offered::Full(_) => behind.push(subscriber),
                }
            }
        }
        for subscriber in behind {
            hub.separate(&self.interest, subscriber);
        }
        if let Some((deliveries, delivery)) = waiting {
            self.wait_for_room(deliveries, delivery, round, hub).await;
        }
    }

    async fn wait_for_room(
        self: &Arc<Self>,
        deliveries: mpsc::Sender<Delivery>,
        delivery: Delivery,
        round: &Round,
        hub: &Hub,
    ) {
        let number = delivery.seat;
        loop {
            tokio::select! {
                permit = deliveries.reserve() => {
                    let mut state = self.state();
                    let place = state.subscribers.iter().position(|subscriber| subscriber.seat.number == number);
                    match (permit, place) {
                        (Ok(permit), Some(place)) => {
                            permit.send(delivery);
                            state.subscribers[place].took(round);
                        }
                        (Err(_), Some(place)) => drop(state.subscribers.remove(place)),
                        (_, None) => {}
                    }
                    break;
                }
                () = self.changed.notified() => {
                    let mut state = self.state();
                    state.subscribers.retain(|subscriber| !subscriber.seat.has_left());
                    let others = state.subscribers.len();
                    let place = state.subscribers.iter().position(|subscriber| subscriber.seat.number == number);
                    let Some(place) = place else { break };
                    if others > 1 {
                        let subscriber = state.subscribers.remove(place);
                        drop(state);
                        hub.separate(&self.interest, subscriber);
                        break;
                    }
                }
            }
        }
        // What woke this wait is still to be looked at.
        self.wake();
    }

    /// The member ended the watch. Those who only wanted what it still has go on by themselves.
    fn cancel(self: &Arc<Self>, message: pb::WatchResponse, hub: &Hub) {
        let subscribers = {
            let mut state = self.state();
            state.is_over = true;
            std::mem::take(&mut state.subscribers)
        };
        let compacted = message.compact_revision;
        let message = Arc::new(message);
        for subscriber in subscribers {
            match compacted > 0 && subscriber.from >= compacted {
                true => hub.separate(&self.interest, subscriber),
                false => subscriber.hear_last(What::Message { message: message.clone(), from: 0 }),
            }
        }
    }

    fn fail(&self, status: &Status) {
        let subscribers = {
            let mut state = self.state();
            state.is_over = true;
            std::mem::take(&mut state.subscribers)
        };
        for subscriber in subscribers {
            subscriber.hear_last(What::Failed(status.clone()));
        }
    }

    /// Asks the member, when somebody asked here. Where its queue is full, a question is on its way.
    fn ask_for_progress(&self, requests: &mpsc::Sender<pb::WatchRequest>) {
        let state = self.state();
        // Before its creation a watch has made no progress.
        if state.header.is_some() && state.subscribers.iter().any(|subscriber| subscriber.seat.wants_progress()) {
            let progress = RequestUnion::ProgressRequest(pb::WatchProgressRequest {});
            let _ = requests.try_send(pb::WatchRequest { request_union: Some(progress) });
        }
    }

    /// Nobody is left: nobody will come.
    fn close_if_empty(&self) -> bool {
        let mut state = self.state();
        state.subscribers.retain(|subscriber| !subscriber.seat.has_left());
        state.is_over = state.subscribers.is_empty();
        state.is_over
    }

    async fn emptied(&self) {
        while !self.close_if_empty() {
            self.changed.notified().await;
        }
    }
}

enum Offered {
    Taken,
    Full(Delivery),
    Gone,
}

impl Subscriber {
    fn offer(&mut self, round: &Round) -> Offered {
        if self.seat.has_left() {
            return Offered::Gone;
        }
        let what = match round {
            Round::Created(_) if self.is_announced => return Offered::Taken,
            Round::Created(header) => What::Created(*header),
            Round::Message { message, .. } => What::Message { message: message.clone(), from: self.from },
            Round::Progress(_) if !self.seat.wants_progress() => return Offered::Taken,
            Round::Progress(header) => What::Progress(*header),
        };
        match self.deliveries.try_send(Delivery { seat: self.seat.number, what }) {
            Ok(()) => {
                self.took(round);
                Offered::Taken
            }
            Err(TrySendError::Full(delivery)) => Offered::Full(delivery),
            Err(TrySendError::Closed(_)) => Offered::Gone,
        }
    }

    fn took(&mut self, round: &Round) {
        match round {
            Round::Created(header) => {
                self.is_announced = true;
                // It starts behind what was there when it heard of its creation.
                if let (Some(header), 0) = (header, self.from) {
                    self.from = header.revision + 1;
                }
            }
            Round::Message { next, .. } => self.from = self.from.max(*next),
            Round::Progress(_) => self.seat.got_progress(),
        }
    }

    /// Behind what is in its queue already, whenever there is room.
    fn hear_last(self, what: What) {
        let delivery = Delivery { seat: self.seat.number, what };
        if let Err(TrySendError::Full(delivery)) = self.deliveries.try_send(delivery) {
            tokio::spawn(async move {
                // The session may end meanwhile.
                let _ = self.deliveries.send(delivery).await;
            });
        }
    }
}

/// Another member would say the same.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented | Code::OutOfRange
    )
}
