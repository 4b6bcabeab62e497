//! `quorate-operator`: parse, run, exit.

use std::path::PathBuf;
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
    Crds {
        /// Writes a file for each into this folder instead.
        #[arg(long, value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let Command::Crds { folder } = Arguments::parse().command;
    match crds(folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quorate-operator: {error}");
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
