//! What a running member tells of itself: profiles that Go's tool reads, and lines of another level.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::gateway::Gateway;
use quorate_e2e::health;
use quorate_e2e::wait::{self, Look};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(20);

async fn member(flag: &str) -> (Cluster, SocketAddr) {
    let cluster = Cluster::builder(Flavour::under_test(), 1).flag(flag).start().await.unwrap();
    let address = cluster.members()[0].endpoint().parse().unwrap();
    (cluster, address)
}

/// Status code and body.
async fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let answer = Gateway::new(&address.to_string()).ask(method, path, body.to_owned()).await.unwrap();
    (answer.code, answer.body)
}

/// Writes until it is dropped, so that there is something to profile.
fn writer(cluster: &Cluster) -> tokio::task::JoinHandle<()> {
    let endpoint = cluster.endpoints();
    tokio::spawn(async move {
        let mut client = quorate_e2e::member::connect(&endpoint).await.unwrap();
        loop {
            client.put("key", "value", None).await.unwrap();
        }
    })
}

#[tokio::test]
async fn gos_tool_reads_a_profile_and_finds_the_functions_that_serve() {
    let (cluster, address) = member("--enable-pprof").await;
    // Many, so that a busy machine has something to see too.
    let writers: Vec<_> = (0..16).map(|_| writer(&cluster)).collect();
    let url = format!("http://{address}/debug/pprof/profile?seconds=5");
    let tool = Command::new("go")
        .args(["tool", "pprof", "-top", "-cum", "-nodecount=500", &url])
        .env("PPROF_TMPDIR", cluster.folder())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(60), tool).await.unwrap().unwrap();
    writers.iter().for_each(tokio::task::JoinHandle::abort);
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}{errors}");
    // Ours runs on tokio, whatever is inlined into what; a program whose names are not found has none.
    let function = if Flavour::under_test() == Flavour::Upstream { "etcdserver" } else { "tokio::" };
    assert!(text.contains(function) && text.contains("Type: cpu") && text.contains("Duration: 5"), "{text}{errors}");
    assert!(!text.contains("perf_signal_handler"), "{text}");
}

#[tokio::test]
async fn one_profile_is_taken_at_a_time_and_ends_with_whoever_asked_for_it() {
    let (_cluster, address) = member("--enable-pprof").await;
    let mut asking = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /debug/pprof/profile?seconds=60 HTTP/1.1\r\nHost: {address}\r\n\r\n");
    asking.write_all(request.as_bytes()).await.unwrap();
    wait::until("a refusal", LIMIT, async || {
        let (code, body) = ask(address, "GET", "/debug/pprof/profile?seconds=1", "").await;
        Ok(if code == 500 { Look::Yes(body) } else { Look::NotYet(format!("{code}")) })
    })
    .await
    .map(|body| assert!(body.contains("cpu profiling already in use"), "{body}"))
    .unwrap();
    drop(asking);
    wait::until("a profile", LIMIT, async || {
        let (code, body) = ask(address, "GET", "/debug/pprof/profile?seconds=1", "").await;
        Ok(if code == 200 { Look::Yes(()) } else { Look::NotYet(body) })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn profiles_are_there_when_they_are_asked_for_or_lines_are_of_level_debug() {
    for (flag, code) in [("--log-level=info", 404), ("--enable-pprof", 200), ("--log-level=debug", 200)] {
        let (_cluster, address) = member(flag).await;
        assert_eq!(health::get(address, "/debug/pprof/").await.unwrap().0, code, "{flag}");
        assert_eq!(health::get(address, "/debug/pprof/cmdline").await.unwrap().0, code, "{flag}");
    }
}

#[tokio::test]
async fn the_level_of_the_log_is_changed_while_the_member_runs() {
    let mut cluster = Cluster::builder(Flavour::Quorate, 1).flag("--enable-pprof").start().await.unwrap();
    let address = cluster.members()[0].endpoint().parse().unwrap();
    let path = "/config/local/log";
    assert_eq!(ask(address, "GET", path, "").await, (200, r#"{"Level":"INFO"}"#.to_owned()));
    assert_eq!(ask(address, "PUT", path, r#"{"Level":"DEBUG"}"#).await, (204, String::new()));
    assert_eq!(ask(address, "GET", path, "").await, (200, r#"{"Level":"DEBUG"}"#.to_owned()));
    cluster.member(0).running().unwrap().logs("the level of the log changes").await.unwrap();
    assert_eq!(ask(address, "PUT", path, r#"{"Level":"LOUD"}"#).await.0, 400);

    let (_other, address) = member("--log-level=info").await;
    assert_eq!(ask(address, "PUT", path, r#"{"Level":"DEBUG"}"#).await.0, 404);
}
