//! Puts by many clients at once, and what came of them.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use futures::future::join_all;
use indicatif::ProgressBar;
use quorate_proto::etcdserverpb::PutRequest;
use tokio::{
    sync::{Mutex, mpsc},
    time::{Instant, sleep},
};

use crate::{
    client::{Client, Error},
    globals::Globals,
};

/// A put is as slow as it is.
const NO_HURRY: Duration = Duration::from_secs(365 * 86_400);
/// The clock's step.
const STEP: Duration = Duration::from_millis(1);
/// How far puts may fall behind their pace and catch up again: what a cluster couldn't take for longer is lost to it.
const BACKLOG: Duration = Duration::from_millis(10);

/// What is put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'a> {
    pub prefix: &'a str,
    /// Without the prefix.
    pub key_bytes: usize,
    pub value_bytes: usize,
}

impl Shape<'_> {
    fn put(&self) -> PutRequest {
        let mut key = self.prefix.as_bytes().to_vec();
        key.extend_from_slice(&rand::random::<u64>().to_be_bytes());
        key.resize(self.prefix.len() + self.key_bytes, 0);
        PutRequest { key: key.into(), value: vec![0; self.value_bytes].into(), ..PutRequest::default() }
    }
}

/// What came of the puts.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// Of those that succeeded, as everything except `errors`.
    pub puts: u64,
    pub mean_s: f64,
    /// Of the distances from the mean, the sum of the squares.
    pub deviations: f64,
    pub slowest_s: f64,
    /// How often each text was heard.
    pub errors: BTreeMap<String, u64>,
    pub took: Duration,
}

impl Outcome {
    fn add(&mut self, latency: Duration) {
        let latency_s = latency.as_secs_f64();
        self.puts += 1;
        // Welford's way, which keeps no latency.
        let distance = latency_s - self.mean_s;
        self.mean_s += distance / self.puts as f64;
        self.deviations += distance * (latency_s - self.mean_s);
        self.slowest_s = self.slowest_s.max(latency_s);
    }

    pub(super) fn puts_per_second(&self) -> f64 {
        self.puts as f64 / self.took.as_secs_f64()
    }

    /// Not a number without a put.
    pub(super) fn standard_deviation_s(&self) -> f64 {
        (self.deviations / self.puts as f64).sqrt()
    }
}

pub(super) async fn open_clients(globals: &Globals, count: usize) -> Result<Vec<Client>, Error> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(Client::open(globals).await?);
    }
    Ok(clients)
}

/// Puts for each ticket that `supply` sends, until it drops the sender.
pub(super) async fn run(
    mut clients: Vec<Client>,
    shape: Shape<'_>,
    supply: impl AsyncFnOnce(mpsc::Sender<()>),
    progress: &ProgressBar,
) -> Outcome {
    let (sender, tickets) = mpsc::channel(clients.len().max(1));
    let tickets = Mutex::new(tickets);
    let outcome = RefCell::new(Outcome::default());
    let start = Instant::now();
    let workers = join_all(clients.iter_mut().map(|client| work(client, shape, &tickets, &outcome, progress)));
    tokio::join!(supply(sender), workers);
    Outcome { took: start.elapsed(), ..outcome.into_inner() }
}

async fn work(
    client: &mut Client,
    shape: Shape<'_>,
    tickets: &Mutex<mpsc::Receiver<()>>,
    outcome: &RefCell<Outcome>,
    progress: &ProgressBar,
) {
    loop {
        let ticket = tickets.lock().await.recv().await;
        if ticket.is_none() {
            return;
        }
        let start = Instant::now();
        let result = client.call_until(shape.put(), start + NO_HURRY).await;
        let latency = start.elapsed();
        let mut outcome = outcome.borrow_mut();
        match result {
            Ok(_) => outcome.add(latency),
            Err(error) => *outcome.errors.entry(error.to_string()).or_default() += 1,
        }
        progress.inc(1);
    }
}

/// Sends tickets at an even pace until the deadline.
pub(super) async fn pace(tickets: mpsc::Sender<()>, per_second: u32, deadline: Instant) {
    let rate = f64::from(per_second);
    let due_max = (rate * BACKLOG.as_secs_f64()).max(1.0);
    let mut due = 1.0;
    let mut last = Instant::now();
    while Instant::now() < deadline {
        while due >= 1.0 {
            if tickets.send(()).await.is_err() {
                return;
            }
            due -= 1.0;
        }
        sleep(STEP).await;
        let now = Instant::now();
        due = (due + rate * (now - last).as_secs_f64()).min(due_max);
        last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_is_that_of_all_latencies() {
        let mut outcome = Outcome { took: Duration::from_secs(2), ..Outcome::default() };
        for latency_ms in [10, 20, 60] {
            outcome.add(Duration::from_millis(latency_ms));
        }
        assert!((outcome.puts_per_second() - 1.5).abs() < 1e-9);
        assert!((outcome.slowest_s - 0.06).abs() < 1e-9);
        assert!((outcome.standard_deviation_s() - 0.021_602_469).abs() < 1e-6);
    }

    #[test]
    fn keys_are_as_long_as_asked_for_and_differ() {
        let shape = Shape { prefix: "p/", key_bytes: 32, value_bytes: 3 };
        let (one, other) = (shape.put(), shape.put());
        assert_eq!((one.key.len(), one.value.len()), (34, 3));
        assert!(one.key.starts_with(b"p/"));
        assert_ne!(one.key, other.key);
    }

    #[tokio::test(start_paused = true)]
    async fn tickets_come_at_their_pace() {
        let (sender, mut tickets) = mpsc::channel(1);
        let deadline = Instant::now() + Duration::from_secs(2);
        let mut count = 0;
        let counted = async {
            while tickets.recv().await.is_some() {
                count += 1;
            }
        };
        tokio::join!(pace(sender, 150, deadline), counted);
        assert!((299..=301).contains(&count), "{count}");
    }
}
