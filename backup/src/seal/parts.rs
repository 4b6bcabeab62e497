//! Between a thread that seals and a task that carries: a pipe of whole parts.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::mpsc;

/// Of every part but the last.
pub const PART_BYTES: usize = 8 << 20;
/// On their way.
const PARTS: usize = 1;

/// Both ends, for sealing: the thread writes, the task receives parts.
pub fn parts() -> (PartWriter, mpsc::Receiver<Bytes>) {
    let (sender, receiver) = mpsc::channel(PARTS);
    (PartWriter { sender, part: BytesMut::new() }, receiver)
}

/// Cuts what is written. Blocks while nobody takes parts.
pub struct PartWriter {
    sender: mpsc::Sender<Bytes>,
    part: BytesMut,
}

impl PartWriter {
    /// Sends the last part.
    pub fn finish(mut self) -> io::Result<()> {
        if self.part.is_empty() { Ok(()) } else { self.send() }
    }

    fn send(&mut self) -> io::Result<()> {
        let part = self.part.split().freeze();
        self.sender.blocking_send(part).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.capacity() == 0 {
            self.part.reserve(PART_BYTES);
        }
        let taken = bytes.len().min(PART_BYTES - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        if self.part.len() == PART_BYTES {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The other way: the task sends parts, the thread reads. It ends when the sender is dropped.
pub struct PartReader {
    receiver: mpsc::Receiver<Bytes>,
    part: Bytes,
}

impl PartReader {
    pub fn new() -> (mpsc::Sender<Bytes>, Self) {
        let (sender, receiver) = mpsc::channel(PARTS);
        (sender, Self { receiver, part: Bytes::new() })
    }
}

impl Read for PartReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            match self.receiver.blocking_recv() {
                Some(part) => self.part = part,
                None => return Ok(0),
            }
        }
        let read = buffer.len().min(self.part.len());
        self.part.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}
