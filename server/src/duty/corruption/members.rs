//! Asking all members about one revision, this one among them.

use std::io;

use futures::future::join_all;
use quorate_proto::peer::{HashKvRequest, HashKvResponse};
use quorate_proto::served::etcdserverpb::{self as pb, alarm_request::AlarmAction};
use tonic::Status;

use super::judge::{self, Agreed, NotCompared, Said, Verdict};
use crate::background;
use crate::raft;
use crate::store::{self, HashKv, Refusal, Store};

/// Times that a comparison is begun because a compaction came in between.
const ATTEMPTS: usize = 3;
/// The member an alarm names when it is not known which one holds damaged data; etcd's.
const ANY_MEMBER: u64 = 0;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Raft(#[from] raft::Error),
    #[error("the history of this member can't be read")]
    Store(#[from] store::Error),
    #[error("no thread reads the history of this member")]
    Thread(#[from] io::Error),
}

/// Whom to ask.
#[derive(Clone)]
pub struct Members {
    pub raft: raft::Handle,
    pub store: Store,
}

/// What they said.
pub struct Comparison {
    pub own: HashKv,
    /// Of those that could be compared with this one, and of this one.
    pub said: Vec<(u64, Said)>,
    pub not_compared: Vec<(u64, NotCompared)>,
}

impl Comparison {
    pub fn verdict(&self) -> Verdict {
        judge::judge(&self.said, self.said.len() + self.not_compared.len())
    }

    /// For the log: who said what.
    pub fn told(&self) -> String {
        let each = self.said.iter().map(|(member, said)| format!("{member:x}: {said}"));
        each.collect::<Vec<_>>().join(", ")
    }

    pub fn log_not_compared(&self) {
        for (member, reason) in &self.not_compared {
            tracing::warn!(
                remote_peer_id = format!("{member:x}"),
                revision = self.own.hash_revision,
                compact_revision = self.own.compact_revision,
                %reason,
                "nothing was compared with a member"
            );
        }
    }

    fn was_passed_by_compaction(&self) -> bool {
        self.not_compared.iter().any(|(_, reason)| !matches!(reason, NotCompared::NoAnswer(_)))
    }
}

impl Members {
    pub fn own_id(&self) -> u64 {
        self.raft.identity().member_id
    }

    pub fn others(&self) -> Vec<u64> {
        let members = self.raft.status().members.into_iter().map(|member| member.id);
        members.filter(|id| *id != self.own_id()).collect()
    }

    /// Compares the whole history at the present revision.
    pub async fn compare_now(&self) -> Result<Comparison, Error> {
        let mut attempt = 1;
        loop {
            self.raft.read_barrier().await?;
            let (request, others) = (self.at_present(), self.others());
            let (own, answers) = tokio::join!(self.own(request.revision), self.ask(&others, request));
            let own = match own {
                Err(Error::Store(store::Error::Refused(Refusal::Compacted))) if attempt < ATTEMPTS => {
                    attempt += 1;
                    continue;
                }
                own => own?,
            };
            let comparison = self.compare(own, answers).await?;
            if attempt == ATTEMPTS || !comparison.was_passed_by_compaction() {
                return Ok(comparison);
            }
            attempt += 1;
        }
    }

    /// Compares what all have kept of a compaction.
    pub async fn compare_compaction(&self, own: HashKv) -> Result<Comparison, Error> {
        let request = HashKvRequest { revision: own.hash_revision, of_compaction: true, ..self.at_present() };
        let answers = self.ask(&self.others(), request).await;
        self.compare(own, answers).await
    }

    /// Whether one of these members can say anything about the present.
    pub async fn answers(&self, members: &[u64]) -> bool {
        self.ask(members, self.at_present()).await.iter().any(|(_, answer)| answer.is_ok())
    }

    /// The revision first: an entry that is applied by then may be behind it, but none that made it is missing.
    fn at_present(&self) -> HashKvRequest {
        let revision = self.store.revision();
        HashKvRequest { revision, applied: self.store.applied().index, of_compaction: false }
    }

    async fn own(&self, revision: i64) -> Result<HashKv, Error> {
        let store = self.store.clone();
        Ok(background::run("hash", move || store.hash_kv(revision)).await??)
    }

    async fn ask(&self, members: &[u64], request: HashKvRequest) -> Vec<(u64, Result<HashKvResponse, Status>)> {
        join_all(members.iter().map(async |member| (*member, self.raft.hash_kv_of(*member, request).await))).await
    }

    /// What is agreed on is read when all have answered, so that nobody who is in order can be ahead of it.
    async fn compare(
        &self,
        own: HashKv,
        answers: Vec<(u64, Result<HashKvResponse, Status>)>,
    ) -> Result<Comparison, Error> {
        self.raft.read_barrier().await?;
        let agreed = Agreed { revision: self.store.revision(), compact_revision: self.store.compact_revision() };
        let mut said = vec![(self.own_id(), Said::Hash(own.hash))];
        let mut not_compared = Vec::new();
        for (member, answer) in answers {
            let read = answer.map_err(|status| NotCompared::NoAnswer(status.message().to_owned()));
            match read.and_then(|answer| judge::read(&own, &answer, agreed)) {
                Ok(what) => said.push((member, what)),
                Err(reason) => not_compared.push((member, reason)),
            }
        }
        Ok(Comparison { own, said, not_compared })
    }

    /// Raises the alarms that a comparison calls for. False if one could not be raised.
    pub async fn raise(&self, comparison: &Comparison) -> bool {
        let blamed = match comparison.verdict() {
            Verdict::Same => return true,
            Verdict::Differ(members) => members,
            Verdict::NoMajority => vec![ANY_MEMBER],
        };
        let mut all = true;
        for member_id in blamed {
            tracing::error!(
                corrupted_member_id = format!("{member_id:x}"),
                revision = comparison.own.hash_revision,
                compact_revision = comparison.own.compact_revision,
                members = comparison.told(),
                "found hash mismatch"
            );
            let alarm = pb::AlarmMember { member_id, alarm: pb::AlarmType::Corrupt as i32 };
            if !self.store.alarms().contains(&alarm) {
                all &= self.alarm(alarm).await;
            }
        }
        all
    }

    async fn alarm(&self, alarm: pb::AlarmMember) -> bool {
        let pb::AlarmMember { member_id, alarm } = alarm;
        let request = pb::AlarmRequest { action: AlarmAction::Activate as i32, member_id, alarm };
        let request = pb::InternalRaftRequest { alarm: Some(request), ..Default::default() };
        match self.raft.propose_as_root(request).await {
            Ok(_) => true,
            Err(error) => {
                tracing::error!(%error, corrupted_member_id = format!("{member_id:x}"), "failed to raise the CORRUPT alarm");
                false
            }
        }
    }
}
