//! `etcdctl lock`

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        process::ExitStatusExt,
    },
    process::{ExitStatus, Stdio},
};

use bytes::Bytes;
use quorate_proto::etcdserverpb::ResponseHeader;

use super::{
    Session,
    concurrency::{self, Contender, LOST, Signals},
};
use crate::{client::Client, failure::Failure, go, log, output::Json};

/// Of a lock whose `--ttl` is none, in seconds.
const DEFAULT_TTL_S: i64 = 60;
/// Go's code for a program that a signal has ended.
const ENDED_BY_SIGNAL: u8 = 255;

/// Acquires a named lock
///
/// The lock is held until this command is told to end, or as long as the given command runs, which finds the lock's key and the
/// revision in ETCD_LOCK_KEY and ETCD_LOCK_REV. Put `--` before a command that has flags.
#[derive(clap::Args, Clone, Debug)]
#[command(override_usage = "etcdctl lock [OPTIONS] <LOCKNAME> [COMMAND ARGS...]")]
pub(super) struct Lock {
    /// Timeout for session
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = go::parse_flag_int)]
    ttl: i64,
    #[arg(hide = true)]
    args: Vec<OsString>,
}

impl Lock {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        let Some((name, command)) = self.args.split_first() else {
            return Err(Failure::bad_args("lock takes a lock name argument and an optional command to execute"));
        };
        let mut client = Client::open(&session.globals).await?;
        let mut lease = concurrency::Session::open(&mut client, ttl(self.ttl)).await?;
        let mut signals = Signals::listen()?;
        let mut lock = Contender::new(&client, name.as_bytes(), lease.lease());
        let locked = tokio::select! {
            locked = lock.win(Bytes::new()) => match locked {
                Ok(header) => header.ok_or_else(|| Failure::error(LOST)),
                Err(error) => Err(error.into()),
            },
            () = signals.next() => Err(Failure::error("context canceled")),
            () = lease.ended() => Err(Failure::error(LOST)),
        };
        let ended = match (locked, command.split_first()) {
            (Ok(header), Some((program, args))) => run_holding(program, args, lock.key(), header).await,
            (Ok(_), None) => hold(&session, &mut lock, &mut lease, &mut signals).await,
            (Err(failure), _) => Err(failure),
        };
        if lease.is_over() {
            return ended;
        }
        let unlocked = lock.leave().await;
        lease.close().await;
        ended?;
        Ok(unlocked?)
    }
}

fn ttl(flag: i64) -> i64 {
    if flag > 0 {
        return flag;
    }
    let fields = vec![("logger", Json::from("etcd-client")), ("current-session-ttl", Json::from(DEFAULT_TTL_S))];
    log::warn("WithTTL(): TTL should be > 0, preserving current TTL", fields);
    DEFAULT_TTL_S
}

/// Shows the lock's key until a signal comes.
async fn hold(
    session: &Session,
    lock: &mut Contender,
    lease: &mut concurrency::Session,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let own = lock.read().await?;
    if own.kvs.is_empty() {
        return Err(Failure::error("lock lost on init"));
    }
    session.output.print(&own)?;
    tokio::select! {
        () = signals.next() => Ok(()),
        () = lease.ended() => Err(Failure::error("session expired")),
    }
}

/// Runs the command to its end: it is for the terminal to tell it of signals.
async fn run_holding(program: &OsStr, args: &[OsString], key: &Bytes, header: ResponseHeader) -> Result<(), Failure> {
    let status = tokio::process::Command::new(program)
        .args(args)
        .env("ETCD_LOCK_KEY", OsString::from_vec(key.to_vec()))
        .env("ETCD_LOCK_REV", header.revision.to_string())
        .stdin(Stdio::null())
        .status()
        .await;
    match status {
        Ok(status) => result_of(status),
        Err(error) => Err(Failure::error(not_started(program, &error))),
    }
}

fn result_of(status: ExitStatus) -> Result<(), Failure> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => {
            Err(Failure::of_program(u8::try_from(code).unwrap_or(ENDED_BY_SIGNAL), format!("exit status {code}")))
        }
        (None, signal) => {
            let core = if status.core_dumped() { " (core dumped)" } else { "" };
            let signal = go::signal_name(signal.unwrap_or_default());
            Err(Failure::of_program(ENDED_BY_SIGNAL, format!("signal: {signal}{core}")))
        }
    }
}

/// In the words of Go's library for running programs.
fn not_started(program: &OsStr, error: &io::Error) -> String {
    if program.as_bytes().contains(&b'/') {
        return format!("fork/exec {}: {}", program.to_string_lossy(), go::error_text(error));
    }
    let reason = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => "executable file not found in $PATH".to_owned(),
        _ => go::error_text(error),
    };
    format!("exec: {}: {reason}", go::quote(program.as_bytes()))
}
