use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;

use crate::etcd::Members;
use crate::mirror;

/// Repeats what is written to a cluster in another that was made of a copy of it, until it is told to cut over.
#[derive(Clone, Debug, clap::Args)]
pub struct Mirror {
    /// The source's members, separated by commas
    #[arg(long, value_delimiter = ',', required = true, value_name = "URLS")]
    pub from: Vec<String>,
    /// Certificates of the authorities that the source's members are verified against
    #[arg(long, value_name = "FILE")]
    pub from_cacert: Option<PathBuf>,
    /// Certificate for the source's members
    #[arg(long, requires = "from_key", value_name = "FILE")]
    pub from_cert: Option<PathBuf>,
    /// Private key of --from-cert
    #[arg(long, requires = "from_cert", value_name = "FILE")]
    pub from_key: Option<PathBuf>,

    /// The target's members, separated by commas; nobody else may write to them
    #[arg(long, value_delimiter = ',', required = true, value_name = "URLS")]
    pub to: Vec<String>,
    /// Certificates of the authorities that the target's members are verified against
    #[arg(long, value_name = "FILE")]
    pub to_cacert: Option<PathBuf>,
    /// Certificate for the target's members
    #[arg(long, requires = "to_key", value_name = "FILE")]
    pub to_cert: Option<PathBuf>,
    /// Private key of --to-cert
    #[arg(long, requires = "to_cert", value_name = "FILE")]
    pub to_key: Option<PathBuf>,

    /// Serves /livez, /readyz, /metrics, /status and /cut-over here, by plain HTTP
    #[arg(long, value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// What who asks for the cut-over must know
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{address} can't be listened on")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Mirror(#[from] mirror::Error),
}

impl Mirror {
    /// Until it is dropped, which it may be at any time: it goes on where it was. Only a mistake ends it by itself.
    pub async fn run(self) -> Result<Infallible, Error> {
        let Self { from, from_cacert, from_cert, from_key, to, to_cacert, to_cert, to_key, listen, token_file } = self;
        let failed = |source| Error::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let source = Members { endpoints: from, authorities: from_cacert, pair: from_cert.zip(from_key) };
        let target = Members { endpoints: to, authorities: to_cacert, pair: to_cert.zip(to_key) };
        Err(mirror::run(source, target, listener, token_file).await.map_err(failed)?.into())
    }
}
