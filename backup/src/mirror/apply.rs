use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use quorate_proto::etcdserverpb::TxnResponse;
use tokio::sync::mpsc;

use super::divergence::Divergence;
use super::error::{Error, Side};
use super::fold::{Deletion, Fold, Unfolded};
use super::lease::{Leases, TTL_GONE_S};
use super::member::{Member, has_too_many_operations, is_too_large};
use super::request::{self, Proof};
use super::revision::Revision;
use super::status::Board;
use super::window::Window;

/// What servers take unless they were told otherwise.
const OPERATIONS_MAX: usize = 128;
/// Revisions taken from the feed; also those whose leases are asked about together.
const WAITING_MAX: usize = 128;
/// Keys of the first revision that are compared.
const COMPARED_MAX: usize = 16;

/// Writes revisions to the target, in order.
pub(super) struct Applier {
    pub(super) source: Member,
    pub(super) target: Member,
    pub(super) leases: Leases,
    pub(super) board: Board,
    revisions: mpsc::Receiver<Revision>,
    /// Everything up to here is in the target.
    applied: i64,
    /// What isn't known to be in the target. The first ones, as many as there are answers to come, are on their way.
    waiting: VecDeque<Revision>,
    answers: FuturesOrdered<BoxFuture<'static, Result<TxnResponse, Error>>>,
    /// Of the last revision on its way, or of none if nothing is on its way.
    proof: Option<Proof>,
    window: Window,
    operations_max: usize,
}

/// What comes to an [`Applier`].
pub(super) enum Event {
    Answer(Box<Result<TxnResponse, Error>>),
    /// None: there will be no others.
    Revision(Option<Revision>),
}

impl Applier {
    pub(super) fn new(
        (source, target): (Member, Member),
        leases: Leases,
        board: Board,
        revisions: mpsc::Receiver<Revision>,
        applied: i64,
    ) -> Self {
        Self {
            source,
            target,
            leases,
            board,
            revisions,
            applied,
            waiting: VecDeque::new(),
            answers: FuturesOrdered::new(),
            proof: Some(Proof::default()),
            window: Window::new(),
            operations_max: OPERATIONS_MAX,
        }
    }

    /// If nothing is on its way, the target's revision.
    pub(super) fn applied(&self) -> i64 {
        self.applied
    }

    /// Whether nobody knows what the target will be when this is given up now.
    pub(super) fn is_uncertain(&self) -> bool {
        !self.answers.is_empty()
    }

    /// The next to be noted; none if the deadline comes first. Nothing is lost if this is dropped.
    pub(super) async fn next(&mut self, deadline: Option<Instant>) -> Option<Event> {
        let may_wait = self.waiting.len() < WAITING_MAX;
        tokio::select! {
            Some(answer) = self.answers.next(), if !self.answers.is_empty() => Some(Event::Answer(Box::new(answer))),
            revision = self.revisions.recv(), if may_wait => Some(Event::Revision(revision)),
            () = sleep_until(deadline) => None,
        }
    }

    /// Not to be dropped.
    pub(super) async fn note(&mut self, event: Option<Event>) -> Result<(), Error> {
        match event {
            Some(Event::Answer(answer)) => self.note_answer(*answer).await,
            Some(Event::Revision(Some(revision))) => self.receive(revision).await,
            Some(Event::Revision(None)) => Err(Error::Ended(Side::Source)),
            None => Ok(()),
        }
    }

    /// The first is in the target already: is it the same?
    async fn receive(&mut self, revision: Revision) -> Result<(), Error> {
        if revision.number > self.applied {
            self.waiting.push_back(revision);
            return Ok(());
        }
        let different = Divergence::Different { revision: revision.number };
        for pair in revision.puts().take(COMPARED_MAX) {
            if self.target.get(&pair.key).await?.as_ref() != Some(pair) {
                return Err(different.into());
            }
        }
        for run in revision.runs().take(COMPARED_MAX) {
            if self.target.get(&run.first).await?.is_some() {
                return Err(different.into());
            }
        }
        Ok(())
    }

    /// Sends what can be sent.
    pub(super) async fn send(&mut self) -> Result<(), Error> {
        while self.answers.len() < self.window.size()
            && let Some(revision) = self.waiting.get(self.answers.len())
        {
            let is_plain = revision.operations() <= self.operations_max;
            let is_alone = self.answers.is_empty();
            if is_alone {
                self.proof = Some(Proof::default());
            }
            let Some(before) = self.proof.clone() else { break };
            if !is_plain && !is_alone {
                break;
            }
            self.grant().await?;
            let Some(revision) = self.waiting.get(self.answers.len()) else { break };
            let deletions = if is_plain { request::unfolded(revision) } else { fold(&self.target, revision).await? };
            self.proof = Proof::of(revision, &before);
            let txn = request::txn(revision, deletions, &before);
            self.answers.push_back(Box::pin(self.target.clone().txn(txn)));
        }
        Ok(())
    }

