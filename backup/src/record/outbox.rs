use std::collections::VecDeque;
use std::future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::status::RecordedTo;
use crate::changes::{Name, Shelf, ShelfError};

/// Sealed chunks that wait for the store.
pub(super) const BYTES_MAX: usize = 16 << 20;

/// Shorter than what a kubelet waits for a pod's end.
pub(super) const LAST_LIMIT: Duration = Duration::from_secs(20);

/// A chunk to be written.
pub(super) struct Letter {
    pub(super) name: Name,
    pub(super) bytes: Bytes,
    pub(super) recorded: RecordedTo,
}

/// Writes chunks one behind the other, so that what is in the store has no gaps, and tries again as long as it takes.
pub(super) struct Outbox {
    shelf: Shelf,
    letters: VecDeque<Letter>,
    bytes: usize,
    writing: Option<Writing>,
    backoff: Backoff,
    retry_at: Option<Instant>,
}

type Writing = Pin<Box<dyn Future<Output = Result<(), ShelfError>> + Send>>;

impl Outbox {
    pub(super) fn new(shelf: Shelf) -> Self {
        let backoff = Backoff::new();
        Self { shelf, letters: VecDeque::new(), bytes: 0, writing: None, backoff, retry_at: None }
    }

    pub(super) fn push(&mut self, letter: Letter) {
        self.bytes += letter.bytes.len();
        self.letters.push_back(letter);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// Goes on writing, and returns after each attempt; never if there is nothing to write. Nothing is lost if the future is dropped.
    pub(super) async fn step(&mut self) -> Result<Letter, ShelfError> {
        let Some(letter) = self.letters.front() else { return future::pending().await };
        if let Some(retry_at) = self.retry_at {
            tokio::time::sleep_until(retry_at).await;
            self.retry_at = None;
        }
        let writing = self.writing.get_or_insert_with(|| {
            let (shelf, name, bytes) = (self.shelf.clone(), letter.name, letter.bytes.clone());
            Box::pin(async move { shelf.write(&name, bytes).await })
        });
        let result = writing.await;
        self.writing = None;
        if let Err(error) = result {
            self.retry_at = Some(Instant::now() + self.backoff.next());
            return Err(error);
        }
        self.backoff.reset();
        let Some(letter) = self.letters.pop_front() else { return future::pending().await };
        self.bytes -= letter.bytes.len();
        Ok(letter)
    }
}
