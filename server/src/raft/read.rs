//! Linearizable reads by ReadIndex: many reads share one round with the other members.

use std::sync::{Arc, Weak};
use std::time::Duration;

use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use quorate_proto::peer::ReadIndexRequest;
use tokio::sync::{mpsc, oneshot};

use super::handle::{Error, Inner};
use super::transport::Traffic;
use super::types;

/// Reads that may wait for the next round.
const QUEUE: usize = 64 << 10;
/// A round without an answer is begun again after this long; etcd's value.
const RETRY: Duration = Duration::from_millis(500);

type Answer = Result<(), Error>;

pub struct Reads {
    queue: mpsc::Sender<oneshot::Sender<()>>,
}

pub struct Waiting(mpsc::Receiver<oneshot::Sender<()>>);

impl Reads {
    pub fn new() -> (Self, Waiting) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        (Self { queue }, Waiting(waiting))
    }

    /// The caller bounds the wait.
    pub async fn barrier(&self) -> Answer {
        let (done, confirmed) = oneshot::channel();
        self.queue.send(done).await.map_err(|_| Error::Stopped)?;
        confirmed.await.map_err(|_| Error::Stopped)
    }
}

/// Serves rounds until the last handle is gone. Reads that arrive while a round is under way share the next one: a
/// round must begin after the read, else a write acknowledged in between could be missed.
pub fn serve(inner: &Arc<Inner>, mut waiting: Waiting) {
    let inner: Weak<Inner> = Arc::downgrade(inner);
    tokio::spawn(async move {
        let mut round = Vec::new();
        while waiting.0.recv_many(&mut round, QUEUE).await > 0 {
            let Some(inner) = inner.upgrade() else { return };
            loop {
                round.retain(|read: &oneshot::Sender<()>| !read.is_closed());
                if round.is_empty() {
                    break;
                }
                match confirm(&inner).await {
                    Ok(()) => {
                        for read in round.drain(..) {
                            // The reader may have given up.
                            let _ = read.send(());
                        }
                        break;
                    }
                    Err(Error::Stopped) => return,
                    Err(error) => {
                        tracing::debug!(%error, "a read-index round failed");
                        inner.observer.read_barrier_failed(false);
                        let mut status = inner.status.clone();
                        status.mark_unchanged();
                        let _ = tokio::time::timeout(Duration::from_millis(20), status.changed()).await;
                    }
                }
            }
        }
    });
}

async fn confirm(inner: &Inner) -> Answer {
    let mut status = inner.status.clone();
    let leader = match tokio::time::timeout(RETRY, status.wait_for(|status| status.leader != 0)).await {
        Ok(Ok(status)) => status.leader,
        Ok(Err(_)) => return Err(Error::Stopped),
        Err(_) => return Err(Error::NoLeader),
    };
    let index = if leader == inner.identity.member_id {
        inner.read_index().await?
    } else {
        let mut client = inner.transport.client(leader, Traffic::Forward).map_err(|_| Error::NoLeader)?;
        let call = client.read_index(inner.transport.request(leader, ReadIndexRequest {}));
        match tokio::time::timeout(RETRY, call).await {
            Ok(Ok(response)) => response.into_inner().index,
            Ok(Err(_)) | Err(_) => return Err(Error::Timeout),
        }
    };
    let mut applied = inner.applied.clone();
    match applied.wait_for(|applied| applied.index >= index).await {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::Stopped),
    }
}

impl Inner {
    /// On the leader: an index that covers every acknowledged write, once a quorum has confirmed that it still leads.
    pub(super) async fn read_index(&self) -> Result<u64, Error> {
        let round = self.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        match tokio::time::timeout(RETRY, round).await {
            Ok(Ok(linearizer)) => Ok(types::position(linearizer.read_log_id().log_id()).index),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_)))) => Err(Error::NotLeader),
            Ok(Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)))) | Err(_) => Err(Error::Timeout),
            Ok(Err(RaftError::Fatal(_))) => Err(Error::Stopped),
        }
    }
}
