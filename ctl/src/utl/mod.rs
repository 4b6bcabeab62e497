//! The commands of etcdutl, one a file: work on files while no server runs.

mod defrag;
mod hash_kv;
mod migrate;
mod progress;
mod restore;
mod rewrite;
mod snapshot;
mod source;
mod status;
mod version;

use std::{ffi::OsString, process::ExitCode, time::Duration};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use quorate_ctl::{
    command_line::{explain, print_help, with_go_flags},
    completion::Completion,
    failure::{Exit, Failure},
    go,
    output::{Format, Output, Style},
};

/// The command line.
#[derive(Parser)]
#[command(
    name = "etcdutl",
    about = "Looks after etcd's files: snapshots and their restoration",
    infer_subcommands = true
)]
struct Cli {
    /// Time to wait for a lock on a database file, 0 to wait as long as it takes
    #[arg(long, global = true, default_value = "10s", value_name = "DURATION", value_parser = go::parse_duration)]
    timeout: Duration,

    /// Output format: simple, fields, json, protobuf or table
    #[arg(long, short = 'w', global = true, default_value = "simple", value_name = "FORMAT")]
    write_out: String,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Checks snapshots and restores them
    #[command(subcommand)]
    Snapshot(snapshot::Snapshot),
    Hashkv(hash_kv::HashKv),
    Defrag(defrag::Defrag),
    Migrate(migrate::Migrate),
    Completion(Completion),
    Version(version::Version),
}

/// What every command works with.
struct Session {
    output: Output,
    lock_timeout: Duration,
}

/// Runs etcdutl with this command line, the program's name first.
pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    match parse_and_run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn parse_and_run(args: Vec<OsString>) -> Result<(), Failure> {
    let program = with_go_flags(Cli::command());
    let parsed = program.clone().try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches));
    let Cli { timeout, write_out, command } = match parsed {
        Ok(cli) => cli,
        Err(error) => return explain(&program, &error),
    };
    let Some(command) = command else {
        return print_help(program);
    };
    let session = || {
        let output = Output { format: Format::parse(&write_out)?, style: Style::default() };
        Ok::<_, Failure>(Session { output, lock_timeout: timeout })
    };
    match command {
        Command::Snapshot(snapshot) => snapshot.run(&session()?),
        Command::Hashkv(hash_kv) => hash_kv.run(&session()?),
        Command::Defrag(defrag) => defrag.run(&session()?),
        Command::Migrate(migrate) => migrate.run(&session()?),
        Command::Completion(completion) => completion.run(program),
        Command::Version(version) => version.run(),
    }
}

/// A failure of work that has begun, with the exit code of all such.
fn failed(text: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Error, text)
}
