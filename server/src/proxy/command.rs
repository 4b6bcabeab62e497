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

#[derive(Debug, Subcommand)]
pub enum GrpcProxyCommand {
    /// Starts the proxy
    Start(Box<GrpcProxy>),
}

#[derive(Debug, Args)]
pub struct GrpcProxy {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:23790", value_name = "HOST:PORT")]
    pub listen_addr: String,
    /// Domain whose SRV records name the members, in place of --endpoints
    #[arg(long, value_name = "DOMAIN")]
    pub discovery_srv: Option<String>,
    /// Suffix of the SRV records' service name
    #[arg(long, value_name = "NAME")]
    pub discovery_srv_name: Option<String>,
    /// Accept members that the SRV records name without TLS
    #[arg(long)]
    pub insecure_discovery: bool,
    /// Additional addresses for health and metrics, such as http://127.0.0.1:23791
    #[arg(long, value_delimiter = ',', value_name = "URLS")]
    pub metrics_addr: Vec<String>,
    /// Client addresses of the members
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:2379", value_name = "LIST")]
    pub endpoints: Vec<String>,
    /// Time between two looks for members that came or left; 0: none
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = duration)]
    pub endpoints_auto_sync_interval: Duration,
    /// Address that clients reach this proxy at, listed as a member; empty: clients see the cluster's members
    #[arg(long, default_value = "127.0.0.1:23790", value_name = "HOST:PORT")]
    pub advertise_client_url: String,
    /// Prefix below which the proxies of one cluster register
    #[arg(long, default_value = "", value_name = "PREFIX")]
    pub resolver_prefix: String,
    /// Seconds that a registration outlives its proxy
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub resolver_ttl: i64,
    /// Prefix that all keys of clients have in the cluster
    #[arg(long, default_value = "", value_name = "PREFIX")]
    pub namespace: String,
    /// Has no effect
    #[arg(long)]
    pub enable_pprof: bool,
    /// Folder for generated certificates
    #[arg(long, default_value = "default.proxy", value_name = "FOLDER")]
    pub data_dir: PathBuf,
    /// Bytes of one request to a member
    #[arg(long, default_value_t = 1536 << 10, value_name = "BYTES")]
    pub max_send_bytes: usize,
    /// Bytes of one answer of a member
    #[arg(long, default_value_t = i32::MAX as usize, value_name = "BYTES")]
    pub max_recv_bytes: usize,
    /// Silence after which the proxy pings a member; 0: never
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = duration)]
    pub dial_keepalive_time: Duration,
    /// Wait for that ping's answer
    #[arg(long, default_value = "20s", value_name = "DURATION", value_parser = duration)]
    pub dial_keepalive_timeout: Duration,
    /// Ping members without a call under way too
    #[arg(long)]
    pub permit_without_stream: bool,

    /// Certificate shown to the members; without a common name
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Authorities that the members' certificates are checked with
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// Do not check the members' certificates (for tests only)
    #[arg(long)]
    pub insecure_skip_tls_verify: bool,

    /// Certificate shown to clients
    #[arg(long, value_name = "FILE")]
    pub cert_file: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Authorities that clients must have a certificate of
    #[arg(long, value_name = "FILE")]
    pub trusted_ca_file: Option<PathBuf>,
    /// Make a certificate for clients when none is given
    #[arg(long)]
    pub auto_tls: bool,
    /// Revoked certificates of clients
    #[arg(long, value_name = "FILE")]
    pub client_crl_file: Option<PathBuf>,
    /// Years that a certificate made here is valid
    #[arg(long, default_value_t = 1, value_name = "YEARS")]
    pub self_signed_cert_validity: u32,
    /// Cipher suites for clients, by their IANA names
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub listen_cipher_suites: Vec<String>,
    /// Lowest version of TLS for clients: TLS1.2 or TLS1.3
    #[arg(long, default_value = "TLS1.2", value_name = "VERSION")]
    pub tls_min_version: String,
    /// Highest version of TLS for clients; empty: the newest
    #[arg(long, default_value = "", value_name = "VERSION")]
    pub tls_max_version: String,

    /// Reads never go back in time, whichever member answers: all are linearizable
    #[arg(long)]
    pub experimental_serializable_ordering: bool,
    /// Has no effect: this proxy caches nothing
    #[arg(long, value_name = "PREFIX")]
    pub experimental_leasing_prefix: Option<String>,
    /// Log every call
    #[arg(long)]
    pub experimental_enable_grpc_logging: bool,
    /// Log more
    #[arg(long)]
    pub debug: bool,
    /// Streams that a client may have open at a time
    #[arg(long, default_value_t = u32::MAX, value_name = "COUNT")]
    pub max_concurrent_streams: u32,
    /// Accepted for etcd's sake: pings of clients are not limited
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = duration)]
    pub grpc_keepalive_min_time: Duration,
    /// Silence after which the proxy pings a client; 0: never
    #[arg(long, default_value = "2h0m0s", value_name = "DURATION", value_parser = duration)]
    pub grpc_keepalive_interval: Duration,
    /// Wait for that ping's answer
    #[arg(long, default_value = "20s", value_name = "DURATION", value_parser = duration)]
    pub grpc_keepalive_timeout: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = value::parse_duration(text).ok().and_then(value::to_duration);
    parsed.ok_or_else(|| "a duration such as 1m or 500ms is wanted".to_owned())
}
