//! What a backup costs the clients of a cluster, how long a restore and a move take, and how much a disaster would cost: on the tests'
//! Kubernetes.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use hyper::Method;
use quorate_e2e::Error;
use quorate_e2e::history::Dial;
use quorate_e2e::kubernetes::{Image, Operated, bucket};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::clients::Clients;
use crate::fill::fill;
use crate::percentile::percentile;

const API: &str = "/apis/quorate.io/v1alpha1/namespaces/default";
const LIMIT: Duration = Duration::from_secs(600);
/// Together some 500 puts a second.
const CLIENTS: usize = 8;
const PACE: Duration = Duration::from_millis(14);
const UNDISTURBED: Duration = Duration::from_secs(20);
/// Looks at what is recorded, and between two of them.
const LOOKS: usize = 30;
const LOOK: Duration = Duration::from_secs(1);

/// Backs up, restores and moves a cluster on the tests' Kubernetes, and prints what that takes.
#[derive(Args)]
pub struct Arguments {
    /// MiB of values in the cluster.
    #[arg(long, default_value_t = 1024)]
    mib: usize,
    /// Backups, each after a time without one.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Writes the table to a file too.
    #[arg(long)]
    output: Option<PathBuf>,
}

async fn make(site: &Operated, kind: &str, name: &str, spec: &Value) -> Result<(), Error> {
    let object = json!({"apiVersion": "quorate.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    site.kubernetes.apply(&object.to_string()).await.map(drop)
}

fn cluster(more: &Value) -> Value {
    // With a request, members go before pods without one wherever the processors are short.
    let mut spec = json!({"replicas": 3, "image": {"pullPolicy": "Never"}, "storage": {"size": "8Gi"},
        "resources": {"requests": {"cpu": "100m"}}, "etcd": {"quotaBackendBytes": 6_i64 << 30}});
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    spec
}

pub async fn measure(arguments: &Arguments) -> Result<(), Error> {
    let mut site = Operated::with_images(1, &[&bucket::IMAGES[..], &[Image::UpstreamEtcd]].concat()).await?;
    site.kubernetes.apply(bucket::MANIFEST).await?;
    make(&site, "EtcdCluster", "sample", &cluster(&json!({}))).await?;
    site.running("sample", 3).await?;
    let dial = site.dial("sample").await?;
    let (full, mib) = (dial.clone(), arguments.mib);
    let inside = site.inside()?;
    inside.run(async move { fill(&full.connect(0).await?, mib).await }).await??;

    let mut table = String::from("| | |\n|---|---:|\n");
    let mut row = |what: &str, value: String| {
        eprintln!("{what}: {value}");
        let _ = writeln!(table, "| {what} | {value} |");
    };
    let (mut calm, mut busy, mut seconds, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for round in 0..arguments.rounds {
        let clients = Clients::start(&inside, &dial, CLIENTS, PACE);
        tokio::time::sleep(UNDISTURBED).await;
        calm.push(percentile(&clients.end().await?.millis, 99));
        let memory = Memory::watch("quorate-backup\0take");
        let clients = Clients::start(&inside, &dial, CLIENTS, PACE);
        let name = format!("backup-{round}");
        let took = backup(&site, &name).await?;
        busy.push(percentile(&clients.end().await?.millis, 99));
        seconds.push(took);
        peak = peak.max(memory.end().await);
        eprintln!(
            "round {round}: p99 {:.1} ms without, {:.1} ms with a backup of {took:.1} s",
            calm[round], busy[round]
        );
    }
    let middle = |values: &[f64]| percentile(values, 50);
    row("a backup", format!("{:.1} s", middle(&seconds)));
    row("p99 of puts during a backup, of that without", format!("{:.2} x", middle(&busy) / middle(&calm)));
    row("most memory of the program that takes it", format!("{:.0} MiB", peak as f64 / f64::from(1 << 20)));

    let behind = recovery_point(&mut site, &dial).await?;
    row("most that a disaster would cost at some 500 puts a second", format!("{behind:.1} s"));

    let started = Instant::now();
    let restore = json!({"bootstrap": {"restore": {"backupName": "backup-0"}}});
    make(&site, "EtcdCluster", "restored", &cluster(&restore)).await?;
    site.until_within("restored", "the data", LIMIT, |status| status["ready"] == "3/3" && status["phase"] == "Running")
        .await?;
    row("a restore into three members", format!("{:.1} s", started.elapsed().as_secs_f64()));
    site.kubernetes.kubectl(&["delete", "etcdcluster", "restored", "sample"]).await?.success()?;

    let (rest, lag) = take_over(&mut site).await?;
    row(
        "writes rest while a cluster takes over from upstream's, under some 500 puts a second before",
        format!("{rest:.1} s"),
    );
    row("revisions that the mirror was behind before that", format!("{lag}"));
    println!("{table}");
    match &arguments.output {
        Some(path) => std::fs::write(path, table).map_err(Error::io(format!("writing {}", path.display()))),
        None => Ok(()),
    }
}

/// Seconds until it is complete.
async fn backup(site: &Operated, name: &str) -> Result<f64, Error> {
    let started = Instant::now();
    make(site, "EtcdBackup", name, &json!({"clusterName": "sample", "store": bucket::store()})).await?;
    let path = format!("{API}/etcdbackups/{name}");
    let is_over = |backup: &Value| matches!(backup["status"]["phase"].as_str(), Some("Completed" | "Failed"));
    let over = site.kubernetes.api().until("a backup", LIMIT, &path, is_over).await?;
    match over["status"]["phase"] == "Completed" {
        true => Ok(started.elapsed().as_secs_f64()),
        false => Err(Error::Answer { what: "a backup".into(), answer: over["status"].to_string() }),
    }
}

/// Seconds between now and the newest change that is in the store, at most.
async fn recovery_point(site: &mut Operated, dial: &Dial) -> Result<f64, Error> {
    let spec = json!({"clusterName": "sample", "schedule": "0 0 1 1 *", "store": bucket::store(), "recorder": {}});
    make(site, "EtcdBackupSchedule", "recorded", &spec).await?;
    let inside = site.inside()?;
    let clients = Clients::start(&inside, dial, CLIENTS, PACE);
    let path = "/api/v1/namespaces/default/pods?labelSelector=quorate.io%2Fschedule%3Drecorded";
    let runs = |pods: &Value| pods["items"][0]["status"]["containerStatuses"][0]["ready"] == true;
    let pods = site.kubernetes.api().until("the recorder", LIMIT, path, runs).await?;
    let address = pods["items"][0]["status"]["podIP"].as_str().unwrap_or_default().to_owned();
    let mut most: f64 = 0.0;
    for look in 0..2 * LOOKS {
        tokio::time::sleep(LOOK).await;
        let url = format!("http://{address}:8081/status");
        let said = inside.run(async move { get(&url).await }).await??;
        let time = said["recordedTo"]["time"].as_str().and_then(seconds_of);
        // It first has to catch up.
        if look >= LOOKS {
            let now = time::OffsetDateTime::now_utc();
            most = most.max(time.map_or(f64::INFINITY, |time| (now - time).as_seconds_f64()));
        }
    }
    clients.end().await?;
    site.kubernetes.api().expect(Method::DELETE, &format!("{API}/etcdbackupschedules/recorded"), None).await?;
    Ok(most)
}

fn seconds_of(text: &str) -> Option<time::OffsetDateTime> {
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()
}

async fn get(url: &str) -> Result<Value, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Answer { what: url.to_owned(), answer: error.to_string() };
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new());
    let client = client.build_http::<http_body_util::Empty<hyper::body::Bytes>>();
    let answer = client.get(url.parse().map_err(|error| failed(&error))?).await.map_err(|error| failed(&error))?;
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.map_err(|error| failed(&error))?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| failed(&error))
}

