//! The cut-over: the target is made what the source is, compared, and left alone from then on.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::apply::Applier;
use super::divergence::Divergence;
use super::error::Error;
use super::keep::Keeper;
use super::lease::{mark_id, mark_ttl_s, marked_revision};
use super::member::{Found, Member};

/// For the source to be quiet.
const QUIET_LIMIT: Duration = Duration::from_secs(10);
/// What counts as quiet: no write for so long. Writes rest meanwhile.
const QUIET: Duration = Duration::from_millis(300);

/// The target was equal to the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cut {
    pub revision: i64,
    /// Of all keys up to the revision, the same at both. None after a restart, if the target is compacted behind it.
    pub hash: Option<u32>,
    pub compact_revision: i64,
    /// Whose time counts from the cut.
    pub leases: usize,
    pub took_ms: u64,
}

/// Why there is no cut, though nothing is wrong: another try may do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the source is still being written, and {lag} revisions ahead: stop its clients, then try again")]
    Busy { lag: i64 },
    #[error(
        "the target is compacted at {target}, the source at {source_revision}: they can't be compared until the source is \
         compacted as far (the target must not compact by itself)"
    )]
    Compacted { target: i64, source_revision: i64 },
}

impl Applier {
    /// Nothing is written to the target's keys after it. A source can't be told to refuse writes, only be seen to have none: before,
    /// and as long as both are compared.
    pub(super) async fn cut(&mut self) -> Result<Result<Cut, Refusal>, Error> {
        let begun = Instant::now();
        if let Err(busy) = self.catch_up(begun + QUIET_LIMIT).await? {
            return Ok(Err(busy));
        }
        let revision = self.applied();
        let (compared, leases) = tokio::try_join!(self.compare(revision), self.settle_leases())?;
        let (hash, compact_revision) = match compared {
            Ok(compared) => compared,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let now = self.source.revision().await?;
        if now != revision {
            return Ok(Err(Refusal::Busy { lag: now - revision }));
        }
        self.target.grant(mark_id(self.target.cluster_id), mark_ttl_s(revision)).await?;
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(revision, hash, compact_revision, leases, took_ms, "the target is cut off");
        Ok(Ok(Cut { revision, hash: Some(hash), compact_revision, leases, took_ms }))
    }

    /// Until the target is where the source is, and nothing came for a while.
    async fn catch_up(&mut self, deadline: Instant) -> Result<Result<(), Refusal>, Error> {
        loop {
            let wanted = self.source.revision().await?;
            self.board.source_at(wanted);
            while self.applied() < wanted || self.is_uncertain() {
                let is_late = Instant::now() > deadline;
                if is_late && !self.is_uncertain() {
                    break;
                }
                if !is_late {
                    self.send().await?;
                }
                // Behind the deadline only what is on its way is waited for.
                let event = self.next((!is_late).then_some(deadline)).await;
                self.note(event).await?;
            }
            let now = self.source.revision().await?;
            self.board.source_at(now);
            if self.applied() == now && self.is_quiet(now).await? {
                return Ok(Ok(()));
            }
            if Instant::now() > deadline {
                return Ok(Err(Refusal::Busy { lag: now - self.applied() }));
            }
        }
    }

    async fn is_quiet(&self, revision: i64) -> Result<bool, Error> {
        tokio::time::sleep(QUIET).await;
        Ok(self.source.revision().await? == revision)
    }

    /// Hash and compaction, the same at both.
    async fn compare(&self, revision: i64) -> Result<Result<(u32, i64), Refusal>, Error> {
        let source = self.source.hash(revision).await?;
        if source.compact_revision > 0 {
            self.target.compact(source.compact_revision).await?;
        }
        let target = self.target.hash(revision).await?;
        if target.compact_revision > source.compact_revision {
            let (target, source_revision) = (target.compact_revision, source.compact_revision);
            return Ok(Err(Refusal::Compacted { target, source_revision }));
        }
        match source.hash == target.hash {
            true => Ok(Ok((source.hash, source.compact_revision))),
            false => {
                let (source_hash, target_hash) = (source.hash, target.hash);
                Err(Divergence::Hash { revision, source_hash, target_hash }.into())
            }
        }
    }

    /// The target has the source's leases, all renewed.
    async fn settle_leases(&self) -> Result<usize, Error> {
        self.compare_leases().await?;
        let mut ids = self.leases.ids();
        ids.sort_unstable();
        Keeper::renew_once(self.target.clone(), self.leases.clone(), &ids).await
    }

    /// Grants those that no key has, and revokes those that the source no longer has. To be done when nothing is on its way.
    pub(super) async fn compare_leases(&self) -> Result<(), Error> {
        let (ids, at) = self.source.leases().await?;
        if self.is_uncertain() || self.applied() < at {
            return Ok(());
        }
        let now = Instant::now();
        let lacking: Vec<i64> = ids.iter().copied().filter(|id| !self.leases.has(*id, now)).collect();
        let lacking: Vec<(i64, i64)> =
            self.source.found(lacking).await?.into_iter().map(|found| (found.id, found.granted_s)).collect();
        self.target.grant_all(&lacking).await?;
        for (id, granted_s) in lacking {
            self.leases.renewed(id, granted_s, now);
        }
        let there: HashSet<i64> = ids.into_iter().collect();
        for id in self.leases.ids().into_iter().filter(|id| !there.contains(id)) {
            // One with keys was granted since the list was made.
            if self.target.is_bare(id).await? {
                self.target.revoke(id).await?;
                self.leases.remove(id);
            }
        }
        self.board.leases(self.leases.len());
        Ok(())
    }
}

/// What is known of a cut that was made before a restart.
pub(super) async fn found(target: &Member, mark: Found, leases: usize) -> Result<Cut, Error> {
    let revision = marked_revision(mark.granted_s);
    let hash = match target.hash(revision).await {
        Ok(answer) => Some(answer),
        Err(Error::Call { .. }) => None,
        Err(error) => return Err(error),
    };
    let compact_revision = hash.as_ref().map_or(0, |answer| answer.compact_revision);
    Ok(Cut { revision, hash: hash.map(|answer| answer.hash), compact_revision, leases, took_ms: 0 })
}
