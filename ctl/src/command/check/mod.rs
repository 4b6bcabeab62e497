//! `etcdctl check`

mod datascale;
mod load;
mod perf;

use std::time::Duration;

use bytes::Bytes;
use quorate_proto::etcdserverpb::{CompactionRequest, DefragmentRequest, DeleteRangeRequest, RangeRequest};
use tokio::{sync::Notify, time::Instant};

use super::Session;
use crate::{
    client::{Client, Error},
    failure::{Exit, Failure},
    globals::Globals,
    go,
    key_range::KeyRange,
    output::write_line,
};

/// For a deletion, a compaction and a defragmentation each.
const CLEANUP_LIMIT: Duration = Duration::from_secs(30);

#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum Check {
    Perf(perf::Perf),
    Datascale(datascale::Datascale),
}

impl Check {
    /// One interrupt ends the load and cleans up, a second one ends everything.
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        let interrupted = Notify::new();
        let check = async {
            match self {
                Check::Perf(perf) => perf.run(session, &interrupted).await,
                Check::Datascale(datascale) => datascale.run(session, &interrupted).await,
            }
        };
        tokio::select! {
            result = check => result,
            failure = second_interrupt(&interrupted) => Err(failure),
        }
    }
}

async fn second_interrupt(interrupted: &Notify) -> Failure {
    for _ in 0..2 {
        if let Err(error) = tokio::signal::ctrl_c().await {
            return Failure::error(format!("could not wait for signals: {error}"));
        }
        interrupted.notify_one();
    }
    Failure::silent(Exit::Error)
}

/// The value of `--load`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Workload {
    Small,
    Medium,
    Large,
    ExtraLarge,
}

impl Workload {
    fn parse(name: &str) -> Result<Self, Failure> {
        match name {
            "s" | "small" => Ok(Self::Small),
            "m" | "medium" => Ok(Self::Medium),
            "l" | "large" => Ok(Self::Large),
            "xl" | "xLarge" => Ok(Self::ExtraLarge),
            _ => Err(Failure::new(Exit::BadFeature, format!("unknown load option {name}"))),
        }
    }
}

/// What is to become of the storage afterwards.
#[derive(clap::Args, Clone, Copy, Debug)]
struct Afterwards {
    /// Compact storage with last revision after test is finished
    #[arg(long)]
    auto_compact: bool,
    /// Defragment storage after test is finished
    #[arg(long)]
    auto_defrag: bool,
}

impl Afterwards {
    async fn compact(self, client: &mut Client, revision: i64) -> Result<(), Failure> {
        if !self.auto_compact {
            return Ok(());
        }
        write_line(&format!("Compacting with revision {revision}"))?;
        let request = CompactionRequest { revision, physical: true };
        client.call_until(request, Instant::now() + CLEANUP_LIMIT).await?;
        write_line(&format!("Compacted with revision {revision}"))
    }

    async fn defragment(self, globals: &Globals) -> Result<(), Failure> {
        if !self.auto_defrag {
            return Ok(());
        }
        for endpoint in globals.endpoint_list() {
            let name = go::quote(endpoint.as_bytes());
            write_line(&format!("Defragmenting {name}"))?;
            let mut client = Client::open_endpoints(globals, &[endpoint]).await?;
            client.call_until(DefragmentRequest {}, Instant::now() + CLEANUP_LIMIT).await?;
            write_line(&format!("Defragmented {name}"))?;
        }
        Ok(())
    }
}

fn all_below(prefix: &str) -> KeyRange {
    KeyRange::with_prefix(Bytes::copy_from_slice(prefix.as_bytes()))
}

async fn is_used(client: &mut Client, prefix: &str, deadline: Instant) -> Result<bool, Error> {
    let KeyRange { key, range_end } = all_below(prefix);
    let request = RangeRequest { key, range_end, limit: 1, ..RangeRequest::default() };
    Ok(!client.call_until(request, deadline).await?.kvs.is_empty())
}

/// Answers the revision of the deletion.
async fn delete_all(client: &mut Client, prefix: &str, deadline: Instant) -> Result<i64, Error> {
    let KeyRange { key, range_end } = all_below(prefix);
    let reply = client.call_until(DeleteRangeRequest { key, range_end, prev_kv: false }, deadline).await?;
    Ok(reply.header.unwrap_or_default().revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_have_short_and_long_names() {
        assert_eq!(Workload::parse("xLarge").unwrap(), Workload::parse("xl").unwrap());
        assert_eq!(Workload::parse("xlarge").unwrap_err().text(), "unknown load option xlarge");
    }
}
