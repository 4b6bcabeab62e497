//! One HTTP/1.0 request, as small as a probe needs it.

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

/// As [`get`], with a body, as etcd's members ask each other for hashes.
pub async fn get_with(address: SocketAddr, path: &str, body: &str) -> Result<(u16, String), Error> {
    send_with("GET", address, path, body).await
}

/// Status code and body of a request without a body.
pub async fn send(method: &str, address: SocketAddr, path: &str) -> Result<(u16, String), Error> {
    send_with(method, address, path, "").await
}

async fn send_with(method: &str, address: SocketAddr, path: &str, body: &str) -> Result<(u16, String), Error> {
    let what = format!("{method} http://{address}{path}");
    let too_late = || Error::TooLate { what: what.clone(), waited_ms: LIMIT.as_millis(), last: "no answer".into() };
    tokio::time::timeout(LIMIT, exchange(method, address, path, body, &what)).await.map_err(|_| too_late())?
}

async fn exchange(
    method: &str,
    address: SocketAddr,
    path: &str,
    body: &str,
    what: &str,
) -> Result<(u16, String), Error> {
    let mut stream = TcpStream::connect(address).await.map_err(Error::io(what))?;
    // The older version's answers are in one piece.
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let request = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n{length}\r\n{body}");
    stream.write_all(request.as_bytes()).await.map_err(Error::io(what))?;
    let mut answer = Vec::new();
    let mut stream = stream.take(ANSWER_LIMIT_BYTES);
    // etcd's peer port doesn't always end the connection behind an answer.
    while !is_whole(&answer) && stream.read_buf(&mut answer).await.map_err(Error::io(what))? > 0 {}
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

/// By the length that it says it has; without one it ends with the connection.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let header = |line: &str| {
        line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))?.1.parse().ok()
    };
    let length: Option<usize> = head.lines().find_map(header);
    length.is_some_and(|length| answer.len() >= head.len() + 4 + length)
}
