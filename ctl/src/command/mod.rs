//! The commands of etcdctl, one a file.

mod alarm;
mod auth;
mod check;
mod compaction;
mod concurrency;
mod defrag;
mod del;
mod downgrade;
mod elect;
mod endpoint;
mod get;
mod lease;
mod line;
mod lock;
mod make_mirror;
mod member;
mod move_leader;
mod options;
mod put;
mod role;
mod snapshot;
mod txn;
mod user;
mod version;
mod watch;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};

use crate::{
    client,
    command_line::{explain, print_help, with_go_flags},
    completion::Completion,
    failure::Failure,
    globals::{self, Globals, ParseError},
    output::Output,
};

/// The command line.
#[derive(Parser)]
#[command(
    name = "etcdctl",
    about = "Reads and writes keys of an etcd cluster, and looks after its members",
    after_help = "Use \"etcdctl options\" for a list of global command-line options (applies to all commands).",
    infer_subcommands = true
)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Get(get::Get),
    Put(put::Put),
    Del(del::Del),
    Txn(txn::Txn),
    #[command(visible_alias = "compact")]
    Compaction(compaction::Compaction),
    Watch(watch::Watch),
    /// Grants, revokes and renews leases
    #[command(subcommand)]
    Lease(lease::Lease),
    /// Lists, adds, removes and changes members
    #[command(subcommand)]
    Member(member::Member),
    Endpoint(endpoint::Endpoint),
    /// Lists and disarms alarms
    #[command(subcommand)]
    Alarm(alarm::Alarm),
    Defrag(defrag::Defrag),
    /// Saves a member's data to a file
    #[command(subcommand)]
    Snapshot(snapshot::Snapshot),
    Lock(lock::Lock),
    Elect(elect::Elect),
    MoveLeader(move_leader::MoveLeader),
    MakeMirror(make_mirror::MakeMirror),
    /// Enables and disables authentication
    #[command(subcommand)]
    Auth(auth::Auth),
    /// Adds, changes and deletes users, and grants them roles
    #[command(subcommand)]
    User(user::User),
    /// Adds and deletes roles, and grants them permissions
    #[command(subcommand)]
    Role(role::Role),
    /// Measures whether a cluster is fast and large enough
    #[command(subcommand)]
    Check(check::Check),
    /// Begins and ends the downgrade of a cluster
    #[command(subcommand)]
    Downgrade(downgrade::Downgrade),
    Completion(Completion),
    Version(version::Version),
    Options(options::Options),
}

/// What every command works with.
struct Session {
    globals: Globals,
    output: Output,
}

