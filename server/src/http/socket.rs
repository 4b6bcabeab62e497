//! Sockets of both kinds: TCP, and files in the file system.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::listener::Error;
use crate::config::Url;

/// Connections that have not been accepted yet, at most.
const BACKLOG: i32 = 4096;
/// The first byte of a TLS handshake; no request of HTTP begins with it.
const HANDSHAKE: u8 = 0x16;
const FIRST_BYTE_TIME: Duration = Duration::from_secs(10);

/// A connection, whatever carries it.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

pub enum Socket {
    Tcp(TcpListener),
    Unix { socket: UnixListener, _file: SocketFile },
}

/// Removes the socket's file when the listener ends.
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _ = fs::remove_file(&self.0);
    }
}

pub enum Incoming {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub async fn bind(url: &Url, reuse_port: bool) -> Result<Self, Error> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => Error::InUse { url: url.to_string(), source },
            _ => Error::Bind { url: url.to_string(), source },
        };
        if url.is_socket() {
            let path = PathBuf::from(url.host());
            // As etcd: what a server before left behind must not keep this one from starting.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
            let socket = UnixListener::bind(&path).map_err(failed)?;
            return Ok(Self::Unix { socket, _file: SocketFile(path) });
        }
        let address = resolve(url).await?;
        let socket =
            socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None).map_err(failed)?;
        socket.set_reuse_address(true).map_err(failed)?;
        if reuse_port {
            socket.set_reuse_port(true).map_err(failed)?;
        }
        socket.set_nonblocking(true).map_err(failed)?;
        socket.bind(&address.into()).map_err(failed)?;
        socket.listen(BACKLOG).map_err(failed)?;
        TcpListener::from_std(socket.into()).map(Self::Tcp).map_err(failed)
    }

    /// The connection, and where it comes from if it comes from a network.
    pub async fn accept(&self) -> io::Result<(Incoming, Option<SocketAddr>)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, remote) = socket.accept().await?;
                // Small answers must not wait for the client's acknowledgement of the last one.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "failed to set TCP_NODELAY");
                }
                Ok((Incoming::Tcp(stream), Some(remote)))
            }
            Self::Unix { socket, _file } => Ok((Incoming::Unix(socket.accept().await?.0), None)),
        }
    }
}

/// Looks at the first byte and leaves it there.
pub async fn is_tls(stream: &TcpStream) -> bool {
    let mut first = [0];
    let looked = tokio::time::timeout(FIRST_BYTE_TIME, stream.peek(&mut first)).await;
    matches!(looked, Ok(Ok(1))) && first[0] == HANDSHAKE
}

async fn resolve(url: &Url) -> Result<SocketAddr, Error> {
    let failed = |source| Error::Resolve { url: url.to_string(), source };
    let mut addresses = tokio::net::lookup_host((url.host(), url.port())).await.map_err(failed)?;
    addresses.next().ok_or_else(|| failed(io::Error::from(io::ErrorKind::NotFound)))
}

impl AsyncRead for Incoming {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Incoming {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
