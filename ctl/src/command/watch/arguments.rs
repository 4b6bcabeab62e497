//! Where a watch's key comes from: the command line, a line of standard input, or the environment.

use std::{
    env,
    ffi::{OsStr, OsString},
};

use bytes::Bytes;
use clap::{CommandFactory, FromArgMatches, Parser};

use super::Options;
use crate::{command_line::with_go_flags, go, key_range::to_bytes};

pub(super) const SEPARATOR_ALONE: &str = "bad number of arguments (found separator --, but no commands)";
const BAD_NUMBER: &str = "bad number of arguments";
const CONFLICT: &str = "bad number of arguments (found conflicting environment key)";

/// What to watch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub key: Bytes,
    pub range_end: Option<Bytes>,
}

/// `ETCDCTL_WATCH_KEY` and `ETCDCTL_WATCH_RANGE_END`.
pub(super) struct Environment {
    pub key: Option<OsString>,
    range_end: Option<OsString>,
}

impl Environment {
    pub(super) fn read() -> Result<Self, String> {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        Self::new(variable("ETCDCTL_WATCH_KEY"), variable("ETCDCTL_WATCH_RANGE_END"))
    }

    fn new(key: Option<OsString>, range_end: Option<OsString>) -> Result<Self, String> {
        match (&key, &range_end) {
            (None, Some(end)) => {
                let end = go::quote(&to_bytes(end));
                Err(format!("ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END={end}"))
            }
            _ => Ok(Self { key, range_end }),
        }
    }
}

/// The target from either the arguments or the environment: both at once is a mistake.
pub(super) fn target(args: &[OsString], environment: &Environment) -> Result<Target, &'static str> {
    let make =
        |key: &OsStr, end: Option<&OsString>| Target { key: to_bytes(key), range_end: end.map(|end| to_bytes(end)) };
    match (args, &environment.key) {
        ([], Some(key)) => Ok(make(key, environment.range_end.as_ref())),
        ([], None) => Err(BAD_NUMBER),
        (_, Some(_)) => Err(CONFLICT),
        ([key], None) => Ok(make(key, None)),
        ([key, end], None) => Ok(make(key, Some(end))),
        (_, None) => Err(BAD_NUMBER),
    }
}

/// A `watch …` line.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Line {
    #[command(flatten)]
    options: Options,
    args: Vec<OsString>,
    #[arg(last = true)]
    exec: Vec<OsString>,
}

/// Reads a line's words, the first of which is `watch`: flags, key and range end, command.
pub(super) fn parse_line(words: Vec<OsString>) -> Result<(Options, Vec<OsString>, Vec<OsString>), String> {
    if words.last().is_some_and(|word| word == "--") {
        return Err(SEPARATOR_ALONE.to_owned());
    }
    let line = with_go_flags(Line::command())
        .try_get_matches_from(words.into_iter().skip(1))
        .and_then(|matches| Line::from_arg_matches(&matches))
        .map_err(|error| error.to_string().trim_start_matches("error: ").trim_end().to_owned())?;
    Ok((line.options, line.args, line.exec))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect()
    }

    fn environment(key: &str) -> Environment {
        Environment::new(Some(OsString::from(key)).filter(|key| !key.is_empty()), None).unwrap()
    }

    #[test]
    fn a_key_comes_from_one_place() {
        let key = |text: &'static str| Target { key: Bytes::from_static(text.as_bytes()), range_end: None };
        assert_eq!(target(&words("a"), &environment("")), Ok(key("a")));
        assert_eq!(target(&[], &environment("e")), Ok(key("e")));
        assert_eq!(target(&[], &environment("")), Err(BAD_NUMBER));
        assert_eq!(target(&words("a"), &environment("e")), Err(CONFLICT));
        assert_eq!(target(&words("a b c"), &environment("")), Err(BAD_NUMBER));
    }

    #[test]
    fn an_end_without_a_key_is_refused() {
        let error = Environment::new(None, Some("z".into())).err().unwrap();
        assert_eq!(error, r#"ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END="z""#);
    }

    #[test]
    fn a_line_has_flags_anywhere_and_a_command_at_its_end() {
        let (options, args, exec) = parse_line(words("watch a --rev 3 b --prev-kv -- echo --rev")).unwrap();
        assert_eq!((options.rev, options.prev_kv, options.prefix), (3, true, false));
        assert_eq!(args, ["a", "b"]);
        assert_eq!(exec, ["echo", "--rev"]);
        assert!(parse_line(words("watch a --")).is_err());
        assert!(parse_line(words("watch a --nope")).is_err());
    }
}
