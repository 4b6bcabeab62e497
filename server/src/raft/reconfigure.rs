//! Changing the members of a running cluster, one change at a time, decided on the leader.
//!
//! A voter is added in two steps. First it joins without a vote, which the present quorum commits at once; when it has
//! caught up it gets its vote (see [`super::settle`]). Everybody is told from the start that it is a voter, as etcd
//! does, but a member that never starts costs the others nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::raft::Precondition;
use tonic::Status as GrpcStatus;

use super::handle::{Error, Handle, Inner};
use super::strict::{self, View};
use super::types::{Peer, StoredMembership, TypeConfig};
use super::wire;

/// Wait before asking again who leads.
const AGAIN: Duration = Duration::from_millis(20);
/// Part of the leader's log that a learner must have before it may vote; etcd's.
const READY_PERCENT: u64 = 90;

/// What is to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Add { id: u64, peer_urls: Vec<String>, learner: bool },
    Remove(u64),
    Update { id: u64, peer_urls: Vec<String> },
    Promote(u64),
}

/// Why a change is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("a member with this id exists")]
    IdExists,
    #[error("a member with this id was removed, and ids never return")]
    IdRemoved,
    #[error("a member with one of these peer URLs exists")]
    PeerUrlExists,
    #[error("no member has this id")]
    NotFound,
    #[error("the member votes already")]
    NotLearner,
    #[error("the learner has not caught up yet")]
    LearnerNotReady,
    #[error("the cluster has as many learners as --max-learners allows")]
    TooManyLearners,
    #[error("the last voting member can't be removed")]
    LastVoter,
    #[error(transparent)]
    Strict(#[from] strict::Refusal),
}

/// Limits on changes, from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub strict: bool,
    pub max_learners: usize,
}

impl Handle {
    /// Changes the members, wherever the leader is. An error other than a refusal leaves open whether it took effect.
    pub async fn change_members(&self, change: Change) -> Result<(), Error> {
        tokio::time::timeout(self.0.request_timeout, self.change_until_decided(change))
            .await
            .map_err(|_| Error::Timeout)?
    }

    async fn change_until_decided(&self, change: Change) -> Result<(), Error> {
        loop {
            let decided = match self.leader_client() {
                None if self.is_leader() => self.change_members_here(change.clone()).await,
                None => Err(Error::NotLeader),
                Some((leader, mut client)) => {
                    let message = wire::member_change(change.clone());
                    match client.change_member(self.peer_request(leader, message)).await {
                        Ok(_) => Ok(()),
                        Err(status) => Err(leaders_error(status)),
                    }
                }
            };
            match decided {
                Err(Error::NotLeader) => tokio::time::sleep(AGAIN).await,
                // The member that was asked leads no more, or not yet: nothing was done.
                Err(Error::Leader(status)) if is_not_leader(&status) => tokio::time::sleep(AGAIN).await,
                decided => return decided,
            }
        }
    }

    /// On the leader.
    pub(super) async fn change_members_here(&self, change: Change) -> Result<(), Error> {
        let promotes = matches!(change, Change::Promote(_));
        let changed = self.carry_out(change).await;
        if promotes {
            let refusal = changed.as_ref().err().map(ToString::to_string);
            self.0.observer.promoted(refusal.as_deref());
        }
        changed
    }

    async fn carry_out(&self, change: Change) -> Result<(), Error> {
        let inner = &self.0;
        let _one_at_a_time = inner.reconfiguring.lock().await;
        // A leader that was deposed, or has not committed in its term yet, doesn't know the members.
        inner.read_index().await?;
        inner.finish_joint_change().await?;
        let membership = inner.membership();
        if let Change::Remove(id) = &change
            && *id == inner.identity.member_id
            && membership.voter_ids().count() > 1
        {
            inner.check_patiently(&change, &membership).await?;
            // It could remove itself, but would have to go on leading until the others know.
            let successor = self.successor().ok_or(Error::NotLeader)?;
            self.move_leader(successor, inner.request_timeout).await?;
            return Err(Error::NotLeader);
        }
        inner.check_patiently(&change, &membership).await?;
        inner.write(change.on(&membership), &membership).await
    }
}

