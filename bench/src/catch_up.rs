//! How long a new member takes to have what the others have, while they take writes, and what the writes notice of it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use etcd_client::{Client, MemberAddOptions};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use quorate_e2e::Error;
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::cost::Cost;
use quorate_e2e::member::Member;
use quorate_e2e::wait::{self, Look};

use crate::median::median;
use crate::percentile::percentile;

/// Writes that aren't measured, until what the round before left for the disk has been written.
const SETTLING: Duration = Duration::from_secs(10);
/// Writes before the new member comes.
const UNDISTURBED: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(900);
/// Writes under way at a time; beyond it, the next wait.
const UNDER_WAY: usize = 2000;
const CONNECTIONS: usize = 8;
const KEYS: usize = 1000;

/// Adds a learner to upstream's cluster and to ours under load, in turns, and prints how long it takes to catch up.
#[derive(Args)]
pub struct Arguments {
    /// MiB of values that the new member has to get.
    #[arg(long, default_value_t = 2048)]
    mib: usize,
    /// Puts of 256 bytes a second meanwhile.
    #[arg(long, default_value_t = 2000)]
    rate: u32,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Writes the table to a file too.
    #[arg(long)]
    output: Option<PathBuf>,
}

/// Of one round each.
#[derive(Default)]
struct Seen {
    seconds: Vec<f64>,
    before_ms: Vec<f64>,
    during_ms: Vec<f64>,
    rate: Vec<f64>,
    growth_mib: Vec<f64>,
}

pub async fn measure(arguments: &Arguments) -> Result<(), Error> {
    let mut clusters = Vec::new();
    for flavour in [Flavour::Upstream, Flavour::Quorate] {
        let cluster = Cluster::builder(flavour, 3).flag("--quota-backend-bytes=8589934592").start().await?;
        crate::fill::fill(&cluster.client().await?, arguments.mib).await?;
        eprintln!("{flavour}: filled");
        clusters.push((flavour, cluster, Seen::default()));
    }
    for round in 0..arguments.rounds {
        let mut order = [0, 1];
        order.rotate_left(round % 2);
        for at in order {
            let (flavour, cluster, seen) = &mut clusters[at];
            add_one(*flavour, cluster, &format!("new{round}"), arguments.rate, seen).await?;
        }
    }
    let mut table = format!(
        "A learner joins three members with {} MiB of values of 4 KiB under {} puts/s; medians of {}.\n\n\
         | server | caught up s | put p99 before ms | put p99 meanwhile ms | puts/s meanwhile | leader's memory grew by MiB |\n\
         |---|---:|---:|---:|---:|---:|\n",
        arguments.mib, arguments.rate, arguments.rounds
    );
    for (flavour, _, seen) in clusters {
        let Seen { seconds, before_ms, during_ms, rate, growth_mib } = seen;
        let _ = writeln!(
            table,
            "| {flavour} | {:.2} | {:.1} | {:.1} | {:.0} | {:.0} |",
            median(seconds),
            median(before_ms),
            median(during_ms),
            median(rate),
            median(growth_mib)
        );
    }
    println!("{table}");
    match &arguments.output {
        Some(path) => std::fs::write(path, table).map_err(Error::io(format!("writing {}", path.display()))),
        None => Ok(()),
    }
}

