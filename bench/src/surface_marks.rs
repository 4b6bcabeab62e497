//! What the ways around a plain call cost: a token with each put, the JSON gateway, and a flood of wrong passwords next to it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use etcd_client::{Client, ConnectOptions};
use quorate_e2e::Error;
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::gateway::Gateway;
use quorate_e2e::wait::{self, Look};

use crate::median::median;
use crate::percentile::percentile;

const USER: &str = "root";
const PASSWORD: &str = "a root's password";
/// Between two puts of the client that is watched during a flood.
const PACE: Duration = Duration::from_millis(5);

/// Puts with and without a token, by gRPC and by the gateway, and beside wrong passwords, in turns.
#[derive(Args)]
pub struct Arguments {
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Of each measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Clients that put as fast as they are answered, each with a connection.
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// Callers that try wrong passwords.
    #[arg(long, default_value_t = 200)]
    logins: usize,
    /// Writes the table to a file too.
    #[arg(long)]
    output: Option<PathBuf>,
}

/// One number a round.
#[derive(Default)]
struct Seen {
    plain: Vec<f64>,
    token: Vec<f64>,
    gateway: Vec<f64>,
    quiet_p99_ms: Vec<f64>,
    flooded_p99_ms: Vec<f64>,
}

/// Two members, each a cluster of its own: with authentication and without.
struct Pair {
    open: Cluster,
    closed: Cluster,
}

impl Pair {
    async fn start(flavour: Flavour) -> Result<Pair, Error> {
        let (open, closed) = (Cluster::single(flavour).await?, Cluster::single(flavour).await?);
        let mut client = closed.client().await?;
        client.user_add(USER, PASSWORD, None).await.map_err(Error::client("adding a user"))?;
        client.user_grant_role(USER, USER).await.map_err(Error::client("granting a role"))?;
        client.auth_enable().await.map_err(Error::client("enabling authentication"))?;
        Ok(Pair { open, closed })
    }

    async fn client(&self, with_token: bool) -> Result<Client, Error> {
        if !with_token {
            return self.open.client().await;
        }
        let options = ConnectOptions::new().with_user(USER, PASSWORD);
        Client::connect(self.closed.endpoints(), Some(options)).await.map_err(Error::client("connecting with a user"))
    }
}

pub async fn measure(arguments: &Arguments) -> Result<(), Error> {
    let flavours = [Flavour::Upstream, Flavour::Quorate];
    let pairs = [Pair::start(flavours[0]).await?, Pair::start(flavours[1]).await?];
    let mut seen = [Seen::default(), Seen::default()];
    for round in 0..arguments.rounds {
        let mut order = [0, 1];
        order.rotate_left(round % 2);
        for at in order {
            let (pair, seen) = (&pairs[at], &mut seen[at]);
            seen.plain.push(puts_per_second(pair, false, arguments).await?);
            seen.token.push(puts_per_second(pair, true, arguments).await?);
            seen.gateway.push(posts_per_second(&pair.open, arguments).await?);
            // Logged in before the flood, during which nobody can.
            let mut paced = pair.client(true).await?;
            seen.quiet_p99_ms.push(p99_of_paced(&mut paced, arguments).await?);
            let flood = Flood::start(pair, arguments.logins).await?;
            seen.flooded_p99_ms.push(p99_of_paced(&mut paced, arguments).await?);
            flood.end(pair).await?;
            eprintln!(
                "round {round}, {}: {:.0} puts/s, {:.0} with a token, {:.0} by the gateway; p99 {:.1} ms, flooded {:.1} ms",
                flavours[at],
                last(&seen.plain),
                last(&seen.token),
                last(&seen.gateway),
                last(&seen.quiet_p99_ms),
                last(&seen.flooded_p99_ms)
            );
        }
    }
    let mut table = format!(
        "One member, {} clients; medians of {} rounds of {} s; ratios are medians of each round's.\n\n\
         | server | put/s | with a token | by the gateway | put p99 ms | beside {} wrong logins |\n|---|---:|---:|---:|---:|---:|\n",
        arguments.clients, arguments.rounds, arguments.seconds, arguments.logins
    );
    for (flavour, seen) in flavours.iter().zip(seen) {
        let token = ratio(&seen.token, &seen.plain);
        let gateway = ratio(&seen.gateway, &seen.plain);
        let flooded = ratio(&seen.flooded_p99_ms, &seen.quiet_p99_ms);
        let _ = writeln!(
            table,
            "| {flavour} | {:.0} | {:.0} ({token:.2}x) | {:.0} ({gateway:.2}x) | {:.1} | {:.1} ({flooded:.1}x) |",
            median(seen.plain),
            median(seen.token),
            median(seen.gateway),
            median(seen.quiet_p99_ms),
            median(seen.flooded_p99_ms)
        );
    }
    println!("{table}");
    match &arguments.output {
        Some(path) => std::fs::write(path, table).map_err(Error::io(format!("writing {}", path.display()))),
        None => Ok(()),
    }
}

