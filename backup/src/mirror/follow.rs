use std::convert::Infallible;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, sleep};

use super::apply::Applier;
use super::cut::{self, Cut, Refusal};
use super::divergence::Divergence;
use super::error::{Error, Side};
use super::keep::Keeper;
use super::lease::{Leases, mark_id};
use super::member::Member;
use super::status::Board;
use super::watch::Feed;
use crate::etcd::Members;
use crate::report::sentence;

/// Between tries to connect: from, and to.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A connection that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(30);
/// For transactions that were sent before and may come late.
const SETTLE: Duration = Duration::from_secs(1);
/// Between comparisons of the leases.
const COMPARE_LEASES: Duration = Duration::from_secs(10);
/// Between looks at the source after the cut.
const LOOK: Duration = Duration::from_secs(1);

/// Somebody who wants the target to be cut off.
pub(super) type Request = oneshot::Sender<Result<Cut, Refusal>>;

/// Repeats every revision of the source in the target. What it knows is in the target alone: its revision says where to go on.
pub struct Mirror {
    source: Members,
    target: Members,
    board: Board,
    requests: mpsc::Receiver<Request>,
    /// Numbers of the endpoints to be tried next.
    source_number: usize,
    target_number: usize,
    source_id: Option<u64>,
    target_id: Option<u64>,
    /// Transactions may be on their way that nobody waits for.
    is_uncertain: bool,
}

impl Mirror {
    pub(super) fn new(source: Members, target: Members, board: Board, requests: mpsc::Receiver<Request>) -> Self {
        Self {
            source,
            target,
            board,
            requests,
            source_number: 0,
            target_number: 0,
            source_id: None,
            target_id: None,
            is_uncertain: true,
        }
    }

    /// Until it can't go on; then nothing more is written to the target.
    pub async fn run(mut self) -> Error {
        let mut pause = PAUSE;
        loop {
            let begun = Instant::now();
            let Err(error) = self.with_target().await;
            if error.is_final() {
                tracing::error!(error = sentence(&error), "the mirror has ended");
                return error;
            }
            self.target_number += 1;
            self.wait(&error, begun, &mut pause).await;
        }
    }

    async fn wait(&self, error: &Error, begun: Instant, pause: &mut Duration) {
        let words = sentence(error);
        tracing::warn!(error = words, "connecting anew");
        self.board.waits(words);
        if begun.elapsed() > GOOD {
            *pause = PAUSE;
        }
        sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        *pause = PAUSE_MAX.min(*pause * 2);
    }

    async fn with_target(&mut self) -> Result<Infallible, Error> {
        let (target, _) = Member::connect(Side::Target, &self.target, self.target_number).await?;
        keep_id(&mut self.target_id, &target)?;
        let (ids, _) = target.leases().await?;
        let mark = mark_id(target.cluster_id);
        if ids.contains(&mark)
            && let [mark] = target.found(vec![mark]).await?.as_slice()
        {
            self.board.cut(cut::found(&target, *mark, ids.len() - 1).await?);
        }
        if self.board.status().cut.is_some() {
            return Ok(self.look().await);
        }
        let leases = Leases::default();
        leases.add_found(&target.found(ids).await?, Instant::now());
        self.board.leases(leases.len());
        tracing::info!(endpoint = target.endpoint, leases = leases.len(), "the target is there");
        tokio::select! {
            // Also while the source is away.
            Err(error) = Keeper::keep(target.clone(), leases.clone()) => return Err(error),
            ended = self.with_sources(&target, &leases) => ended?,
        }
        Ok(self.look().await)
    }

    /// One source behind the other, until the target is cut off.
    async fn with_sources(&mut self, target: &Member, leases: &Leases) -> Result<(), Error> {
        let mut pause = PAUSE;
        loop {
            let begun = Instant::now();
            match self.with_source(target, leases).await {
                Ok(cut) => {
                    self.board.cut(cut);
                    return Ok(());
                }
                Err(error) if error.is_final() || error.side() != Some(Side::Source) => return Err(error),
                Err(error) => {
                    self.source_number += 1;
                    self.wait(&error, begun, &mut pause).await;
                }
            }
        }
    }

    async fn with_source(&mut self, target: &Member, leases: &Leases) -> Result<Cut, Error> {
        let (source, now) = Member::connect(Side::Source, &self.source, self.source_number).await?;
        keep_id(&mut self.source_id, &source)?;
        if source.cluster_id == target.cluster_id {
            return Err(Error::Same);
        }
        let revision = self.settled(target).await?;
        self.board.source_at(now);
        if revision > now {
            return Err(Divergence::Ahead { target: revision, source_revision: now }.into());
        }
        tracing::info!(endpoint = source.endpoint, source = now, target = revision, "the source is there");
        self.board.begun(revision);
        let (feed, revisions) = Feed::new(source.clone(), self.board.clone());
        let members = (source, target.clone());
        let mut applier = Applier::new(members, leases.clone(), self.board.clone(), revisions, revision);
        let ended = tokio::select! {
            // The first is in the target, and is compared.
            Err(error) = feed.run(revision) => Err(error),
            ended = follow(&mut applier, &mut self.requests) => ended,
        };
        self.is_uncertain |= applier.is_uncertain();
        ended
    }

    /// The target's revision, when nothing comes any more that was sent before.
    async fn settled(&mut self, target: &Member) -> Result<i64, Error> {
        let mut revision = target.revision().await?;
        while self.is_uncertain {
            sleep(SETTLE).await;
            let before = std::mem::replace(&mut revision, target.revision().await?);
            self.is_uncertain = before != revision;
        }
        Ok(revision)
    }

    /// Tells what the source writes after the cut.
    async fn look(&mut self) -> Infallible {
        let mut source = None;
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(request) = self.requests.recv() => {
                    if let Some(cut) = self.board.status().cut {
                        // Who asked may have gone.
                        let _ = request.send(Ok(cut));
                    }
                }
                _ = tick.tick() => {
                    let looked = match source.take() {
                        Some(source) => revision(source).await,
                        None => Member::connect(Side::Source, &self.source, self.source_number).await,
                    };
                    match looked {
                        Ok((member, revision)) => {
                            self.board.source_at(revision);
                            source = Some(member);
                        }
                        // A source that has been stopped is as it should be.
                        Err(_) => self.source_number += 1,
                    }
                }
            }
        }
    }
}

async fn revision(source: Member) -> Result<(Member, i64), Error> {
    let revision = source.revision().await?;
    Ok((source, revision))
}

/// Until the target is cut off.
async fn follow(applier: &mut Applier, requests: &mut mpsc::Receiver<Request>) -> Result<Cut, Error> {
    let mut compare = tokio::time::interval(COMPARE_LEASES);
    compare.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        applier.send().await?;
        tokio::select! {
            event = applier.next(None) => applier.note(event).await?,
            Some(request) = requests.recv() => match applier.cut().await? {
                Ok(cut) => {
                    let _ = request.send(Ok(cut.clone()));
                    return Ok(cut);
                }
                Err(refusal) => {
                    tracing::warn!(%refusal, "no cut");
                    let _ = request.send(Err(refusal));
                }
            },
            _ = compare.tick() => applier.compare_leases().await?,
        }
    }
}

fn keep_id(known: &mut Option<u64>, member: &Member) -> Result<(), Error> {
    match *known.get_or_insert(member.cluster_id) == member.cluster_id {
        true => Ok(()),
        false => Err(Error::Other(member.side)),
    }
}
