//! Connections that this server opens, plain or with TLS as the address says.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use quorate_tls::client::{Connector, TlsStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, UnixStream};

/// How addresses of https are connected to; those of http need nothing.
#[derive(Clone, Default)]
pub struct Dial {
    tls: Option<Arc<Connector>>,
    /// An HTTP proxy on the way.
    proxy: Option<Uri>,
    /// This machine's address that connections come from; `None`: the system chooses.
    local: Option<IpAddr>,
}

impl Dial {
    pub fn new(tls: Connector) -> Self {
        Self { tls: Some(Arc::new(tls)), ..Self::default() }
    }

    /// Connections come from this address of the machine.
    pub fn from_address(self, local: Option<IpAddr>) -> Self {
        Self { local, ..self }
    }

    /// By way of an HTTP proxy, where there is one: it is told whole addresses, or asked for a tunnel where TLS follows.
    pub fn through(self, proxy: Option<Uri>) -> Self {
        Self { proxy, ..self }
    }

    /// A socket in the file system; plain.
    pub async fn connect_socket(&self, path: &Path) -> io::Result<Stream> {
        UnixStream::connect(path).await.map(Stream::Unix)
    }

    /// `default_port`: of an address without one.
    pub async fn connect(&self, uri: &Uri, default_port: u16) -> io::Result<Stream> {
        let is_secured = uri.scheme_str() == Some("https");
        let stream = match &self.proxy {
            Some(proxy) if is_secured => tunnel(proxy, uri, self.local).await?,
            Some(proxy) => return Ok(Stream::Proxied(connect(proxy, DEFAULT_PROXY_PORT, self.local).await?)),
            None => connect(uri, default_port, self.local).await?,
        };
        let host = host(uri);
        match (uri.scheme_str(), &self.tls) {
            (Some("https"), Some(tls)) => Ok(Stream::Tls(Box::new(tls.connect(host, stream).await?))),
            (Some("https"), None) => {
                Err(io::Error::other("no certificate authorities are known to verify this address with"))
            }
            _ => Ok(Stream::Plain(stream)),
        }
    }
}

const DEFAULT_PROXY_PORT: u16 = 80;

fn host(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

async fn connect(uri: &Uri, default_port: u16, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let target = (host(uri), uri.port_u16().unwrap_or(default_port));
    let stream = match local {
        Some(local) => connect_from(local, target).await?,
        None => TcpStream::connect(target).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Tries the target's addresses that are of the same kind.
async fn connect_from(local: IpAddr, target: (&str, u16)) -> io::Result<TcpStream> {
    let mut failure = io::Error::other(format!("{} has no address that {local} could connect to", target.0));
    for address in tokio::net::lookup_host(target).await?.filter(|address| address.is_ipv4() == local.is_ipv4()) {
        let socket = if local.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind((local, 0).into())?;
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn tunnel(proxy: &Uri, target: &Uri, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let to_proxy = tower::service_fn(move |proxy: Uri| async move {
        connect(&proxy, DEFAULT_PROXY_PORT, local).await.map(TokioIo::new)
    });
    let mut tunnel = Tunnel::new(proxy.clone(), to_proxy);
    match tower::Service::call(&mut tunnel, target.clone()).await {
        Ok(stream) => Ok(stream.into_inner()),
        Err(error) => Err(io::Error::other(format!("no tunnel through the proxy {proxy}: {error}"))),
    }
}

/// Connects for hyper's client.
impl tower::Service<Uri> for Dial {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<Stream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dial = self.clone();
        let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        Box::pin(async move { Ok(TokioIo::new(dial.connect(&uri, default_port).await?)) })
    }
}

pub enum Stream {
    Plain(TcpStream),
    Unix(UnixStream),
    /// Plain, to a proxy.
    Proxied(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(matches!(self, Self::Proxied(_)));
        match self {
            Self::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => connected.negotiated_h2(),
            _ => connected,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) | Self::Proxied(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) | Self::Proxied(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) | Self::Proxied(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) | Self::Proxied(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) | Self::Proxied(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) | Self::Proxied(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_come_from_the_address_that_was_chosen() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target: Uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        for local in ["127.0.0.2", "127.0.0.3"].map(|local| local.parse::<IpAddr>().unwrap()) {
            let dial = Dial::default().from_address(Some(local));
            let (opened, accepted) = tokio::join!(dial.connect(&target, 80), listener.accept());
            drop(opened.unwrap());
            assert_eq!(accepted.unwrap().1.ip(), local);
        }
        let other = Dial::default().from_address(Some("::1".parse().unwrap()));
        let refused = other.connect(&target, 80).await.err().unwrap();
        assert!(refused.to_string().contains("127.0.0.1 has no address that ::1 could connect to"), "{refused}");
    }
}
