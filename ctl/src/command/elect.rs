//! `etcdctl elect`

use std::{ffi::OsString, os::unix::ffi::OsStrExt};

use super::{
    Session,
    concurrency::{self, Contender, Leaders, Signals},
};
use crate::{client::Client, failure::Failure, key_range::to_bytes};

/// etcd's default of a session, in seconds.
const TTL_S: i64 = 60;

/// Observes and participates in leader election
///
/// With a proposal it waits until it is elected, and leads until it is told to end. With --listen it shows the leaders.
#[derive(clap::Args, Clone, Debug)]
#[command(override_usage = "etcdctl elect [OPTIONS] <ELECTION_NAME> [PROPOSAL]")]
pub(super) struct Elect {
    /// Observation mode
    #[arg(long, short = 'l')]
    listen: bool,
    #[arg(hide = true)]
    args: Vec<OsString>,
}

impl Elect {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        match self.args.as_slice() {
            [name] if self.listen => observe(&session, name.as_bytes()).await,
            [_] => Err(Failure::bad_args("no proposal argument but -l not set")),
            [_, _] if self.listen => Err(Failure::bad_args("proposal given but -l is set")),
            [name, proposal] => campaign(&session, name.as_bytes(), proposal).await,
            _ => Err(Failure::bad_args("elect takes one election name argument and an optional proposal argument")),
        }
    }
}

async fn observe(session: &Session, name: &[u8]) -> Result<(), Failure> {
    let mut leaders = Leaders::of(Client::open(&session.globals).await?, name);
    let mut signals = Signals::listen()?;
    loop {
        tokio::select! {
            leader = leaders.next() => match leader? {
                Some(leader) => session.output.print(&leader)?,
                None => return Err(Failure::error("elect: observer lost")),
            },
            () = signals.next() => return Ok(()),
        }
    }
}

async fn campaign(session: &Session, name: &[u8], proposal: &OsString) -> Result<(), Failure> {
    let mut client = Client::open(&session.globals).await?;
    let mut lease = concurrency::Session::open(&mut client, TTL_S).await?;
    let mut signals = Signals::listen()?;
    let mut candidate = Contender::new(&client, name, lease.lease());
    let lost = || Failure::error("elect: session expired");
    let elected = tokio::select! {
        elected = candidate.win(to_bytes(proposal)) => match elected {
            Ok(header) => header.ok_or_else(lost),
            Err(error) => Err(error.into()),
        },
        () = signals.next() => Err(Failure::error("context canceled")),
        () = lease.ended() => Err(lost()),
    };
    let ended = match elected {
        Ok(_) => lead(session, &mut candidate, &mut lease, &mut signals).await,
        Err(failure) => Err(failure),
    };
    if lease.is_over() {
        return ended;
    }
    let resigned = candidate.leave().await;
    lease.close().await;
    ended?;
    Ok(resigned?)
}

/// Shows the leader's key until a signal comes.
async fn lead(
    session: &Session,
    candidate: &mut Contender,
    lease: &mut concurrency::Session,
    signals: &mut Signals,
) -> Result<(), Failure> {
    session.output.print(&candidate.read().await?)?;
    tokio::select! {
        () = signals.next() => Ok(()),
        () = lease.ended() => Err(Failure::error("elect: session expired")),
    }
}
