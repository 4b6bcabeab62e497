//! `etcdctl compaction`

use quorate_proto::etcdserverpb::CompactionRequest;

use super::Session;
use crate::{client::Client, failure::Failure, go, output::write_line};

/// Compacts the event history in etcd
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Compaction {
    /// Wait for compaction to physically remove all old revisions
    #[arg(long)]
    physical: bool,
    #[arg(value_name = "REVISION")]
    args: Vec<String>,
}

impl Compaction {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        let [revision] = self.args.as_slice() else {
            return Err(Failure::bad_args("compaction command needs 1 argument"));
        };
        let revision = go::parse_int(revision, 10).map_err(Failure::error)?;
        let mut client = Client::open(&session.globals).await?;
        client.call(CompactionRequest { revision, physical: self.physical }).await?;
        write_line(&format!("compacted revision {revision}"))
    }
}
