//! A million keys on three members of upstream's and three of ours: memory, disk, and the calls whose cost could grow
//! with the store.
//!
//! Both clusters are up all the time; each measurement is taken from one and then from the other, in changing order.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use etcd_client::GetOptions;
use quorate_e2e::Error;
use quorate_e2e::binaries::{Flavour, tool};
use quorate_e2e::cluster::Cluster;
use quorate_e2e::cost::Cost;
use quorate_e2e::ctl::Ctl;

use crate::median::median;

/// A step that takes longer is no measurement.
const STEP_LIMIT: Duration = Duration::from_secs(1800);
/// Keys of a page, as kube-apiserver asks for them.
const PAGE: i64 = 500;
/// Above the default of 2 GiB, so that any number of keys fits.
const QUOTA: &str = "--quota-backend-bytes=8589934592";
const MIB: f64 = (1 << 20) as f64;

/// Fills three members of upstream and three of ours with keys, and prints what that costs.
#[derive(Args)]
pub struct Arguments {
    /// Keys of 64 bytes with values of 256 bytes.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Times that every call is measured; the table shows medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Writes the table to a file too.
    #[arg(long)]
    output: Option<PathBuf>,
}

/// One line of the table: what both flavours gave, upstream first.
struct Row {
    what: &'static str,
    unit: &'static str,
    upstream: Vec<f64>,
    quorate: Vec<f64>,
}

pub async fn measure(arguments: &Arguments) -> Result<(), Error> {
    let mut clusters = Pair {
        upstream: Cluster::builder(Flavour::Upstream, 3).flag(QUOTA).start().await?,
        quorate: Cluster::builder(Flavour::Quorate, 3).flag(QUOTA).start().await?,
        rounds: arguments.rounds,
    };
    let keys = arguments.keys;
    let rows = [
        clusters.once("filling it", "s", async |cluster| fill(cluster, keys).await).await?,
        clusters.once("memory of the largest member, filled", "MiB", async |cluster| resident(cluster)).await?,
        clusters.once("data folder of a member", "MiB", async |cluster| folder_mib(cluster)).await?,
        clusters.rounds("counting all keys", "ms", async |cluster| Ok(1000.0 * count(cluster, keys).await?)).await?,
        clusters.rounds("a page of 500 keys", "ms", async |cluster| Ok(1000.0 * page(cluster, keys).await?)).await?,
        clusters.rounds("all keys in one reply", "s", async |cluster| read_all(cluster, keys).await).await?,
        clusters.once("memory of the largest member, after that", "MiB", async |cluster| resident(cluster)).await?,
        clusters.rounds("snapshot save", "s", async |cluster| save(cluster).await).await?,
        clusters.rounds("restart of all three to healthy", "s", async |cluster| restart(cluster).await).await?,
    ];
    let table = table(&rows, keys, arguments.rounds);
    println!("{table}");
    match &arguments.output {
        Some(path) => std::fs::write(path, table).map_err(Error::io(format!("writing {}", path.display()))),
        None => Ok(()),
    }
}

struct Pair {
    upstream: Cluster,
    quorate: Cluster,
    rounds: usize,
}

impl Pair {
    async fn once(
        &mut self,
        what: &'static str,
        unit: &'static str,
        step: impl AsyncFnMut(&mut Cluster) -> Result<f64, Error>,
    ) -> Result<Row, Error> {
        self.repeated(1, what, unit, step).await
    }

    async fn rounds(
        &mut self,
        what: &'static str,
        unit: &'static str,
        step: impl AsyncFnMut(&mut Cluster) -> Result<f64, Error>,
    ) -> Result<Row, Error> {
        self.repeated(self.rounds, what, unit, step).await
    }

    async fn repeated(
        &mut self,
        rounds: usize,
        what: &'static str,
        unit: &'static str,
        mut step: impl AsyncFnMut(&mut Cluster) -> Result<f64, Error>,
    ) -> Result<Row, Error> {
        let mut row = Row { what, unit, upstream: Vec::new(), quorate: Vec::new() };
        for round in 0..rounds {
            if round % 2 == 0 {
                row.upstream.push(step(&mut self.upstream).await?);
                row.quorate.push(step(&mut self.quorate).await?);
            } else {
                row.quorate.push(step(&mut self.quorate).await?);
                row.upstream.push(step(&mut self.upstream).await?);
            }
        }
        eprintln!("{what} ({unit}): upstream {:?}, quorate {:?}", row.upstream, row.quorate);
        Ok(row)
    }
}

