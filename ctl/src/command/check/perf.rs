//! `etcdctl check perf`

use std::time::Duration;

use indicatif::ProgressBar;
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    Afterwards, CLEANUP_LIMIT, Session, Workload, delete_all, is_used,
    load::{self, Outcome, Shape},
};
use crate::{
    client::Client,
    failure::{Exit, Failure},
    go,
    output::write_line,
};

const SECONDS: u64 = 60;
const KEY_BYTES: usize = 256;
const VALUE_BYTES: usize = 1024;

/// What is good enough: this part of the load, and latencies in seconds.
const THROUGHPUT_MIN: f64 = 0.9;
const SLOWEST_MAX_S: f64 = 0.5;
const DEVIATION_MAX_S: f64 = 0.1;

/// Check the performance of the etcd cluster
#[derive(clap::Args, Clone, Debug)]
pub(in crate::command) struct Perf {
    /// How many clients write how much: s(small), m(medium), l(large) or xl(xLarge)
    #[arg(long, default_value = "s", value_name = "LOAD")]
    load: String,
    /// The prefix for writing the performance check's keys
    #[arg(long, default_value = "/etcdctl-check-perf/", value_name = "PREFIX")]
    prefix: String,
    #[command(flatten)]
    afterwards: Afterwards,
}

impl Workload {
    /// Puts a second, and clients.
    fn perf(self) -> (u32, usize) {
        match self {
            Self::Small => (150, 50),
            Self::Medium => (1000, 200),
            Self::Large => (8000, 500),
            Self::ExtraLarge => (15000, 1000),
        }
    }
}

impl Perf {
    pub(super) async fn run(self, session: Session, interrupted: &Notify) -> Result<(), Failure> {
        let Self { load, prefix, afterwards } = &self;
        let (per_second, clients) = Workload::parse(load)?.perf();
        let mut client = Client::open(&session.globals).await?;
        let clients = load::open_clients(&session.globals, clients).await?;
        let deadline = Instant::now() + Duration::from_secs(SECONDS);
        if is_used(&mut client, prefix, deadline).await? {
            let quoted = go::quote(prefix.as_bytes());
            let text = format!("prefix {quoted} has keys. Delete with 'etcdctl del --prefix {prefix}' first");
            return Err(Failure::new(Exit::InvalidInput, text));
        }
        let shape = Shape { prefix, key_bytes: KEY_BYTES, value_bytes: VALUE_BYTES };
        let bar = ProgressBar::new(SECONDS);
        let supply = async |tickets: mpsc::Sender<()>| {
            tokio::select! {
                () = load::pace(tickets, per_second, deadline) => {}
                () = count_seconds(&bar) => {}
                () = interrupted.notified() => {}
            }
        };
        let outcome = load::run(clients, shape, supply, &ProgressBar::hidden()).await;
        bar.finish_and_clear();
        match delete_all(&mut client, prefix, Instant::now() + CLEANUP_LIMIT).await {
            Ok(revision) => afterwards.compact(&mut client, revision).await?,
            Err(error) => write_line(&format!("FAIL: Cleanup failed during key deletion: ERROR({error})"))?,
        }
        afterwards.defragment(&session.globals).await?;
        let (lines, passed) = verdict(&outcome, per_second);
        lines.iter().try_for_each(|line| write_line(line))?;
        if passed { Ok(()) } else { Err(Failure::silent(Exit::Error)) }
    }
}

async fn count_seconds(bar: &ProgressBar) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // The first tick is now.
    seconds.tick().await;
    loop {
        seconds.tick().await;
        bar.inc(1);
    }
}

fn verdict(outcome: &Outcome, per_second: u32) -> (Vec<String>, bool) {
    let mut lines = Vec::new();
    let mut passed = outcome.errors.is_empty();
    if !passed {
        lines.push("FAIL: too many errors".to_owned());
        lines.extend(outcome.errors.iter().map(|(error, count)| format!("FAIL: ERROR({error}) -> {count}")));
    }
    let mut judge = |good: bool, pass: String, fail: String| {
        passed &= good;
        lines.push(if good { pass } else { fail });
    };
    let puts_per_second = outcome.puts_per_second();
    let shown = puts_per_second as u64 + 1;
    judge(
        puts_per_second / f64::from(per_second) > THROUGHPUT_MIN,
        format!("PASS: Throughput is {shown} writes/s"),
        format!("FAIL: Throughput too low: {shown} writes/s"),
    );
    let slowest_s = outcome.slowest_s;
    judge(
        slowest_s <= SLOWEST_MAX_S,
        format!("PASS: Slowest request took {slowest_s:.6}s"),
        format!("Slowest request took too long: {slowest_s:.6}s"),
    );
    let deviation_s = outcome.standard_deviation_s();
    judge(
        // Nothing deviates where nothing was put.
        deviation_s.is_nan() || deviation_s <= DEVIATION_MAX_S,
        format!("PASS: Stddev is {deviation_s:.6}s"),
        format!("Stddev too high: {deviation_s:.6}s"),
    );
    lines.push(if passed { "PASS" } else { "FAIL" }.to_owned());
    (lines, passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_without_a_put_has_failed() {
        let outcome = Outcome { took: Duration::from_secs(60), slowest_s: 0.75, ..Outcome::default() };
        let (lines, passed) = verdict(&outcome, 150);
        assert!(!passed);
        assert_eq!(
            lines,
            [
                "FAIL: Throughput too low: 1 writes/s",
                "Slowest request took too long: 0.750000s",
                "PASS: Stddev is NaNs",
                "FAIL"
            ]
        );
    }

    #[test]
    fn errors_are_counted_by_their_text() {
        let errors = [("context deadline exceeded".to_owned(), 3)].into();
        let (lines, passed) = verdict(&Outcome { errors, took: Duration::from_secs(1), ..Outcome::default() }, 150);
        assert!(!passed);
        assert_eq!(lines[..2], ["FAIL: too many errors", "FAIL: ERROR(context deadline exceeded) -> 3"]);
    }
}
