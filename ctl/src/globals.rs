//! The flags that every command of etcdctl takes, and the `ETCDCTL_` variables that stand for them.

use std::{
    ffi::OsString,
    sync::{Arc, OnceLock},
    time::Duration,
};

use clap::{ArgAction, ArgMatches, CommandFactory, FromArgMatches, parser::ValueSource};

use crate::{
    failure::{Exit, Failure},
    go, log,
    output::{Format, Json, Output, Style},
};

const ENV_PREFIX: &str = "ETCDCTL_";

/// Variables with the prefix that are not flags and need no warning: the first chose between API versions that are long gone but
/// is still set everywhere, the others belong to `watch`.
const KNOWN_VARIABLES: [&str; 3] = ["ETCDCTL_API", "ETCDCTL_WATCH_KEY", "ETCDCTL_WATCH_RANGE_END"];

/// Flags of every command.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Endpoints of the cluster, separated by commas
    #[arg(
        long,
        global = true,
        hide = true,
        value_delimiter = ',',
        default_value = "127.0.0.1:2379",
        value_name = "LIST"
    )]
    pub endpoints: Vec<String>,

    /// Time limit of connecting to one endpoint
    #[arg(long, global = true, hide = true, default_value = "2s", value_name = "DURATION", value_parser = go::parse_duration)]
    pub dial_timeout: Duration,

    /// Time limit of a short command
    #[arg(long, global = true, hide = true, default_value = "5s", value_name = "DURATION", value_parser = go::parse_duration)]
    pub command_timeout: Duration,

    /// Silence after which a connection is probed
    #[arg(long, global = true, hide = true, default_value = "2s", value_name = "DURATION", value_parser = go::parse_duration)]
    pub keepalive_time: Duration,

    /// Time that a probe may take before the connection is given up
    #[arg(long, global = true, hide = true, default_value = "6s", value_name = "DURATION", value_parser = go::parse_duration)]
    pub keepalive_timeout: Duration,

    /// Connect without TLS to endpoints that don't say https
    #[arg(long, global = true, hide = true, action = ArgAction::Set, default_value = "true", num_args = 0..=1,
          require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = parse_bool)]
    pub insecure_transport: bool,

    /// Accept any server certificate, for tests only
    #[arg(long, global = true, hide = true)]
    pub insecure_skip_tls_verify: bool,

    /// Accept discovered endpoints without TLS
    #[arg(long, global = true, hide = true, action = ArgAction::Set, default_value = "true", num_args = 0..=1,
          require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = parse_bool)]
    pub insecure_discovery: bool,

    /// Certificate that shows the server who we are
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    pub cert: Option<String>,

    /// Private key of --cert
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    pub key: Option<String>,

    /// Certificates of the authorities that servers are verified against
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    pub cacert: Option<String>,

    /// User, with the password behind a colon or asked for
    #[arg(long, global = true, hide = true, default_value = "", value_name = "NAME[:PASSWORD]")]
    pub user: String,

    /// Password of --user
    #[arg(long, global = true, hide = true, default_value = "", value_name = "TEXT")]
    pub password: String,

    /// Token to authenticate with in place of a user
    #[arg(long, global = true, hide = true, default_value = "", value_name = "TOKEN")]
    pub auth_jwt_token: String,

    /// Domain whose SRV records name the endpoints
    #[arg(long, short = 'd', global = true, hide = true, default_value = "", value_name = "DOMAIN")]
    pub discovery_srv: String,

    /// Suffix of the SRV record's service name
    #[arg(long, global = true, hide = true, default_value = "", value_name = "NAME")]
    pub discovery_srv_name: String,

    /// Output format: simple, fields, json, protobuf or table
    #[arg(long, short = 'w', global = true, hide = true, default_value = "simple", value_name = "FORMAT")]
    pub write_out: String,

    /// Print ids and byte strings in hexadecimal digits
    #[arg(long, global = true, hide = true)]
    pub hex: bool,

    /// Print the settings in use to standard error
    #[arg(long, global = true, hide = true)]
    pub debug: bool,

    /// Largest request in bytes, 0 for 2 MiB
    #[arg(long, global = true, hide = true, default_value = "0", value_name = "BYTES", value_parser = go::parse_flag_int)]
    pub max_request_bytes: i64,

    /// Largest reply in bytes, 0 for 2 GiB
    #[arg(long, global = true, hide = true, default_value = "0", value_name = "BYTES", value_parser = go::parse_flag_int)]
    pub max_recv_bytes: i64,

    /// The password that was asked for.
    #[arg(skip)]
    pub typed_password: Arc<OnceLock<String>>,

    /// `command_timeout` was set and isn't the default.
    #[arg(skip)]
    pub command_timeout_given: bool,
}

