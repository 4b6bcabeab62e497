//! etcd's load generator against three members of upstream's and three of ours, turn by turn on one machine.
//!
//! Both clusters are up all the time and idle while the other one works; the order alternates from round to round, so
//! that a machine that slows down slows both. Members' processor time comes from /proc, because a generator on the same
//! cores hides in its rates what a server costs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use quorate_e2e::Error;
use quorate_e2e::binaries::{Flavour, tool};
use quorate_e2e::cluster::Cluster;
use quorate_e2e::cost::Cost;
use quorate_e2e::ctl::Ctl;

use crate::median::median;
use crate::workload::{KEY, Summary, WORKLOADS, Workload};

/// A run that takes longer is no measurement.
const RUN_LIMIT: Duration = Duration::from_secs(1800);
/// With fewer requests the generator leaves the 99th percentile out of its report.
const REQUESTS_AT_LEAST: u64 = 1000;

/// Runs etcd's load generator against upstream and ours in turns, and prints a table.
#[derive(Args)]
pub struct Arguments {
    /// Rounds; the table shows medians.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Multiplies the number of requests of every run.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Only workloads whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Writes the table to a file too.
    #[arg(long)]
    output: Option<PathBuf>,
}

/// One run of a workload against one cluster.
#[derive(Clone, Copy)]
struct Sample {
    summary: Summary,
    cpu_seconds_per_1000: f64,
    /// Of all three members, right after the run.
    rss_mib: f64,
}

/// The samples of one workload and one flavour.
struct Series {
    workload: Workload,
    flavour: Flavour,
    samples: Vec<Sample>,
}

pub async fn measure(arguments: Arguments) -> Result<(), Error> {
    let mut clusters = Vec::new();
    for flavour in [Flavour::Upstream, Flavour::Quorate] {
        let cluster = Cluster::builder(flavour, 3).start().await?;
        Ctl::etcdctl(Flavour::Upstream, &cluster.endpoints())?.run(&["put", KEY, "value"]).await?.success()?;
        clusters.push((flavour, cluster));
    }
    let chosen = || WORKLOADS.into_iter().filter(|workload| workload.name.contains(&arguments.only));
    let mut series: Vec<Series> = chosen()
        .flat_map(|workload| [Flavour::Upstream, Flavour::Quorate].map(|flavour| (workload, flavour)))
        .map(|(workload, flavour)| Series { workload, flavour, samples: Vec::new() })
        .collect();
    for round in 0..arguments.rounds {
        // One more turn a round: the number of workloads is even, and each must see both orders.
        clusters.reverse();
        for workload in chosen() {
            clusters.reverse();
            for (flavour, cluster) in &mut clusters {
                let sample = run(&workload, cluster, arguments.scale).await?;
                let rate = sample.summary.requests_per_second;
                eprintln!("round {}: {}: {flavour}: {rate:.0}/s", round + 1, workload.name);
                let own = |one: &&mut Series| one.flavour == *flavour && one.workload.name == workload.name;
                if let Some(one) = series.iter_mut().find(own) {
                    one.samples.push(sample);
                }
            }
        }
    }
    let table = table(&series, arguments.rounds);
    println!("{table}");
    match &arguments.output {
        Some(path) => std::fs::write(path, table)
            .map_err(|source| Error::Io { what: format!("writing {}", path.display()), source }),
        None => Ok(()),
    }
}

async fn run(workload: &Workload, cluster: &mut Cluster, scale: f64) -> Result<Sample, Error> {
    let requests = ((workload.requests as f64 * scale) as u64).max(REQUESTS_AT_LEAST);
    let mut arguments = vec![format!("--endpoints={}", cluster.endpoints().join(","))];
    if workload.to_leader {
        arguments.push("--target-leader".to_owned());
    }
    arguments.extend(workload.arguments.iter().map(|&argument| argument.to_owned()));
    arguments.push(format!("--total={requests}"));
    let before = costs(cluster)?;
    let report = Ctl::of(tool("benchmark")?).limit(RUN_LIMIT).run(&arguments).await?.success()?;
    let after = costs(cluster)?;
    let what = format!("the report of the load generator for {}", workload.name);
    let summary = Summary::parse(&report).ok_or(Error::Answer { what, answer: report })?;
    Ok(Sample {
        summary,
        cpu_seconds_per_1000: (after.cpu_seconds - before.cpu_seconds) * 1000.0 / requests as f64,
        rss_mib: after.rss_bytes as f64 / f64::from(1 << 20),
    })
}

/// The sum over the members.
fn costs(cluster: &mut Cluster) -> Result<Cost, Error> {
    let mut sum = Cost::default();
    for at in 0..cluster.members().len() {
        let cost = Cost::of(cluster.member(at).running()?.pid())?;
        sum.cpu_seconds += cost.cpu_seconds;
        sum.rss_bytes += cost.rss_bytes;
    }
    Ok(sum)
}

fn table(series: &[Series], rounds: usize) -> String {
    let mut text = format!("Three members on one machine, medians of {rounds} interleaved rounds.\n\n");
    text += "| workload | server | requests/s | p50 ms | p99 ms | members' CPU s per 1000 | members' RSS MiB |\n";
    text += "|---|---|---:|---:|---:|---:|---:|\n";
    for Series { workload, flavour, samples } in series {
        let column = |value: fn(&Sample) -> f64| median(samples.iter().map(value).collect());
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {flavour} | {:.0} | {:.2} | {:.2} | {:.3} | {:.0} |",
            workload.name,
            column(|sample| sample.summary.requests_per_second),
            column(|sample| sample.summary.p50_ms),
            column(|sample| sample.summary.p99_ms),
            column(|sample| sample.cpu_seconds_per_1000),
            column(|sample| sample.rss_mib),
        );
    }
    text
}
