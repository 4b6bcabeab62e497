//! The command line by the rules of Go's `flag` package: `-x` and `--x` are the same, a value follows after `=` or as the
//! next argument, booleans take one only after `=`, and the first argument that is no flag ends the flags.

use super::given::{Given, lookup};
use super::table::{self, Kind};
use super::value::Value;

/// What stopped the reading.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// `-h`, `-help`, `--help`.
    Help,
    /// A complaint in Go's words.
    Usage(String),
}

/// Reads flags up to the first positional argument, which is returned.
pub fn parse(args: &[String]) -> Result<(Given, Option<String>), Stop> {
    let mut given = Given::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let Some(body) = arg.strip_prefix('-').filter(|body| !body.is_empty()) else {
            return Ok((given, Some(arg.clone())));
        };
        if body == "-" {
            return Ok((given, rest.next().cloned()));
        }
        let body = body.strip_prefix('-').unwrap_or(body);
        if body.is_empty() || body.starts_with(['-', '=']) {
            return Err(Stop::Usage(format!("bad flag syntax: {arg}")));
        }
        let (name, inline) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        let Some((name, kind)) = lookup(name) else {
            return Err(match name {
                "h" | "help" => Stop::Help,
                _ => Stop::Usage(format!("flag provided but not defined: -{name}")),
            });
        };
        let value = match (inline, kind) {
            (None, Kind::Bool) => Value::Bool(true),
            (Some(text), Kind::Bool) => table::read(kind, text)
                .map_err(|reason| Stop::Usage(format!("invalid boolean value {text:?} for -{name}: {reason}")))?,
            (inline, _) => {
                let text = match inline {
                    Some(text) => text,
                    None => rest.next().ok_or_else(|| Stop::Usage(format!("flag needs an argument: -{name}")))?,
                };
                table::read(kind, text)
                    .map_err(|reason| Stop::Usage(format!("invalid value {text:?} for flag -{name}: {reason}")))?
            }
        };
        given.insert(name, value);
    }
    Ok((given, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&str]) -> Result<(Given, Option<String>), Stop> {
        parse(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn values_follow_an_equals_sign_or_a_space() {
        for args in [["--name=a", "-pre-vote=false"].as_slice(), &["-name", "a", "--pre-vote=F"]] {
            let (given, positional) = check(args).unwrap();
            assert_eq!(given.get("name"), Some(&Value::Text("a".to_owned())));
            assert_eq!(given.get("pre-vote"), Some(&Value::Bool(false)));
            assert_eq!(positional, None);
        }
    }

    #[test]
    fn booleans_leave_the_next_argument_alone() {
        let (given, positional) = check(&["--pre-vote", "false", "--name", "a"]).unwrap();
        assert_eq!(given.get("pre-vote"), Some(&Value::Bool(true)));
        assert_eq!(positional.as_deref(), Some("false"));
        assert!(!given.contains("name"));
    }

    #[test]
    fn two_dashes_end_the_flags() {
        assert_eq!(check(&["--", "--name"]).unwrap().1.as_deref(), Some("--name"));
        assert_eq!(check(&["--"]).unwrap().1, None);
        assert_eq!(check(&["-"]).unwrap().1.as_deref(), Some("-"));
    }

    #[test]
    fn the_last_value_wins_and_gates_add_up() {
        let (given, _) =
            check(&["--name=a", "--name=b", "--feature-gates=AllAlpha=true", "--feature-gates", "AllBeta=true"])
                .unwrap();
        assert_eq!(given.get("name"), Some(&Value::Text("b".to_owned())));
        assert_eq!(given.get("feature-gates"), Some(&Value::Text("AllAlpha=true,AllBeta=true".to_owned())));
    }

    #[test]
    fn complaints_are_gos() {
        for (args, message) in [
            (["--foo"].as_slice(), "flag provided but not defined: -foo"),
            (&["---name"], "bad flag syntax: ---name"),
            (&["--=x"], "bad flag syntax: --=x"),
            (&["--name"], "flag needs an argument: -name"),
            (&["--heartbeat-interval=-1"], r#"invalid value "-1" for flag -heartbeat-interval: parse error"#),
            (&["--corrupt-check-time", "5"], r#"invalid value "5" for flag -corrupt-check-time: parse error"#),
            (
                &["--feature-gates=Nope=true"],
                r#"invalid value "Nope=true" for flag -feature-gates: unrecognized feature gate: Nope"#,
            ),
            (&["--pre-vote=maybe"], r#"invalid boolean value "maybe" for -pre-vote: parse error"#),
            (&["--initial-cluster-state=old"], r#"invalid value "old" for flag -initial-cluster-state: invalid value"#),
            (
                &["--max-concurrent-streams=4294967296"],
                r#"invalid value "4294967296" for flag -max-concurrent-streams: value out of range"#,
            ),
            (
                &["--listen-client-urls=localhost:1"],
                r#"invalid value "localhost:1" for flag -listen-client-urls: URL scheme must be http, https, unix, or unixs: localhost:1"#,
            ),
        ] {
            assert_eq!(check(args).unwrap_err(), Stop::Usage(message.to_owned()));
        }
        assert_eq!(check(&["-h"]).unwrap_err(), Stop::Help);
        assert_eq!(check(&["--name", "x", "--help"]).unwrap_err(), Stop::Help);
    }
}