async fn add_one(flavour: Flavour, cluster: &mut Cluster, name: &str, rate: u32, seen: &mut Seen) -> Result<(), Error> {
    let leader = cluster.leader().await?;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(cluster.members()[leader].client().await?);
    }
    let mut client = clients[0].clone();
    let rss =
        async |cluster: &mut Cluster| Ok::<u64, Error>(Cost::of(cluster.member(leader).running()?.pid())?.rss_bytes);

    rustix::fs::sync();
    writes(&clients, rate, tokio::time::sleep(SETTLING)).await;
    let before = writes(&clients, rate, tokio::time::sleep(UNDISTURBED)).await;
    let rss_before = rss(cluster).await?;

    let mut member = Member::prepare(flavour, name, cluster.folder())?;
    member.flag("--initial-cluster-state=existing");
    member.flag("--quota-backend-bytes=8589934592");
    let add = MemberAddOptions::new().with_is_learner();
    let added = client.member_add([member.peer_url()], Some(add)).await.map_err(Error::client("member add"))?;
    let list = format!("{},{}", cluster.initial_cluster(), member.initial_entry());
    let started = Instant::now();
    member.start(&list)?;
    let mut rss_most = rss_before;
    let caught_up = async {
        wait::until("the new member's catching up", LIMIT, async || {
            member.running()?.must_run()?;
            rss_most = rss_most.max(rss(cluster).await?);
            let wanted = revision(&mut client).await? - i64::from(rate) / 4;
            let found = match member.client().await {
                Ok(mut client) => revision(&mut client).await,
                Err(error) => Err(error),
            };
            Ok(match found {
                Ok(found) if found >= wanted => Look::Yes(()),
                Ok(found) => Look::NotYet(format!("revision {found}, not {wanted}")),
                Err(error) => Look::NotYet(error.to_string()),
            })
        })
        .await?;
        Ok::<f64, Error>(started.elapsed().as_secs_f64())
    };
    let mut took = None;
    let meanwhile = writes(&clients, rate, async { took = Some(caught_up.await) }).await;
    let seconds = took.unwrap_or_else(|| Ok(f64::NAN))?;
    let (before_ms, during_ms) = (percentile(&before.millis, 99), percentile(&meanwhile.millis, 99));
    let growth_mib = (rss_most - rss_before) as f64 / f64::from(1 << 20);
    eprintln!("{flavour}: {seconds:.1} s, p99 {before_ms:.1} -> {during_ms:.1} ms, memory {growth_mib:+.0} MiB");
    seen.seconds.push(seconds);
    seen.before_ms.push(before_ms);
    seen.during_ms.push(during_ms);
    seen.rate.push(meanwhile.per_second());
    seen.growth_mib.push(growth_mib);
    let id = added.member().map(|member| member.id()).unwrap_or_default();
    client.member_remove(id).await.map_err(Error::client("member remove"))?;
    member.kill()
}

async fn revision(client: &mut Client) -> Result<i64, Error> {
    let status = client.status().await.map_err(Error::client("status"))?;
    Ok(status.header().map_or(0, |header| header.revision()))
}

struct Writes {
    /// Of each put that succeeded, from when it was due.
    millis: Vec<f64>,
    seconds: f64,
}

impl Writes {
    fn per_second(&self) -> f64 {
        self.millis.len() as f64 / self.seconds
    }
}

/// Puts at a rate until something else is over. A put that has to wait for its turn waits in its own time.
async fn writes(clients: &[Client], rate: u32, until: impl Future<Output = ()>) -> Writes {
    let began = Instant::now();
    let mut due = began;
    let mut millis = Vec::new();
    let mut under_way = FuturesUnordered::new();
    tokio::pin!(until);
    for turn in 0.. {
        let next = tokio::time::sleep_until(due.into());
        tokio::pin!(next);
        loop {
            tokio::select! {
                () = &mut until => return Writes { millis, seconds: began.elapsed().as_secs_f64() },
                Some(done) = under_way.next() => millis.extend(done),
                () = &mut next, if under_way.len() < UNDER_WAY => break,
            }
        }
        under_way.push(put(clients[turn % clients.len()].clone(), turn % KEYS, due));
        due += Duration::from_secs(1) / rate;
    }
    Writes { millis, seconds: began.elapsed().as_secs_f64() }
}

async fn put(mut client: Client, key: usize, due: Instant) -> Option<f64> {
    client.put(format!("load/{key}"), vec![b'x'; 256], None).await.ok()?;
    Some(due.elapsed().as_secs_f64() * 1000.0)
}
