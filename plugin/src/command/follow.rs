//! Waits for the operator, and repeats what it says.

use std::time::Duration;

use jiff::SignedDuration;
use quorate_operator::crd::EtcdCluster;
use quorate_operator::crd::status::Phase;
use tokio::time::Instant;

use super::say;
use crate::Error;
use crate::access::Access;

/// Between two looks.
const STEP: Duration = Duration::from_secs(1);

/// Until the operator has seen the last change of the resource and `is_done` holds.
pub async fn until(
    access: &Access,
    name: &str,
    what: &str,
    limit: SignedDuration,
    is_done: impl AsyncFn(&EtcdCluster) -> Result<bool, Error>,
) -> Result<(), Error> {
    let begun = Instant::now();
    let mut last = String::new();
    loop {
        let cluster = access.cluster(name).await?;
        if let Some(status) = cluster.status.as_ref().filter(|_| is_seen(&cluster)) {
            let message = status.message.clone().unwrap_or_default();
            if message != last {
                say::line(&message)?;
                last = message;
            }
            if let Some(Phase::Invalid | Phase::Paused) = status.phase {
                return Err(Error::situation(format!("{name} doesn't go on: {last}"), "change its resource"));
            }
            if is_done(&cluster).await? {
                return Ok(());
            }
        }
        if begun.elapsed().as_secs() >= limit.as_secs().unsigned_abs() {
            let last = if last.is_empty() { "nothing; is an operator running?".to_owned() } else { last };
            return Err(Error::TooLate { what: what.to_owned(), limit_s: limit.as_secs(), last });
        }
        tokio::time::sleep(STEP).await;
    }
}

fn is_seen(cluster: &EtcdCluster) -> bool {
    cluster.status.as_ref().is_some_and(|status| status.observed_generation >= cluster.metadata.generation)
}

/// As the resource says, and nothing is under way.
pub fn is_at_rest(cluster: &EtcdCluster) -> bool {
    let status = cluster.status.as_ref();
    status.is_some_and(|status| status.phase == Some(Phase::Running) && status.step.is_none())
}
