//! Opening a log: every segment is read once, in order, and everything in it is checked.
//!
//! What may be wrong, and what becomes of it:
//! - **A torn end.** The last batch was being written when the machine stopped, so parts of it are missing: sectors of it are zero, or
//!   the file ends inside a record. Nothing of that batch was acknowledged; it is cut off, and what is left of it is zeroed.
//! - **Anything else** is damage to what was once durable, and the member must not start: it would have forgotten what it told others.
//!   That holds for an apparent tear, too, if a sync mark (see `writer`) stands behind it: then the batch it is in was durable. Logs
//!   written by etcd have no sync marks; for those etcd's own rule is all there is.
//!
//! A record's type is outside its checksum, so one flipped bit can turn a record into one of another kind. The codec refuses data that
//! has not the form of its kind, and the checks of [`Replay`] refuse what raft never writes: a hole, a term or a state that goes back, a
//! committed entry replaced, a commit index without an entry.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use quorate_format::wal::{self as format, Decoder, Encoder, Record, SegmentName};
use tokio::sync::{Notify, watch};

use super::catalog::{Catalog, Marking, Segment};
use super::disk::{Disk, File};
use super::entry::{HardState, Metadata};
use super::error::Error;
use super::leftovers::Leftovers;
use super::options::Options;
use super::read::FileReader;
use super::replay::Replay;
use super::segment::TEMPORARY_SUFFIX;
use super::shared::{Shared, State};
use super::spare::Spare;
use super::writer::{Active, Writer};
use crate::position::Position;

/// What an opened log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    pub metadata: Metadata,
    /// The state saved last, with the highest commit index written.
    pub state: Option<HardState>,
    /// Position in front of the first entry: the oldest snapshot marker with all entries behind it.
    pub purged: Position,
    /// Position of the last entry; `purged` if there is none.
    pub last: Position,
    /// The newest snapshot marker.
    pub snapshot: Position,
    /// Bytes of a torn end that were cut off.
    pub torn_bytes: u64,
}

impl Recovered {
    /// Index of the first entry, or the one it will have.
    pub fn first_index(&self) -> u64 {
        self.purged.index + 1
    }
}

/// The crc record and the metadata.
const HEAD_RECORDS_MIN: usize = 2;
/// Bytes of one read while scanning.
const SCAN_BYTES: u64 = 1 << 20;

pub(super) fn open(dir: &Path, options: &Options) -> Result<(Recovered, Arc<Shared>, Writer), Error> {
    let disk = &*options.disk;
    let names = segment_names(disk, dir)?;
    let Some(first) = names.first() else { return Err(Error::Missing(dir.to_owned())) };

    let mut replay = Replay::new(first.first_index, options.tail_bytes);
    let mut catalog = Catalog::default();
    let mut marking = Marking::default();
    let mut chain = None;
    let mut end = None;
    for (at, name) in names.iter().enumerate() {
        let path = dir.join(name.to_string());
        let file = disk.open(&path).map_err(Error::io("open", &path))?;
        let mut scan = Scan {
            path,
            file,
            name: *name,
            last_segment: at + 1 == names.len(),
            catalog: &mut catalog,
            marking: &mut marking,
        };
        let scanned = scan.run(&mut replay, chain)?;
        chain = Some(scanned.crc);
        end = Some((scanned, scan.path, scan.file, *name));
    }
    let Some((scanned, path, file, name)) = end else { return Err(Error::Missing(dir.to_owned())) };
    let metadata = replay.metadata().ok_or_else(|| Error::NoStart(dir.to_owned()))?;
    let highest_index = scanned.highest_index;

    if scanned.size < options.segment_bytes {
        // A segment has its full size before it has its name, so this is no crash's work: what stood behind is lost.
        let reason = format!("it has {} bytes and was made with {}", scanned.size, options.segment_bytes);
        return Err(Error::Damaged { file: path, offset: scanned.end, reason });
    }
    let torn_bytes = cut(&path, &*file, &scanned)?;
    // The page cache may hold what the process before wrote and never synced. It counts from now on, so it must be durable. Growing
    // back to full size can fail when the disk is full, and only costs speed.
    if let Err(error) = file.allocate(options.segment_bytes) {
        tracing::warn!(path = %path.display(), %error, "cannot reserve space for the current log segment");
    }
    file.sync_all().map_err(Error::io("sync", &path))?;
    disk.sync_dir(dir).map_err(Error::io("sync", dir))?;

    let last_written = replay.last_index();
    let replayed = replay.finish().ok_or_else(|| Error::NoStart(dir.to_owned()))?;
    let recovered = Recovered {
        metadata,
        state: replayed.state,
        purged: replayed.purged,
        last: replayed.last,
        snapshot: replayed.snapshot,
        torn_bytes,
    };
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            purged: replayed.purged,
            last: replayed.last,
            terms: replayed.terms,
            tail: replayed.tail,
            hard_state: replayed.state,
            marked_index: replayed.snapshot.index,
            catalog,
            queue: Default::default(),
            queued_bytes: 0,
            ticket: 0,
            closed: false,
            failure: None,
        }),
        work: Condvar::new(),
        room: Notify::new(),
        failure: watch::Sender::new(None),
        queue_bytes_max: options.queue_bytes,
        queue_commands_max: options.queue_commands,
    });
    let writer = Writer {
        shared: shared.clone(),
        spare: Spare::new(options.disk.clone(), options.observer.clone(), dir.to_owned(), options.segment_bytes),
        options: options.clone(),
        dir: dir.to_owned(),
        metadata,
        active: Active { name, path, file, offset: scanned.end, begun: true, highest_index },
        encoder: Encoder::new(scanned.crc),
        buffer: Vec::new(),
        marking,
        marks: Vec::new(),
        state: replayed.state,
        last_index: last_written,
        sealed: false,
        purge_sequence: 0,
    };
    Ok((recovered, shared, writer))
}