/// Seconds from the last write at the old etcd to the first that succeeds at the new cluster.
async fn take_over(site: &mut Operated) -> Result<(f64, Value), Error> {
    let image = Image::UpstreamEtcd.name();
    let (repository, tag) = image.rsplit_once(':').unwrap_or((&image, "latest"));
    let upstream = json!({"image": {"repository": repository, "tag": tag, "pullPolicy": "Never"}});
    make(site, "EtcdCluster", "old", &cluster(&upstream)).await?;
    site.running("old", 3).await?;
    let old = site.dial("old").await?;
    let full = old.clone();
    let inside = site.inside()?;
    inside.run(async move { fill(&full.connect(0).await?, 400).await }).await??;
    let clients = Clients::start(&inside, &old, CLIENTS, PACE);
    let migrate = json!({"endpoints": ["https://old-client.default.svc:2379"], "tlsSecret": "old-client-tls"});
    make(site, "EtcdCluster", "new", &cluster(&json!({"bootstrap": {"migrate": migrate}}))).await?;
    let follows = |status: &Value| status["ready"] == "3/3" && status["migration"]["phase"] == "Following";
    site.until_within("new", "the mirror", LIMIT, follows).await?;
    // For as long as it takes to see whether it keeps up.
    tokio::time::sleep(UNDISTURBED).await;
    let lag = site.cluster("new").await?["status"]["migration"]["lag"].take();
    clients.end().await?;
    let stopped = Instant::now();
    site.change("new", json!({"cutOver": true})).await?;
    let new = site.dial("new").await?;
    let first = async move {
        loop {
            if let Ok(mut client) = new.connect(0).await
                && client.put("first", "after the cut", None).await.is_ok()
            {
                return stopped.elapsed().as_secs_f64();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let rest = tokio::time::timeout(LIMIT, inside.run(first)).await;
    rest.map_err(|_| Error::Answer { what: "the new cluster".into(), answer: "it takes no writes".into() })?
        .map(|rest| (rest, lag))
}

/// The most memory that processes with this begin of a command line have had.
struct Memory {
    task: JoinHandle<u64>,
    stop: Arc<AtomicBool>,
}

impl Memory {
    fn watch(command: &'static str) -> Memory {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut most = 0;
            while !stopped.load(Ordering::Relaxed) {
                most = most.max(peak_of(command));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            most
        });
        Memory { task, stop }
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap_or_default()
    }
}

fn peak_of(command: &str) -> u64 {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let of = |process: std::fs::DirEntry| {
        let line = std::fs::read_to_string(process.path().join("cmdline")).ok()?;
        line.contains(command).then_some(())?;
        let status = std::fs::read_to_string(process.path().join("status")).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        peak.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    };
    processes.filter_map(of).max().unwrap_or_default()
}
