//! The commands of etcdutl, one a file: work on files while no server runs.

mod hash_kv;
mod progress;
mod restore;
mod snapshot;
mod source;
mod status;
mod version;

use std::{ffi::OsString, process::ExitCode, time::Duration};

use clap::{
    CommandFactory, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};
use quorate_ctl::{
    failure::{Exit, Failure},
    go,
    output::{self, Format, Output, Style},
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

    /// Output format: simple, fields, json or table
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
    let Cli { timeout, write_out, command } = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    let Some(command) = command else {
        return Cli::command().print_help().map_err(Failure::error);
    };
    let output = || Ok::<_, Failure>(Output { format: Format::parse(&write_out)?, style: Style::default() });
    match command {
        Command::Snapshot(snapshot) => snapshot.run(&Session { output: output()?, lock_timeout: timeout }),
        Command::Hashkv(hash_kv) => hash_kv.run(&Session { output: output()?, lock_timeout: timeout }),
        Command::Version(version) => version.run(),
    }
}

/// Help that was asked for, or what is wrong with the command line.
fn explain(error: &clap::Error) -> Result<(), Failure> {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            output::write(text.as_bytes())
        }
        ErrorKind::InvalidSubcommand => {
            let name = match error.get(ContextKind::InvalidSubcommand) {
                Some(ContextValue::String(name)) => name.as_str(),
                _ => "",
            };
            let name = go::quote(name.as_bytes());
            Err(failed(format!("unknown command {name} for \"etcdutl\"\nRun 'etcdutl --help' for usage.")))
        }
        _ => Err(failed(text.trim_start_matches("error: ").trim_end())),
    }
}

/// A failure of work that has begun, with the exit code of all such.
fn failed(text: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Error, text)
}
