//! How long changes of an `EtcdCluster` take on the tests' Kubernetes, and what clients feel of them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use hyper::Method;
use quorate_e2e::Error;
use quorate_e2e::binaries::{Flavour, repository};
use quorate_e2e::kubernetes::{Datastore, Operated};
use serde_json::{Value, json};

use crate::clients::Clients;
use crate::median::median;
use crate::percentile::percentile;

const PODS: &str = "/api/v1/namespaces/default/pods";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";
/// Clients, and the time between two puts of each.
const CLIENTS: usize = 4;
const PACE: Duration = Duration::from_millis(10);
/// Of writes without a change.
const UNDISTURBED: Duration = Duration::from_secs(10);

/// Changes a cluster under the operator on the tests' Kubernetes, and prints how long each change took.
#[derive(Args)]
pub struct Arguments {
    /// Rounds of all changes, each on a Kubernetes of its own.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Writes the table to a file too.
    #[arg(long)]
    output: Option<PathBuf>,
}

/// What is measured, in the order of the table.
const MARKS: [(&str, &str); 8] = [
    ("three members ready after kubectl apply", "s"),
    ("3 to 5 members", "s"),
    ("5 to 3 members", "s"),
    ("p99 of puts during these changes, of that without", "x"),
    ("a killed member serves again", "s"),
    ("a member with a lost volume replaced", "s"),
    ("rolling restart of three", "s"),
    ("puts that failed during it after one retry", ""),
];

pub async fn measure(arguments: &Arguments) -> Result<(), Error> {
    let mut seen = vec![Vec::new(); MARKS.len()];
    for round in 1..=arguments.rounds {
        let values = round_of_changes().await?;
        eprintln!("round {round}: {values:.1?}");
        for (all, value) in seen.iter_mut().zip(values) {
            all.push(value);
        }
    }
    let mut table = String::from("| | median | most |\n|---|---:|---:|\n");
    for ((what, unit), values) in MARKS.iter().zip(seen) {
        let most = percentile(&values, 100);
        let _ = writeln!(table, "| {what} | {:.1} {unit} | {most:.1} {unit} |", median(values));
    }
    println!("{table}");
    match &arguments.output {
        Some(path) => std::fs::write(path, table).map_err(Error::io(format!("writing {}", path.display()))),
        None => Ok(()),
    }
}

async fn round_of_changes() -> Result<[f64; 8], Error> {
    let mut site = Operated::install(3, Flavour::Quorate, Datastore::Upstream).await?;
    let started = Instant::now();
    let seconds = |since: Instant| since.elapsed().as_secs_f64();
    let sample = repository().join("docs/operator/sample.yaml").display().to_string();
    site.kubernetes.kubectl(&["apply", "--filename", &sample]).await?.success()?;
    site.running("sample", 3).await?;
    let formed = seconds(started);

    let inside = site.inside()?;
    let dial = site.dial("sample").await?;
    let clients = Clients::start(&inside, &dial, CLIENTS, PACE);
    tokio::time::sleep(UNDISTURBED).await;
    let calm = clients.end().await?;

    let clients = Clients::start(&inside, &dial, CLIENTS, PACE);
    let grown = changed(&mut site, json!({"replicas": 5}), 5).await?;
    let shrunk = changed(&mut site, json!({"replicas": 3}), 3).await?;
    let busy = clients.end().await?;
    let ratio = percentile(&busy.millis, 99) / percentile(&calm.millis, 99);

    let victim = member(&site.cluster("sample").await?, "Follower");
    let before = uid(&site, &victim).await?;
    let started = Instant::now();
    site.kubernetes.kubectl(&["delete", "pod", &victim, "--grace-period=0", "--force"]).await?.success()?;
    until_another_pod(&mut site, &victim, &before).await?;
    let killed = seconds(started);

    let started = Instant::now();
    site.kubernetes.api().expect(Method::DELETE, &format!("{CLAIMS}/data-{victim}"), None).await?;
    site.kubernetes.api().expect(Method::DELETE, &format!("{PODS}/{victim}"), None).await?;
    site.until("sample", "another member", |status| !names(status).contains(&victim)).await?;
    site.running("sample", 3).await?;
    let replaced = seconds(started);

    let clients = Clients::start(&inside, &dial, CLIENTS, PACE);
    let rolled = changed(&mut site, json!({"etcd": {"snapshotCount": 20000}}), 3).await?;
    let during = clients.end().await?;
    Ok([formed, grown, shrunk, ratio, killed, replaced, rolled, during.failed as f64])
}

/// Seconds until a changed resource is followed.
async fn changed(site: &mut Operated, spec: Value, replicas: usize) -> Result<f64, Error> {
    let started = Instant::now();
    site.change("sample", spec).await?;
    site.running("sample", replicas).await?;
    Ok(started.elapsed().as_secs_f64())
}

fn names(status: &Value) -> Vec<String> {
    let members = status["members"].as_array().into_iter().flatten();
    members.filter_map(|member| member["name"].as_str().map(str::to_owned)).collect()
}

fn member(cluster: &Value, role: &str) -> String {
    let mut members = cluster["status"]["members"].as_array().into_iter().flatten();
    let member = members.find(|member| member["role"] == role);
    member.and_then(|member| member["name"].as_str()).unwrap_or_default().to_owned()
}

async fn uid(site: &Operated, pod: &str) -> Result<Value, Error> {
    Ok(site.kubernetes.api().expect(Method::GET, &format!("{PODS}/{pod}"), None).await?["metadata"]["uid"].take())
}

/// It is another one, and Kubernetes finds it ready.
async fn until_another_pod(site: &mut Operated, name: &str, before: &Value) -> Result<(), Error> {
    let is_another = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let mut ready = conditions.filter(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        pod["metadata"]["uid"] != *before && ready.next().is_some()
    };
    let limit = Duration::from_secs(60);
    site.kubernetes.api().until("another pod", limit, &format!("{PODS}/{name}"), is_another).await.map(drop)
}
