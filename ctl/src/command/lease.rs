//! `etcdctl lease`

use std::time::Duration;

use quorate_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest, lease_client::LeaseClient,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::Session;
use crate::{
    client::{Client, Error},
    failure::{Exit, Failure},
    go,
    output::{Format, Granted, KeptAlive, LeaseList, Revoked, TimeToLive, write_line},
};

/// Pause before a broken keep-alive stream is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum Lease {
    /// Creates leases
    Grant(Grant),
    /// Revokes leases
    Revoke(Revoke),
    /// Get lease information
    Timetolive(TimeToLiveOf),
    /// List all active leases
    List,
    /// Keeps leases alive (renew)
    KeepAlive(KeepAlive),
}

#[derive(clap::Args, Clone, Debug)]
pub(super) struct Grant {
    #[arg(value_name = "TTL_S")]
    args: Vec<String>,
}

#[derive(clap::Args, Clone, Debug)]
pub(super) struct Revoke {
    #[arg(value_name = "LEASE_ID")]
    args: Vec<String>,
}

#[derive(clap::Args, Clone, Debug)]
pub(super) struct TimeToLiveOf {
    /// Get keys attached to this lease
    #[arg(long)]
    keys: bool,
    #[arg(value_name = "LEASE_ID")]
    args: Vec<String>,
}

#[derive(clap::Args, Clone, Debug)]
pub(super) struct KeepAlive {
    /// Renew once and exit
    #[arg(long)]
    once: bool,
    #[arg(value_name = "LEASE_ID")]
    args: Vec<String>,
}

impl Lease {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        match self {
            Lease::Grant(grant) => grant.run(session).await,
            Lease::Revoke(revoke) => revoke.run(session).await,
            Lease::Timetolive(time_to_live) => time_to_live.run(session).await,
            Lease::List => list(session).await,
            Lease::KeepAlive(keep_alive) => keep_alive.run(session).await,
        }
    }
}

fn lease_id(args: &[String], missing: &str) -> Result<i64, Failure> {
    let [id] = args else {
        return Err(Failure::bad_args(missing));
    };
    go::parse_int(id, 16).map_err(|error| Failure::bad_args(format!("bad lease ID arg ({error}), expecting ID in Hex")))
}

/// These commands have a code of their own for every failed call.
fn bad_connection(error: Error) -> Failure {
    error.into_failure(Exit::BadConnection)
}

impl Grant {
    async fn run(self, session: Session) -> Result<(), Failure> {
        let [ttl] = self.args.as_slice() else {
            return Err(Failure::bad_args("lease grant command needs TTL argument"));
        };
        let ttl = go::parse_int(ttl, 10).map_err(|error| Failure::bad_args(format!("bad TTL ({error})")))?;
        let mut client = Client::open(&session.globals).await?;
        let reply = client.call(LeaseGrantRequest { ttl, id: 0 }).await;
        let reply = reply.map_err(|error| Failure::error(format!("failed to grant lease ({error})")))?;
        session.output.print(&Granted(reply))
    }
}

impl Revoke {
    async fn run(self, session: Session) -> Result<(), Failure> {
        let id = lease_id(&self.args, "lease revoke command needs 1 argument")?;
        let mut client = Client::open(&session.globals).await?;
        let reply = client.call(LeaseRevokeRequest { id }).await;
        let reply = reply.map_err(|error| Failure::error(format!("failed to revoke lease ({error})")))?;
        session.output.print(&Revoked { id, reply })
    }
}

impl TimeToLiveOf {
    async fn run(self, session: Session) -> Result<(), Failure> {
        let id = lease_id(&self.args, "lease timetolive command needs lease ID as argument")?;
        let mut client = Client::open(&session.globals).await?;
        let reply = client.call(LeaseTimeToLiveRequest { id, keys: self.keys }).await.map_err(bad_connection)?;
        session.output.print(&TimeToLive { reply, keys: self.keys })
    }
}

async fn list(session: Session) -> Result<(), Failure> {
    let mut client = Client::open(&session.globals).await?;
    session.output.print(&LeaseList(client.call(LeaseLeasesRequest {}).await.map_err(bad_connection)?))
}

impl KeepAlive {
    async fn run(self, session: Session) -> Result<(), Failure> {
        let id = lease_id(&self.args, "lease keep-alive command needs lease ID as argument")?;
        let mut client = Client::open(&session.globals).await?;
        if self.once {
            let deadline = client.deadline();
            let mut renewals = Renewals::open(&mut client, id, deadline).await.map_err(bad_connection)?;
            let reply = renewals.next(deadline).await.map_err(bad_connection)?;
            if reply.ttl <= 0 {
                return Err(Failure::new(Exit::BadConnection, "etcdserver: requested lease not found"));
            }
            return session.output.print(&KeptAlive(reply));
        }
        keep_until_gone(&session, &mut client, id).await?;
        if session.output.format == Format::Simple {
            write_line(&format!("lease {id:016x} expired or revoked."))?;
        }
        Ok(())
    }
}

/// Renews at every third of the lease's time. Breaks of the connection are bridged as long as the lease may be alive.
async fn keep_until_gone(session: &Session, client: &mut Client, id: i64) -> Result<(), Failure> {
    // Until the first answer nothing is known of the lease's time.
    let mut alive_until = client.deadline();
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
                    session.output.print(&KeptAlive(reply))?;
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
struct Renewals {
    id: i64,
    requests: mpsc::Sender<LeaseKeepAliveRequest>,
    replies: Streaming<LeaseKeepAliveResponse>,
}

impl Renewals {
    async fn open(client: &mut Client, id: i64, deadline: Instant) -> Result<Self, Error> {
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

    async fn next(&mut self, deadline: Instant) -> Result<LeaseKeepAliveResponse, Error> {
        let reply = timeout_at(deadline, self.replies.message()).await.map_err(|_| Error::Deadline(None))??;
        reply.ok_or_else(closed)
    }
}

fn closed() -> Error {
    Error::Status(tonic::Status::unavailable("the server closed the stream"))
}
