//! `quorate-backup`: parse, run, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_backup::program::main()
}
