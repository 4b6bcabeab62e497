//! The sub-programs of `etcd`, chosen by the first argument: what is not a member.

use std::error::Error;
use std::ffi::OsString;

use clap::Parser;
use tokio_util::sync::CancellationToken;

use crate::config::{Log, LogLevel};
use crate::proxy::command::{GatewayCommand, GrpcProxyCommand};
use crate::proxy::{gateway, grpc};

#[derive(Debug, Parser)]
#[command(name = "etcd", disable_help_subcommand = true)]
pub enum Program {
    /// Forwards TCP connections to the members of a cluster
    #[command(subcommand)]
    Gateway(GatewayCommand),
    /// Forwards clients' calls to the members of a cluster
    #[command(subcommand)]
    GrpcProxy(GrpcProxyCommand),
}

impl Program {
    pub fn log(&self) -> Log {
        let is_debugged = matches!(self, Self::GrpcProxy(GrpcProxyCommand::Start(arguments)) if arguments.debug);
        Log { level: if is_debugged { LogLevel::Debug } else { LogLevel::Info }, ..Log::default() }
    }
}

/// The sub-program that the arguments ask for, if they do. `Err`: what to print, and the exit status.
pub fn read(arguments: &[String]) -> Option<Result<Program, clap::Error>> {
    const PROGRAMS: [&str; 2] = ["gateway", "grpc-proxy"];
    let first = arguments.first()?;
    if !PROGRAMS.contains(&first.as_str()) {
        return None;
    }
    let line = std::iter::once("etcd").chain(arguments.iter().map(String::as_str)).map(OsString::from);
    Some(Program::try_parse_from(line))
}

/// Serves until `stop`.
pub async fn run(program: Program, stop: CancellationToken) -> Result<(), Box<dyn Error>> {
    match program {
        Program::Gateway(GatewayCommand::Start(arguments)) => {
            if let Some(ended) = stop.run_until_cancelled(gateway::run(arguments)).await {
                ended?;
            }
        }
        Program::GrpcProxy(GrpcProxyCommand::Start(arguments)) => grpc::start(*arguments, stop).await?,
    }
    Ok(())
}
