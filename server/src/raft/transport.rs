//! Connections to the other members, and what is known of them: addresses, who answers, who we are to them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use openraft::errors::{RPCError, Unreachable};
use parking_lot::Mutex;
use quorate_proto::peer::{self, peer_client::PeerClient};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::Service;

use super::observer::{Direction, Observer, Transfer};
use super::status::Status;
use super::types::TypeConfig;
use super::wire;
use crate::dial::{self, Dial};
use crate::traffic::{Meter, Metered};

type C = TypeConfig;

/// Who we are, as peers must see it: a recycled address must not acknowledge another cluster's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub cluster_id: u64,
    pub member_id: u64,
}

/// A peer URL without a port means etcd's.
pub const DEFAULT_PEER_PORT: u16 = 2380;

/// Time for a member to install a snapshot and follow the log from there; etcd's.
const AFTER_SNAPSHOT: Duration = Duration::from_secs(30);

pub const CLUSTER_ID_HEADER: &str = "x-etcd-cluster-id";
pub const FROM_HEADER: &str = "x-server-from";
pub const TO_HEADER: &str = "x-raft-to";
/// On an append stream: what the receiver has acknowledged to this leader.
pub const ACKNOWLEDGED_HEADER: &str = "x-quorate-acknowledged";
/// In a refusal: the caller was removed from the cluster.
pub const REMOVED_HEADER: &str = "x-quorate-removed";

/// Connections to the other members, one channel a member and kind of traffic, opened on first use.
#[derive(Clone)]
pub struct Transport {
    identity: Identity,
    timing: Timing,
    channels: Arc<Mutex<HashMap<(u64, Traffic), Opened>>>,
    /// Members that answer heartbeats, since when; the others are silent or were never asked.
    active: Arc<Mutex<HashMap<u64, Instant>>>,
    /// Of the newest membership that this member knows, by id.
    peer_urls: Arc<Mutex<HashMap<u64, Vec<String>>>>,
    /// Members at whose address another cluster's answered, and which.
    strangers: Arc<Mutex<HashMap<u64, u64>>>,
    sending: Arc<Mutex<Sending>>,
    /// The others have removed this member.
    removed: Arc<watch::Sender<bool>>,
    dial: Dial,
    observer: Arc<dyn Observer>,
}

/// Snapshots on their way to other members.
#[derive(Default)]
struct Sending {
    count: usize,
    last_end: Option<Instant>,
}

/// Held while a snapshot is sent.
pub struct SendingSnapshot(Arc<Mutex<Sending>>);

impl Drop for SendingSnapshot {
    fn drop(&mut self) {
        let mut sending = self.0.lock();
        sending.count -= 1;
        sending.last_end = Some(Instant::now());
    }
}

/// A channel and the addresses it was made for.
struct Opened {
    peer_urls: Vec<String>,
    channel: Channel,
}

#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Bound on connecting to a member.
    pub connect: Duration,
    /// Bound on a vote and on other short calls; the election timeout.
    pub call: Duration,
    /// How long a snapshot transfer may make no progress before it is given up.
    pub snapshot_stall: Duration,
}

/// Heartbeats and snapshots have connections of their own, so that a full append stream can't delay them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Traffic {
    Log,
    Heartbeat,
    Snapshot,
    Forward,
}

impl Transport {
    pub fn new(identity: Identity, timing: Timing, dial: Dial, observer: Arc<dyn Observer>) -> Self {
        Self {
            identity,
            timing,
            channels: Arc::default(),
            active: Arc::default(),
            peer_urls: Arc::default(),
            strangers: Arc::default(),
            sending: Arc::default(),
            removed: Arc::new(watch::Sender::new(false)),
            dial,
            observer,
        }
    }

    /// Has the transfer of a snapshot counted.
    pub fn transfer(&self, member_id: u64, direction: Direction) -> Transfer {
        Transfer::begin(self.observer.clone(), member_id, direction)
    }

    /// A client to `target`. Connecting happens on first use and again after a failure.
    pub fn client(&self, target: u64, traffic: Traffic) -> Result<PeerClient<Channel>, Unreachable<C>> {
        let peer_urls = self.peer_urls(target).unwrap_or_default();
        self.client_at(target, &peer_urls, traffic)
    }

    pub fn client_at(
        &self,
        target: u64,
        peer_urls: &[String],
        traffic: Traffic,
    ) -> Result<PeerClient<Channel>, Unreachable<C>> {
        let mut channels = self.channels.lock();
        let channel = match channels.get(&(target, traffic)) {
            Some(opened) if opened.peer_urls == peer_urls => opened.channel.clone(),
            _ => {
                let url = peer_urls
                    .first()
                    .ok_or_else(|| Unreachable::from_string(format!("member {target:x} has no peer URL")))?;
                let channel = Endpoint::from_shared(url.clone())
                    .map_err(|error| Unreachable::from_string(format!("peer URL {url}: {error}")))?
                    .connect_timeout(self.timing.connect)
                    .http2_keep_alive_interval(Duration::from_secs(5))
                    .keep_alive_timeout(Duration::from_secs(5))
                    .keep_alive_while_idle(true)
                    .initial_stream_window_size(4 << 20)
                    .initial_connection_window_size(16 << 20)
                    .connect_with_connector_lazy(connector(self.dial.clone(), self.observer.meter(target)));
                channels.insert((target, traffic), Opened { peer_urls: peer_urls.to_vec(), channel: channel.clone() });
                channel
            }
        };
        Ok(PeerClient::new(channel).max_decoding_message_size(wire::MAX_MESSAGE_BYTES))
    }

