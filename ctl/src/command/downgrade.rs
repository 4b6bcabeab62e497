//! `etcdctl downgrade`

use quorate_proto::etcdserverpb::{DowngradeRequest, downgrade_request::DowngradeAction};

use super::Session;
use crate::{client::Client, failure::Failure, output::Downgraded};

#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum Downgrade {
    /// Validate downgrade capability before starting downgrade
    Validate {
        #[arg(value_name = "TARGET_VERSION")]
        args: Vec<String>,
    },
    /// Start a downgrade action to cluster
    Enable {
        #[arg(value_name = "TARGET_VERSION")]
        args: Vec<String>,
    },
    /// Cancel the ongoing downgrade action to cluster
    Cancel {
        #[arg(hide = true)]
        args: Vec<String>,
    },
}

impl Downgrade {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        let (action, kind, version) = match self {
            Downgrade::Validate { args } => ("validate", DowngradeAction::Validate, target(args)?),
            Downgrade::Enable { args } => ("enable", DowngradeAction::Enable, target(args)?),
            // Arguments are let pass, as etcdctl does.
            Downgrade::Cancel { args: _ } => ("cancel", DowngradeAction::Cancel, String::new()),
        };
        let mut client = Client::open(&session.globals).await?;
        let reply = client.call(DowngradeRequest { action: kind.into(), version }).await?;
        session.output.print(&Downgraded { action, reply })
    }
}

fn target(args: Vec<String>) -> Result<String, Failure> {
    let reason = match <[String; 1]>::try_from(args) {
        Ok([version]) if version.is_empty() => "target version not provided",
        Ok([version]) => return Ok(version),
        Err(args) if args.is_empty() => "TARGET_VERSION not provided",
        Err(_) => "too many arguments",
    };
    Err(Failure::bad_args(reason))
}
