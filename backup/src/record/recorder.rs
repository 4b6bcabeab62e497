use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Error;
use super::backoff::Backoff;
use super::begin::{self, Begin, Found};
use super::outbox::{BYTES_MAX, LAST_LIMIT, Letter, Outbox};
use super::status::{Board, Gap, RecordedTo, Source};
use super::watch::{Member, Watch};
use crate::changes::{Gatherer, Lease, Shelf, ShelfError, Start, Trouble};
use crate::etcd::Members;
use crate::report::sentence;

/// When nothing has come for so long, a chunk says that.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// A member that says nothing although it is asked every interval. A dead connection is found sooner; etcd cuts a revision with very
/// many events into fragments for a minute, and says nothing meanwhile.
const SILENCE_LIMIT: Duration = Duration::from_secs(180);
const NO_BACKUP: &str = "there is no backup yet, so that nothing can be restored";

#[derive(Clone, Debug)]
pub struct Settings {
    pub members: Members,
    pub cluster_id: u64,
    /// Between chunks, and between questions to the member whether it has told everything.
    pub interval: Duration,
}

/// Records until it is told to stop. Memory: 16 MiB that the store hasn't taken, one chunk and one response.
pub struct Recorder {
    settings: Settings,
    shelf: Shelf,
    board: Board,
    stop: CancellationToken,
    outbox: Outbox,
    gatherer: Option<Gatherer>,
    /// Number of the endpoint to be tried next.
    endpoint: usize,
    last_cut: Instant,
    /// When to look whether there is a backup, if there was none.
    look_for_backup_at: Option<Instant>,
}

/// Why a watch has ended without an error.
enum End {
    Stopped,
    /// The store takes less than comes.
    Full,
}

impl Recorder {
    pub fn new(settings: Settings, shelf: Shelf, board: Board, stop: CancellationToken) -> Self {
        Self {
            settings,
            outbox: Outbox::new(shelf.clone()),
            shelf,
            board,
            stop,
            gatherer: None,
            endpoint: 0,
            last_cut: Instant::now(),
            look_for_backup_at: None,
        }
    }

    /// Fails only if trying again can't help: the endpoints are another cluster's.
    pub async fn run(mut self) -> Result<(), Error> {
        let mut backoff = Backoff::new();
        loop {
            let begun = Instant::now();
            match self.record().await {
                Ok(End::Stopped) => break,
                Ok(End::Full) => {
                    tracing::warn!(bytes = self.outbox.bytes(), "the store takes less than comes: pausing the watch");
                    self.write_until(|outbox| outbox.is_empty(), None).await;
                }
                Err(error @ Error::WrongCluster { .. }) => return Err(error),
                Err(error) => {
                    let words = sentence(&error);
                    tracing::warn!(error = words, "not recording");
                    self.board.watch_failed();
                    self.board.trouble(Source::Cluster, Some(words));
                    self.endpoint += 1;
                }
            }
            if begun.elapsed() > IDLE_LIMIT {
                backoff.reset();
            }
            self.write_until(|_| false, Some(Instant::now() + backoff.next())).await;
            if self.stop.is_cancelled() {
                break;
            }
        }
        self.finish().await;
        Ok(())
    }

