//! A way to a member on which everything takes its time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::Error;
use crate::port::Port;

/// Pieces on their way in one direction of a connection.
const PIECES: usize = 1024;
const PIECE_BYTES: usize = 16 << 10;

/// Passes connections on; dropping it ends them.
#[derive(Debug)]
pub struct Link {
    port: Port,
    delay_ms: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Link {
    /// A link without a delay.
    pub async fn start(target: SocketAddr) -> Result<Link, Error> {
        let port = Port::reserve()?;
        let listener = TcpListener::bind(port.address()).await.map_err(Error::io("listening for a link"))?;
        let delay_ms = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(accept(listener, target, delay_ms.clone()));
        Ok(Link { port, delay_ms, task })
    }

    /// What is sent from now on takes this long, in each direction.
    pub fn delay(&self, by: Duration) {
        self.delay_ms.store(by.as_millis() as u64, Ordering::Relaxed);
    }

    /// Where it begins.
    pub fn url(&self) -> String {
        self.port.url()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, delay_ms: Arc<AtomicU64>) {
    // Dropped with this task, and the connections with it.
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        // A member that doesn't listen yet: the one that asked tries again.
        let Ok(far) = TcpStream::connect(target).await else { continue };
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        connections.spawn(pass(near_in, far_out, delay_ms.clone()));
        connections.spawn(pass(far_in, near_out, delay_ms.clone()));
    }
}

async fn pass(mut from: OwnedReadHalf, to: OwnedWriteHalf, delay_ms: Arc<AtomicU64>) {
    let (sender, receiver) = mpsc::channel(PIECES);
    let arriving = arrive(receiver, to);
    let leaving = async move {
        let mut piece = vec![0; PIECE_BYTES];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            let due = Instant::now() + Duration::from_millis(delay_ms.load(Ordering::Relaxed));
            if sender.send((due, piece[..length].to_vec())).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(leaving, arriving);
}

async fn arrive(mut pieces: mpsc::Receiver<(Instant, Vec<u8>)>, mut to: OwnedWriteHalf) {
    while let Some((due, piece)) = pieces.recv().await {
        tokio::time::sleep_until(due).await;
        if to.write_all(&piece).await.is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_sent_arrives_whole_and_late() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = Link::start(listener.local_addr().unwrap()).await.unwrap();
        let delay = Duration::from_millis(50);
        link.delay(delay);
        let begun = Instant::now();
        let mut near = TcpStream::connect(link.url().strip_prefix("http://").unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let sent = vec![7; 3 * PIECE_BYTES];
        near.write_all(&sent).await.unwrap();
        near.shutdown().await.unwrap();
        let mut arrived = Vec::new();
        far.read_to_end(&mut arrived).await.unwrap();
        assert_eq!(arrived, sent);
        assert!(begun.elapsed() >= delay);
    }
}
