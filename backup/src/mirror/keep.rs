use std::convert::Infallible;
use std::time::{Duration, Instant};

use quorate_proto::etcdserverpb::{LeaseKeepAliveRequest, LeaseKeepAliveResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::error::{Error, Side};
use super::lease::Leases;
use super::member::Member;

/// Between looks at what is due: the shortest lease has 1 s.
const LOOK: Duration = Duration::from_millis(200);
/// Renewals on their way at the same time.
const SENT_MAX: usize = 64;
/// Renewals between two looks.
const DUE_MAX: usize = 4096;
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Renews the target's leases.
pub(super) struct Keeper {
    target: Member,
    leases: Leases,
    requests: mpsc::Sender<LeaseKeepAliveRequest>,
    answers: Streaming<LeaseKeepAliveResponse>,
    /// Sent while the stream was begun, which is answered by the first answer.
    early: bool,
}

impl Keeper {
    /// `first`: the lease that begins the stream, since members answer no stream without a request.
    async fn begin(target: Member, leases: Leases, first: i64) -> Result<Self, Error> {
        let (requests, receiver) = mpsc::channel(SENT_MAX);
        // It has room for the first.
        let _ = requests.try_send(LeaseKeepAliveRequest { id: first });
        let mut client = target.lease();
        let answers = target.within(ANSWER_LIMIT, client.lease_keep_alive(ReceiverStream::new(receiver))).await?;
        Ok(Self { target, leases, requests, answers, early: true })
    }

    /// Renews these once; answers how many there are.
    pub(super) async fn renew_once(target: Member, leases: Leases, ids: &[i64]) -> Result<usize, Error> {
        let Some((first, _)) = ids.split_first() else { return Ok(0) };
        Self::begin(target, leases, *first).await?.renew(ids).await
    }

    /// Renews what is due, until the stream ends.
    pub(super) async fn keep(target: Member, leases: Leases) -> Result<Infallible, Error> {
        let mut keeper = None;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let due = leases.due(Instant::now(), DUE_MAX);
            let Some(first) = due.first() else { continue };
            let keeper = match &mut keeper {
                Some(keeper) => keeper,
                none => none.insert(Self::begin(target.clone(), leases.clone(), *first).await?),
            };
            keeper.renew(&due).await?;
        }
    }

    async fn renew(&mut self, ids: &[i64]) -> Result<usize, Error> {
        let mut waiting = ids.iter().skip(usize::from(self.early)).peekable();
        let mut sent = usize::from(std::mem::take(&mut self.early));
        let mut renewed = 0;
        while sent > 0 || waiting.peek().is_some() {
            while sent < SENT_MAX
                && let Some(id) =
                    waiting.next_if(|id| self.requests.try_send(LeaseKeepAliveRequest { id: **id }).is_ok())
            {
                let _ = id;
                sent += 1;
            }
            let answer = tokio::time::timeout(ANSWER_LIMIT, self.answers.message()).await;
            let answer =
                answer.map_err(|_| Error::Silent(Side::Target))?.map_err(|status| self.target.refused(status))?;
            let LeaseKeepAliveResponse { id, ttl, .. } = answer.ok_or(Error::Ended(Side::Target))?;
            sent = sent.saturating_sub(1);
            if ttl > 0 {
                self.leases.renewed(id, ttl, Instant::now());
                renewed += 1;
            } else {
                self.leases.remove(id);
            }
        }
        Ok(renewed)
    }
}
