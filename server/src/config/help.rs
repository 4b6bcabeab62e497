//! What `--help` and `--version` print.

use std::fmt::Write as _;

use super::command::API_VERSION;
use super::feature_gate::Gate;
use super::table::{FLAGS, Flag, Group, Kind};

/// Goes to standard error, after a complaint and before the flags.
pub const USAGE: &str = "\
Usage:

  etcd [flags]
    Start a server.

  etcd --version
    Show the versions.

  etcd -h | --help
    Show this help.

  etcd --config-file
    Read everything from a YAML or JSON file; other flags and the environment are then ignored.
    Durations in the file are integers of nanoseconds (600000000000 for 10m), except that
    heartbeat-interval and election-timeout stay milliseconds.

  etcd gateway
    Forward TCP connections of clients to members.

  etcd grpc-proxy
    Serve clients with the cluster's API, and share what many of them watch.

  etcd discovery
    Run a service by whose URL new members find each other.

";

/// The flags by group, as the help shows them on standard output.
pub fn flags() -> String {
    let mut text = String::new();
    for (group, title) in [
        (Group::Member, "Member"),
        (Group::Clustering, "Clustering"),
        (Group::Security, "Security"),
        (Group::Auth, "Auth"),
        (Group::Monitoring, "Profiling and Monitoring"),
        (Group::Logging, "Logging"),
        (Group::Tracing, "Distributed tracing"),
        (Group::Features, "Features"),
        (Group::Unsafe, "Unsafe feature"),
    ] {
        let _ = write!(text, "\n{title}:\n");
        for flag in FLAGS.iter().filter(|flag| flag.group == group) {
            let _ = write!(text, "  --{} '{}'\n    {}\n", flag.name, shown_default(flag), flag.help);
            if flag.name == "feature-gates" {
                for gate in Gate::ALL {
                    let _ = writeln!(
                        text,
                        "    {}=true|false ({} - default={})",
                        gate.name(),
                        gate.stage().as_str(),
                        gate.default()
                    );
                }
            }
        }
    }
    text.push_str("\nThe unsafe flags can break what the consensus protocol promises. Know why you set them.\n\n");
    text
}

fn shown_default(flag: &Flag) -> String {
    match (flag.name, flag.kind) {
        ("data-dir", _) => "${name}.etcd".to_owned(),
        ("initial-cluster", _) => "default=http://localhost:2380".to_owned(),
        (_, Kind::Duration) => flag.default.replace("h0m0s", "h").replace("m0s", "m"),
        _ => flag.default.to_owned(),
    }
}

/// etcd's four lines, for the tools that read them, and a fifth with our own version.
pub fn version() -> String {
    format!(
        "etcd Version: {API_VERSION}\n\
         Git SHA: {}\n\
         Go Version: none (rustc {})\n\
         Go OS/Arch: {}\n\
         Quorate Version: {}\n",
        option_env!("QUORATE_GIT_SHA").unwrap_or("not recorded"),
        option_env!("QUORATE_RUSTC_VERSION").unwrap_or(env!("CARGO_PKG_RUST_VERSION")),
        platform(),
        env!("CARGO_PKG_VERSION"),
    )
}

/// `os/arch` in Go's names.
fn platform() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}/{arch}", std::env::consts::OS)
}
