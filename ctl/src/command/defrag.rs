//! `etcdctl defrag`

use quorate_proto::etcdserverpb::DefragmentRequest;
use tokio::time::Instant;

use super::{Session, endpoint::endpoint_names};
use crate::{
    client::Client,
    failure::{Exit, Failure},
    go::format_duration,
    output::write_line,
};

/// Defragments the storage of the etcd members with given endpoints
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Defrag {
    /// Use all endpoints from the cluster member list
    #[arg(long)]
    cluster: bool,
}

impl Defrag {
    /// One member at a time, so that the others keep serving.
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        let mut failed = false;
        for name in endpoint_names(&session.globals, self.cluster).await? {
            let mut client = Client::open_endpoints(&session.globals, std::slice::from_ref(&name)).await?;
            let start = Instant::now();
            let result = client.call(DefragmentRequest {}).await;
            let took = format_duration(start.elapsed());
            match result {
                Ok(_) => write_line(&format!("Finished defragmenting etcd member[{name}]. took {took}"))?,
                Err(error) => {
                    eprintln!("Failed to defragment etcd member[{name}]. took {took}. ({error})");
                    failed = true;
                }
            }
        }
        if failed { Err(Failure::silent(Exit::Error)) } else { Ok(()) }
    }
}
