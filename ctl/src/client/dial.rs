//! Endpoints and the connections to them.

use std::time::Duration;

use tonic::transport::Channel;

use super::{Error, error::chain};
use crate::globals::Globals;

/// Servers end connections that are probed more often than every 5 s; Go's gRPC raises shorter intervals to this too.
const MIN_KEEPALIVE_TIME: Duration = Duration::from_secs(10);

/// One address of the cluster.
pub struct Endpoint {
    name: String,
    target: tonic::transport::Endpoint,
}

impl Endpoint {
    /// Reads an address: `host:port`, `http://host:port` or `unix://path`.
    pub fn parse(name: &str, globals: &Globals) -> Result<Self, Error> {
        refuse_tls(name, globals)?;
        let uri = match name.strip_prefix("unix:") {
            Some(path) => format!("unix:{}", path.strip_prefix("//").unwrap_or(path)),
            None if name.contains("://") => name.to_owned(),
            None => format!("http://{name}"),
        };
        let bad = |reason: String| Error::BadEndpoint { endpoint: name.to_owned(), reason };
        if !(uri.starts_with("http://") || uri.starts_with("unix:")) {
            return Err(bad("the scheme must be http, https or unix".to_owned()));
        }
        let target = tonic::transport::Endpoint::from_shared(uri).map_err(|error| bad(chain(&error)))?;
        let target = target
            .connect_timeout(globals.dial_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(globals.keepalive_time.max(MIN_KEEPALIVE_TIME))
            .keep_alive_timeout(globals.keepalive_timeout)
            .keep_alive_while_idle(false);
        Ok(Self { name: name.to_owned(), target })
    }

    /// As the user wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn connect(&self) -> Result<Channel, String> {
        self.target.connect().await.map_err(|error| chain(&error))
    }
}

/// This build has no TLS; a connection without what the user asked for would be worse than none.
fn refuse_tls(endpoint: &str, globals: &Globals) -> Result<(), Error> {
    const HINT: &str = "it is built without TLS";
    for (flag, value) in [("--cacert", &globals.cacert), ("--cert", &globals.cert), ("--key", &globals.key)] {
        match value.as_deref() {
            None => {}
            Some("") => return Err(Error::Empty(flag)),
            Some(_) => return Err(Error::Unsupported(flag, HINT)),
        }
    }
    if !globals.insecure_transport {
        return Err(Error::Unsupported("--insecure-transport=false", HINT));
    }
    if globals.insecure_skip_tls_verify {
        return Err(Error::Unsupported("--insecure-skip-tls-verify", HINT));
    }
    if endpoint.starts_with("https://") || endpoint.starts_with("unixs:") {
        return Err(Error::Unsupported("an https endpoint in --endpoints", HINT));
    }
    Ok(())
}
