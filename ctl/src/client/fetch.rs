//! What a server tells without gRPC.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{Endpoint, error::chain};
use crate::globals::Globals;

/// Far above what a server has to tell.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Gets a text from an endpoint, by plain text or TLS as its calls are made.
pub async fn fetch(globals: &Globals, endpoint: &str, path: &str) -> Result<String, String> {
    let endpoint = Endpoint::parse(endpoint, globals).map_err(|error| error.to_string())?;
    let fetched = async {
        let (stream, host) = endpoint.stream().await.map_err(|error| chain(&error))?;
        get(stream, &host, path).await
    };
    timeout(globals.command_timeout, fetched).await.unwrap_or_else(|_| Err("context deadline exceeded".to_owned()))
}

async fn get(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    path: &str,
) -> Result<String, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| chain(&error))?;
    let request = Request::get(path).header("host", host).body(Empty::<Bytes>::new()).map_err(|error| chain(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| chain(&error))?;
        if !response.status().is_success() {
            return Err(format!("the answer is {}", response.status()));
        }
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| chain(error.as_ref()))?.to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    };
    // The connection is driven from here as well, and ends with this function.
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => {
            ended.map_err(|error| chain(&error))?;
            answer.await
        }
    }
}
