//! `quorate-operator`: parse, run, exit.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quorate_operator::{act, crd, run, watch};

#[derive(Parser)]
#[command(version, about = "Brings EtcdCluster resources to what they say")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the operator.
    Run(Run),
    /// Prints the custom resource definitions, for `kubectl apply --server-side -f -`.
    Crds {
        /// Writes a file for each into this folder instead.
        #[arg(long, value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// Prints the page about all fields of the resources, as Markdown.
    Reference,
}

#[derive(clap::Args)]
struct Run {
    /// Watches this namespace alone.
    #[arg(long, env = "QUORATE_NAMESPACE", value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Of members whose resource names none.
    #[arg(long, env = "QUORATE_IMAGE", value_name = "IMAGE", default_value = concat!("ghcr.io/quorate/quorate:v", env!("CARGO_PKG_VERSION")))]
    image: String,
    /// Of what carries backups: this program's own image.
    #[arg(long, env = "QUORATE_WORKER_IMAGE", value_name = "IMAGE", default_value = concat!("ghcr.io/quorate/quorate-operator:v", env!("CARGO_PKG_VERSION")))]
    worker_image: String,
    /// Serves /livez, /readyz and /metrics here, by plain HTTP.
    #[arg(long, env = "QUORATE_LISTEN_ADDRESS", value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    listen_address: SocketAddr,
    /// Several replicas elect the one that acts, by a Lease in this namespace.
    #[arg(long, env = "QUORATE_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    lease_namespace: Option<String>,
    /// This replica's name, which no other has; the host's if not given.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: Option<String>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Crds { folder } => crds(folder),
        Command::Reference => {
            print!("{}", crd::reference::markdown());
            Ok(())
        }
        Command::Run(arguments) => run(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quorate-operator: {}", act::sentence(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn crds(folder: Option<PathBuf>) -> Result<(), Box<dyn std::error::Error>> {
    for (file, definition) in crd::definitions() {
        let text = crd::yaml(&definition)?;
        match &folder {
            Some(folder) => std::fs::write(folder.join(file), text)?,
            None => print!("---\n{text}"),
        }
    }
    Ok(())
}

fn run(arguments: Run) -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().json().flatten_event(true).with_writer(std::io::stderr).init();
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned());
    let identity = arguments.identity.map_or_else(host, Ok)?;
    let settings = run::Settings {
        watch: watch::Settings {
            namespace: arguments.namespace,
            image: arguments.image,
            worker_image: arguments.worker_image,
            identity,
        },
        listen_address: arguments.listen_address,
        lease_namespace: arguments.lease_namespace,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(run::run(settings))?)
}