/// What the leader said, or that it could not say anything.
fn leaders_error(status: GrpcStatus) -> Error {
    let Some(mut cause) = std::error::Error::source(&status) else { return Error::Leader(Box::new(status)) };
    loop {
        let io = cause.downcast_ref::<std::io::Error>();
        if io.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused) {
            // Where there was no connection, nothing was asked.
            return Error::NotLeader;
        }
        match cause.source() {
            Some(deeper) => cause = deeper,
            None => return Error::LeaderFailed,
        }
    }
}

fn is_not_leader(status: &GrpcStatus) -> bool {
    status.code() == tonic::Code::FailedPrecondition && status.message() == "etcdserver: not leader"
}

impl Change {
    fn on(self, membership: &StoredMembership) -> ChangeMembers<u64, Peer> {
        match self {
            Change::Add { id, peer_urls, learner } => {
                ChangeMembers::AddNodes(BTreeMap::from([(id, Peer { peer_urls, wants_vote: !learner })]))
            }
            Change::Remove(id) if membership.voter_ids().any(|voter| voter == id) => {
                ChangeMembers::RemoveVoters(BTreeSet::from([id]))
            }
            Change::Remove(id) => ChangeMembers::RemoveNodes(BTreeSet::from([id])),
            Change::Update { id, peer_urls } => {
                let wants_vote = membership.membership().get_node(&id).is_some_and(|node| node.wants_vote);
                ChangeMembers::SetNodes(BTreeMap::from([(id, Peer { peer_urls, wants_vote })]))
            }
            Change::Promote(id) => ChangeMembers::AddVoterIds(BTreeSet::from([id])),
        }
    }
}

impl Inner {
    pub(super) fn membership(&self) -> Arc<StoredMembership> {
        self.raft.server_metrics().borrow_watched().membership_config.clone()
    }

    /// Completes a change that was interrupted between its two entries, so that one set of voters decides again.
    pub(super) async fn finish_joint_change(&self) -> Result<(), Error> {
        let membership = self.membership();
        match membership.membership().get_joint_config().as_slice() {
            [_, .., target] => {
                tracing::info!(voters = ?target, "completing an interrupted change of the members");
                self.write(ChangeMembers::ReplaceAllVoters(target.clone()), &membership).await
            }
            _ => Ok(()),
        }
    }