/// Runs etcdctl with this command line, the program's name first.
pub fn run(args: Vec<OsString>) -> ExitCode {
    match parse_and_run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn parse_and_run(args: Vec<OsString>) -> Result<(), Failure> {
    let command = with_go_flags(Cli::command());
    // `watch` tells `watch key --` from `watch key`, which clap doesn't.
    let ends_in_separator = args.last().is_some_and(|arg| arg == "--");
    let (mut cli, matches) = match globals::parse::<Cli>(args, &command) {
        Ok(parsed) => parsed,
        Err(ParseError::Failure(failure)) => return Err(failure),
        Err(ParseError::Clap(error)) => return explain(&command, &error),
    };
    let Some(command_given) = cli.command else {
        return print_help(command);
    };
    cli.globals.command_timeout_given = globals::is_given(&matches, "command_timeout");
    if cli.globals.debug {
        eprintln!("{:#?}", cli.globals.without_secrets());
    }
    match command_given {
        Command::Completion(completion) => completion.run(command),
        Command::Version(version) => version.run(),
        Command::Options(options) => options.run(),
        command_given => {
            let session = Session { output: cli.globals.output()?, globals: cli.globals };
            perform(command_given, session, ends_in_separator)
        }
    }
}

/// Runs a command that needs a cluster.
fn perform(command: Command, mut session: Session, ends_in_separator: bool) -> Result<(), Failure> {
    let mut runtime = match command {
        // A single thread would measure itself.
        Command::Check(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime
        .enable_all()
        .build()
        .map_err(|error| Failure::error(format!("could not start the runtime: {error}")))?;
    runtime.block_on(async {
        client::discover_endpoints(&mut session.globals).await?;
        match command {
            Command::Get(get) => get.run(session).await,
            Command::Put(put) => put.run(session).await,
            Command::Del(del) => del.run(session).await,
            Command::Txn(txn) => txn.run(session).await,
            Command::Compaction(compaction) => compaction.run(session).await,
            Command::Watch(watch) => watch.run(session, ends_in_separator).await,
            Command::Lease(lease) => lease.run(session).await,
            Command::Member(member) => member.run(session).await,
            Command::Endpoint(endpoint) => endpoint.run(session).await,
            Command::Alarm(alarm) => alarm.run(session).await,
            Command::Defrag(defrag) => defrag.run(session).await,
            Command::Snapshot(snapshot) => snapshot.run(session).await,
            Command::Lock(lock) => lock.run(session).await,
            Command::Elect(elect) => elect.run(session).await,
            Command::MoveLeader(move_leader) => move_leader.run(session).await,
            Command::MakeMirror(make_mirror) => make_mirror.run(session).await,
            Command::Auth(auth) => auth.run(session).await,
            Command::User(user) => user.run(session).await,
            Command::Role(role) => role.run(session).await,
            Command::Check(check) => check.run(session).await,
            Command::Downgrade(downgrade) => downgrade.run(session).await,
            // They need none, and have run.
            Command::Completion(_) | Command::Version(_) | Command::Options(_) => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        let matches = with_go_flags(Cli::command()).try_get_matches_from(line.split(' '))?;
        clap::FromArgMatches::from_arg_matches(&matches)
    }

    #[test]
    fn the_definition_is_consistent() {
        with_go_flags(Cli::command()).debug_assert();
    }

    #[test]
    fn a_unique_prefix_names_a_command() {
        assert!(matches!(parse("etcdctl ver").unwrap().command, Some(Command::Version(_))));
        assert!(matches!(
            parse("etcdctl lease time 1").unwrap().command,
            Some(Command::Lease(lease::Lease::Timetolive(_)))
        ));
        assert!(parse("etcdctl m").is_err());
    }

    #[test]
    fn booleans_take_a_value_behind_an_equals_sign_only() {
        let Some(Command::Get(get)) = parse("etcdctl get --prefix --keys-only=false a").unwrap().command else {
            panic!()
        };
        assert!(get.prefix);
        assert!(!get.keys_only);
        assert_eq!(get.args, ["a"]);
    }

    #[test]
    fn the_last_flag_wins() {
        let Some(Command::Get(get)) = parse("etcdctl get --limit 1 --limit=-2 a").unwrap().command else { panic!() };
        assert_eq!(get.limit, -2);
    }

    #[test]
    fn global_flags_stand_anywhere() {
        let cli = parse("etcdctl get a --endpoints=x:1,y:2 -w json --hex").unwrap();
        assert_eq!(cli.globals.endpoint_list(), ["x:1", "y:2"]);
        assert_eq!(cli.globals.write_out, "json");
        assert!(cli.globals.hex);
    }

    #[test]
    fn mistakes_are_named_as_etcdctl_names_them() {
        for (line, text) in [
            ("etcdctl get --foo", "unknown flag: --foo"),
            ("etcdctl get -x a", "unknown shorthand flag: 'x' in -x"),
            (
                "etcdctl member foo",
                "unknown command \"foo\" for \"etcdctl member\"\nRun 'etcdctl member --help' for usage.",
            ),
            (
                "etcdctl memer",
                "unknown command \"memer\" for \"etcdctl\"\n\nDid you mean this?\n\tmember\n\nRun 'etcdctl --help' for usage.",
            ),
            ("etcdctl foo", "unknown command \"foo\" for \"etcdctl\"\nRun 'etcdctl --help' for usage."),
            (
                "etcdctl get a --limit x",
                r#"invalid argument "x" for "--limit" flag: strconv.ParseInt: parsing "x": invalid syntax"#,
            ),
        ] {
            let error = parse(line).err().unwrap();
            assert_eq!(explain(&Cli::command(), &error).unwrap_err().text(), text);
        }
    }
}
