//! The JSON gateway's streams, WebSockets, headers and limits beside upstream's; its page.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::{SinkExt, StreamExt};
use quorate_e2e::binaries::{self, Flavour};
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;
use quorate_e2e::gateway::{self, Gateway, both};
use quorate_e2e::health;
use quorate_e2e::secured::Secured;
use quorate_e2e::wait::{self, Look};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_whatever_makes_it_so() {
    let [(_theirs, upstream), (_ours, own)] = both().await.unwrap();
    let put = |bytes: usize| json!({ "key": "Zm9v", "value": BASE64_STANDARD.encode(vec![7; bytes]) }).to_string();
    // Within the limit; beyond what a request may have; beyond what is decoded.
    for (bytes, code) in [(1 << 20, 200), (1600 << 10, 400), (2 << 20, 429)] {
        let expected = upstream.ask("POST", "/v3/kv/put", put(bytes)).await.unwrap();
        let got = own.ask("POST", "/v3/kv/put", put(bytes)).await.unwrap();
        assert_eq!((expected.code, expected.comparable()), (code, got.comparable()));
    }
    // A body that no request can come of isn't read to its end.
    for body in [put(16 << 20), format!("{{\"later\":\"{}\"}}", "x".repeat(16 << 20))] {
        let refused = own.ask("POST", "/v3/kv/put", body).await.unwrap();
        assert!(refused.code == 429 && refused.body.contains("larger than max"), "{}", refused.body);
    }
}

#[tokio::test]
async fn headers_are_upstreams() {
    let [(_theirs, upstream), (_ours, own)] = both().await.unwrap();
    let origin = &[("origin", "http://a.b")];
    for (method, path, headers) in [
        ("POST", "/v3/kv/range", origin.as_slice()),
        ("OPTIONS", "/v3/kv/range", origin),
        ("POST", "/v3/lease/leases", &[("grpc-timeout", "soon")]),
        ("POST", "/v3/lease/leases", &[("grpc-timeout", "10S")]),
        ("POST", "/v3/lease/leases", &[("grpc-metadata-hasleader", "true")]),
        ("POST", "/v3/lease/leases", &[("content-type", "text/plain"), ("accept", "text/html")]),
    ] {
        let expected = upstream.ask_with(method, path, headers, String::new()).await.unwrap();
        let got = own.ask_with(method, path, headers, String::new()).await.unwrap();
        assert_eq!(got.comparable(), expected.comparable(), "{method} {path} {headers:?}");
        // What HTTP/1.1 itself needs is the library's choice.
        let named = |answer: &gateway::Answer| {
            let mut names = answer.headers.clone();
            names.retain(|(name, _)| {
                !matches!(name.as_str(), "date" | "content-length" | "transfer-encoding" | "allow")
            });
            names.sort();
            names
        };
        assert_eq!(named(&got), named(&expected), "{method} {path} {headers:?}");
    }
}

