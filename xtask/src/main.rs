//! Automation: what `make` calls, the same at the desk and in CI.
//!
//! - [`build`]: the binaries, into `bin/`. [`tools`]: foreign tools of the tests, out of Go modules. [`images`]: archives of
//!   the container images, for the tests' Kubernetes. [`clients`]: programs in other languages that use a cluster. [`mixin`]: etcd's
//!   alerting rules, and promtool. [`mod@schemathesis`]: a client that tries the gateway.
//! - [`mod@test`]: every test in groups, and the count. [`verify`]: the read-only gate, and its fixer.
//! - [`tidy`]: the layout rules of ARCHITECTURE.md, proven.
//! - [`place`]: where things are. [`run`]: how commands are run.

mod build;
mod clients;
mod images;
mod mixin;
mod place;
mod run;
mod schemathesis;
mod test;
mod tidy;
mod tools;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use place::Place;
use run::Failure;

#[derive(Parser)]
#[command(about = "Automation of this repository; `make` has the short names")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds etcd, etcdctl and etcdutl and copies them to bin/.
    Build,
    /// Builds the foreign tools of the tests that are not in the cache yet, and links them in bin/tools/.
    Tools {
        /// Groups to build: folders of e2e/tools/. None: all.
        groups: Vec<String>,
    },
    /// Builds the programs that use client libraries of other languages, and schemathesis; links them in bin/clients/ and bin/tools/.
    Clients,
    /// Makes archives of the container images out of bin/ and bin/tools/, and links them in bin/images/.
    Images,
    /// Builds what is missing and runs the tests; the last line is `N passed, M failed`.
    Test {
        /// Groups to run: in-process, processes, kubernetes. None: all.
        groups: Vec<test::Group>,
    },
    /// The gate: formatting, clippy, layout rules, dependencies, documentation. Changes nothing.
    Verify,
    /// Repairs what can be repaired: formatting and clippy's suggestions.
    Fix,
    /// Checks the layout rules alone.
    Tidy,
}

fn main() -> ExitCode {
    let Arguments { task } = Arguments::parse();
    match perform(task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            eprintln!("xtask: {text}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<(), Failure> {
    let place = Place::find()?;
    match task {
        Task::Build => build::binaries(&place),
        Task::Tools { groups } => tools::build(&place, &groups),
        Task::Clients => clients::build(&place).and_then(|()| schemathesis::build(&place)),
        Task::Images => images::build(&place),
        Task::Test { groups } => test::run(&place, &groups),
        Task::Verify => verify::verify(&place),
        Task::Fix => verify::fix(&place),
        Task::Tidy => tidy::check(&place.checkout),
    }
}
