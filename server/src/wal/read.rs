//! Reading entries: from memory, and what isn't there from the segments.

use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::sync::Arc;

use quorate_format::wal::{self as format, Decoder, Record};

use super::catalog::Run;
use super::disk::File;
use super::entry::Entry;
use super::error::Error;
use super::shared::Shared;

/// Bytes of one read from a segment.
const READ_BYTES: usize = 128 << 10;

pub(super) fn read(shared: &Shared, range: Range<u64>, limit_bytes: usize) -> Result<Vec<Entry>, Error> {
    let mut budget = Budget { limit_bytes, taken_bytes: 0, full: false };
    let mut entries = Vec::new();

    // One look at the log for both halves, so that they fit each other whatever is truncated or purged meanwhile.
    let (runs, recent) = {
        let state = shared.state.lock();
        let end = range.end.min(state.last.index + 1);
        let first_index = state.purged.index + 1;
        if range.start >= end {
            return Ok(entries);
        }
        if range.start < first_index {
            return Err(Error::Purged { index: range.start, first_index });
        }
        let memory_from = state.tail.first_index().unwrap_or(end).max(range.start);
        let recent = |budget: &mut Budget| -> Vec<Entry> {
            let wanted = usize::try_from(end.saturating_sub(memory_from)).unwrap_or(usize::MAX);
            state.tail.entries_from(memory_from).take(wanted).take_while(|entry| budget.take(entry)).cloned().collect()
        };
        if memory_from == range.start {
            return Ok(recent(&mut budget));
        }
        let disk_end = memory_from.min(end);
        let runs =
            state.catalog.runs(range.start, disk_end).ok_or(Error::Purged { index: range.start, first_index })?;
        // The budget of what comes from disk isn't known yet; these are shared, not copied.
        (runs, recent(&mut budget.clone()))
    };

    for run in runs {
        read_run(&run, range.start, &mut budget, &mut entries)?;
        if budget.full {
            return Ok(entries);
        }
    }
    entries.extend(recent.into_iter().take_while(|entry| budget.take(entry)));
    Ok(entries)
}

/// Reads the entries of a run from `start` on.
fn read_run(run: &Run, start: u64, budget: &mut Budget, entries: &mut Vec<Entry>) -> Result<(), Error> {
    let Run { segment, mark, end_index } = run;
    let size = segment.file.size().map_err(Error::io("read", &segment.path))?;
    let reader = BufReader::with_capacity(READ_BYTES, FileReader::new(segment.file.clone(), mark.offset));
    let mut decoder = Decoder::resume(reader, size, mark.offset, mark.chain);
    let damaged = |offset, reason: String| Error::Damaged { file: segment.path.clone(), offset, reason };

    let mut next_index = mark.first_index;
    while next_index < *end_index {
        let offset = decoder.offset();
        let record = match decoder.next() {
            Ok(Some(record)) => record,
            Ok(None) => return Err(damaged(offset, format!("the log ends in front of entry {next_index}"))),
            Err(format::Error::Read { source, .. }) => return Err(Error::io("read", &segment.path)(source)),
            Err(format::Error::Torn { offset, reason } | format::Error::Damaged { offset, reason }) => {
                return Err(damaged(offset, reason.to_owned()));
            }
        };
        let Record::Entry(entry) = record else { continue };
        if entry.index != next_index {
            return Err(damaged(offset, format!("entry {} where {next_index} should be", entry.index)));
        }
        next_index += 1;
        if entry.index >= start {
            let entry = Entry::from_record(entry);
            if !budget.take(&entry) {
                return Ok(());
            }
            entries.push(entry);
        }
    }
    Ok(())
}

/// Counts data against the caller's limit.
#[derive(Clone)]
struct Budget {
    limit_bytes: usize,
    taken_bytes: usize,
    full: bool,
}

impl Budget {
    /// Whether the entry is still to be returned. The first always is.
    fn take(&mut self, entry: &Entry) -> bool {
        let bytes = entry.data.len();
        // Blank entries count as well, so that a limit bounds their number too.
        let total = self.taken_bytes.saturating_add(bytes.max(1));
        self.full = self.full || self.taken_bytes > 0 && total > self.limit_bytes;
        if !self.full {
            self.taken_bytes = total;
        }
        !self.full
    }
}

/// A file from an offset on.
pub(super) struct FileReader {
    file: Arc<dyn File>,
    offset: u64,
}

impl FileReader {
    pub(super) fn new(file: Arc<dyn File>, offset: u64) -> Self {
        Self { file, offset }
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