/// The segments of a folder, in order and without a hole. Unfinished files are removed, other files are left alone.
fn segment_names(disk: &dyn Disk, dir: &Path) -> Result<Vec<SegmentName>, Error> {
    let listed = match disk.list(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Error::Missing(dir.to_owned())),
        listed => listed.map_err(Error::io("list log folder", dir))?,
    };
    let mut names = Vec::new();
    for file in listed {
        let path = dir.join(&file);
        if let Ok(name) = file.parse::<SegmentName>() {
            names.push(name);
        } else if file.ends_with(".wal") {
            return Err(Error::BadName(path));
        } else if file.ends_with(TEMPORARY_SUFFIX) {
            disk.remove_file(&path).map_err(Error::io("remove unfinished log segment", &path))?;
        } else {
            tracing::warn!(path = %path.display(), "ignoring a file in the log folder that is not a log segment");
        }
    }
    names.sort_unstable();
    for pair in names.windows(2) {
        let [before, after] = pair else { continue };
        if after.sequence != before.sequence + 1 {
            let missing = before.sequence + 1;
            return Err(Error::MissingSegment { missing, before: dir.join(after.to_string()) });
        }
    }
    Ok(names)
}

/// Reads one segment.
struct Scan<'a> {
    path: PathBuf,
    file: Arc<dyn File>,
    name: SegmentName,
    last_segment: bool,
    catalog: &'a mut Catalog,
    marking: &'a mut Marking,
}

struct Scanned {
    /// Behind the last whole record.
    end: u64,
    size: u64,
    crc: u32,
    highest_index: u64,
    /// Why the record at `end` counts as torn, if one does.
    torn: Option<&'static str>,
}

impl Scan<'_> {
    fn run(&mut self, replay: &mut Replay, chain: Option<u32>) -> Result<Scanned, Error> {
        let size = self.file.size().map_err(Error::io("read", &self.path))?;
        let mut highest_index = replay.last_index();
        self.catalog.push_segment(Segment {
            name: self.name,
            path: self.path.clone(),
            file: self.file.clone(),
            highest_index,
        });

        let reader = BufReader::with_capacity(size.min(SCAN_BYTES) as usize, FileReader::new(self.file.clone(), 0));
        let mut decoder = Decoder::new(reader, size, chain, self.last_segment);
        let mut torn = None;
        let mut records = 0;
        loop {
            let (offset, crc) = (decoder.offset(), decoder.crc());
            let record = match decoder.next() {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(format::Error::Torn { reason, .. }) => {
                    torn = Some(reason);
                    break;
                }
                Err(format::Error::Damaged { offset, reason }) => return Err(self.damaged(offset, reason.to_owned())),
                Err(format::Error::Read { source, .. }) => return Err(Error::io("read", &self.path)(source)),
            };
            records += 1;
            if let Record::Entry(entry) = &record {
                highest_index = highest_index.max(entry.index);
                if let Some(mark) = self.marking.entry(entry.index, self.name.sequence, offset, crc) {
                    self.catalog.push_mark(mark);
                }
            }
            match replay.record(record) {
                Ok(false) => {}
                // The entries before are gone.
                Ok(true) => self.marking.reset(),
                Err(reason) => return Err(self.damaged(offset, reason)),
            }
        }
        // A segment gets its name when its head is durable: no crash tears that.
        if records < HEAD_RECORDS_MIN {
            return Err(self.damaged(decoder.offset(), torn.unwrap_or("its head is missing").to_owned()));
        }
        self.catalog.raise(self.name.sequence, highest_index);
        Ok(Scanned { end: decoder.offset(), size, crc: decoder.crc(), highest_index, torn })
    }

    fn damaged(&self, offset: u64, reason: String) -> Error {
        Error::Damaged { file: self.path.clone(), offset, reason }
    }
}

/// Zeroes what stands behind the last whole record, if it can be the rest of a write that never finished. Returns its bytes.
fn cut(path: &Path, file: &dyn File, scanned: &Scanned) -> Result<u64, Error> {
    let Scanned { end, size, torn, .. } = scanned;
    let leftovers = Leftovers::find(file, *end, *size).map_err(Error::io("read", path))?;
    if let Some(mark) = leftovers.sync_mark {
        let reason = torn.unwrap_or("its length field is zero");
        let reason = format!("{reason}, and it is no torn write: a sync mark at byte {mark} says that it was durable");
        return Err(Error::Damaged { file: path.to_owned(), offset: *end, reason });
    }
    if leftovers.end == *end {
        return Ok(0);
    }
    let torn_bytes = leftovers.end - end;
    tracing::warn!(
        path = %path.display(), offset = end, bytes = torn_bytes, reason = torn.unwrap_or("its first sector is missing"),
        "cutting off the end of the log: its last write is not whole, as a crash in the middle of it leaves it",
    );
    leftovers.zero(file).map_err(Error::io("write", path))?;
    Ok(torn_bytes)
}
