//! The command line.

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

/// Looks at etcd clusters on Kubernetes, and changes what takes more than an edit.
#[derive(Parser, Clone, Debug)]
#[command(name = "kubectl-quorate", version)]
pub struct Arguments {
    #[command(flatten)]
    pub site: Site,
    #[command(subcommand)]
    pub command: Command,
}

impl Arguments {
    /// Of this process. Help and errors speak of what users type.
    pub fn read() -> Self {
        let matches = Self::command().bin_name("kubectl quorate").get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// Which Kubernetes, and where in it; as in kubectl.
#[derive(Args, Clone, Debug)]
pub struct Site {
    /// Instead of the files that KUBECONFIG names, or ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; its current one if not given.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// The context's namespace if not given.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
}

#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Shows a cluster on one screen.
    Status {
        name: String,
        /// For programs.
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
        /// Draws the screen again every two seconds, until Ctrl-C.
        #[arg(short, long, conflicts_with = "output")]
        watch: bool,
    },
    /// Moves leadership to a member.
    PromoteLeader { name: String, member: String },
    /// Restarts all members one by one, the leader last.
    Restart {
        name: String,
        #[command(flatten)]
        patience: Patience,
    },
    /// Stops all members and keeps their volumes.
    Hibernate {
        name: String,
        /// Doesn't ask.
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        patience: Patience,
    },
    /// Starts the members of a hibernated cluster.
    Resume {
        name: String,
        /// Members; as many as there were if not given.
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..=9))]
        replicas: Option<i32>,
        #[command(flatten)]
        patience: Patience,
    },
    /// Prints the logs of all members, by time.
    Logs {
        name: String,
        #[command(flatten)]
        selection: Selection,
    },
    /// Has the operator leave a cluster as it is.
    Pause { name: String },
    /// Has the operator look after a cluster again.
    Unpause { name: String },
    /// Certificates.
    #[command(subcommand)]
    Certs(Certs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
}

/// Whether to wait for what was asked for.
#[derive(Args, Clone, Copy, Debug)]
pub struct Patience {
    /// Waits until it is done, and says what happens meanwhile.
    #[arg(short, long)]
    pub wait: bool,
    /// At most so long, such as 90s or 10m.
    #[arg(long, default_value = "10m", requires = "wait")]
    pub timeout: SignedDuration,
}

/// Which lines of the logs.
#[derive(Args, Clone, Debug)]
pub struct Selection {
    /// Goes on with what is logged from now on, also by members that come later.
    #[arg(short, long)]
    pub follow: bool,
    /// Lines of this last time alone, such as 10m.
    #[arg(long)]
    pub since: Option<SignedDuration>,
    /// The last lines of each member alone.
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..))]
    pub tail: Option<i64>,
    /// This member alone.
    #[arg(long)]
    pub member: Option<String>,
    /// Of containers that ended before those that run.
    #[arg(short, long, conflicts_with = "follow")]
    pub previous: bool,
}

#[derive(Subcommand, Clone, Debug)]
pub enum Certs {
    /// Has the operator replace the cluster's authority and everything that it signed.
    Rotate { name: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn namespace_and_context_may_stand_anywhere() {
        for line in ["-n db --context c status sample", "status sample -n db --context c"] {
            let words = std::iter::once("kubectl-quorate").chain(line.split(' '));
            let Site { context, namespace, .. } = Arguments::parse_from(words).site;
            assert_eq!((context.as_deref(), namespace.as_deref()), (Some("c"), Some("db")), "{line}");
        }
    }

    #[test]
    fn times_are_written_as_kubectl_takes_them() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h30m", 5400)] {
            let Command::Logs { selection, .. } =
                Arguments::parse_from(["kubectl-quorate", "logs", "sample", "--since", text]).command
            else {
                unreachable!("logs were asked for")
            };
            assert_eq!(selection.since, Some(SignedDuration::from_secs(seconds)), "{text}");
        }
    }
}
