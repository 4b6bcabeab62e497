//! `kubectl-quorate`: parse, run, exit.

use std::process::ExitCode;

use quorate_plugin::arguments::Arguments;
use quorate_plugin::{Error, command};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match command::run(Arguments::read()).await {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has read enough, such as `head`.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kubectl-quorate: {}", error.explained());
            ExitCode::FAILURE
        }
    }
}
