//! One HTTP/1.1 request, as small as a probe needs it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Error;

/// A probe that takes longer found nothing.
const LIMIT: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read at most.
const ANSWER_LIMIT_BYTES: u64 = 4 << 20;

/// Status code and body of `GET path`.
pub async fn get(address: SocketAddr, path: &str) -> Result<(u16, String), Error> {
    send("GET", address, path).await
}

/// Status code and body of a request without a body.
pub async fn send(method: &str, address: SocketAddr, path: &str) -> Result<(u16, String), Error> {
    let what = format!("{method} http://{address}{path}");
    let too_late = || Error::TooLate { what: what.clone(), waited_ms: LIMIT.as_millis(), last: "no answer".into() };
    tokio::time::timeout(LIMIT, exchange(method, address, path, &what)).await.map_err(|_| too_late())?
}

async fn exchange(method: &str, address: SocketAddr, path: &str, what: &str) -> Result<(u16, String), Error> {
    let mut stream = TcpStream::connect(address).await.map_err(Error::io(what))?;
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(Error::io(what))?;
    let mut answer = Vec::new();
    stream.take(ANSWER_LIMIT_BYTES).read_to_end(&mut answer).await.map_err(Error::io(what))?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    match (code, answer.split_once("\r\n\r\n")) {
        (Some(code), Some((_, body))) => Ok((code, body.to_owned())),
        _ => Err(Error::Answer { what: what.to_owned(), answer }),
    }
}

/// Whether a member says that it is healthy: it has a leader and answers a linearizable read.
pub async fn is_healthy(address: SocketAddr) -> Result<(), String> {
    match get(address, "/health").await {
        Ok((200, body)) if body.contains(r#""health":"true""#) => Ok(()),
        Ok((code, body)) => Err(format!("{code} {body}")),
        Err(error) => Err(error.to_string()),
    }
}
