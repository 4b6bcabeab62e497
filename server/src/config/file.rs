//! `--config-file`: YAML or JSON that replaces flags and environment.
//!
//! Keys are flag names with four exceptions, all etcd's: TLS files are in maps, discovery is a nested object, socket
//! options are a map, and durations are integers of nanoseconds. Unknown keys are ignored (with a notice), because sample
//! files carry keys that were removed long ago.

use serde_norway::Value as Yaml;

use super::Error;
use super::given::{Given, lookup};
use super::notice::Notice;
use super::table::{self, Kind};
use super::value::Value;

/// Flags that are no keys of the file; their values come from the maps below, or not at all.
const NOT_KEYS: &[&str] = &[
    "config-file",
    "version",
    "raft-read-timeout",
    "raft-write-timeout",
    "socket-reuse-port",
    "socket-reuse-address",
    "discovery",
    "discovery-fallback",
    "discovery-proxy",
];

/// In `client-transport-security`; `peer-transport-security` has the same keys.
const TLS: &[(&str, &str, &str)] = &[
    ("cert-file", "cert-file", "peer-cert-file"),
    ("key-file", "key-file", "peer-key-file"),
    ("client-cert-file", "client-cert-file", "peer-client-cert-file"),
    ("client-key-file", "client-key-file", "peer-client-key-file"),
    ("client-cert-auth", "client-cert-auth", "peer-client-cert-auth"),
    ("trusted-ca-file", "trusted-ca-file", "peer-trusted-ca-file"),
    ("auto-tls", "auto-tls", "peer-auto-tls"),
    ("allowed-cn", "client-cert-allowed-cn", "peer-cert-allowed-cn"),
    ("allowed-hostname", "client-cert-allowed-hostname", "peer-cert-allowed-hostname"),
    ("skip-client-san-verification", "", "peer-skip-client-san-verification"),
];

/// Paths below `discovery-config`.
const DISCOVERY: &[(&str, &str)] = &[
    ("token", "discovery-token"),
    ("client.endpoints", "discovery-endpoints"),
    ("client.dial-timeout", "discovery-dial-timeout"),
    ("client.request-timeout", "discovery-request-timeout"),
    ("client.keepalive-time", "discovery-keepalive-time"),
    ("client.keepalive-timeout", "discovery-keepalive-timeout"),
    ("client.secure.cert", "discovery-cert"),
    ("client.secure.key", "discovery-key"),
    ("client.secure.cacert", "discovery-cacert"),
    ("client.secure.insecure-transport", "discovery-insecure-transport"),
    ("client.secure.insecure-skip-tls-verify", "discovery-insecure-skip-tls-verify"),
    ("client.auth.username", "discovery-user"),
    ("client.auth.password", "discovery-password"),
];

const SOCKET: &[(&str, &str)] = &[("reuse-port", "socket-reuse-port"), ("reuse-address", "socket-reuse-address")];

/// Reads the file's text.
pub fn read(path: &str, text: &str, notices: &mut Vec<Notice>) -> Result<Given, Error> {
    let parsed: Yaml =
        serde_norway::from_str(text).map_err(|source| Error::FileSyntax { path: path.to_owned(), source })?;
    let mut given = Given::default();
    given.from_file = true;
    let map = match parsed {
        Yaml::Mapping(map) => map,
        Yaml::Null => serde_norway::Mapping::new(),
        _ => return Err(Error::FileShape { path: path.to_owned() }),
    };
    for (key, value) in &map {
        let key = key.as_str().ok_or_else(|| Error::FileShape { path: path.to_owned() })?;
        match key {
            "client-transport-security" | "peer-transport-security" => {
                let client = key.starts_with("client");
                read_map(key, "", value, notices, &mut given, &|sub| {
                    TLS.iter()
                        .find(|(name, _, _)| *name == sub)
                        .map(|(_, of_client, of_peer)| if client { *of_client } else { *of_peer })
                })?;
            }
            "discovery-config" => {
                read_map(key, "", value, notices, &mut given, &|sub| {
                    DISCOVERY.iter().find(|(name, _)| *name == sub).map(|(_, flag)| *flag)
                })?;
            }
            "socket-options" => {
                read_map(key, "", value, notices, &mut given, &|sub| {
                    SOCKET.iter().find(|(name, _)| *name == sub).map(|(_, flag)| *flag)
                })?;
            }
            _ if is_plain_key(key) => insert(&mut given, key, key, value)?,
            _ => notices.push(Notice::FileKeyIgnored { key: key.to_owned() }),
        }
    }
    Ok(given)
}

