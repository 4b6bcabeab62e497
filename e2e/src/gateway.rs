//! Requests to the JSON gateway, and answers made comparable.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::Error;
use crate::binaries::Flavour;
use crate::cluster::Cluster;

/// An answer that takes longer doesn't come.
const LIMIT: Duration = Duration::from_secs(10);
/// Requests that were sent and not taken yet.
const WAITING_REQUESTS: usize = 8;
/// Fields whose values differ from run to run, or from server to server because they tell of the server itself.
const VARIABLE_FIELDS: [&str; 11] = [
    "cluster_id",
    "member_id",
    "raft_term",
    "leader",
    "dbSize",
    "dbSizeInUse",
    "raftIndex",
    "raftTerm",
    "raftAppliedIndex",
    "hash",
    "token",
];
/// Ids that servers make are larger than those of the tests.
const ID_DIGITS: usize = 15;
/// Of a member that runs: its port has more digits than those of the tests.
const ADDRESS_CHARS: usize = "http://127.0.0.1:1024".len();
/// How the texts begin that say what is wrong with JSON; the rest is the parser's.
const PARSERS_WORDS: [&str; 4] = ["proto:", "invalid character", "unexpected EOF", "invalid value"];

/// A request of a table.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub method: &'static str,
    pub path: &'static str,
    pub body: &'static str,
    /// Leave after the answer's first line: it has no end.
    pub only_first_line: bool,
}

impl Step {
    pub const fn first_line(self) -> Step {
        Step { only_first_line: true, ..self }
    }
}

/// A call.
pub const fn post(path: &'static str, body: &'static str) -> Step {
    of("POST", path, body)
}

/// Any request.
pub const fn of(method: &'static str, path: &'static str, body: &'static str) -> Step {
    Step { method, path, body, only_first_line: false }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// Status, content type and body, normalised.
    pub fn comparable(&self) -> String {
        let kind = self.headers.iter().find(|(name, _)| name == "content-type");
        let kind = kind.map(|(_, value)| value.as_str()).unwrap_or_default();
        let lines: Vec<String> = lines(&self.body).iter().map(Value::to_string).collect();
        format!("{} {kind}\n{}", self.code, lines.join("\n"))
    }
}

/// The JSON of a text line by line, or in one piece if it isn't that, normalised.
pub fn lines(text: &str) -> Vec<Value> {
    let parsed: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    match parsed {
        Ok(lines) => lines.into_iter().map(normal).collect(),
        Err(_) => vec![Value::from(text)],
    }
}

/// Replaces what differs from run to run.
pub fn normal(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (String, Value)| {
                let value = match name.as_str() {
                    // A leader's key is no id.
                    variable if VARIABLE_FIELDS.contains(&variable) && !value.is_object() => Value::from("VARIES"),
                    "TTL" => seconds(value),
                    "members" => in_order(normal(value)),
                    _ => normal(value),
                };
                (name, value)
            };
            fields.into_iter().map(field).collect()
        }
        Value::Array(items) => items.into_iter().map(normal).collect(),
        Value::String(text) if text.len() >= ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Value::from("ID")
        }
        Value::String(text) if text.starts_with("http://127.0.0.1:") && text.len() >= ADDRESS_CHARS => {
            Value::from("ADDRESS")
        }
        Value::String(text) if PARSERS_WORDS.iter().any(|words| text.starts_with(words)) => Value::from("NO REQUEST"),
        other => other,
    }
}

/// Members are listed by their ids, which are random.
fn in_order(list: Value) -> Value {
    match list {
        Value::Array(mut items) => {
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        other => other,
    }
}

/// A second of a lease may pass between the requests.
fn seconds(given: Value) -> Value {
    match given.as_str().and_then(|text| text.parse::<i64>().ok()) {
        Some(seconds) if (590..600).contains(&seconds) => Value::from("600"),
        _ => given,
    }
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Upstream's server with its gateway, and the one under test with its.
pub async fn both() -> Result<[(Cluster, Gateway); 2], Error> {
    let theirs = Cluster::single(Flavour::Upstream).await?;
    let ours = Cluster::single(Flavour::under_test()).await?;
    Ok([theirs, ours].map(|cluster| {
        let gateway = Gateway::new(&cluster.endpoints()[0]);
        (cluster, gateway)
    }))
}

/// A member's gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    client: legacy::Client<HttpConnector, Body>,
    endpoint: String,
}

impl Gateway {
    pub fn new(endpoint: &str) -> Gateway {
        Gateway { client: legacy::Client::builder(TokioExecutor::new()).build_http(), endpoint: endpoint.to_owned() }
    }

    /// One request and its answer.
    pub async fn ask(&self, method: &str, path: &str, body: String) -> Result<Answer, Error> {
        self.ask_with(method, path, &[], body).await
    }

    pub async fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Answer, Error> {
        let what = format!("{method} {path}");
        let body = Body::new(Full::new(Bytes::from(body)));
        let answer = async {
            let response = self.request(method, path, headers, body).await?;
            let code = response.status().as_u16();
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let headers = response.headers().iter();
            let headers = headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
            let body = response.into_body().collect().await.map_err(|error| unanswered(&what, &error))?;
            Ok(Answer { code, headers, body: text(&body.to_bytes()) })
        };
        tokio::time::timeout(LIMIT, answer).await.map_err(|_| too_late(&what))?
    }

    /// Sends the steps one after the other and writes down each with its answer, normalised.
    pub async fn record(&self, steps: &[Step]) -> Result<Vec<String>, Error> {
        let mut known = Known::default();
        let mut session = Vec::new();
        for Step { method, path, body, only_first_line } in steps {
            let sent = body.replace("ADDED", &known.added).replace("LEADER", &known.leader);
            let headers = [("authorization", known.token.as_str())];
            let headers = if known.token.is_empty() { &[] } else { headers.as_slice() };
            let answer = match only_first_line {
                true => self.first_line(path, headers, sent).await?,
                false => {
                    let answer = self.ask_with(method, path, headers, sent).await?;
                    known.learn(&answer);
                    answer.comparable()
                }
            };
            session.push(format!("{method} {path} {body}\n{answer}"));
        }
        Ok(session)
    }

    async fn first_line(&self, path: &str, headers: &[(&str, &str)], body: String) -> Result<String, Error> {
        let response = self.request("POST", path, headers, Body::new(Full::new(Bytes::from(body)))).await?;
        let code = response.status();
        let answer = Replies::Begun(response.into_body());
        let mut stream = Stream { path: path.to_owned(), requests: None, answer, read: Vec::new() };
        Ok(format!("{code}\n{}", stream.line().await?.unwrap_or_default()))
    }

    /// A call whose requests are sent and whose replies are read while it lasts.
    pub fn open(&self, path: &str) -> Stream {
        let (requests, body) = mpsc::channel::<Bytes>(WAITING_REQUESTS);
        let body = futures::stream::unfold(body, async |mut body| {
            let chunk = body.recv().await?;
            Some((Ok(Frame::data(chunk)), body))
        });
        let (gateway, owned_path) = (self.clone(), path.to_owned());
        // The answer begins with the first reply, and that may need a request.
        let answer = tokio::spawn(async move {
            let body = Body::new(StreamBody::new(body));
            Ok(gateway.request("POST", &owned_path, &[], body).await?.into_body())
        });
        Stream { path: path.to_owned(), requests: Some(requests), answer: Replies::Awaited(answer), read: Vec::new() }
    }

    async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Response<Incoming>, Error> {
        let what = format!("{method} {path}");
        let method = Method::from_bytes(method.as_bytes()).map_err(|error| unanswered(&what, &error))?;
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.endpoint));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|error| unanswered(&what, &error))?;
        self.client.request(request).await.map_err(|error| unanswered(&what, &error))
    }
}

