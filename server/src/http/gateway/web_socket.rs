//! A call over a WebSocket: the client's messages are the body's JSON, every line of the answer is a message. Browsers can't
//! stream a request otherwise.
//!
//! etcd serves these by grpc-websocket-proxy, whose ways to hand over a token are these too: browsers can't set headers here.

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

use super::call::AnswerBody;
use super::objects::Chunks;
use super::{reply, service::Gateway};
use crate::http::admin;

/// A cookie whose value is a token.
const TOKEN_COOKIE: &str = "token";
/// Precedes a token in `Sec-WebSocket-Protocol`.
const BEARER: &str = "Bearer";
/// The only version there is.
const VERSION: &str = "13";
/// Messages that were received and no one asked for yet; with them the client's sending stops.
const WAITING_MESSAGES: usize = 1;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

pub fn is_asked_for(headers: &HeaderMap) -> bool {
    names(headers, header::CONNECTION, "upgrade") && names(headers, header::UPGRADE, "websocket")
}

/// Whether a list of words has this one.
fn names(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    let lists = headers.get_all(name);
    lists
        .iter()
        .filter_map(|list| list.to_str().ok())
        .any(|list| list.split(',').any(|listed| listed.trim().eq_ignore_ascii_case(word)))
}

/// Agrees to leave HTTP, and serves the call when that is done.
pub fn accept(gateway: Gateway, mut request: Request) -> Response {
    if request.method() != Method::GET {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    }
    let headers = request.headers();
    let is_current = headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == VERSION);
    let (Some(key), true) = (headers.get(header::SEC_WEBSOCKET_KEY), is_current) else {
        return refuse(StatusCode::BAD_REQUEST, "Bad Request");
    };
    let mut answer = HeaderMap::new();
    if let Ok(accepted) = HeaderValue::try_from(derive_accept_key(key.as_bytes())) {
        answer.insert(header::SEC_WEBSOCKET_ACCEPT, accepted);
    }
    answer.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if protocol(headers).is_some_and(|protocol| protocol.starts_with(BEARER)) {
        answer.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(BEARER));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let (request, _) = request.into_parts();
    let tasks = gateway.upgraded().clone();
    tasks.spawn(async move {
        if let Err(error) = serve(gateway, upgrade, &request).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a WebSocket ended with an error");
        }
    });
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = answer;
    response
}

fn refuse(code: StatusCode, text: &str) -> Response {
    let mut response = admin::plain_error(code, text);
    response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
    response
}

fn protocol(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|protocol| protocol.to_str().ok())
}

/// The token: of the cookie, or of the protocol, which then is `Bearer, TOKEN`.
fn token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let cookie = pairs.find(|(name, _)| *name == TOKEN_COOKIE).map(|(_, value)| value);
    cookie.or_else(|| Some(protocol(headers)?.split_once("Bearer,")?.1.trim_matches(' ')))
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the connection did not leave HTTP")]
    Upgrade(#[from] hyper::Error),
    #[error("a message could not be carried")]
    Message(#[from] tungstenite::Error),
}

/// Until the call has ended, the client has left, or the server stops.
async fn serve(gateway: Gateway, upgrade: OnUpgrade, request: &Parts) -> Result<(), Error> {
    let stream = TokioIo::new(upgrade.await?);
    let limit = Some(gateway.object_limit_bytes());
    let config = WebSocketConfig::default().max_message_size(limit).max_frame_size(limit);
    let (mut outgoing, incoming) = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await.split();

    let mut headers = HeaderMap::new();
    if let Some(token) =
        token(&request.headers).and_then(|token| HeaderValue::try_from(format!("{BEARER} {token}")).ok())
    {
        headers.insert(header::AUTHORIZATION, token);
    }
    let (messages, body) = mpsc::channel(WAITING_MESSAGES);
    let body: Chunks = Box::pin(ReceiverStream::new(body).map(Ok));
    let call = async {
        // Every call is a POST, whatever asked for the upgrade.
        match gateway.answer(&Method::POST, request.uri.path(), &headers, body).await {
            Ok(answer) => send(&mut outgoing, answer.body).await,
            Err(status) => outgoing.send(text(reply::failure(&status))).await,
        }
    };
    let why = tokio::select! {
        sent = call => {
            sent?;
            CloseCode::Normal
        }
        received = receive(incoming, messages) => return Ok(received?),
        () = gateway.stop().cancelled() => CloseCode::Away,
    };
    outgoing.send(Message::Close(Some(CloseFrame { code: why, reason: Utf8Bytes::default() }))).await?;
    Ok(())
}

/// Hands the client's messages on until it leaves. Reading goes on when nobody wants them: it is what sees the end.
async fn receive(mut incoming: SplitStream<Socket>, to: mpsc::Sender<Bytes>) -> Result<(), tungstenite::Error> {
    while let Some(message) = incoming.next().await {
        match message? {
            Message::Text(text) => drop(to.send(text.into()).await),
            Message::Binary(bytes) => drop(to.send(bytes).await),
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
    Ok(())
}

async fn send(outgoing: &mut SplitSink<Socket, Message>, body: AnswerBody) -> Result<(), tungstenite::Error> {
    match body {
        AnswerBody::Message(message) => outgoing.send(text(message)).await,
        AnswerBody::Lines(mut lines) => {
            while let Some(line) = lines.next().await {
                outgoing.send(text(line.text.slice(..line.text.len() - 1))).await?;
            }
            Ok(())
        }
    }
}

/// JSON is UTF-8; bytes that are not are sent as such.
fn text(json: Bytes) -> Message {
    match Utf8Bytes::try_from(json.clone()) {
        Ok(text) => Message::Text(text),
        Err(_) => Message::Binary(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn an_upgrade_is_asked_for_by_two_headers() {
        let asked = headers(&[(header::CONNECTION, "keep-alive, Upgrade"), (header::UPGRADE, "WebSocket")]);
        assert!(is_asked_for(&asked));
        assert!(!is_asked_for(&headers(&[(header::UPGRADE, "websocket")])));
        assert!(!is_asked_for(&headers(&[(header::CONNECTION, "upgrade"), (header::UPGRADE, "h2c")])));
    }

    #[test]
    fn a_token_comes_as_a_protocol_or_as_a_cookie() {
        for (given, expected) in [
            (vec![(header::SEC_WEBSOCKET_PROTOCOL, "Bearer, t.1")], Some("t.1")),
            (vec![(header::SEC_WEBSOCKET_PROTOCOL, "Bearer,t.1")], Some("t.1")),
            (vec![(header::SEC_WEBSOCKET_PROTOCOL, "chat")], None),
            (vec![(header::COOKIE, "a=b; token=t.2"), (header::SEC_WEBSOCKET_PROTOCOL, "Bearer, t.1")], Some("t.2")),
            (vec![], None),
        ] {
            assert_eq!(token(&headers(&given)), expected, "{given:?}");
        }
    }
}
