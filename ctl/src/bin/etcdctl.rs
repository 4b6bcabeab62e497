//! The command line client of a cluster.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_ctl::command::run(std::env::args_os().collect())
}