    /// Grants leases that revisions name and the target lacks.
    async fn grant(&mut self) -> Result<(), Error> {
        let (now, sent) = (Instant::now(), self.answers.len());
        let puts = self.waiting.iter().skip(sent).flat_map(Revision::puts);
        let named: BTreeSet<i64> = puts.map(|pair| pair.lease).filter(|id| *id != 0).collect();
        let unknown: Vec<i64> = named.into_iter().filter(|id| !self.leases.has(*id, now)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let found = self.source.found(unknown.clone()).await?;
        let ttl_s = |id| found.iter().find(|found| found.id == id).map_or(TTL_GONE_S, |found| found.granted_s);
        let grants: Vec<(i64, i64)> = unknown.into_iter().map(|id| (id, ttl_s(id))).collect();
        self.target.grant_all(&grants).await?;
        for (id, ttl_s) in grants {
            self.leases.renewed(id, ttl_s, now);
        }
        self.board.leases(self.leases.len());
        Ok(())
    }

    /// Answers come in the order of the requests.
    async fn note_answer(&mut self, answer: Result<TxnResponse, Error>) -> Result<(), Error> {
        let Some(revision) = self.waiting.front() else { return Err(Error::Moved) };
        let number = revision.number;
        let answer = match answer {
            Ok(answer) => answer,
            Err(Error::Call { status, .. }) if has_too_many_operations(&status) => {
                let operations = revision.operations();
                self.drain().await?;
                // What fits unfolded may fit when folded; what was folded already doesn't fit.
                return match operations <= self.operations_max && operations > 1 {
                    true => {
                        self.operations_max = operations - 1;
                        Ok(())
                    }
                    false => Err(Divergence::TooManyOperations { revision: number, operations }.into()),
                };
            }
            Err(Error::Call { status, .. }) if is_too_large(&status) => {
                return Err(Divergence::TooLarge { revision: number, bytes: revision.bytes }.into());
            }
            Err(error) => return Err(error),
        };
        let got = answer.header.unwrap_or_default().revision;
        if answer.succeeded {
            let deletions: usize = revision.runs().map(|run| run.count).sum();
            if got != number {
                return Err(Divergence::Misnumbered { wanted: number, got }.into());
            }
            if request::deleted(&answer.responses) != deletions {
                return Err(Divergence::Different { revision: number }.into());
            }
            self.board.applied(number, revision.bytes);
            self.applied = number;
            self.waiting.pop_front();
            self.window.applied();
            return Ok(());
        }
        match got - number {
            // It was its turn, but the keys aren't as they were at the source.
            -1 => Err(Divergence::Different { revision: got }.into()),
            ..-1 => {
                self.window.disordered();
                self.drain().await
            }
            // Late ones of before a new connection; the next begins by comparing.
            0.. => Err(Error::Moved),
        }
    }

    /// The first on its way wasn't applied, so that the others can't be either.
    async fn drain(&mut self) -> Result<(), Error> {
        let mut disordered = 1;
        while let Some(answer) = self.answers.next().await {
            let answer = match answer {
                Err(Error::Call { status, .. }) if has_too_many_operations(&status) || is_too_large(&status) => {
                    continue;
                }
                answer => answer?,
            };
            disordered += 1;
            if answer.succeeded {
                let got = answer.header.unwrap_or_default().revision;
                return Err(Divergence::Misnumbered { wanted: self.applied + 1, got }.into());
            }
        }
        self.board.disordered(disordered);
        Ok(())
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Deletions in ranges, as the target has them now that everything before is applied.
async fn fold(target: &Member, revision: &Revision) -> Result<Vec<Vec<Deletion>>, Error> {
    let written: BTreeSet<_> = revision.puts().map(|pair| pair.key.clone()).collect();
    let mut folded = Vec::new();
    for run in revision.runs() {
        let mut fold = Fold::new(run, &written);
        while let Some(asked) = fold.question() {
            let count = target.count(&asked).await?;
            fold.answer(asked, count).map_err(|unfolded| match unfolded {
                Unfolded::Missing => Divergence::Different { revision: revision.number - 1 },
                Unfolded::Forgotten | Unfolded::TooMany => {
                    Divergence::TooManyOperations { revision: revision.number, operations: revision.operations() }
                }
            })?;
        }
        folded.push(fold.found());
    }
    Ok(folded)
}
