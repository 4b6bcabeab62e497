//! What the operator costs with many clusters at rest: memory, processor time, and writes to the API server.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use hyper::Method;
use quorate_e2e::Error;
use quorate_e2e::kubernetes::Operated;
use quorate_e2e::wait::{self, Look};
use serde_json::Value;

const CLUSTERS: &str = "/apis/quorate.io/v1alpha1/etcdclusters";
/// Made at the same time.
const BATCH: usize = 10;
const LIMIT: Duration = Duration::from_secs(900);

/// Measures the operator with many clusters of one member each, at rest, on the tests' Kubernetes.
#[derive(Args)]
pub struct Arguments {
    #[arg(long, default_value_t = 100)]
    clusters: usize,
    /// Minutes of rest to measure.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Writes the table to a file too.
    #[arg(long)]
    output: Option<PathBuf>,
}

pub async fn measure(arguments: &Arguments) -> Result<(), Error> {
    let site = Operated::start(3).await?;
    let started = Instant::now();
    for first in (0..arguments.clusters).step_by(BATCH) {
        let last = (first + BATCH).min(arguments.clusters);
        let manifests: Vec<String> = (first..last).map(manifest).collect();
        site.kubernetes.apply(&manifests.join("---\n")).await?;
        running(&site, last).await?;
        eprintln!("{last} clusters after {:.0} s", started.elapsed().as_secs_f64());
    }
    // Caches and backoffs of the beginning are over by then.
    tokio::time::sleep(Duration::from_secs(90)).await;
    let (cost, writes) = (site.cost()?, writes(&site).await?);
    let since = Instant::now();
    tokio::time::sleep(Duration::from_secs(60 * arguments.minutes)).await;
    let (later, hours) = (site.cost()?, since.elapsed().as_secs_f64() / 3600.0);
    let busy = 100.0 * (later.cpu_seconds - cost.cpu_seconds) / since.elapsed().as_secs_f64();
    let written = self::writes(&site).await? - writes;
    let mut table = String::from("| | |\n|---|---:|\n");
    let _ = writeln!(table, "| clusters at rest | {} |", arguments.clusters);
    let _ = writeln!(table, "| resident memory | {:.1} MiB |", later.rss_bytes as f64 / f64::from(1 << 20));
    let _ = writeln!(table, "| processor time, of one core | {busy:.2} % |");
    let per_cluster = written / arguments.clusters as f64 / hours;
    let _ = writeln!(table, "| writes a cluster and hour | {per_cluster:.2} |");
    println!("{table}");
    match &arguments.output {
        Some(path) => std::fs::write(path, table).map_err(Error::io(format!("writing {}", path.display()))),
        None => Ok(()),
    }
}

fn manifest(number: usize) -> String {
    format!(
        "apiVersion: quorate.io/v1alpha1\nkind: EtcdCluster\nmetadata: {{name: sample-{number}, namespace: default}}\n\
         spec: {{replicas: 1, storage: {{size: 1Gi}}}}\n"
    )
}

async fn running(site: &Operated, count: usize) -> Result<(), Error> {
    wait::until(&format!("{count} clusters"), LIMIT, async || {
        let list = site.kubernetes.api().expect(Method::GET, CLUSTERS, None).await?;
        let is_running = |cluster: &&Value| cluster["status"]["phase"] == "Running";
        let there = list["items"].as_array().map_or(0, |items| items.iter().filter(is_running).count());
        Ok(if there == count { Look::Yes(()) } else { Look::NotYet(format!("{there} run")) })
    })
    .await
}

/// Requests that change something about kinds that only the operator writes.
async fn writes(site: &Operated) -> Result<f64, Error> {
    let text = site.kubernetes.kubectl(&["get", "--raw", "/metrics"]).await?.success()?;
    let is_write = |line: &&str| {
        let has =
            |label: &str, values: &[&str]| values.iter().any(|value| line.contains(&format!("{label}=\"{value}\"")));
        has("verb", &["APPLY", "DELETE", "PATCH", "POST", "PUT"])
            && has("resource", &["etcdclusters", "etcdmembers", "poddisruptionbudgets", "secrets"])
    };
    let counters = text.lines().filter(|line| line.starts_with("apiserver_request_total{")).filter(is_write);
    Ok(counters.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}
