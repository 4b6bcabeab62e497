//! Starting raft on this member: replay, openraft's settings, and the first membership of a new cluster.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::errors::{InitializeError, RaftError};
use openraft::storage::{RaftLogReader, RaftLogStorage};
use openraft::{Config, Raft, SnapshotPolicy};

use super::contact::Contact;
use super::forward::Forwarder;
use super::handle::{Counts, Handle, Inner};
use super::log_store::LogStore;
use super::observer::Observer;
use super::read::{self, Reads};
use super::reconfigure::Rules;
use super::request_id::RequestIds;
use super::settle;
use super::snapshot_cadence;
use super::state_machine::{Forwarded, StateMachine};
use super::status;
use super::succession;
use super::transport::{Identity, Timing, Transport};
use super::types::Peer;
use crate::clock::Clock;
use crate::dial::Dial;
use crate::store::{Store, Writer};
use crate::wal::Wal;

pub struct Options {
    pub identity: Identity,
    /// The members of a cluster that begins now: id and peer URLs. `None` on a restart.
    pub first_members: Option<Vec<(u64, Vec<String>)>>,
    pub heartbeat: Duration,
    pub election: Duration,
    pub pre_vote: bool,
    /// Applied entries between snapshots.
    pub snapshot_count: u64,
    /// Entries kept in the log behind a snapshot, for followers that are a little late.
    pub catchup_entries: u64,
    pub max_request_bytes: usize,
    /// Where snapshots to send are cut: the store's file system.
    pub snapshot_dir: PathBuf,
    /// How the other members are connected to.
    pub dial: Dial,
    pub observer: Arc<dyn Observer>,
    pub rules: Rules,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to replay the log into the store")]
    Replay(#[source] io::Error),
    #[error("failed to note that this member no longer leads")]
    StepDown(#[source] io::Error),
    #[error("raft refuses its settings: {0}")]
    Settings(String),
    #[error("raft did not start: {0}")]
    Start(String),
}

pub async fn start(
    options: Options,
    wal: Wal,
    store: Store,
    writer: Writer,
    clock: &dyn Clock,
) -> Result<Handle, Error> {
    let identity = options.identity;
    let mut log = LogStore::new(wal.clone());
    let forwarded = Arc::new(Forwarded::default());
    let mut machine = StateMachine::new(store.clone(), writer, forwarded.clone(), options.snapshot_dir.clone())
        .map_err(Error::Replay)?;
    machine.observe(options.observer.clone());
    let commit = wal.state().map(|state| state.commit).unwrap_or_default();
    machine.replay(&log, commit).map_err(Error::Replay)?;
    let applied = machine.applied();
    let led_before = step_down(&mut log, identity.member_id).await.map_err(Error::StepDown)?;

    let transport = Transport::new(
        identity,
        Timing { connect: options.election, call: options.election, snapshot_stall: Duration::from_secs(60) },
        options.dial.clone(),
        options.observer.clone(),
    );
    let config = config(&options)?;
    let raft = Raft::new(identity.member_id, Arc::new(config), transport.clone(), log, machine)
        .await
        .map_err(|error| Error::Start(error.to_string()))?;
    let counts = Counts::default();
    let heard = Arc::new(parking_lot::Mutex::new(Instant::now()));
    let contact = Contact::new(identity.member_id, raft.metrics(), heard.clone(), options.election);
    let status = status::follow(raft.server_metrics(), contact, counts.leader_changes.clone());
    transport.follow(status.clone());
    let (reads, waiting_reads) = Reads::new();
    let inner = Arc::new(Inner {
        raft,
        identity,
        forwarder: Forwarder::start(transport.clone()),
        transport,
        applied,
        status,
        forwarded,
        reads,
        request_ids: RequestIds::new(identity.member_id, clock),
        counts,
        store,
        wal,
        unfit: tokio::sync::watch::Sender::new(None),
        rules: options.rules,
        observer: options.observer,
        reconfiguring: tokio::sync::Mutex::default(),
        heard,
        asked: parking_lot::Mutex::new(Instant::now()),
        // etcd's bound: five seconds for queueing, computation and disk, and two elections.
        request_timeout: Duration::from_secs(5) + 2 * options.election,
        max_request_bytes: options.max_request_bytes,
    });
    read::serve(&inner, waiting_reads);
    settle::keep(Arc::downgrade(&inner), inner.transport.removed());
    let succession = succession::Timing {
        heartbeat: options.heartbeat,
        lease: Duration::from_millis(lease_ms(options.election)),
        pre_vote: options.pre_vote,
    };
    succession::keep(Arc::downgrade(&inner), succession);
    snapshot_cadence::keep(&inner, options.snapshot_count);
    if let Some(members) = options.first_members {
        initialize(&inner, members).await?;
    } else if led_before {
        // It was the most up to date a moment ago: waiting for a time-out would only lengthen the outage.
        inner.raft.trigger().elect(options.pre_vote).await.map_err(|error| Error::Start(error.to_string()))?;
    }
    Ok(Handle(inner))
}

/// Gives up the leadership that the log of a restarted leader still claims; true if there was one.
///
/// openraft would resume it in the same term without an election. But a leader may acknowledge what a quorum of the
/// others has on disk and it has not: after a crash of all members it would come back with the shorter log and overwrite
/// theirs. An election compares the logs first.
async fn step_down(log: &mut LogStore, member_id: u64) -> io::Result<bool> {
    let claimed = log.read_vote().await?.filter(|vote| vote.leader_id.voted_for == member_id && vote.committed);
    let Some(mut vote) = claimed else { return Ok(false) };
    vote.committed = false;
    log.save_vote(&vote).await?;
    Ok(true)
}

/// Every member of a static cluster writes the same first entry, so that any of them may start first.
async fn initialize(inner: &Inner, members: Vec<(u64, Vec<String>)>) -> Result<(), Error> {
    let members: BTreeMap<u64, Peer> =
        members.into_iter().map(|(id, peer_urls)| (id, Peer { peer_urls, wants_vote: true })).collect();
    match inner.raft.initialize(members).await {
        Ok(()) => Ok(()),
        // Another member was quicker, and its log has reached us: the same entry stands in it.
        Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(Error::Start(error.to_string())),
    }
}

/// openraft's leader lease is the maximum of its election timeouts.
fn lease_ms(election: Duration) -> u64 {
    election.as_millis() as u64 * 3 / 5
}

fn config(options: &Options) -> Result<Config, Error> {
    let election_ms = options.election.as_millis() as u64;
    let config = Config {
        cluster_name: format!("{:x}", options.identity.cluster_id),
        heartbeat_interval: options.heartbeat.as_millis() as u64,
        // A follower stands for election once the leader's lease (the maximum) and its own timeout have passed: between
        // one and 1.2 election timeouts after it last heard of the leader.
        election_timeout_min: election_ms * 2 / 5,
        election_timeout_max: lease_ms(options.election),
        enable_pre_vote: Some(options.pre_vote),
        // The bound on a whole transfer; progress is judged by the transport.
        install_snapshot_timeout: 24 * 3600 * 1000,
        max_payload_entries: 4096,
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: options.catchup_entries,
        // Purging frees whole segments, so doing it for every entry would be idle work.
        purge_batch_size: 1024,
        replication_lag_threshold: u64::MAX / 2,
        // Unreachable members are tried again soon: an election must not wait for a long pause.
        backoff: "50ms 100ms 200ms ..1s".to_owned(),
        ..Config::default()
    };
    config.validate().map_err(|error| Error::Settings(error.to_string()))
}
