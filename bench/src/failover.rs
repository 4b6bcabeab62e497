//! How long a cluster takes no writes when its leader goes: killed, and asked to stop.
//!
//! Upstream's cluster and ours are up together; each leader goes in turn. Clients on the other two members try a put every few
//! milliseconds, and what counts is the first that succeeds.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use etcd_client::Client;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use quorate_e2e::Error;
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;

use crate::median::median;
use crate::percentile::percentile;

/// Between two tries.
const PACE: Duration = Duration::from_millis(5);
/// A cluster that takes no write for so long is broken.
const LIMIT: Duration = Duration::from_secs(30);

/// Ends the leaders of upstream's cluster and of ours, and prints how long no write succeeded.
#[derive(Args)]
pub struct Arguments {
    /// Leaders killed, and leaders asked to stop, of each cluster and with each timing.
    #[arg(long, default_value_t = 50)]
    kills: usize,
    /// Writes the table to a file too.
    #[arg(long)]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    Stopped,
}

pub async fn measure(arguments: &Arguments) -> Result<(), Error> {
    let timings: [(&str, &[&str]); 2] = [
        ("heartbeat 100 ms, election 1000 ms (the defaults)", &[]),
        ("heartbeat 100 ms, election 500 ms", &["--heartbeat-interval=100", "--election-timeout=500"]),
    ];
    let mut table = String::from(
        "| leader | timing | server | first write p50 ms | p99 ms | most ms |\n|---|---|---|---:|---:|---:|\n",
    );
    for (timing, flags) in timings {
        let mut clusters = Vec::new();
        for flavour in [Flavour::Upstream, Flavour::Quorate] {
            let builder = flags.iter().fold(Cluster::builder(flavour, 3), |builder, flag| builder.flag(*flag));
            clusters.push((flavour, builder.start().await?));
        }
        for (end, what) in [(End::Killed, "kill -9"), (End::Stopped, "SIGTERM")] {
            let mut seen = [Vec::new(), Vec::new()];
            for round in 0..arguments.kills {
                let mut order = [0, 1];
                order.rotate_left(round % 2);
                for at in order {
                    let millis = end_leader(&mut clusters[at].1, end).await?.as_secs_f64() * 1000.0;
                    seen[at].push(millis);
                }
            }
            for ((flavour, _), millis) in clusters.iter().zip(seen) {
                let (p99, most) = (percentile(&millis, 99), percentile(&millis, 100));
                let p50 = median(millis);
                let _ = writeln!(table, "| {what} | {timing} | {flavour} | {p50:.0} | {p99:.0} | {most:.0} |");
                eprintln!("{what}, {timing}: {flavour}: p50 {p50:.0} ms, p99 {p99:.0} ms");
            }
        }
    }
    println!("{table}");
    match &arguments.output {
        Some(path) => std::fs::write(path, table).map_err(Error::io(format!("writing {}", path.display()))),
        None => Ok(()),
    }
}

/// From the signal to the first write that succeeds; the cluster is whole again afterwards.
async fn end_leader(cluster: &mut Cluster, end: End) -> Result<Duration, Error> {
    let leader = cluster.leader().await?;
    let mut clients = Vec::new();
    for at in (0..3).filter(|at| *at != leader) {
        let mut client = cluster.members()[at].client().await?;
        // The connection is open before the clock starts.
        client.put("failover", "before", None).await.map_err(Error::client("a put before the leader ends"))?;
        clients.push(client);
    }
    let started = Instant::now();
    let took = match end {
        End::Killed => {
            cluster.member(leader).kill()?;
            first_write(&clients, started).await?
        }
        End::Stopped => {
            let (ended, took) = futures::join!(cluster.member(leader).terminate(), longest_gap(&clients, started));
            ended?;
            took?
        }
    };
    cluster.launch(leader)?;
    cluster.member(leader).ready().await?;
    Ok(took)
}

async fn first_write(clients: &[Client], started: Instant) -> Result<Duration, Error> {
    let mut tries = FuturesUnordered::new();
    let mut pace = tokio::time::interval(PACE);
    for turn in 0.. {
        tokio::select! {
            _ = pace.tick() => tries.push(put(clients[turn % clients.len()].clone())),
            Some(done) = tries.next() => if done {
                return Ok(started.elapsed());
            },
        }
        if started.elapsed() > LIMIT {
            break;
        }
    }
    Err(Error::TooLate { what: "a write".into(), waited_ms: LIMIT.as_millis(), last: "none succeeded".into() })
}

/// The longest time between two writes that succeed one after the other, until some time after the leader has gone.
async fn longest_gap(clients: &[Client], started: Instant) -> Result<Duration, Error> {
    const WATCHED: Duration = Duration::from_secs(2);
    let mut tries = FuturesUnordered::new();
    let mut pace = tokio::time::interval(PACE);
    let (mut last, mut longest) = (started, Duration::ZERO);
    for turn in 0.. {
        tokio::select! {
            _ = pace.tick() => tries.push(put(clients[turn % clients.len()].clone())),
            Some(done) = tries.next() => if done {
                longest = longest.max(last.elapsed());
                last = Instant::now();
            },
        }
        let is_over = started.elapsed() > WATCHED && last > started + WATCHED / 2;
        if is_over || started.elapsed() > LIMIT {
            break;
        }
    }
    Ok(longest.max(last.elapsed().saturating_sub(PACE)))
}

async fn put(mut client: Client) -> bool {
    client.put("failover", "value", None).await.is_ok()
}