/// What earlier answers told that later requests need.
#[derive(Default)]
struct Known {
    /// Id of a member.
    added: String,
    /// Proof of leadership, as JSON.
    leader: String,
    token: String,
}

impl Known {
    fn learn(&mut self, answer: &Answer) {
        let reply: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.added = text(&reply["member"]["ID"]).unwrap_or_else(|| self.added.clone());
        self.token = text(&reply["token"]).unwrap_or_else(|| self.token.clone());
        if reply["leader"].is_object() {
            self.leader = reply["leader"].to_string();
        }
    }
}

/// A call that lasts. Dropping it leaves.
#[derive(Debug)]
pub struct Stream {
    path: String,
    /// `None` when the body has ended.
    requests: Option<mpsc::Sender<Bytes>>,
    answer: Replies,
    /// Of lines that are not complete.
    read: Vec<u8>,
}

#[derive(Debug)]
enum Replies {
    Awaited(JoinHandle<Result<Incoming, Error>>),
    Begun(Incoming),
}

impl Stream {
    pub async fn send(&self, request: &str) -> Result<(), Error> {
        let gone = || Error::Answer { what: self.path.clone(), answer: "the requests have ended".into() };
        let requests = self.requests.as_ref().ok_or_else(gone)?;
        requests.send(Bytes::from(request.to_owned())).await.map_err(|_| gone())
    }

    pub fn end_requests(&mut self) {
        self.requests = None;
    }

    /// The next reply, normalised; `None` at the end.
    pub async fn line(&mut self) -> Result<Option<Value>, Error> {
        let what = self.path.clone();
        tokio::time::timeout(LIMIT, self.next_line()).await.map_err(|_| too_late(&what))?
    }

    async fn next_line(&mut self) -> Result<Option<Value>, Error> {
        loop {
            if let Some(end) = self.read.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let value = serde_json::from_slice(&line).map_err(|error| unanswered(&self.path, &error))?;
                return Ok(Some(normal(value)));
            }
            let body = match &mut self.answer {
                Replies::Begun(body) => body,
                Replies::Awaited(answer) => {
                    let begun = answer.await.map_err(|error| unanswered(&self.path, &error))??;
                    self.answer = Replies::Begun(begun);
                    continue;
                }
            };
            let Some(frame) = body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| unanswered(&self.path, &error))?;
            self.read.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Replies::Awaited(answer) = &self.answer {
            answer.abort();
        }
    }
}

fn unanswered(what: &str, error: &dyn std::error::Error) -> Error {
    Error::Answer { what: what.to_owned(), answer: error.to_string() }
}

fn too_late(what: &str) -> Error {
    Error::TooLate { what: what.to_owned(), waited_ms: LIMIT.as_millis(), last: "no answer".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_parsers_words_are_replaced_and_the_rest_stays() {
        let text = [
            r#"{"header":{"cluster_id":"1","revision":"7"},"ID":"10276657743932975437","TTL":"599"}"#,
            r#"{"message":"proto: bad","peerURLs":["http://127.0.0.1:4711","http://127.0.0.1:1"]}"#,
        ];
        let expected = [
            r#"{"ID":"ID","TTL":"600","header":{"cluster_id":"VARIES","revision":"7"}}"#,
            r#"{"message":"NO REQUEST","peerURLs":["ADDRESS","http://127.0.0.1:1"]}"#,
        ];
        assert_eq!(lines(&text.concat()), expected.map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }

    #[test]
    fn what_is_no_json_is_compared_as_it_is() {
        assert_eq!(lines("404 page not found"), [Value::from("404 page not found")]);
    }
}
