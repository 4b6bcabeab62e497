//! The commands of etcdctl, one a file.

mod alarm;
mod compaction;
mod concurrency;
mod defrag;
mod del;
mod elect;
mod endpoint;
mod get;
mod key_range;
mod lease;
mod line;
mod lock;
mod make_mirror;
mod member;
mod move_leader;
mod options;
mod put;
mod snapshot;
mod txn;
mod version;
mod watch;

use std::{ffi::OsString, process::ExitCode};

use clap::{
    ArgAction, CommandFactory, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    client,
    failure::{Exit, Failure},
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
        Err(ParseError::Clap(error)) => return explain(&error),
    };
    let Some(command_given) = cli.command else {
        return print_help(command);
    };
    cli.globals.command_timeout_given = globals::is_given(&matches, "command_timeout");
    if cli.globals.debug {
        eprintln!("{:#?}", cli.globals.without_secrets());
    }
    let mut session = Session { output: cli.globals.output()?, globals: cli.globals };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::error(format!("could not start the runtime: {error}")))?;
    runtime.block_on(async {
        if !matches!(command_given, Command::Version(_) | Command::Options(_)) {
            client::discover_endpoints(&mut session.globals).await?;
        }
        match command_given {
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
            Command::Version(version) => version.run(),
            Command::Options(options) => options.run(),
        }
    })
}

/// Flags as Go's flag library reads them: `--flag` and `--flag=false` for booleans, any value behind the others even if it
/// starts with a dash, and the last one wins.
fn with_go_flags(command: clap::Command) -> clap::Command {
    command
        .args_override_self(true)
        .mut_args(|arg| match arg.get_action() {
            ArgAction::SetTrue => arg
                .action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .default_value("false")
                .hide_default_value(true)
                .value_name("BOOL")
                .hide_possible_values(true)
                .value_parser(globals::parse_bool),
            ArgAction::Set | ArgAction::Append if !arg.is_positional() && !arg.is_require_equals_set() => {
                arg.allow_hyphen_values(true)
            }
            _ => arg,
        })
        .mut_subcommands(with_go_flags)
}

fn print_help(mut command: clap::Command) -> Result<(), Failure> {
    crate::output::write(command.render_help().to_string().as_bytes())
}

/// Says what is wrong with the command line, in the words that etcdctl has for it, and how it is meant.
fn explain(error: &clap::Error) -> Result<(), Failure> {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let text = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            return crate::output::write(error.render().to_string().as_bytes());
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            return crate::output::write(error.render().to_string().as_bytes());
        }
        ErrorKind::UnknownArgument => {
            let flag = context(ContextKind::InvalidArg);
            match flag.strip_prefix('-') {
                Some(short) if !short.starts_with('-') => format!("unknown shorthand flag: '{short}' in {flag}"),
                Some(_) => format!("unknown flag: {flag}"),
                None => format!("unexpected argument {}", crate::go::quote(flag.as_bytes())),
            }
        }
        ErrorKind::InvalidSubcommand => {
            let name = crate::go::quote(context(ContextKind::InvalidSubcommand).as_bytes());
            let parent = parent_command(error);
            format!("unknown command {name} for \"{parent}\"\nRun '{parent} --help' for usage.")
        }
        ErrorKind::ValueValidation => {
            let flag = context(ContextKind::InvalidArg).split([' ', '=', '[']).next().unwrap_or_default();
            let value = crate::go::quote(context(ContextKind::InvalidValue).as_bytes());
            let reason = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
            format!("invalid argument {value} for \"{flag}\" flag{reason}")
        }
        _ => error.render().to_string().trim_start_matches("error: ").trim_end().to_owned(),
    };
    Err(Failure::new(Exit::Error, text))
}

/// The command that has no such subcommand, which clap says only in its usage line.
fn parent_command(error: &clap::Error) -> String {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else {
        return "etcdctl".to_owned();
    };
    let usage = usage.to_string();
    let words = usage.trim_start_matches("Usage:").split_whitespace();
    words.take_while(|word| !word.starts_with(['<', '['])).collect::<Vec<_>>().join(" ")
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
            ("etcdctl foo", "unknown command \"foo\" for \"etcdctl\"\nRun 'etcdctl --help' for usage."),
            (
                "etcdctl get a --limit x",
                r#"invalid argument "x" for "--limit" flag: strconv.ParseInt: parsing "x": invalid syntax"#,
            ),
        ] {
            let error = parse(line).err().unwrap();
            assert_eq!(explain(&error).unwrap_err().text(), text);
        }
    }
}
