use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use quorate_proto::etcdserverpb::TxnResponse;
use tokio::sync::mpsc;

use super::divergence::Divergence;
use super::error::{Error, Side};
use super::fold::{Deletion, Fold, Unfolded};
use super::lease::{Leases, TTL_GONE_S};
use super::member::{Member, has_too_many_operations, is_too_large};
use super::request::{self, OWN_MAX, Proof, Step};
use super::revision::Revision;
use super::status::Board;

/// What servers take unless they were told otherwise.
const OPERATIONS_MAX: usize = 128;
/// Revisions taken from the feed; also those whose leases are asked about together.
const WAITING_MAX: usize = 128;
/// Keys of the first revision that are compared.
const COMPARED_MAX: usize = 16;

/// Transactions on their way at the same time, and revisions that one of them may do.
const SENT_MAX: usize = 8;
const STEPS_MAX: usize = 8;
/// Keys and values in a transaction with several steps: each revision is sent as often as there are steps.
const STEPS_BYTES_MAX: usize = 24 << 10;

/// Writes revisions to the target, in order.
pub(super) struct Applier {
    pub(super) source: Member,
    pub(super) target: Member,
    pub(super) leases: Leases,
    pub(super) board: Board,
    revisions: mpsc::Receiver<Revision>,
    /// Everything up to here is in the target.
    applied: i64,
    /// Revisions without an answer of their own, and those behind them. The first is number `first`.
    waiting: VecDeque<Waiting>,
    first: i64,
    /// Where the target is when all that is on its way is done: each transaction does one revision.
    sent: i64,
    answers: FuturesUnordered<BoxFuture<'static, Sent>>,
    /// The newest revision that a transaction on its way can do, and how many there are of them. None is sent beyond the least of
    /// these: it might be done by others before that transaction arrives, which would then take an older one for the next.
    newest: BTreeMap<i64, usize>,
    operations_max: usize,
}

struct Waiting {
    revision: Revision,
    /// What proves it, if something does.
    proof: Option<Proof>,
    is_answered: bool,
}

/// A transaction with one step for each of the revisions from `first` to `last`, and its answer.
pub(super) struct Sent {
    first: i64,
    last: i64,
    answer: Result<TxnResponse, Error>,
}

