//! `quorate-operator`: parse, run, exit.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quorate_operator::crd;

#[derive(Parser)]
#[command(version, about = "Brings EtcdCluster resources to what they say")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints the custom resource definitions, for `kubectl apply --server-side -f -`.
    Crds,
}

fn main() -> ExitCode {
    let printed = match Arguments::parse().command {
        Command::Crds => crd::definitions().iter().try_for_each(|(_, definition)| {
            println!("---\n{}", crd::yaml(definition)?.trim_end());
            Ok::<_, serde_norway::Error>(())
        }),
    };
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quorate-operator: {error}");
            ExitCode::FAILURE
        }
    }
}
