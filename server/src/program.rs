//! The sub-programs of `etcd`, chosen by the first argument: what is not a member.

use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use clap::Parser;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Command, Config, Log, LogLevel, Sources};
use crate::discovery::command::{DiscoveryCommand, Serve};
use crate::metrics::Metrics;
use crate::proxy::command::{GatewayCommand, GrpcProxyCommand};
use crate::proxy::{gateway, grpc};
use crate::{discovery, node, telemetry};

#[derive(Debug, Parser)]
#[command(name = "etcd", disable_help_subcommand = true)]
pub enum Program {
    /// Forwards TCP connections to the members of a cluster
    #[command(subcommand)]
    Gateway(GatewayCommand),
    /// Hosts discovery URLs, where members of new clusters find each other
    #[command(subcommand)]
    Discovery(DiscoveryCommand),
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
    const PROGRAMS: [&str; 3] = ["discovery", "gateway", "grpc-proxy"];
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
        Program::Discovery(DiscoveryCommand::Serve(arguments)) => discover(arguments, stop).await?,
        Program::GrpcProxy(GrpcProxyCommand::Start(arguments)) => grpc::start(*arguments, stop).await?,
    }
    Ok(())
}

/// Where no cluster is given to keep the registrations, a member in this process does. Each ends with the other.
async fn discover(arguments: Serve, stop: CancellationToken) -> Result<(), Box<dyn Error>> {
    let socket = arguments.data_dir.join("client.sock");
    if !arguments.endpoints.is_empty() {
        return Ok(discovery::serve(arguments, &socket, stop).await?);
    }
    let member = node::run(
        keeper(&arguments.data_dir, &socket)?,
        Arc::new(Metrics::new(false)),
        telemetry::Handle::default(),
        stop.child_token(),
    );
    let service = discovery::serve(arguments, &socket, stop.clone());
    tokio::pin!(member);
    tokio::select! {
        ended = &mut member => match ended? {
            node::Ended::Stopped => Ok(()),
            ended => Err(format!("the member that keeps the registrations ended: {ended:?}").into()),
        },
        served = service => {
            served?;
            stop.cancel();
            member.await?;
            Ok(())
        }
    }
}

/// A cluster of one that only this process reaches.
fn keeper(data_dir: &Path, socket: &Path) -> Result<Config, Box<dyn Error>> {
    // A member's folder would be served to everybody.
    let mark = data_dir.join("discovery");
    if data_dir.join("member").exists() && !mark.exists() {
        return Err(
            format!("--data-dir={} is a member's: give the service a folder of its own", data_dir.display()).into()
        );
    }
    std::fs::create_dir_all(data_dir)
        .and_then(|()| std::fs::write(mark, []))
        .map_err(|error| format!("--data-dir={}: {error}", data_dir.display()))?;
    let (client, peer) = (format!("unix://{}", socket.display()), format!("unix://{}/peer.sock", data_dir.display()));
    let sources = Sources {
        args: vec![
            "--name=discovery".to_owned(),
            format!("--data-dir={}", data_dir.display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            "--initial-advertise-peer-urls=http://localhost:2380".to_owned(),
            "--initial-cluster=discovery=http://localhost:2380".to_owned(),
            "--auto-compaction-mode=periodic".to_owned(),
            "--auto-compaction-retention=1h".to_owned(),
        ],
        variables: Vec::new(),
        read_file: Box::new(|path| std::fs::read_to_string(path)),
        default_host: Box::new(|| None),
    };
    match Command::read(&sources) {
        Command::Serve { config, .. } => Ok(*config),
        Command::Refuse { error, .. } => Err(error.into()),
        Command::Print(config::Output { stderr, .. }) => Err(stderr.into()),
    }
}