/// What comes to an [`Applier`].
pub(super) enum Event {
    Answer(Box<Sent>),
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
            first: applied + 1,
            sent: applied,
            answers: FuturesUnordered::new(),
            newest: BTreeMap::new(),
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
            self.waiting.push_back(Waiting { revision, proof: None, is_answered: false });
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
        while self.answers.len() < SENT_MAX
            && self.newest.first_key_value().is_none_or(|(newest, _)| self.sent < *newest)
        {
            self.grant().await?;
            let befores = self.befores();
            let low = self.index(self.applied + 1);
            let first = self.applied + 1;
            let last = self.applied + i64::try_from(befores.len()).unwrap_or(0);
            if self.sent >= last {
                break;
            }
            let mut steps = Vec::new();
            for (waiting, before) in self.waiting.range(low..).zip(&befores) {
                let revision = &waiting.revision;
                let deletions = match revision.operations() <= self.operations_max {
                    true => request::unfolded(revision),
                    false => fold(&self.target, revision).await?,
                };
                steps.push(Step { before, revision, deletions });
            }
            let Some(txn) = request::txn(steps) else { break };
            self.sent += 1;
            *self.newest.entry(last).or_default() += 1;
            let target = self.target.clone();
            self.answers.push(Box::pin(async move { Sent { first, last, answer: target.txn(txn).await } }));
        }
        Ok(())
    }

    fn index(&self, number: i64) -> usize {
        usize::try_from(number - self.first).unwrap_or(usize::MAX)
    }

    /// The revisions that a transaction may do, from the first that isn't applied: for each, what proves the one before.
    fn befores(&mut self) -> Vec<Proof> {
        let low = self.index(self.applied + 1);
        let mut befores = Vec::new();
        // What is known to be applied needs no proof.
        let mut before = Proof::default();
        let (mut path, mut operations, mut bytes) = (0, OWN_MAX, 0);
        for waiting in self.waiting.iter_mut().skip(low).take(STEPS_MAX) {
            let revision = &waiting.revision;
            path += before.len().max(1);
            operations = operations.max(revision.operations());
            bytes += revision.bytes;
            // A server counts along the longest path.
            if operations + path > self.operations_max || bytes > STEPS_BYTES_MAX {
                // One alone goes as it is, but what is folded is asked about when nothing is on its way.
                let is_plain = revision.operations() <= self.operations_max;
                if befores.is_empty() && (is_plain || self.answers.is_empty()) {
                    befores.push(before);
                }
                break;
            }
            let proof = waiting.proof.take().or_else(|| Proof::of(revision, &before));
            waiting.proof.clone_from(&proof);
            befores.push(before);
            let Some(proof) = proof else { break };
            before = proof;
        }
        befores
    }

    /// Grants leases that revisions name and the target lacks.
    async fn grant(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        let puts = self.waiting.iter().flat_map(|waiting| waiting.revision.puts());
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

    async fn note_answer(&mut self, sent: Sent) -> Result<(), Error> {
        let Sent { first, last, answer } = sent;
        if let Entry::Occupied(mut count) = self.newest.entry(last) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(Error::Call { status, .. }) if has_too_many_operations(&status) => {
                self.again().await?;
                return self.allow_fewer(last);
            }
            Err(Error::Call { status, .. }) if is_too_large(&status) && first == last => {
                let bytes = self.waiting.front().map_or(0, |waiting| waiting.revision.bytes);
                return Err(Divergence::TooLarge { revision: last, bytes }.into());
            }
            Err(error) => return Err(error),
        };
        let got = answer.header.unwrap_or_default().revision;
        let steps = usize::try_from(last - first + 1).unwrap_or(0);
        let Some((depth, responses)) = request::done(&answer, steps) else {
            return match (first - 1..last).contains(&got) {
                // It was the next one's turn, but its keys aren't as they were at the source.
                true => Err(Divergence::Different { revision: got }.into()),
                // Late ones of before a new connection; the next begins by comparing.
                false => Err(Error::Moved),
            };
        };
        let number = last - i64::try_from(depth).unwrap_or(last);
        let index = self.index(number);
        let misnumbered = Divergence::Misnumbered { wanted: number, got };
        let Some(waiting) = self.waiting.get_mut(index).filter(|waiting| got == number && !waiting.is_answered) else {
            return Err(misnumbered.into());
        };
        waiting.is_answered = true;
        let deletions: usize = waiting.revision.runs().map(|run| run.count).sum();
        if request::deleted(responses) != deletions {
            return Err(Divergence::Different { revision: number }.into());
        }
        self.applied = self.applied.max(number);
        self.board.applied(self.applied, waiting.revision.bytes);
        while self.waiting.pop_front_if(|waiting| waiting.is_answered).is_some() {
            self.first += 1;
        }
        Ok(())
    }

    /// Waits for everything that is on its way, and sends again what wasn't done.
    async fn again(&mut self) -> Result<(), Error> {
        while let Some(sent) = self.answers.next().await {
            let is_refused = matches!(&sent.answer, Err(Error::Call { status, .. }) if has_too_many_operations(status));
            if !is_refused {
                Box::pin(self.note_answer(sent)).await?;
            }
        }
        self.sent = self.applied;
        self.newest.clear();
        Ok(())
    }

    /// The target takes fewer operations than was thought.
    fn allow_fewer(&mut self, number: i64) -> Result<(), Error> {
        let operations = self.waiting.front().map_or(0, |waiting| waiting.revision.operations());
        // What was folded and doesn't fit never will.
        if operations > self.operations_max || self.operations_max <= 1 {
            return Err(Divergence::TooManyOperations { revision: number, operations }.into());
        }
        self.operations_max /= 2;
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