    pub fn request<T>(&self, target: u64, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        for (name, id) in
            [(CLUSTER_ID_HEADER, self.identity.cluster_id), (FROM_HEADER, self.identity.member_id), (TO_HEADER, target)]
        {
            if let Ok(value) = format!("{id:x}").parse() {
                request.metadata_mut().insert(name, value);
            }
        }
        request
    }

    /// Logs when a member begins or ceases to answer, once each.
    pub fn heard(&self, target: u64, reason: Option<&RPCError<C>>) {
        let mut active = self.active.lock();
        match reason {
            None => {
                self.strangers.lock().remove(&target);
                if let Entry::Vacant(entry) = active.entry(target) {
                    entry.insert(Instant::now());
                    self.observer.active(target, true);
                    tracing::info!(remote_peer_id = format!("{target:x}"), "peer became active");
                }
            }
            Some(error) => {
                self.observer.send_failed(target);
                if active.remove(&target).is_some() {
                    self.observer.active(target, false);
                    tracing::warn!(remote_peer_id = format!("{target:x}"), %error, "peer became inactive");
                }
            }
        }
    }

    pub fn sending_snapshot(&self) -> SendingSnapshot {
        self.sending.lock().count += 1;
        SendingSnapshot(self.sending.clone())
    }

    /// A member has got a snapshot lately, or is getting one: it needs the entries behind it.
    pub fn needs_entries_behind_snapshot(&self) -> bool {
        let sending = self.sending.lock();
        sending.count > 0 || sending.last_end.is_some_and(|end| end.elapsed() < AFTER_SNAPSHOT)
    }

    /// Members that answer, and since when.
    pub fn active_since(&self) -> Vec<(u64, Instant)> {
        self.active.lock().iter().map(|(id, since)| (*id, *since)).collect()
    }

    pub fn is_active(&self, id: u64) -> bool {
        self.active.lock().contains_key(&id)
    }

    /// Keeps the addresses of the members up to date.
    pub fn follow(&self, mut status: watch::Receiver<Status>) {
        let transport = self.clone();
        tokio::spawn(async move {
            loop {
                {
                    let status = status.borrow_and_update();
                    let peer_urls: HashMap<u64, Vec<String>> =
                        status.members.iter().map(|member| (member.id, member.peer_urls.clone())).collect();
                    transport.active.lock().retain(|id, _| peer_urls.contains_key(id));
                    transport.channels.lock().retain(|(id, _), _| peer_urls.contains_key(id));
                    *transport.peer_urls.lock() = peer_urls;
                }
                if status.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// Resolves to true when this member was removed.
    pub fn removed(&self) -> watch::Receiver<bool> {
        self.removed.subscribe()
    }

    pub fn note_removal(&self) {
        self.removed.send_replace(true);
    }

    /// Ids don't come back: what one member says about a removal holds for all.
    pub fn heed_refusal(&self, from: u64, status: &tonic::Status) {
        let cluster_id = status.metadata().get(CLUSTER_ID_HEADER).and_then(|value| value.to_str().ok());
        if let Some(cluster_id) = cluster_id.and_then(|value| u64::from_str_radix(value, 16).ok()) {
            let before = self.strangers.lock().insert(from, cluster_id);
            if before != Some(cluster_id) {
                tracing::warn!(
                    remote_peer_id = format!("{from:x}"),
                    remote_peer_cluster_id = format!("{cluster_id:x}"),
                    local_member_cluster_id = format!("{:x}", self.identity.cluster_id),
                    "request sent was ignored by remote peer due to cluster ID mismatch"
                );
            }
        }
        if status.metadata().contains_key(REMOVED_HEADER) {
            self.note_removal();
        }
    }

    /// Another cluster that more than half of these members belong to, where there were only our members to be.
    pub fn cluster_of_most(&self, members: &[u64]) -> Option<u64> {
        let strangers = self.strangers.lock();
        let foreign: Vec<u64> = members.iter().filter_map(|member| strangers.get(member).copied()).collect();
        foreign.first().copied().filter(|_| foreign.len() * 2 > members.len())
    }

    /// Asks the others whether they still know this member: what they refuse is noted.
    pub async fn ask_whether_removed(&self) {
        let targets: Vec<u64> = self.peer_urls.lock().keys().copied().collect();
        for target in targets {
            let Ok(mut client) = self.client(target, Traffic::Heartbeat) else { continue };
            // An empty question: who is no member is refused before it is read, and to members it means nothing.
            let call = client.pre_vote(self.request(target, peer::VoteRequest::default()));
            if let Ok(Err(status)) = tokio::time::timeout(self.timing.call, call).await {
                self.heed_refusal(target, &status);
            }
        }
    }

    /// A heartbeat was answered, after so long, or wasn't.
    pub fn beat(&self, target: u64, took: Option<Duration>) {
        match took {
            Some(took) => self.observer.round_trip(target, took),
            None => self.observer.heartbeat_failed(),
        }
    }

    /// Addresses by the newest membership.
    pub fn peer_urls(&self, target: u64) -> Option<Vec<String>> {
        self.peer_urls.lock().get(&target).cloned()
    }

    pub fn timing(&self) -> Timing {
        self.timing
    }
}

/// Opens connections whose bytes are counted.
fn connector(
    dial: Dial,
    meter: Arc<dyn Meter>,
) -> impl Service<Uri, Response = Connected, Error = io::Error, Future: Send> + Clone + Send + 'static {
    tower::service_fn(move |uri: Uri| {
        let (dial, meter) = (dial.clone(), meter.clone());
        async move { Ok(TokioIo::new(Metered::new(dial.connect(&uri, DEFAULT_PEER_PORT).await?, meter))) }
    })
}

type Connected = TokioIo<Metered<dial::Stream, dyn Meter>>;
