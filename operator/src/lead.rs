//! Of several replicas, one acts: the one that holds a Lease.

use kube::Client;
use kube_lease_manager::{LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Of operators that watch everything.
const LEASE: &str = "quorate-operator";
/// Seconds after which a silent holder is succeeded, and how long before that it renews at the latest.
const DURATION_SECONDS: u64 = 15;
const GRACE_SECONDS: u64 = 5;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to take part in the election by a Lease")]
    Lease(#[from] LeaseManagerError),
    #[error("the Lease is held by another: this replica ends, and stands by anew")]
    Lost,
    #[error("the task that renews the Lease has ended")]
    Ended,
}

/// A held Lease.
pub struct Leadership {
    state: watch::Receiver<bool>,
    task: JoinHandle<Result<kube_lease_manager::LeaseManager, LeaseManagerError>>,
}

/// Operators that watch different namespaces elect apart, though their Leases may be in one.
pub fn lease(watched: Option<&str>) -> String {
    watched.map_or_else(|| LEASE.to_owned(), |watched| format!("{LEASE}-{watched}"))
}

/// Waits until this replica is the one.
pub async fn acquire(client: Client, namespace: &str, lease: &str, identity: &str) -> Result<Leadership, Error> {
    let manager = LeaseManagerBuilder::new(client, lease)
        .with_namespace(namespace)
        .with_identity(identity)
        .with_duration(DURATION_SECONDS)
        .with_grace(GRACE_SECONDS)
        .build()
        .await?;
    let (mut state, task) = manager.watch().await;
    state.wait_for(|holds| *holds).await.map_err(|_| Error::Ended)?;
    Ok(Leadership { state, task })
}

impl Leadership {
    /// Returns when the Lease is lost.
    pub async fn lost(&mut self) -> Error {
        match self.state.wait_for(|holds| !*holds).await {
            Ok(_) => Error::Lost,
            Err(_) => Error::Ended,
        }
    }

    /// Gives the Lease back, so that another need not wait for its end.
    pub async fn release(self) -> Result<(), Error> {
        drop(self.state);
        self.task.await.map_err(|_| Error::Ended)?.map(drop).map_err(Error::Lease)
    }
}