impl Globals {
    /// For a terminal or a log.
    pub fn without_secrets(&self) -> Self {
        let hidden = |secret: &str| if secret.is_empty() { String::new() } else { "(hidden)".to_owned() };
        let user = self.user.split_once(':').map_or_else(|| self.user.clone(), |(name, _)| format!("{name}:(hidden)"));
        Self {
            user,
            password: hidden(&self.password),
            auth_jwt_token: hidden(&self.auth_jwt_token),
            typed_password: Arc::default(),
            ..self.clone()
        }
    }

    /// What to print replies with.
    pub fn output(&self) -> Result<Output, Failure> {
        let style = Style { hex: self.hex, value_only: false };
        Ok(Output { format: Format::parse(&self.write_out)?, style })
    }

    /// Endpoints without blanks around them.
    pub fn endpoint_list(&self) -> Vec<String> {
        self.endpoints
            .iter()
            .map(|endpoint| endpoint.trim().to_owned())
            .filter(|endpoint| !endpoint.is_empty())
            .collect()
    }
}

/// A boolean as Go's flags take it.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", go::quote(text.as_bytes()))),
    }
}

/// Parses the command line with the variables merged in: a variable counts as its flag, unless the flag is given too, which is
/// a mistake that stops here.
pub fn parse<C: CommandFactory + FromArgMatches>(
    args: Vec<OsString>,
    command: &clap::Command,
) -> Result<(C, ArgMatches), ParseError> {
    let given = command.clone().try_get_matches_from(args.clone())?;
    let mut from_env = Vec::new();
    let mut used = Vec::new();
    for arg in command.get_arguments().filter(|arg| arg.is_global_set()) {
        let Some(name) = arg.get_long() else { continue };
        let variable = format!("{ENV_PREFIX}{}", name.to_uppercase().replace('-', "_"));
        let value = std::env::var_os(&variable);
        if is_given(&given, arg.get_id().as_str()) {
            if value.is_some() {
                return Err(ParseError::Failure(conflict(&variable)));
            }
        } else if let Some(value) = value.filter(|value| !value.is_empty()) {
            let mut flag = OsString::from(format!("--{name}="));
            flag.push(value);
            from_env.push(flag);
        }
        used.push(variable);
    }
    warn_of_unknown(&used);
    let matches = if from_env.is_empty() {
        given
    } else {
        let mut merged = args;
        merged.splice(merged.len().min(1)..merged.len().min(1), from_env);
        command.clone().try_get_matches_from(merged)?
    };
    Ok((C::from_arg_matches(&matches)?, matches))
}

/// Why there is nothing to run.
pub enum ParseError {
    Clap(clap::Error),
    Failure(Failure),
}

impl From<clap::Error> for ParseError {
    fn from(error: clap::Error) -> Self {
        Self::Clap(error)
    }
}

/// The flag was on the command line.
pub fn is_given(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
}

fn conflict(variable: &str) -> Failure {
    log::line(
        "fatal",
        "conflicting environment variable is shadowed by corresponding command-line flag (either unset environment variable or \
         disable flag))",
        vec![("environment-variable", Json::from(variable))],
    );
    Failure::silent(Exit::Error)
}

fn warn_of_unknown(used: &[String]) {
    let mut unknown: Vec<String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| {
            name.starts_with(ENV_PREFIX) && !KNOWN_VARIABLES.contains(&name.as_str()) && !used.contains(name)
        })
        .map(|(name, value)| format!("{name}={}", value.to_string_lossy()))
        .collect();
    unknown.sort();
    for variable in unknown {
        log::warn("unrecognized environment variable", vec![("environment-variable", Json::from(variable))]);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        globals: Globals,
    }

    #[test]
    fn what_is_shown_has_no_secret() {
        let line = ["etcdctl", "--user=root:hush", "--password=hush", "--auth-jwt-token=hush"];
        let globals = Line::try_parse_from(line).unwrap().globals;
        globals.typed_password.set("hush".to_owned()).unwrap();
        let shown = format!("{:#?}", globals.without_secrets());
        assert!(shown.contains("root:(hidden)"), "{shown}");
        assert!(!shown.contains("hush"), "{shown}");
    }
}