    /// One watch.
    async fn record(&mut self) -> Result<End, Error> {
        let stop = self.stop.clone();
        let mut watch = tokio::select! {
            () = stop.cancelled() => return Ok(End::Stopped),
            watch = self.begin() => watch?,
        };
        let interval = self.settings.interval;
        let mut tick = tokio::time::interval(interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_response = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    // Without answers about leases, the chunk is written nevertheless.
                    if let Err(error) = self.cut(&watch).await {
                        tracing::warn!(error = sentence(&error), "leases are not asked about");
                    }
                    return Ok(End::Stopped);
                }
                written = self.outbox.step() => self.note(written),
                _ = tick.tick() => {
                    if last_response.elapsed() > SILENCE_LIMIT.max(3 * interval) {
                        return Err(Error::Silent);
                    }
                    if self.gatherer.as_ref().is_some_and(Gatherer::has_rows) || self.last_cut.elapsed() >= IDLE_LIMIT {
                        self.cut(&watch).await?;
                    }
                    self.look_for_backup().await;
                    watch.ask_progress();
                }
                response = watch.next() => {
                    let response = response?;
                    last_response = Instant::now();
                    self.board.received(response.header.as_ref().map_or(0, |header| header.revision));
                    let Some(gatherer) = &mut self.gatherer else { return Ok(End::Full) };
                    if let Err(trouble) = gatherer.take(response, Timestamp::now().as_millisecond()) {
                        self.lose(&trouble, watch.revision);
                        return Err(trouble.into());
                    }
                    self.board.trouble(Source::Cluster, None);
                    if gatherer.is_full() {
                        self.cut(&watch).await?;
                    }
                    if self.outbox.bytes() > BYTES_MAX {
                        return Ok(End::Full);
                    }
                }
            }
        }
    }

    /// A watch that goes on where the record ends.
    async fn begin(&mut self) -> Result<Watch, Error> {
        let Settings { members, cluster_id, .. } = &self.settings;
        let endpoint =
            members.endpoints.get(self.endpoint % members.endpoints.len().max(1)).ok_or(Error::Ended)?.clone();
        let member = Member::connect(members, &endpoint, *cluster_id).await?;
        if self.gatherer.is_none() {
            self.gatherer = Some(self.find(member.revision).await?);
        }
        let checked = self.gatherer.as_ref().map_or(Ok(()), |gatherer| gatherer.check(member.revision));
        if let Err(trouble) = checked {
            self.lose(&trouble, member.revision);
            return Err(trouble.into());
        }
        let revision = self.gatherer.as_mut().map_or(member.revision, Gatherer::resume);
        tracing::info!(endpoint, revision, "watching");
        member.watch(revision).await
    }

    /// Where the record ends. `now`: the cluster's revision.
    async fn find(&mut self, now: i64) -> Result<Gatherer, Error> {
        let found = Found { chunks: self.shelf.names().await?, backup: self.shelf.newest_backup(now).await? };
        let Begin { revision, chunk: name, gone_back_from, has_backup } = found.begin(now);
        if let Some(recorded) = gone_back_from {
            tracing::warn!(recorded, now, "the cluster has gone back behind what is recorded");
        }
        if !has_backup {
            self.board.trouble(Source::Backup, Some(NO_BACKUP.into()));
            self.look_for_backup_at = Some(Instant::now() + IDLE_LIMIT);
        }
        let chunk = match name {
            Some(name) => self.shelf.read_if_able(&name).await?,
            None => None,
        };
        let last_ms = chunk.as_ref().and_then(|chunk| chunk.moments.last()).map(|moment| moment.unix_ms);
        let time = last_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        self.board.begun(now, RecordedTo { revision, time });
        let start = begin::start(revision, chunk.as_ref());
        tracing::info!(revision, chunks = found.chunks.len(), compares = start.link.is_some(), "the record goes on");
        Ok(Gatherer::new(self.settings.cluster_id, start, last_ms.unwrap_or(0)))
    }

    /// If changes are lost, the record begins anew.
    fn lose(&mut self, trouble: &Trouble, now: i64) {
        let resumed_at = match trouble {
            Trouble::Compacted { compacted, .. } => *compacted,
            Trouble::Diverged(_) | Trouble::GoneBack { .. } => now,
            Trouble::Skipped { .. } | Trouble::Cancelled(_) | Trouble::Malformed => return,
        };
        self.push(Vec::new());
        let Some(gatherer) = &self.gatherer else { return };
        let gap = Gap { after: gatherer.done(), resumed_at, why: trouble.to_string() };
        tracing::error!(after = gap.after, resumed_at, why = gap.why, "changes are lost");
        self.board.gap(gap);
        let start = Start { revision: resumed_at, link: None };
        self.gatherer = Some(Gatherer::new(self.settings.cluster_id, start, gatherer.last_moment_ms()));
    }

    /// Ends the chunk, with what the member says of its leases.
    async fn cut(&mut self, watch: &Watch) -> Result<(), Error> {
        let unknown = self.gatherer.as_ref().map(Gatherer::unknown_leases).unwrap_or_default();
        let leases = watch.leases(unknown).await?;
        self.push(leases);
        Ok(())
    }

    fn push(&mut self, leases: Vec<Lease>) {
        self.last_cut = Instant::now();
        let Some(chunk) = self.gatherer.as_mut().and_then(|gatherer| gatherer.cut(leases)) else { return };
        let time = chunk.moments.last().and_then(|moment| Timestamp::from_millisecond(moment.unix_ms).ok());
        let recorded = RecordedTo { revision: chunk.done(), time };
        match self.shelf.seal(&chunk) {
            Ok((name, bytes)) => self.outbox.push(Letter { name, bytes, recorded }),
            Err(error) => {
                // Never seen; what it had is read again.
                self.board.trouble(Source::Store, Some(error.to_string()));
                self.gatherer = None;
            }
        }
    }

    fn note(&self, written: Result<Letter, ShelfError>) {
        match written {
            Ok(Letter { name, bytes, recorded }) => {
                tracing::debug!(%name, bytes = bytes.len(), "written");
                self.board.written(recorded, bytes.len());
                self.board.trouble(Source::Store, None);
            }
            Err(error) => {
                let words = sentence(&error);
                tracing::warn!(error = words, "a chunk is not written yet");
                self.board.store_failed();
                self.board.trouble(Source::Store, Some(words));
            }
        }
    }

    /// Until the outbox is as wanted, or the time has come, or it is to stop.
    async fn write_until(&mut self, is_done: impl Fn(&Outbox) -> bool, deadline: Option<Instant>) {
        let stop = self.stop.clone();
        while !is_done(&self.outbox) {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(deadline) => return,
                written = self.outbox.step() => self.note(written),
            }
        }
    }

    async fn look_for_backup(&mut self) {
        if self.look_for_backup_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        self.look_for_backup_at = Some(Instant::now() + IDLE_LIMIT);
        if let Ok(Some(_)) = self.shelf.newest_backup(i64::MAX).await {
            self.look_for_backup_at = None;
            self.board.trouble(Source::Backup, None);
        }
    }

    /// Writes what there is, for as long as a pod's end may take.
    async fn finish(&mut self) {
        self.push(Vec::new());
        let deadline = Instant::now() + LAST_LIMIT;
        while !self.outbox.is_empty() {
            tokio::select! {
                () = sleep_until(Some(deadline)) => {
                    tracing::warn!(bytes = self.outbox.bytes(), "stopped before everything was written");
                    return;
                }
                written = self.outbox.step() => self.note(written),
            }
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
