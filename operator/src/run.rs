//! The process: it serves health and metrics, waits until it is the one that acts, and acts until it is told to stop. If any part ends by
//! itself, the process does, and Kubernetes starts it anew.

use std::net::SocketAddr;
use std::sync::Arc;

use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::lead;
use crate::metrics::Metrics;
use crate::serve::{self, Health};
use crate::watch;

/// Of the process.
pub struct Settings {
    pub watch: watch::Settings,
    pub listen_address: SocketAddr,
    /// Replicas elect a leader by a Lease in this namespace.
    pub lease_namespace: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no way to Kubernetes")]
    Kubernetes(#[from] kube::Error),
    #[error("failed to listen on {address} for health and metrics")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("failed to wait for signals")]
    Signal(#[source] std::io::Error),
    #[error(transparent)]
    Lead(#[from] lead::Error),
    #[error("the watches have ended")]
    Ended,
}

pub async fn run(settings: Settings) -> Result<(), Error> {
    let client = Client::try_default().await?;
    let (health, metrics) = (Health::default(), Arc::new(Metrics::default()));
    let address = settings.listen_address;
    let serving = serve::serve(address, health.clone(), metrics.clone());
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signal)?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::select! {
        served = serving => served.map_err(|source| Error::Listen { address, source }),
        acted = lead_and_act(client, settings, metrics, health, stop) => acted,
    }
}

async fn lead_and_act(
    client: Client,
    settings: Settings,
    metrics: Arc<Metrics>,
    health: Health,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    tokio::pin!(stop);
    let Some(namespace) = settings.lease_namespace else {
        metrics.leads(true);
        return act(client, settings.watch, metrics, health, stop).await;
    };
    // A replica that stands by is as ready as it can be.
    health.is_ready();
    let lease = lead::lease(settings.watch.namespace.as_deref());
    let acquired = lead::acquire(client.clone(), &namespace, &lease, &settings.watch.identity);
    let mut leadership = tokio::select! {
        acquired = acquired => acquired?,
        () = &mut stop => return Ok(()),
    };
    tracing::info!(identity = settings.watch.identity, namespace, lease, "holds the Lease, and acts from now on");
    metrics.leads(true);
    tokio::select! {
        acted = act(client, settings.watch, metrics, health, stop) => acted?,
        // Another acts from now on: what was begun is not finished.
        lost = leadership.lost() => return Err(lost.into()),
    }
    Ok(leadership.release().await?)
}

/// Until it is told to stop; then what was begun is finished first.
async fn act(
    client: Client,
    settings: watch::Settings,
    metrics: Arc<Metrics>,
    health: Health,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let (tell, told) = oneshot::channel::<()>();
    let stopped = async { drop(told.await) };
    let watching = watch::run(client, settings, metrics, health, stopped);
    tokio::pin!(watching);
    tokio::select! {
        () = &mut watching => return Err(Error::Ended),
        () = stop => drop(tell),
    }
    watching.await;
    Ok(())
}