fn last(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or(f64::NAN)
}

fn ratio(values: &[f64], to: &[f64]) -> f64 {
    median(values.iter().zip(to).map(|(value, to)| value / to).collect())
}

/// Every client puts as fast as it is answered.
async fn puts_per_second(pair: &Pair, with_token: bool, arguments: &Arguments) -> Result<f64, Error> {
    let mut clients = Vec::new();
    for number in 0..arguments.clients {
        clients.push((number, pair.client(with_token).await?));
    }
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let puts = clients.into_iter().map(async |(number, mut client)| {
        let mut count = 0_u64;
        while Instant::now() < end {
            client
                .put(format!("key-{number}"), "a value of some length", None)
                .await
                .map_err(Error::client("a put"))?;
            count += 1;
        }
        Ok::<_, Error>(count)
    });
    let counts = futures::future::try_join_all(puts).await?;
    Ok(counts.iter().sum::<u64>() as f64 / arguments.seconds as f64)
}

/// The same puts in JSON.
async fn posts_per_second(cluster: &Cluster, arguments: &Arguments) -> Result<f64, Error> {
    let endpoint = cluster.members()[0].endpoint();
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let posts = (0..arguments.clients).map(async |number| {
        let gateway = Gateway::new(&endpoint);
        // Keys as long as those of the other puts, in base64.
        let key = format!("a2V5LTAw{:04}", number % 10_000);
        let body = format!(r#"{{"key":"{key}","value":"YSB2YWx1ZSBvZiBzb21lIGxlbmd0aA=="}}"#);
        let mut count = 0_u64;
        while Instant::now() < end {
            post(&gateway, body.clone()).await?;
            count += 1;
        }
        Ok::<_, Error>(count)
    });
    let counts = futures::future::try_join_all(posts).await?;
    Ok(counts.iter().sum::<u64>() as f64 / arguments.seconds as f64)
}

async fn post(gateway: &Gateway, body: String) -> Result<(), Error> {
    let answer = gateway.ask("POST", "/v3/kv/put", body).await?;
    if answer.code == 200 {
        return Ok(());
    }
    Err(Error::Answer { what: "a put by the gateway".into(), answer: answer.code.to_string() })
}

/// One client with a token puts at its pace.
async fn p99_of_paced(client: &mut Client, arguments: &Arguments) -> Result<f64, Error> {
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let mut millis = Vec::new();
    while Instant::now() < end {
        let begun = Instant::now();
        client.put("paced", "value", None).await.map_err(Error::client("a put"))?;
        millis.push(begun.elapsed().as_secs_f64() * 1000.0);
        tokio::time::sleep(PACE).await;
    }
    Ok(percentile(&millis, 99))
}

/// Callers that try one wrong password after the other.
struct Flood {
    stop: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

impl Flood {
    async fn start(pair: &Pair, callers: usize) -> Result<Flood, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for _ in 0..callers {
            // Connected without a user: each try is then one call.
            let client = pair.closed.client().await?;
            let stop = stop.clone();
            tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    // That it fails is the point. A caller that is told to come back later does, as client libraries do.
                    if client.auth_client().authenticate(USER.to_owned(), "wrong".to_owned()).await.is_err() {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                }
            }));
        }
        Ok(Flood { stop, callers: tasks })
    }

    /// Returns when the server has done with it.
    async fn end(self, pair: &Pair) -> Result<(), Error> {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            caller.abort();
            // Cancelled, or it had ended.
            let _ = caller.await;
        }
        let done = wait::until("a login after the flood", Duration::from_secs(60), async || {
            Ok(match pair.client(true).await {
                Ok(_) => Look::Yes(()),
                Err(error) => Look::NotYet(error.to_string()),
            })
        });
        done.await
    }
}
