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
mod surface_marks;
mod workload;

use std::process::ExitCode;

use clap::Parser;
use quorate_e2e::Error;
use tokio::runtime::Builder;

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
    SurfaceMarks(surface_marks::Arguments),
}

fn main() -> ExitCode {
    let bench = Bench::parse();
    let measured = match bench.runtime().build() {
        Ok(runtime) => runtime.block_on(bench.measure()),
        Err(error) => Err(Error::io("starting a runtime")(error)),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quorate-bench: {error:?}");
            ExitCode::FAILURE
        }
    }
}

impl Bench {
    /// Clients take one core at most, so that members of a small machine have the others.
    fn runtime(&self) -> Builder {
        let mut builder = match self {
            Self::BackupMarks(_) | Self::OperatorMarks(_) | Self::OperatorScale(_) => Builder::new_multi_thread(),
            Self::CatchUp(_)
            | Self::Failover(_)
            | Self::LargeStore(_)
            | Self::Restore(_)
            | Self::SideBySide(_)
            | Self::SurfaceMarks(_) => Builder::new_current_thread(),
        };
        builder.enable_all();
        builder
    }

    async fn measure(self) -> Result<(), Error> {
        match self {
            Self::BackupMarks(arguments) => backup_marks::measure(&arguments).await,
            Self::CatchUp(arguments) => catch_up::measure(&arguments).await,
            Self::Failover(arguments) => failover::measure(&arguments).await,
            Self::LargeStore(arguments) => large_store::measure(&arguments).await,
            Self::OperatorMarks(arguments) => operator_marks::measure(&arguments).await,
            Self::OperatorScale(arguments) => operator_scale::measure(&arguments).await,
            Self::Restore(arguments) => restore::measure(&arguments).await,
            Self::SideBySide(arguments) => side_by_side::measure(arguments).await,
            Self::SurfaceMarks(arguments) => surface_marks::measure(&arguments).await,
        }
    }
}
