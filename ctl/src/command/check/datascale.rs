//! `etcdctl check datascale`

use std::time::Duration;

use indicatif::ProgressBar;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use super::{
    Afterwards, Session, Workload, delete_all, is_used,
    load::{self, Shape},
};
use crate::{
    client::{self, Client},
    failure::{Exit, Failure},
    globals::Globals,
    go,
    output::write_line,
};

const KEY_BYTES: usize = 512;
const VALUE_BYTES: usize = 512;
const METRIC: &str = "process_resident_memory_bytes";
/// Nobody knows how long it takes.
const NO_HURRY: Duration = Duration::from_secs(365 * 86_400);

/// Check the memory usage of holding data for different workloads on a given server endpoint
///
/// If several endpoints are given, the memory is that of the first.
#[derive(clap::Args, Clone, Debug)]
pub(in crate::command) struct Datascale {
    /// How many clients write how much: s(small), m(medium), l(large) or xl(xLarge)
    #[arg(long, default_value = "s", value_name = "LOAD")]
    load: String,
    /// The prefix for writing the datascale check's keys
    #[arg(long, default_value = "/etcdctl-check-datascale/", value_name = "PREFIX")]
    prefix: String,
    #[command(flatten)]
    afterwards: Afterwards,
}

impl Workload {
    /// Puts, and clients.
    fn datascale(self) -> (u64, usize) {
        match self {
            Self::Small => (10_000, 50),
            Self::Medium => (100_000, 200),
            Self::Large => (1_000_000, 500),
            Self::ExtraLarge => (3_000_000, 1000),
        }
    }
}

impl Datascale {
    pub(super) async fn run(self, session: Session, interrupted: &Notify) -> Result<(), Failure> {
        let Self { load, prefix, afterwards } = &self;
        let (puts, client_count) = Workload::parse(load)?.datascale();
        let mut client = Client::open(&session.globals).await?;
        let clients = load::open_clients(&session.globals, client_count).await?;
        if is_used(&mut client, prefix, Instant::now() + NO_HURRY).await? {
            let quoted = go::quote(prefix.as_bytes());
            let text = format!("prefix {quoted} has keys. Delete with etcdctl del --prefix {prefix} first");
            return Err(Failure::new(Exit::InvalidInput, text));
        }
        let before = resident_bytes(&session.globals, "before").await?;
        write_line(&format!(
            "Start data scale check for work load [{puts} key-value pairs, {} bytes per key-value, {client_count} concurrent \
             clients].",
            KEY_BYTES + VALUE_BYTES
        ))?;
        let shape = Shape { prefix, key_bytes: KEY_BYTES, value_bytes: VALUE_BYTES };
        let bar = ProgressBar::new(puts);
        let supply = async |tickets: mpsc::Sender<()>| {
            let all = async {
                for _ in 0..puts {
                    if tickets.send(()).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = all => {}
                () = interrupted.notified() => {}
            }
        };
        let outcome = load::run(clients, shape, supply, &bar).await;
        bar.finish_and_clear();
        let after = resident_bytes(&session.globals, "after").await;
        let revision = delete_all(&mut client, prefix, Instant::now() + NO_HURRY).await?;
        let after = after?;
        afterwards.compact(&mut client, revision).await?;
        afterwards.defragment(&session.globals).await?;
        if !outcome.errors.is_empty() {
            write_line("FAIL: too many errors")?;
            for (error, count) in &outcome.errors {
                write_line(&format!("FAIL: ERROR({error}) -> {count}"))?;
            }
            return Err(Failure::silent(Exit::Error));
        }
        let used_mib = (after - before) / (1024.0 * 1024.0);
        write_line(&format!("PASS: Approximate system memory used : {used_mib:.2} MB."))
    }
}

/// Of the first endpoint.
async fn resident_bytes(globals: &Globals, when: &str) -> Result<f64, Failure> {
    let endpoint = globals.endpoint_list().into_iter().next().unwrap_or_default();
    let bytes = match client::fetch(globals, &endpoint, "/metrics").await {
        Ok(metrics) => resident_bytes_in(&metrics),
        Err(error) => Err(format!("fetch error: {error}")),
    };
    match bytes {
        Ok(bytes) if bytes != 0.0 => return Ok(bytes),
        Ok(_) => {}
        Err(reason) => write_line(&reason)?,
    }
    write_line(&format!("FAIL: Could not read {METRIC} {when} the put operations."))?;
    Err(Failure::silent(Exit::Error))
}

fn resident_bytes_in(metrics: &str) -> Result<f64, String> {
    let value = metrics.lines().find_map(|line| line.strip_prefix(METRIC)).map(str::trim).unwrap_or_default();
    if value.is_empty() {
        return Err(format!("could not find: {METRIC}"));
    }
    value.parse().map_err(|error| format!("parse error: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_that_of_the_process() {
        let metrics = "# HELP process_resident_memory_bytes Resident\nprocess_resident_memory_bytes 2.5e+07\n";
        assert_eq!(resident_bytes_in(metrics), Ok(2.5e7));
        assert_eq!(resident_bytes_in("x 1\n").unwrap_err(), "could not find: process_resident_memory_bytes");
        assert!(resident_bytes_in("process_resident_memory_bytes x\n").unwrap_err().starts_with("parse error"));
    }
}
