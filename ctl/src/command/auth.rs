//! `etcdctl auth`

use quorate_proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthStatusRequest, AuthUserGrantRoleRequest,
};
use tokio::time::Instant;

use super::Session;
use crate::{
    client::{Client, Error},
    failure::Failure,
    output::write_line,
};

const ROOT: &str = "root";
const NO_ROOT_ROLE: &str = "etcdserver: root user does not have root role";

#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum Auth {
    /// Enables authentication
    Enable(Arguments),
    /// Disables authentication
    Disable(Arguments),
    /// Returns authentication status
    Status(Arguments),
}

#[derive(clap::Args, Clone, Debug)]
pub(super) struct Arguments {
    #[arg(hide = true)]
    args: Vec<String>,
}

impl Auth {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        let (name, arguments) = match &self {
            Auth::Enable(arguments) => ("enable", arguments),
            Auth::Disable(arguments) => ("disable", arguments),
            Auth::Status(arguments) => ("status", arguments),
        };
        if !arguments.args.is_empty() {
            return Err(Failure::bad_args(format!("auth {name} command does not accept any arguments")));
        }
        let mut client = Client::open(&session.globals).await?;
        match self {
            Auth::Enable(_) => {
                let deadline = client.deadline();
                enable(&mut client, deadline).await?;
                write_line("Authentication Enabled")
            }
            Auth::Disable(_) => {
                client.call(AuthDisableRequest {}).await?;
                write_line("Authentication Disabled")
            }
            Auth::Status(_) => session.output.print(&client.call(AuthStatusRequest {}).await?),
        }
    }
}

/// Gives the user root its role if that is all that is missing.
async fn enable(client: &mut Client, deadline: Instant) -> Result<(), Error> {
    match client.call_until(AuthEnableRequest {}, deadline).await {
        Err(error) if error.message() == Some(NO_ROOT_ROLE) => {}
        result => return result.map(drop),
    }
    client.call_until(AuthRoleAddRequest { name: ROOT.to_owned() }, deadline).await?;
    let grant = AuthUserGrantRoleRequest { user: ROOT.to_owned(), role: ROOT.to_owned() };
    client.call_until(grant, deadline).await?;
    client.call_until(AuthEnableRequest {}, deadline).await.map(drop)
}