/// Requests that are sent one after the other, and how many lines each is answered by.
const WATCH: &[(&str, usize)] = &[
    (r#"{"create_request":{"key":"Zm9v","prev_kv":true}}"#, 1),
    (r#"{"createRequest":{"key":"YQ==","range_end":"eg==","start_revision":"1","watch_id":7}}"#, 2),
    (r#"{"create_request":{"key":"YQ==","watch_id":"7"}}"#, 1),
    (r#"{"create_request":{"key":"eg==","range_end":"YQ=="}}"#, 1),
    (r#"{"create_request":{"key":"YQ==","start_revision":-1}}"#, 1),
    (r#"{"cancel_request":{"watch_id":7}}"#, 1),
    (r#"{"progress_request":{}}"#, 1),
];

/// What is told of writes, after the answers to the requests.
const WRITES: &[(&str, &str)] =
    &[("/v3/kv/put", r#"{"key":"Zm9v","value":"Mg=="}"#), ("/v3/kv/deleterange", r#"{"key":"Zm9v"}"#)];

async fn write(gateway: &Gateway, path: &str, body: &str) {
    assert_eq!(gateway.ask("POST", path, body.to_owned()).await.unwrap().code, 200);
}

async fn watched_by_socket(cluster: &Cluster, gateway: &Gateway) -> Vec<Value> {
    write(gateway, "/v3/kv/put", r#"{"key":"Zm9v","value":"MQ=="}"#).await;
    let mut watch = socket(&cluster.endpoints()[0], "/v3/watch").await;
    let mut told = Vec::new();
    for (request, answers) in WATCH {
        watch.send(Message::text(*request)).await.unwrap();
        for _ in 0..*answers {
            told.push(message(&mut watch).await.unwrap());
        }
    }
    for (path, body) in WRITES {
        write(gateway, path, body).await;
        told.push(message(&mut watch).await.unwrap());
    }
    told
}

async fn watched_by_lines(gateway: &Gateway) -> Vec<Value> {
    write(gateway, "/v3/kv/put", r#"{"key":"Zm9v","value":"MQ=="}"#).await;
    let mut watch = gateway.open("/v3/watch");
    let mut told = Vec::new();
    for (request, answers) in WATCH {
        watch.send(request).await.unwrap();
        for _ in 0..*answers {
            told.push(watch.line().await.unwrap().unwrap());
        }
    }
    for (path, body) in WRITES {
        write(gateway, path, body).await;
        told.push(watch.line().await.unwrap().unwrap());
    }
    told
}

/// Upstream answers over HTTP/1.1 only when the requests have ended, so that it is asked over a WebSocket.
#[tokio::test]
async fn a_watch_is_steered_and_told_as_upstreams() {
    let [(theirs, upstream), (ours, own)] = both().await.unwrap();
    let expected = watched_by_socket(&theirs, &upstream).await;
    let got = watched_by_socket(&ours, &own).await;
    for (expected, got) in expected.iter().zip(&got) {
        assert_eq!(got, expected);
    }
    if Flavour::under_test() == Flavour::Quorate {
        let fresh = Cluster::single(Flavour::Quorate).await.unwrap();
        assert_eq!(watched_by_lines(&Gateway::new(&fresh.endpoints()[0])).await, expected);
    }
}

/// The usual call of curl: the whole body is there at once.
#[tokio::test]
async fn a_watch_goes_on_when_its_requests_have_ended() {
    let [(_theirs, upstream), (_ours, own)] = both().await.unwrap();
    let mut told = Vec::new();
    for gateway in [&upstream, &own] {
        let mut watch = gateway.open("/v3/watch");
        watch.send(r#"{"create_request":{"key":"Zm9v"}}"#).await.unwrap();
        watch.end_requests();
        let mut lines = vec![watch.line().await.unwrap()];
        write(gateway, "/v3/kv/put", r#"{"key":"Zm9v","value":"MQ=="}"#).await;
        lines.push(watch.line().await.unwrap());
        told.push(lines);
    }
    assert_eq!(told[1], told[0]);
    assert_eq!(told[1][1].as_ref().unwrap()["result"]["events"][0]["kv"]["key"], "Zm9v");
}

async fn watchers(cluster: &Cluster) -> String {
    let (_, text) = health::get(cluster.endpoints()[0].parse().unwrap(), "/metrics").await.unwrap();
    let line = text.lines().find(|line| line.starts_with("etcd_debugging_mvcc_watcher_total "));
    line.unwrap().rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_watch() {
    let cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    let gateway = Gateway::new(&cluster.endpoints()[0]);
    let mut watch = gateway.open("/v3/watch");
    watch.send(r#"{"create_request":{"key":"Zm9v"}}"#).await.unwrap();
    watch.end_requests();
    watch.line().await.unwrap().unwrap();
    let mut socket = socket(&cluster.endpoints()[0], "/v3/watch").await;
    socket.send(Message::text(r#"{"create_request":{"key":"Zm9v"}}"#)).await.unwrap();
    message(&mut socket).await.unwrap();
    assert_eq!(watchers(&cluster).await, "2");
    drop((watch, socket));
    wait::until("the end of the watches", LIMIT, async || {
        Ok(match watchers(&cluster).await.as_str() {
            "0" => Look::Yes(()),
            count => Look::NotYet(format!("{count} watchers")),
        })
    })
    .await
    .unwrap();
}

type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn socket(endpoint: &str, path: &str) -> Socket {
    let mut request = format!("ws://{endpoint}{path}").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "Bearer, nobody".parse().unwrap());
    let stream = TcpStream::connect(endpoint).await.unwrap();
    let (socket, response) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "Bearer");
    socket
}

/// The next one that says something, normalised; `None` when there is none any more.
async fn message(socket: &mut Socket) -> Option<Value> {
    match tokio::time::timeout(LIMIT, socket.next()).await.unwrap()? {
        Ok(Message::Text(text)) => Some(gateway::normal(serde_json::from_str(&text).unwrap())),
        Ok(Message::Close(_)) | Err(tungstenite::Error::Protocol(_) | tungstenite::Error::Io(_)) => None,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_web_socket_carries_calls_as_upstreams() {
    let [(theirs, upstream), (ours, own)] = both().await.unwrap();
    let mut told = Vec::new();
    for (cluster, gateway) in [(&theirs, &upstream), (&ours, &own)] {
        let endpoint = &cluster.endpoints()[0];
        let mut watch = socket(endpoint, "/v3/watch").await;
        watch.send(Message::text(r#"{"create_request":{"key":"Zm9v"}}"#)).await.unwrap();
        let mut messages = vec![message(&mut watch).await];
        write(gateway, "/v3/kv/put", r#"{"key":"Zm9v","value":"MQ=="}"#).await;
        messages.push(message(&mut watch).await);
        watch.send(Message::text("{\"create_request\":\n{\"key\":\"YQ==\"}}")).await.unwrap();
        messages.push(message(&mut watch).await);

        let mut nowhere = socket(endpoint, "/v3beta/nowhere").await;
        messages.push(message(&mut nowhere).await);
        messages.push(message(&mut nowhere).await);
        told.push(messages);
    }
    assert_eq!(told[1], told[0]);
}

#[tokio::test]
async fn a_server_that_stops_ends_what_it_serves() {
    let mut cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    let gateway = Gateway::new(&cluster.endpoints()[0]);
    let mut watch = gateway.open("/v3/watch");
    watch.send(r#"{"create_request":{"key":"Zm9v"}}"#).await.unwrap();
    watch.end_requests();
    watch.line().await.unwrap().unwrap();
    let mut idle = socket(&cluster.endpoints()[0], "/v3/lease/keepalive").await;
    cluster.member(0).terminate().await.unwrap();
    assert_eq!(message(&mut idle).await, None);
}

#[tokio::test]
async fn a_snapshot_comes_in_parts_that_end_with_their_checksum() {
    let [(_theirs, upstream), (_ours, own)] = both().await.unwrap();
    for gateway in [&upstream, &own] {
        let mut snapshot = gateway.open("/v3/maintenance/snapshot");
        snapshot.end_requests();
        let (mut bytes, mut remaining) = (0, Vec::new());
        while let Some(line) = snapshot.line().await.unwrap() {
            let part = &line["result"];
            bytes += BASE64_STANDARD.decode(part["blob"].as_str().unwrap()).unwrap().len();
            remaining.push(part["remaining_bytes"].as_str().unwrap_or("0").to_owned());
        }
        assert_eq!((bytes % 512, remaining.last().map(String::as_str)), (32, Some("0")));
    }
}

/// A leader, and the next one.
#[tokio::test]
async fn an_election_is_observed_as_upstreams() {
    let [(_theirs, upstream), (_ours, own)] = both().await.unwrap();
    let mut told = Vec::new();
    for gateway in [&upstream, &own] {
        write(gateway, "/v3/lease/grant", r#"{"ID":9,"TTL":600}"#).await;
        write(gateway, "/v3/election/campaign", r#"{"name":"ZQ==","lease":9,"value":"YQ=="}"#).await;
        let mut elections = gateway.open("/v3/election/observe");
        elections.send(r#"{"name":"ZQ=="}"#).await.unwrap();
        elections.end_requests();
        let mut lines = vec![elections.line().await.unwrap()];
        write(gateway, "/v3/kv/put", r#"{"key":"ZS85","value":"Yg=="}"#).await;
        lines.push(elections.line().await.unwrap());
        told.push(lines);
    }
    assert_eq!(told[1], told[0]);
}

/// With authentication on, a certificate that names a user would be taken for one that speaks for it.
#[tokio::test]
async fn a_certificate_is_refused_where_it_would_name_a_user() {
    let mut told = Vec::new();
    for flavour in [Flavour::Upstream, Flavour::under_test()] {
        let mut secured = Secured::prepare(flavour, 1, &[]).unwrap();
        secured.start().await.unwrap();
        let (authority, client) = (secured.authority.certificate(), &secured.client);
        let mut curl = Ctl::of("curl".into()).argument("-sw").argument("%{http_code}");
        for (name, file) in [("--cacert", &authority), ("--cert", &client.cert), ("--key", &client.key)] {
            curl = curl.argument(name).argument(file.display().to_string());
        }
        let url = secured.cluster.members()[0].client_url();
        for (path, body) in [
            ("/v3/auth/user/add", r#"{"name":"root","password":"r"}"#),
            ("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#),
            ("/v3/auth/enable", ""),
        ] {
            let answer = curl.run(&[format!("{url}{path}").as_str(), "-d", body]).await.unwrap().success().unwrap();
            assert!(answer.ends_with("200"), "{path}: {answer}");
        }
        told.push(curl.run(&[format!("{url}/v3/auth/status").as_str(), "-d", ""]).await.unwrap().success().unwrap());
    }
    assert_eq!(told[1], told[0]);
    assert!(told[0].ends_with("400"), "{}", told[0]);
}

/// The blocks of a page in their order: the language, and the text.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    page.split("\n```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap()).collect()
}

#[tokio::test]
async fn every_command_of_the_page_prints_what_the_page_shows() {
    let page = std::fs::read_to_string(binaries::repository().join("docs/gateway.md")).unwrap();
    let blocks = blocks(&page);
    for flavour in [Flavour::Upstream, Flavour::under_test()] {
        let cluster = Cluster::single(flavour).await.unwrap();
        let mut printed = Vec::new();
        for (language, text) in &blocks {
            if *language == "json" {
                let expected = gateway::lines(text);
                assert_eq!(printed, expected, "on {flavour}, before {text}");
                continue;
            }
            // Only our server describes itself.
            if text.contains("openapi") && flavour == Flavour::Upstream {
                continue;
            }
            let script = text.replace("localhost:2379", &cluster.endpoints()[0]);
            let output = tokio::process::Command::new("/bin/sh").args(["-euc", &script]).output().await.unwrap();
            assert!(output.status.success(), "{text}\n{output:?}");
            printed = gateway::lines(&String::from_utf8(output.stdout).unwrap());
        }
    }
    assert!(blocks.len() >= 8, "{blocks:?}");
}
