use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::disk::Disk;
use super::error::Failure;
use super::options::Observer;
use super::segment::Blank;

/// Prepares the next segment ahead of need, on a thread of its own, so that filling a segment doesn't stop writing while the file
/// system looks for space. It is also a reserve: a full disk shows a whole segment before the log would have to stop.
pub(super) struct Spare {
    maker: Maker,
    /// Takes one request at a time.
    requests: Option<SyncSender<()>>,
    blanks: Option<Receiver<Result<Blank, Failure>>>,
}

#[derive(Clone)]
struct Maker {
    disk: Arc<dyn Disk>,
    observer: Arc<dyn Observer>,
    dir: PathBuf,
    segment_bytes: u64,
}

impl Spare {
    pub(super) fn new(disk: Arc<dyn Disk>, observer: Arc<dyn Observer>, dir: PathBuf, segment_bytes: u64) -> Self {
        Self { maker: Maker { disk, observer, dir, segment_bytes }, requests: None, blanks: None }
    }

    /// From here on segments are prepared ahead; without it each is made when it is needed.
    pub(super) fn start(&mut self) {
        let (requests, asked) = sync_channel(1);
        let (made, blanks) = sync_channel(1);
        let maker = self.maker.clone();
        let thread = thread::Builder::new().name("wal-spare".to_owned()).spawn(move || {
            // Two names by turns, as etcd's: the segment before may not have got its real name yet.
            let mut stems = ["0", "1"].into_iter().cycle();
            while let (Ok(()), Some(stem)) = (asked.recv(), stems.next()) {
                let blank = maker.make(stem);
                if let Err(failure) = &blank
                    && failure.is_out_of_space()
                {
                    tracing::warn!(error = %failure, "no space for the next log segment; the current one still has room");
                    maker.observer.low_space();
                }
                if let Err(unwanted) = made.send(blank) {
                    maker.discard(unwanted.0);
                }
            }
        });
        // No thread means no spare: segments are then made when needed.
        if thread.is_ok() {
            let _ = requests.try_send(());
            (self.requests, self.blanks) = (Some(requests), Some(blanks));
        }
    }

    /// The next segment, and asks for the one behind it.
    pub(super) fn take(&mut self) -> Result<Blank, Failure> {
        let prepared = self.blanks.as_ref().and_then(|blanks| blanks.recv().ok());
        let blank = match prepared {
            Some(Ok(blank)) => Ok(blank),
            // Space may have been freed since the attempt ahead of need: it counts as none.
            Some(Err(_)) | None => self.maker.make("2"),
        };
        if let Some(requests) = &self.requests {
            let _ = requests.try_send(());
        }
        blank
    }

    /// Ends the thread and removes the file it made ahead.
    pub(super) fn stop(&mut self) {
        self.requests = None;
        if let Some(blanks) = self.blanks.take() {
            while let Ok(blank) = blanks.recv() {
                self.maker.discard(blank);
            }
        }
    }
}

impl Maker {
    fn make(&self, stem: &str) -> Result<Blank, Failure> {
        Blank::prepare(&*self.disk, &self.dir, stem, self.segment_bytes)
    }

    fn discard(&self, blank: Result<Blank, Failure>) {
        if let Ok(blank) = blank {
            // Failing leaves a file that the next start removes.
            let _ = self.disk.remove_file(&blank.path);
        }
    }
}
