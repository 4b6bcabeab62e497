//! The command line of the discovery service.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::config::value;

#[derive(Debug, Subcommand)]
pub enum DiscoveryCommand {
    /// Starts the service
    Serve(Serve),
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8087", value_name = "HOST:PORT")]
    pub listen_addr: String,
    /// Base of the URLs that are handed out; by default the address that the client called
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Cluster that keeps the registrations; without it, --data-dir does
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub endpoints: Vec<String>,
    /// Certificate shown to that cluster
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Authorities that the cluster's certificates are checked with
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// Folder for registrations when no cluster keeps them
    #[arg(long, default_value = "discovery.etcd", value_name = "FOLDER")]
    pub data_dir: PathBuf,

    /// Certificate shown to clients: makes the service speak TLS
    #[arg(long, value_name = "FILE")]
    pub cert_file: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Authorities that clients must have a certificate of
    #[arg(long, value_name = "FILE")]
    pub trusted_ca_file: Option<PathBuf>,

    /// Members that a cluster may have
    #[arg(long, default_value_t = 100, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_size: u32,
    /// Tokens that may exist at a time
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    pub max_tokens: u32,
    /// Life of a token and all that is registered under it; at least 1s
    #[arg(long, default_value = "168h", value_name = "DURATION", value_parser = life)]
    pub token_ttl: Duration,
}

fn life(text: &str) -> Result<Duration, String> {
    let parsed = value::parse_duration(text).ok().and_then(value::to_duration);
    let parsed = parsed.filter(|life| *life >= Duration::from_secs(1));
    parsed.ok_or_else(|| "a duration of at least 1s is wanted, such as 168h".to_owned())
}
