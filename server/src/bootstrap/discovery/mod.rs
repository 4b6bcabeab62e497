//! The first members find each other through a service that all of them know.

pub mod keys;
mod protocol;
pub mod url;

use std::time::Duration;

/// Waits between two tries are 2, 4, 8 ... up to 256 seconds, as in etcd.
const LONGEST_WAIT: u32 = 8;

#[derive(Default)]
struct Waits(u32);

impl Waits {
    async fn wait(&mut self) {
        self.0 = (self.0 + 1).min(LONGEST_WAIT);
        let wait = Duration::from_secs(1 << self.0);
        tracing::warn!(?wait, "the discovery service does not serve; trying again");
        tokio::time::sleep(wait).await;
    }
}
