//! What ends a stream from the member's side.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub(super) fn stopped() -> Status {
    Status::unavailable("etcdserver: server stopped")
}

pub(super) fn no_leader() -> Status {
    Status::unavailable("etcdserver: no leader")
}

/// Returns when the stream must end. `has_leader` is there if the stream requires a leader.
pub(super) async fn ending(
    shutdown: CancellationToken,
    has_leader: Option<watch::Receiver<bool>>,
    no_leader_timeout: Duration,
) -> Status {
    let lost = async {
        match has_leader {
            Some(has_leader) => leader_lost(has_leader, no_leader_timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => stopped(),
        () = lost => no_leader(),
    }
}

/// Returns once there was no leader for the whole of `timeout`.
async fn leader_lost(mut has_leader: watch::Receiver<bool>, timeout: Duration) {
    loop {
        if has_leader.wait_for(|has_leader| !has_leader).await.is_err() {
            // Nobody will tell any more: the member is stopping, which ends the stream by itself.
            return std::future::pending().await;
        }
        let back = async { has_leader.wait_for(|has_leader| *has_leader).await.is_ok() };
        match tokio::time::timeout(timeout, back).await {
            Err(_elapsed) => return,
            Ok(true) => {}
            Ok(false) => return std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance, timeout};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(3);

    #[tokio::test(start_paused = true)]
    async fn a_stream_without_a_leader_ends_after_the_timeout_only() {
        let (leader, has_leader) = watch::channel(true);
        let mut end = Box::pin(ending(CancellationToken::new(), Some(has_leader), TIMEOUT));
        assert!(timeout(TIMEOUT * 10, &mut end).await.is_err());
        leader.send_replace(false);
        assert!(timeout(TIMEOUT - Duration::from_millis(1), &mut end).await.is_err());
        leader.send_replace(true);
        assert!(timeout(TIMEOUT * 10, &mut end).await.is_err());
        leader.send_replace(false);
        let since = Instant::now();
        assert_eq!(end.await.message(), no_leader().message());
        assert_eq!(since.elapsed().as_secs(), TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_requires_no_leader_ends_at_shutdown_only() {
        let shutdown = CancellationToken::new();
        let mut end = Box::pin(ending(shutdown.clone(), None, TIMEOUT));
        advance(TIMEOUT * 2).await;
        assert!(timeout(TIMEOUT, &mut end).await.is_err());
        shutdown.cancel();
        assert_eq!(end.await.message(), stopped().message());
    }
}
