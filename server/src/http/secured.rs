//! TLS of a listener: the handshake, what is checked behind it, and the log line of who was refused.

use std::net::SocketAddr;
use std::sync::Arc;

use quorate_tls::peer::Names;
use quorate_tls::server::{Acceptor, TlsStream};

use super::names;
use super::socket::{Incoming, Io};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    Client,
    Peer,
}

#[derive(Clone)]
pub struct Secured {
    pub acceptor: Arc<Acceptor>,
    pub endpoint: Endpoint,
    /// The names in a caller's certificate must fit the address it calls from.
    pub check_names: bool,
}

impl Secured {
    /// The connection and the common name of its certificate, if it has shown one; none for a connection that was refused.
    pub async fn accept(
        &self,
        stream: Incoming,
        remote: Option<SocketAddr>,
    ) -> Option<(Box<dyn Io>, Option<CommonName>)> {
        match self.acceptor.accept(stream).await {
            Ok(stream) => {
                let names = Shown::by(&stream);
                if let (true, Some(remote)) = (self.check_names, remote)
                    && let Err(reason) = names::check(&names.names, remote.ip()).await
                {
                    self.refused(Some(remote), &names, &reason);
                    return None;
                }
                let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                let name = shown.and_then(quorate_tls::peer::common_name).map(|name| CommonName(name.into()));
                Some((Box::new(stream), name))
            }
            Err(error) => {
                self.refused(remote, &Shown::default(), &error);
                None
            }
        }
    }

    fn refused(&self, remote: Option<SocketAddr>, shown: &Shown, error: &dyn std::fmt::Display) {
        let remote = remote.map_or_else(|| "@".to_owned(), |remote| remote.to_string());
        let Shown { server_name, names: Names { dns, ips } } = shown;
        macro_rules! warn {
            ($message:literal) => {
                tracing::warn!(
                    "remote-addr" = remote,
                    "server-name" = server_name,
                    "ip-addresses" = ?ips,
                    "dns-names" = ?dns,
                    %error,
                    $message
                )
            };
        }
        match self.endpoint {
            Endpoint::Client => warn!("rejected connection on client endpoint"),
            Endpoint::Peer => warn!("rejected connection on peer endpoint"),
        }
    }
}

/// The common name of the certificate that a connection was made with; in the extensions of its requests.
#[derive(Debug, Clone)]
pub struct CommonName(pub Arc<str>);

/// What the other end said about itself in the handshake.
#[derive(Default)]
struct Shown {
    server_name: String,
    names: Names,
}

impl Shown {
    fn by(stream: &TlsStream<Incoming>) -> Self {
        let (_, session) = stream.get_ref();
        Self {
            server_name: session.server_name().unwrap_or_default().to_owned(),
            names: session.peer_certificates().and_then(|chain| chain.first()).map(Names::of).unwrap_or_default(),
        }
    }
}
