//! The gateway does what its own description says: schemathesis makes requests of it, good and bad ones, the same each time.

use std::time::Duration;

use quorate_e2e::binaries::{Flavour, repository, tool};
use quorate_e2e::cluster::Cluster;
use quorate_e2e::cost::Cost;

/// 3,400 requests take half a minute on an idle machine.
const LIMIT: Duration = Duration::from_secs(300);
/// A member without keys has less than 100 MiB; what bad requests cost must not stay.
const MEMORY_LIMIT_BYTES: u64 = 300 << 20;
/// 44 operations with at least this many each, or nothing was tried.
const LEAST_REQUESTS: u64 = 44 * 15;

/// Of `  3394 generated, …`.
fn generated(printed: &str) -> Option<u64> {
    let line = printed.lines().find(|line| line.contains(" generated,"))?;
    line.trim().split(' ').next()?.parse().ok()
}

/// Upstream's gateway has no such description, so that this is ours alone.
#[tokio::test]
async fn no_request_shows_the_description_to_be_wrong() {
    let mut server = Cluster::single(Flavour::Quorate).await.unwrap();
    let url = format!("http://{}", server.endpoints()[0]);
    let configuration = repository().join("e2e/schemathesis");
    let folder = tempfile::tempdir().unwrap();
    let mut command = tokio::process::Command::new(tool("schemathesis").unwrap());
    // It keeps what it found in the folder it is started in.
    command.kill_on_drop(true).current_dir(folder.path());
    command.env("SCHEMATHESIS_HOOKS", configuration.join("checks.py"));
    command.arg("--config-file").arg(configuration.join("schemathesis.toml"));
    command.args(["run", &format!("{url}/v3/openapi.json"), "--url", &url, "--no-color"]);
    command.args(["--phases", "examples,coverage,fuzzing"]);
    let output = tokio::time::timeout(LIMIT, command.output()).await.unwrap().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(generated(&printed).unwrap() > LEAST_REQUESTS, "{printed}");

    let process = server.member(0).running().unwrap();
    process.must_run().unwrap();
    assert!(!process.log().contains("panicked"), "{}", process.log());
    let used = Cost::of(process.pid()).unwrap().rss_bytes;
    assert!(used < MEMORY_LIMIT_BYTES, "{used} bytes");
}

#[test]
fn requests_are_counted() {
    let printed =
        "Warnings:\n  20 operations mostly rejected generated data\nTest cases:\n  3394 generated, 50 found\n";
    assert_eq!(generated(printed), Some(3394));
    assert_eq!(generated("Test cases:\n"), None);
}
