//! Asks members about certificates: what happens is the only proof that they have read what was written.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::exchange::Question;
use super::material::{Pair, Trust};
use crate::client_tls;
use crate::etcd_client::Target;

const TIMEOUT: Duration = Duration::from_secs(3);
/// A member that doesn't trust a certificate says so within this time.
const ALERT: Duration = Duration::from_millis(300);

/// One way to dial members.
pub struct Probe {
    pub port: u16,
    pub is_of_peers: bool,
    /// What is shown to them.
    pub shows: Pair,
    pub trust: Trust,
    /// What they are to show.
    pub expects: Pair,
}

/// Why a member doesn't agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    pub member: String,
    pub why: String,
    /// It has seen the certificate, and turned it away.
    pub is_refusal: bool,
}

/// Those that don't agree yet.
pub async fn doubts(question: Question, probes: &[Probe], members: &[Target]) -> Vec<Doubt> {
    let dials = members.iter().flat_map(|member| {
        // What is on its way to TLS reads the Secrets at its start.
        let is_secured = |probe: &&Probe| if probe.is_of_peers { member.has_secured_peers } else { member.is_secured };
        probes.iter().filter(is_secured).map(move |probe| dial(question, probe, member))
    });
    join_all(dials).await.into_iter().filter_map(Result::err).collect()
}

async fn dial(question: Question, probe: &Probe, member: &Target) -> Result<(), Doubt> {
    let doubt = |why: String, is_refusal| Doubt { member: member.member.clone(), why, is_refusal };
    let config = config(probe).map_err(|why| doubt(why, false))?;
    let dialled = tokio::time::timeout(TIMEOUT, exchange(config, probe.port, member));
    let shown = match dialled.await {
        Err(_) => return Err(doubt(format!("port {} doesn't answer", probe.port), false)),
        Ok(Err(Failure::Connect(error))) => return Err(doubt(format!("port {}: {error}", probe.port), false)),
        Ok(Err(Failure::Refused(error))) => return Err(doubt(format!("port {}: {error}", probe.port), true)),
        Ok(Ok(shown)) => shown,
    };
    let expected = probe.expects.chain().map_err(|why| doubt(why, false))?;
    match question {
        Question::Shows if shown.as_ref() != expected.first() => {
            Err(doubt(format!("port {} shows its old certificate", probe.port), false))
        }
        Question::Shows | Question::Accepts => Ok(()),
    }
}

fn config(probe: &Probe) -> Result<ClientConfig, String> {
    let Pair { certificate, key } = &probe.shows;
    let mut config = client_tls::config(probe.trust.pem().as_bytes(), certificate.as_bytes(), key.as_bytes())?;
    // Plain HTTP: every port of a member speaks it.
    config.alpn_protocols = Vec::new();
    Ok(config)
}

enum Failure {
    Connect(io::Error),
    Refused(io::Error),
}

/// With TLS 1.3 a refusal comes after the handshake: an answer has to be read.
async fn exchange(
    config: ClientConfig,
    port: u16,
    member: &Target,
) -> Result<Option<CertificateDer<'static>>, Failure> {
    let stream = TcpStream::connect((member.address, port)).await.map_err(Failure::Connect)?;
    let host = ServerName::try_from(member.host.clone()).map_err(|error| Failure::Connect(io::Error::other(error)))?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(host, stream).await.map_err(Failure::Refused)?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
    let request = format!("GET /version HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", member.host);
    let shown = shown.map(CertificateDer::into_owned);
    // Before anything is sent: a connection that is closed with something unread in it may lose the alert.
    match tokio::time::timeout(ALERT, stream.read_u8()).await {
        Ok(Err(error)) if is_alert(&error) => return Err(Failure::Refused(error)),
        // Closed without an alert, by somebody who trusts the certificate: it is for other names than the operator's.
        Ok(_) => return Ok(shown),
        Err(_) => {}
    }
    stream.write_all(request.as_bytes()).await.map_err(Failure::Connect)?;
    stream.flush().await.map_err(Failure::Connect)?;
    match stream.read_u8().await {
        Err(error) if is_alert(&error) => Err(Failure::Refused(error)),
        Err(error) => Err(Failure::Connect(error)),
        Ok(_) => Ok(shown),
    }
}

fn is_alert(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::AlertReceived(_)))
}