async fn fill(cluster: &mut Cluster, keys: u64) -> Result<f64, Error> {
    let start = Instant::now();
    let arguments = [
        &format!("--endpoints={}", cluster.endpoints().join(",")),
        "--target-leader",
        "--conns=100",
        "--clients=1000",
        "put",
        "--key-size=64",
        "--val-size=256",
        "--sequential-keys",
        &format!("--key-space-size={keys}"),
        &format!("--total={keys}"),
    ];
    Ctl::of(tool("benchmark")?).limit(STEP_LIMIT).run(&arguments).await?.success()?;
    let took = start.elapsed().as_secs_f64();
    // All members hold everything before anything else is measured.
    cluster.hashes().await?;
    Ok(took)
}

/// Resident memory of the member that has most.
fn resident(cluster: &mut Cluster) -> Result<f64, Error> {
    let mut largest = 0;
    for at in 0..cluster.members().len() {
        largest = largest.max(Cost::of(cluster.member(at).running()?.pid())?.rss_bytes);
    }
    Ok(largest as f64 / MIB)
}

fn folder_mib(cluster: &Cluster) -> Result<f64, Error> {
    let folder = cluster.members().iter().map(|member| member.data_dir()).next().unwrap_or_default();
    let bytes = allocated_bytes(&folder).map_err(Error::io(format!("measuring {}", folder.display())))?;
    Ok(bytes as f64 / MIB)
}

/// Blocks on the disk, not lengths: files are preallocated and have holes.
fn allocated_bytes(folder: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { allocated_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(sum)
}

async fn count(cluster: &mut Cluster, keys: u64) -> Result<f64, Error> {
    let options = GetOptions::new().with_all_keys().with_count_only();
    let (seconds, counted, _) = get(cluster, options).await?;
    must_be(counted, keys, "count of all keys")?;
    Ok(seconds)
}

async fn page(cluster: &mut Cluster, keys: u64) -> Result<f64, Error> {
    let options = GetOptions::new().with_all_keys().with_limit(PAGE);
    let (seconds, counted, returned) = get(cluster, options).await?;
    must_be(counted, keys, "count beside a page")?;
    must_be(returned, keys.min(PAGE.unsigned_abs()), "keys of a page")?;
    Ok(seconds)
}

async fn read_all(cluster: &mut Cluster, keys: u64) -> Result<f64, Error> {
    let (seconds, _, returned) = get(cluster, GetOptions::new().with_all_keys()).await?;
    must_be(returned, keys, "keys of one reply")?;
    Ok(seconds)
}

/// Seconds, count and number of keys of one linearizable range, asked of the first member on an open connection.
async fn get(cluster: &mut Cluster, options: GetOptions) -> Result<(f64, u64, u64), Error> {
    let client = cluster.member(0).client().await?;
    let mut kv = client.kv_client().max_decoding_message_size(i32::MAX as usize);
    kv.get("one key, to connect", None).await.map_err(Error::client("a range of one key"))?;
    let start = Instant::now();
    let reply = kv.get("", Some(options)).await.map_err(Error::client("a range of all keys"))?;
    Ok((start.elapsed().as_secs_f64(), reply.count().unsigned_abs(), reply.kvs().len() as u64))
}

fn must_be(seen: u64, expected: u64, what: &str) -> Result<(), Error> {
    let answer = || Error::Answer { what: what.to_owned(), answer: format!("{seen} instead of {expected}") };
    if seen == expected { Ok(()) } else { Err(answer()) }
}

async fn save(cluster: &mut Cluster) -> Result<f64, Error> {
    let file = cluster.folder().join("saved.db");
    let endpoint = [cluster.members()[0].endpoint()];
    let start = Instant::now();
    let ctl = Ctl::etcdctl(Flavour::Upstream, &endpoint)?.limit(STEP_LIMIT);
    ctl.run(&["snapshot", "save", &file.to_string_lossy()]).await?.success()?;
    let took = start.elapsed().as_secs_f64();
    std::fs::remove_file(&file).map_err(Error::io(format!("removing {}", file.display())))?;
    Ok(took)
}

async fn restart(cluster: &mut Cluster) -> Result<f64, Error> {
    let members = cluster.members().len();
    for at in 0..members {
        cluster.member(at).terminate().await?;
    }
    let start = Instant::now();
    for at in 0..members {
        cluster.launch(at)?;
    }
    for at in 0..members {
        cluster.member(at).ready().await?;
    }
    Ok(start.elapsed().as_secs_f64())
}

fn table(rows: &[Row], keys: u64, rounds: usize) -> String {
    let mut text = format!(
        "Three members on one machine, {keys} keys of 64 bytes with values of 256 bytes; medians of {rounds}.\n\n"
    );
    text += "| what | unit | upstream | quorate | quorate / upstream |\n|---|---|---:|---:|---:|\n";
    for Row { what, unit, upstream, quorate } in rows {
        let (upstream, quorate) = (median(upstream.clone()), median(quorate.clone()));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {what} | {unit} | {upstream:.2} | {quorate:.2} | {:.4} |", quorate / upstream);
    }
    text
}
