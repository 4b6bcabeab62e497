//! `etcdctl lease`

use quorate_proto::etcdserverpb::{LeaseGrantRequest, LeaseLeasesRequest, LeaseRevokeRequest, LeaseTimeToLiveRequest};

use super::Session;
use crate::{
    client::{Client, Error, Renewals, keep_alive},
    failure::{Exit, Failure},
    go,
    output::{Format, Granted, KeptAlive, LeaseList, Revoked, TimeToLive, write_line},
};

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
        // Until the first answer nothing is known of the lease's time.
        let first = client.deadline();
        keep_alive(&mut client, id, first, |reply| session.output.print(&KeptAlive(reply))).await?;
        if session.output.format == Format::Simple {
            write_line(&format!("lease {id:016x} expired or revoked."))?;
        }
        Ok(())
    }
}