    /// Proposes a change of exactly this membership.
    pub(super) async fn write(
        &self,
        change: ChangeMembers<u64, Peer>,
        membership: &StoredMembership,
    ) -> Result<(), Error> {
        let unchanged: Precondition<TypeConfig> =
            Precondition::LastMembershipLogId { last_membership_log_id: *membership.log_id() };
        match self.raft.change_membership_if(change, false, [unchanged]).await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Err(Error::NotLeader),
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::EmptyMembership(_),
            ))) => Err(Error::Change(Refusal::LastVoter)),
            Err(RaftError::APIError(error)) => {
                tracing::warn!(%error, "a change of the members was not decided");
                Err(Error::LeaderFailed)
            }
            Err(RaftError::Fatal(_)) => Err(Error::Stopped),
        }
    }

    /// A new leader has not heard from everybody yet.
    async fn check_patiently(&self, change: &Change, membership: &StoredMembership) -> Result<(), Error> {
        loop {
            match self.check(change, membership) {
                Err(Error::Change(Refusal::Strict(strict::Refusal::Unhealthy))) if self.leads_newly() => {
                    tokio::time::sleep(AGAIN).await;
                }
                checked => return checked,
            }
        }
    }

    /// It took over from another leader. Nobody can have answered this one for as long as the rules ask for, but did others.
    fn leads_newly(&self) -> bool {
        let leader_since = self.status.borrow().leader_since;
        let has_known_leaders = self.counts.leader_changes.load(Ordering::Relaxed) > 1;
        has_known_leaders && leader_since.is_some_and(|since| since.elapsed() < strict::STEADY)
    }

    fn check(&self, change: &Change, membership: &StoredMembership) -> Result<(), Error> {
        self.check_members(change, membership)?;
        if self.rules.strict {
            self.check_strictly(change, &self.view(membership)).map_err(Refusal::from)?;
        }
        Ok(())
    }

    fn check_members(&self, change: &Change, membership: &StoredMembership) -> Result<(), Refusal> {
        let nodes = || membership.nodes();
        let find = |wanted: u64| nodes().find(|(id, _)| **id == wanted).map(|(_, node)| node);
        let is_voter = |wanted: u64| membership.voter_ids().any(|voter| voter == wanted);
        let is_learner = |wanted: u64, node: &Peer| !is_voter(wanted) && !node.wants_vote;
        let taken = |urls: &[String], except: Option<u64>| {
            nodes().any(|(id, node)| Some(*id) != except && node.peer_urls.iter().any(|url| urls.contains(url)))
        };
        match change {
            Change::Add { id, .. } if find(*id).is_some() => Err(Refusal::IdExists),
            Change::Add { id, .. } if self.store.is_removed_member(*id) => Err(Refusal::IdRemoved),
            Change::Add { peer_urls, .. } if taken(peer_urls, None) => Err(Refusal::PeerUrlExists),
            Change::Add { learner: true, .. }
                if nodes().filter(|(id, node)| is_learner(**id, node)).count() >= self.rules.max_learners =>
            {
                Err(Refusal::TooManyLearners)
            }
            Change::Add { .. } => Ok(()),
            Change::Remove(id) | Change::Update { id, .. } | Change::Promote(id) if find(*id).is_none() => {
                Err(Refusal::NotFound)
            }
            Change::Remove(id) if is_voter(*id) && membership.voter_ids().count() == 1 => Err(Refusal::LastVoter),
            Change::Remove(_) => Ok(()),
            Change::Update { id, peer_urls } if taken(peer_urls, Some(*id)) => Err(Refusal::PeerUrlExists),
            Change::Update { .. } => Ok(()),
            Change::Promote(id) if !find(*id).is_some_and(|node| is_learner(*id, node)) => Err(Refusal::NotLearner),
            Change::Promote(id) if !self.has_caught_up(*id) => Err(Refusal::LearnerNotReady),
            Change::Promote(_) => Ok(()),
        }
    }

    fn check_strictly(&self, change: &Change, view: &View) -> Result<(), strict::Refusal> {
        match change {
            Change::Add { learner: true, .. } => view.check_healthy(),
            Change::Add { .. } => view.check_add_voter().and_then(|()| view.check_healthy()),
            Change::Remove(id) if view.voters.contains(id) => view.check_remove_voter(*id),
            Change::Remove(_) | Change::Update { .. } => Ok(()),
            Change::Promote(id) => view.check_promote(*id),
        }
    }

    fn view(&self, membership: &StoredMembership) -> View {
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let mut view = View {
            voters: membership
                .nodes()
                .filter(|(id, node)| voters.contains(id) || node.wants_vote)
                .map(|(id, _)| *id)
                .collect(),
            started: self
                .store
                .member_attributes()
                .into_iter()
                .filter(|(_, own)| !own.name.is_empty())
                .map(|(id, _)| id)
                .collect(),
            steady: BTreeSet::from([self.identity.member_id]),
            connected: BTreeSet::from([self.identity.member_id]),
        };
        let leads_newly = self.leads_newly();
        for (id, since) in self.transport.active_since() {
            view.connected.insert(id);
            if leads_newly || since.elapsed() >= strict::STEADY {
                view.steady.insert(id);
            }
        }
        view
    }

    /// On the leader: whether a member without a vote has nearly all of the log.
    pub(super) fn has_caught_up(&self, id: u64) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let matched = metrics.replication.as_ref().and_then(|replication| replication.get(&id).copied().flatten());
        let (Some(matched), Some(last)) = (matched, metrics.last_log_index) else { return false };
        matched.index.saturating_mul(100) >= last.saturating_mul(READY_PERCENT)
    }
}
