use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::changes::Shelf;
use crate::etcd::{self, Members};
use crate::record::{self, Board, Recorder, Settings, serve};

/// Keeps what is written to a cluster, until it is stopped.
#[derive(Clone, Debug, clap::Args)]
pub struct Record {
    /// Of the cluster, as hexadecimal digits; another is refused
    #[arg(long, value_name = "HEX", value_parser = etcd::parse_id)]
    pub cluster_id: u64,

    /// Milliseconds between writes, if there is anything to write
    #[arg(long, default_value_t = 3000, value_name = "MS", value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub interval_ms: u64,

    /// Serves /livez, /readyz, /metrics and /status here, by plain HTTP
    #[arg(long, value_name = "ADDRESS")]
    pub listen: SocketAddr,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{address} can't be listened on")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Record(#[from] record::Error),
}

impl Record {
    /// Until `stop`; then it writes what it has.
    pub async fn run(self, members: Members, shelf: Shelf, stop: CancellationToken) -> Result<(), Error> {
        let Self { cluster_id, interval_ms, listen: address } = self;
        let failed = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let board = Board::default();
        let settings = Settings { members, cluster_id, interval: Duration::from_millis(interval_ms) };
        let recorder = Recorder::new(settings, shelf, board.clone(), stop);
        tokio::select! {
            recorded = recorder.run() => Ok(recorded?),
            served = serve::serve(listener, board) => served.map_err(failed),
        }
    }
}
