//! Clients that put at a steady pace while something else happens, and what they feel of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quorate_e2e::Error;
use quorate_e2e::history::Dial;
use quorate_e2e::kubernetes::Inside;
use tokio::task::JoinHandle;

/// Put one after the other, each with one retry by a new connection.
pub struct Clients {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Felt>>,
}

#[derive(Default)]
pub struct Felt {
    /// Of each put.
    pub millis: Vec<f64>,
    /// With the second try too.
    pub failed: usize,
}

impl Clients {
    /// So many, each with this time between two puts.
    pub fn start(inside: &Inside, dial: &Dial, number: usize, pace: Duration) -> Clients {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..number).map(|number| client(number, dial.clone(), pace, stop.clone()));
        Clients { tasks: inside.enter(|| clients.map(tokio::spawn).collect()), stop }
    }

    pub async fn end(self) -> Result<Felt, Error> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Felt::default();
        for task in self.tasks {
            let ended =
                |error: tokio::task::JoinError| Error::Answer { what: "a client".into(), answer: error.to_string() };
            let felt = task.await.map_err(ended)?;
            all.millis.extend(felt.millis);
            all.failed += felt.failed;
        }
        Ok(all)
    }
}

async fn client(number: usize, dial: Dial, pace: Duration, stop: Arc<AtomicBool>) -> Felt {
    let mut felt = Felt::default();
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let mut done = put(number, &dial, &mut connection).await;
        if done.is_err() {
            done = put(number, &dial, &mut connection).await;
        }
        match done {
            Ok(()) => felt.millis.push(started.elapsed().as_secs_f64() * 1000.0),
            Err(error) => {
                eprintln!("a put failed twice: {error}");
                felt.failed += 1;
            }
        }
        tokio::time::sleep(pace).await;
    }
    felt
}

async fn put(number: usize, dial: &Dial, connection: &mut Option<etcd_client::Client>) -> Result<(), Error> {
    let mut client = match connection.take() {
        Some(client) => client,
        None => dial.connect(0).await?,
    };
    client.put(format!("client-{number}"), "value", None).await.map_err(Error::client("a put"))?;
    *connection = Some(client);
    Ok(())
}
