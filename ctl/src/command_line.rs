//! Command lines as Go's tools take them, for both programs.

use clap::{
    ArgAction,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    failure::{Exit, Failure},
    globals, go, output,
};

/// How many letters may be wrong in a command that is recognised all the same.
const LETTERS_MAX: usize = 2;

/// Flags as Go's flag library reads them: `--flag` and `--flag=false` for booleans, any value behind the others even if it
/// starts with a dash, and the last one wins.
pub fn with_go_flags(command: clap::Command) -> clap::Command {
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

pub fn print_help(mut command: clap::Command) -> Result<(), Failure> {
    output::write(command.render_help().to_string().as_bytes())
}

/// Says what is wrong with the command line, in the words that etcd's tools have for it, and how it is meant.
pub fn explain(program: &clap::Command, error: &clap::Error) -> Result<(), Failure> {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let text = match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::MissingSubcommand => return output::write(error.render().to_string().as_bytes()),
        ErrorKind::UnknownArgument => {
            let flag = context(ContextKind::InvalidArg);
            match flag.strip_prefix('-') {
                Some(short) if !short.starts_with('-') => format!("unknown shorthand flag: '{short}' in {flag}"),
                Some(_) => format!("unknown flag: {flag}"),
                None => format!("unexpected argument {}", go::quote(flag.as_bytes())),
            }
        }
        ErrorKind::InvalidSubcommand => {
            let typed = context(ContextKind::InvalidSubcommand);
            let name = go::quote(typed.as_bytes());
            let parent = parent_command(program.get_name(), error);
            let similar = if parent == program.get_name() { similar(program, typed) } else { String::new() };
            format!("unknown command {name} for \"{parent}\"{similar}\nRun '{parent} --help' for usage.")
        }
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_empty() => {
            format!("flag needs an argument: {}", flag_name(context(ContextKind::InvalidArg)))
        }
        ErrorKind::ValueValidation => {
            let flag = flag_name(context(ContextKind::InvalidArg));
            let value = go::quote(context(ContextKind::InvalidValue).as_bytes());
            let reason = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
            format!("invalid argument {value} for \"{flag}\" flag{reason}")
        }
        _ => error.render().to_string().trim_start_matches("error: ").trim_end().to_owned(),
    };
    Err(Failure::new(Exit::Error, text))
}

/// What may have been meant: commands that begin like that, or that two letters make of it.
fn similar(program: &clap::Command, typed: &str) -> String {
    let typed = typed.to_lowercase();
    let names = program.get_subcommands().map(clap::Command::get_name);
    let names: Vec<&str> =
        names.filter(|name| name.starts_with(&typed) || strsim::levenshtein(name, &typed) <= LETTERS_MAX).collect();
    if names.is_empty() { String::new() } else { format!("\n\nDid you mean this?\n\t{}\n", names.join("\n\t")) }
}

/// Without what stands for the value.
fn flag_name(flag: &str) -> &str {
    flag.split([' ', '=', '[']).next().unwrap_or_default()
}

/// The command that has no such subcommand, which clap says only in its usage line.
fn parent_command(program: &str, error: &clap::Error) -> String {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else {
        return program.to_owned();
    };
    let usage = usage.to_string();
    let words = usage.trim_start_matches("Usage:").split_whitespace();
    words.take_while(|word| !word.starts_with(['<', '['])).collect::<Vec<_>>().join(" ")
}
