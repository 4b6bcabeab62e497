//! The command lines of the proxies, with etcd's flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::config::value;

#[derive(Debug, Subcommand)]
pub enum GatewayCommand {
    /// Starts the gateway
    Start(Gateway),
}

#[derive(Debug, Args)]
pub struct Gateway {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:23790", value_name = "HOST:PORT")]
    pub listen_addr: String,
    /// Client addresses of the members, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:2379", value_name = "LIST")]
    pub endpoints: Vec<String>,
    /// Domain whose SRV records name the members, in place of --endpoints
    #[arg(long, value_name = "DOMAIN")]
    pub discovery_srv: Option<String>,
    /// Suffix of the SRV records' service name
    #[arg(long, value_name = "NAME")]
    pub discovery_srv_name: Option<String>,
    /// Accept members that the SRV records name without TLS
    #[arg(long)]
    pub insecure_discovery: bool,
    /// Authorities that members named by SRV records must have a certificate of
    #[arg(long, value_name = "FILE")]
    pub trusted_ca_file: Option<PathBuf>,
    /// Time after which a member that refused a connection is tried again
    #[arg(long, default_value = "1m0s", value_name = "DURATION", value_parser = duration)]
    pub retry_delay: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = value::parse_duration(text).ok().and_then(value::to_duration);
    parsed.ok_or_else(|| "a duration such as 1m or 500ms is wanted".to_owned())
}
