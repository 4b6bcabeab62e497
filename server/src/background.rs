//! Threads for work that takes long and may take longer: what serves clients goes first.

use std::io;
use std::thread;

use tokio::sync::{Semaphore, oneshot};

/// What `nice` calls it; threads that serve have the process's own, usually 0.
const NICENESS: i32 = 10;
/// Threads at a time, as many as tokio has for work that blocks; more work waits for its turn.
static PLACES: Semaphore = Semaphore::const_new(512);

/// Runs `work` on a thread of its own; its result, or an error if it panicked.
pub async fn run<T: Send + 'static>(name: &'static str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (result, done) = oneshot::channel();
    start(name, move || {
        // Whoever asked may have gone.
        let _ = result.send(work());
    })
    .await?;
    done.await.map_err(|_| io::Error::other(format!("the thread {name} has panicked")))
}

/// Runs `work` on a thread of its own, for whoever doesn't wait for it.
pub async fn start(name: &'static str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let place = PLACES.acquire().await.map_err(io::Error::other)?;
    spawn(name, move || {
        let _place = place;
        work();
    })
}

/// A thread that lives as long as what made it, so that it has no place among the bounded ones.
pub fn spawn(name: &'static str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let yielding = move || {
        if let Err(error) = give_way() {
            tracing::debug!(%error, name, "the thread keeps the usual priority");
        }
        work();
    };
    thread::Builder::new().name(name.to_owned()).spawn(yielding).map(drop)
}

/// A process that gives way to others by itself goes on doing so.
fn give_way() -> rustix::io::Result<()> {
    let own = Some(rustix::thread::gettid());
    match rustix::process::getpriority_process(own)? {
        now if now < NICENESS => rustix::process::setpriority_process(own, NICENESS),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_work_yields_and_its_caller_does_not() {
        let nice = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = nice();
        let (inside, others) = (run("yields", nice).await.unwrap(), nice());
        assert_eq!((inside, others), (before.max(NICENESS), before));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_no_hang() {
        assert!(run::<()>("panics", || panic!("on purpose")).await.is_err());
    }
}