/// True for flags whose name is a key at the top of the file.
fn is_plain_key(key: &str) -> bool {
    lookup(key).is_some()
        && !NOT_KEYS.contains(&key)
        && !TLS.iter().any(|(_, client, peer)| *client == key || *peer == key)
        && !DISCOVERY.iter().any(|(_, flag)| *flag == key)
        && !key.ends_with("-crl-file")
}

/// Reads a map whose entries are flags by `flag_of(path)`; deeper maps have their keys joined with dots.
fn read_map(
    key: &str,
    prefix: &str,
    value: &Yaml,
    notices: &mut Vec<Notice>,
    given: &mut Given,
    flag_of: &dyn Fn(&str) -> Option<&'static str>,
) -> Result<(), Error> {
    let map = match value {
        Yaml::Mapping(map) => map,
        Yaml::Null => return Ok(()),
        _ => return Err(Error::FileValue { key: key.to_owned(), reason: "must be a map".to_owned() }),
    };
    for (sub, value) in map {
        let sub = sub.as_str().unwrap_or_default();
        let path = if prefix.is_empty() { sub.to_owned() } else { format!("{prefix}.{sub}") };
        let full = format!("{key}.{sub}");
        match (flag_of(&path), value) {
            (Some(flag), _) if !flag.is_empty() => insert(given, flag, &full, value)?,
            (None, Yaml::Mapping(_)) => read_map(&full, &path, value, notices, given, flag_of)?,
            _ => notices.push(Notice::FileKeyIgnored { key: full }),
        }
    }
    Ok(())
}

fn insert(given: &mut Given, flag: &str, key: &str, value: &Yaml) -> Result<(), Error> {
    let Some((name, kind)) = lookup(flag) else { return Ok(()) };
    if let Some(value) = convert(kind, value).map_err(|reason| Error::FileValue { key: key.to_owned(), reason })? {
        given.insert(name, value);
    }
    Ok(())
}

/// Null leaves the default in place, as in Go.
fn convert(kind: Kind, value: &Yaml) -> Result<Option<Value>, String> {
    let text = match (kind, value) {
        (_, Yaml::Null) => return Ok(None),
        (Kind::Choice(_), Yaml::String(text)) if text.is_empty() => return Ok(None),
        (Kind::Bool, Yaml::Bool(on)) => return Ok(Some(Value::Bool(*on))),
        (Kind::Bool, _) => return Err("must be true or false".to_owned()),
        (Kind::Duration, Yaml::Number(number)) => {
            let nanoseconds = number.as_i64().ok_or("must be an integer of nanoseconds")?;
            return Ok(Some(Value::Duration(nanoseconds)));
        }
        (Kind::Duration, _) => {
            return Err("must be an integer of nanoseconds in the file (600000000000 for 10m)".to_owned());
        }
        (Kind::Uint | Kind::Uint32 | Kind::Int, Yaml::Number(number)) => number.to_string(),
        (Kind::Uint | Kind::Uint32 | Kind::Int, _) => return Err("must be an integer".to_owned()),
        (Kind::List | Kind::Urls | Kind::UrlsOrAny, Yaml::Sequence(items)) => {
            let items = items.iter().map(scalar).collect::<Option<Vec<_>>>().ok_or("must be a list of texts")?;
            items.join(",")
        }
        (_, value) => scalar(value).ok_or("must be a text")?,
    };
    table::read(kind, &text).map(Some)
}

fn scalar(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) => Some(text.clone()),
        Yaml::Number(number) => Some(number.to_string()),
        Yaml::Bool(on) => Some(on.to_string()),
        _ => None,
    }
}
