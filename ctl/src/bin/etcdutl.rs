//! The command line for etcd's files.

#[path = "../utl/mod.rs"]
mod utl;

use std::process::ExitCode;

fn main() -> ExitCode {
    utl::run(std::env::args_os().collect())
}
