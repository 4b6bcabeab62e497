//! Commands in a member's pod.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use quorate_operator::desired::pod::CONTAINER;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::Error;
use crate::access::Access;

const LIMIT: Duration = Duration::from_secs(30);
/// Most bytes of an output that are read.
const OUTPUT_LIMIT: u64 = 1 << 20;

/// Runs etcdctl in a pod, and returns what it printed.
pub async fn etcdctl(access: &Access, pod: &str, arguments: Vec<String>) -> Result<String, Error> {
    let shown = format!(
        "etcdctl {}",
        arguments.iter().filter(|word| !word.starts_with("--")).cloned().collect::<Vec<_>>().join(" ")
    );
    let failed = |said: String| Error::Command { pod: pod.to_owned(), command: shown.clone(), said };
    let running = run(access, pod, arguments);
    let (out, errors, is_success) = tokio::time::timeout(LIMIT, running)
        .await
        .map_err(|_| failed(format!("no answer in {} s", LIMIT.as_secs())))??;
    if is_success {
        return Ok(out);
    }
    Err(failed(if errors.trim().is_empty() { out.trim().to_owned() } else { errors.trim().to_owned() }))
}

async fn run(access: &Access, pod: &str, arguments: Vec<String>) -> Result<(String, String, bool), Error> {
    let parameters = AttachParams::default().container(CONTAINER).stdin(false).stdout(true).stderr(true);
    let command = std::iter::once("/usr/local/bin/etcdctl".to_owned()).chain(arguments);
    let command: Vec<String> = command.collect();
    let refused = |error| access.failed_at("create", "pods/exec", error);
    let mut process = access.api::<Pod>().exec(pod, command, &parameters).await.map_err(refused)?;
    let (out, errors) = (process.stdout(), process.stderr());
    let status = process.take_status();
    let (out, errors, status) = tokio::join!(read(out), read(errors), async {
        match status {
            Some(status) => status.await,
            None => None,
        }
    });
    let is_success = status.is_some_and(|status| status.status.as_deref() == Some("Success"));
    Ok((out, errors, is_success))
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // A connection that breaks shows in the status, which is missing then.
        let _ = stream.take(OUTPUT_LIMIT).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
