//! Code of a test in the network of the control plane, where pods and Services are reached.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rustix::process::Pid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::Error;

/// A thread that is in the network, and runs the tasks that are given to it.
#[derive(Debug)]
pub struct Inside {
    handle: Handle,
    /// Dropped, it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Inside {
    /// In the network of a process.
    pub(super) fn start(process: Pid) -> Result<Inside, Error> {
        let path = format!("/proc/{}/ns/net", process.as_raw_nonzero());
        let network = File::open(&path).map_err(Error::io(format!("opening {path}")))?;
        let (started, outcome) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let entered = move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network));
            let runtime =
                entered.map_err(std::io::Error::from).and_then(|()| Builder::new_current_thread().enable_all().build());
            match runtime {
                Ok(runtime) => {
                    let _ = started.send(Ok(runtime.handle().clone()));
                    let _ = runtime.block_on(stopped);
                }
                Err(error) => drop(started.send(Err(error))),
            }
        });
        let ended = || std::io::Error::other("its thread has ended");
        let handle = outcome.recv().unwrap_or_else(|_| Err(ended())).map_err(Error::io("entering a network"))?;
        Ok(Inside { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// What `start` spawns runs inside.
    pub fn enter<T>(&self, start: impl FnOnce() -> T) -> T {
        let _entered = self.handle.enter();
        start()
    }

    /// Runs a future inside, to its end.
    pub async fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Result<T, Error> {
        self.handle
            .spawn(future)
            .await
            .map_err(|error| Error::Answer { what: "a task inside ended badly".into(), answer: error.to_string() })
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // It has nothing to say.
        }
    }
}
