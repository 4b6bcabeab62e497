//! Keep-alives of a lease.

use std::time::Duration;

use quorate_proto::etcdserverpb::{LeaseKeepAliveRequest, LeaseKeepAliveResponse, lease_client::LeaseClient};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{Client, Error};

/// Pause before a broken stream is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Renews at every third of the lease's time, until the lease is gone or `renewed` fails. Breaks of the connection are bridged
/// as long as the lease may be alive, which is `alive_until` before the first answer.
pub async fn keep_alive<E>(
    client: &mut Client,
    id: i64,
    mut alive_until: Instant,
    mut renewed: impl FnMut(LeaseKeepAliveResponse) -> Result<(), E>,
) -> Result<(), E> {
    loop {
        let Ok(mut renewals) = Renewals::open(client, id, alive_until).await else {
            return Ok(());
        };
        loop {
            match renewals.next(alive_until).await {
                Ok(reply) if reply.ttl <= 0 => return Ok(()),
                Ok(reply) => {
                    let now = Instant::now();
                    let ttl = Duration::from_secs(reply.ttl.unsigned_abs());
                    renewed(reply)?;
                    alive_until = now + ttl;
                    sleep_until(now + ttl / 3).await;
                    if renewals.request().await.is_err() {
                        break;
                    }
                }
                Err(Error::Deadline(_)) => return Ok(()),
                Err(_) => break,
            }
        }
        client.next_endpoint();
        sleep_until((Instant::now() + RECONNECT_PAUSE).min(alive_until)).await;
    }
}

/// A keep-alive stream of one lease with a request under way.
pub struct Renewals {
    id: i64,
    requests: mpsc::Sender<LeaseKeepAliveRequest>,
    replies: Streaming<LeaseKeepAliveResponse>,
}

impl Renewals {
    pub async fn open(client: &mut Client, id: i64, deadline: Instant) -> Result<Self, Error> {
        let channel = client.channel_until(deadline).await?;
        let (requests, outgoing) = mpsc::channel(1);
        requests.send(LeaseKeepAliveRequest { id }).await.map_err(|_| closed())?;
        let mut lease = LeaseClient::new(channel);
        let opened = lease.lease_keep_alive(ReceiverStream::new(outgoing));
        let replies = timeout_at(deadline, opened).await.map_err(|_| Error::Deadline(None))??.into_inner();
        Ok(Self { id, requests, replies })
    }

    async fn request(&self) -> Result<(), Error> {
        self.requests.send(LeaseKeepAliveRequest { id: self.id }).await.map_err(|_| closed())
    }

    pub async fn next(&mut self, deadline: Instant) -> Result<LeaseKeepAliveResponse, Error> {
        let reply = timeout_at(deadline, self.replies.message()).await.map_err(|_| Error::Deadline(None))??;
        reply.ok_or_else(closed)
    }
}

fn closed() -> Error {
    Error::Status(Status::unavailable("the server closed the stream"))
}
