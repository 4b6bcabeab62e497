//! The mirror: repeats every revision of a source cluster in a target that was made of a copy of it, until it is told to cut over.
//!
//! - [`Mirror`]: connects, and goes on where the target is. [`watch`]: one watch of the source. [`gather`]: revisions out of it.
//! - [`apply`]: revisions into the target, several on their way, by transactions ([`request`]) that do what is next whenever they
//!   arrive. [`fold`]: very many deletions in ranges.
//! - [`lease`]: when leases are to be renewed; [`keep`] does it.
//! - [`cut`]: the end. [`Divergence`]: the other end. [`Status`] is what it tells, by [`serve`].

mod apply;
mod cut;
mod divergence;
mod error;
mod fold;
mod follow;
mod gather;
mod keep;
mod lease;
mod member;
mod request;
mod revision;
mod serve;
mod status;
mod watch;

use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub use cut::{Cut, Refusal};
pub use divergence::Divergence;
pub use error::{Error, Side};
pub use follow::Mirror;
pub use status::{Board, Phase, Status};

use crate::etcd::Members;

/// Those who ask for the same at the same time.
const REQUESTS_MAX: usize = 4;

/// Mirrors, and serves what there is to tell about it. A mirror that has diverged goes on telling so.
pub async fn run(
    source: Members,
    target: Members,
    listener: TcpListener,
    token_file: PathBuf,
) -> std::io::Result<Error> {
    let board = Board::default();
    let (sender, requests) = mpsc::channel(REQUESTS_MAX);
    let front = serve::Front { board: board.clone(), requests: sender, token_file };
    let mirror = async {
        let error = Mirror::new(source, target, board.clone(), requests).run().await;
        if matches!(error, Error::Diverged(_)) {
            board.diverged(error.to_string());
            std::future::pending::<()>().await;
        }
        error
    };
    tokio::select! {
        error = mirror => Ok(error),
        served = front.serve(listener) => Err(served.err().unwrap_or_else(|| std::io::ErrorKind::BrokenPipe.into())),
    }
}
