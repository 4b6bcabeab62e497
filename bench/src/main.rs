//! What docs/benchmarks.md was measured with: `make bench BENCH=NAME`.

mod backup_marks;
mod catch_up;
mod clients;
mod failover;
mod fill;
mod large_store;
mod median;
mod operator_marks;
mod operator_scale;
mod percentile;
mod restore;
mod side_by_side;
mod workload;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(
    name = "quorate-bench",
    about = "Measures ours and upstream's programs in turns on one machine, and prints tables"
)]
enum Bench {
    BackupMarks(backup_marks::Arguments),
    CatchUp(catch_up::Arguments),
    Failover(failover::Arguments),
    LargeStore(large_store::Arguments),
    OperatorMarks(operator_marks::Arguments),
    OperatorScale(operator_scale::Arguments),
    Restore(restore::Arguments),
    SideBySide(side_by_side::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let measured = match Bench::parse() {
        Bench::BackupMarks(arguments) => backup_marks::measure(&arguments).await,
        Bench::CatchUp(arguments) => catch_up::measure(&arguments).await,
        Bench::Failover(arguments) => failover::measure(&arguments).await,
        Bench::LargeStore(arguments) => large_store::measure(&arguments).await,
        Bench::OperatorMarks(arguments) => operator_marks::measure(&arguments).await,
        Bench::OperatorScale(arguments) => operator_scale::measure(&arguments).await,
        Bench::Restore(arguments) => restore::measure(&arguments).await,
        Bench::SideBySide(arguments) => side_by_side::measure(arguments).await,
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quorate-bench: {error:?}");
            ExitCode::FAILURE
        }
    }
}
