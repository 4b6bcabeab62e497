//! The sub-programs of `etcd`, chosen by the first argument: what is not a member.

use std::error::Error;
use std::ffi::OsString;

use clap::Parser;

use crate::proxy::command::GatewayCommand;
use crate::proxy::gateway;

#[derive(Debug, Parser)]
#[command(name = "etcd", disable_help_subcommand = true)]
pub enum Program {
    /// Forwards TCP connections to the members of a cluster
    #[command(subcommand)]
    Gateway(GatewayCommand),
}

/// The sub-program that the arguments ask for, if they do. `Err`: what to print, and the exit status.
pub fn read(arguments: &[String]) -> Option<Result<Program, clap::Error>> {
    const PROGRAMS: [&str; 1] = ["gateway"];
    let first = arguments.first()?;
    if !PROGRAMS.contains(&first.as_str()) {
        return None;
    }
    let line = std::iter::once("etcd").chain(arguments.iter().map(String::as_str)).map(OsString::from);
    Some(Program::try_parse_from(line))
}

/// Serves until the process ends.
pub async fn run(program: Program) -> Result<(), Box<dyn Error>> {
    match program {
        Program::Gateway(GatewayCommand::Start(arguments)) => gateway::run(arguments).await?,
    }
    Ok(())
}
