use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use quorate_format::wal::SegmentName;

use super::disk::File;

/// Where entries are on disk: the segments, and a mark about every 64 KiB.
///
/// It follows what was written, not what was asked for: an entry written with a lower index than the one before replaces that one and
/// all behind it, here as on replay.
#[derive(Default)]
pub(super) struct Catalog {
    segments: VecDeque<Segment>,
    /// Indexes rise. A mark covers the entries from its own through the one in front of the next mark, all in its segment.
    marks: VecDeque<Mark>,
}

#[derive(Clone)]
pub(super) struct Segment {
    pub(super) name: SegmentName,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn File>,
    /// Highest index of an entry written to it, replaced ones included; in front of the name's index if it has none.
    pub(super) highest_index: u64,
}

/// A place where reading can begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) first_index: u64,
    pub(super) sequence: u64,
    /// Of the entry's frame, in bytes.
    pub(super) offset: u64,
    /// The crc chain in front of that frame, so that what is read is verified.
    pub(super) chain: u32,
}

/// A run of entries to read from one segment.
pub(super) struct Run {
    pub(super) segment: Segment,
    pub(super) mark: Mark,
    /// Exclusive.
    pub(super) end_index: u64,
}

impl Catalog {
    pub(super) fn push_segment(&mut self, segment: Segment) {
        self.segments.push_back(segment);
    }

    pub(super) fn push_mark(&mut self, mark: Mark) {
        while self.marks.back().is_some_and(|last| last.first_index >= mark.first_index) {
            self.marks.pop_back();
        }
        self.marks.push_back(mark);
    }

    /// Notes the highest index written to a segment.
    pub(super) fn raise(&mut self, sequence: u64, index: u64) {
        if let Some(segment) = self.segments.iter_mut().rev().find(|segment| segment.name.sequence == sequence) {
            segment.highest_index = segment.highest_index.max(index);
        }
    }

    /// Where to read entries `start..end`, in order. `None` if some of them were never written.
    pub(super) fn runs(&self, start: u64, end: u64) -> Option<Vec<Run>> {
        let first = self.marks.partition_point(|mark| mark.first_index <= start).checked_sub(1)?;
        let marks = self.marks.range(first..).take_while(|mark| mark.first_index < end);
        let ends = self.marks.range(first + 1..).map(|next| next.first_index.min(end)).chain([end]);
        marks
            .zip(ends)
            .map(|(mark, end_index)| {
                let segment = self.segments.iter().find(|segment| segment.name.sequence == mark.sequence)?.clone();
                Some(Run { segment, mark: *mark, end_index })
            })
            .collect()
    }

    /// The oldest segment if all its entries are at or below `index` and it stands in front of segment `sequence`.
    pub(super) fn oldest_below(&self, index: u64, sequence: u64) -> Option<&Segment> {
        self.segments.front().filter(|oldest| oldest.highest_index <= index && oldest.name.sequence < sequence)
    }

    pub(super) fn remove_oldest(&mut self) {
        if let Some(segment) = self.segments.pop_front() {
            while self.marks.front().is_some_and(|mark| mark.sequence <= segment.name.sequence) {
                self.marks.pop_front();
            }
        }
    }

    pub(super) fn segment_count(&self) -> usize {
        self.segments.len()
    }
}

/// Decides which entries get a mark.
#[derive(Default)]
pub(super) struct Marking {
    /// Index that follows on the last entry, and the last mark's place; `None` if the next entry needs a mark in any case.
    last: Option<(u64, Mark)>,
}

/// Reading an entry from disk begins at most about this many bytes in front of it.
const MARK_DISTANCE_BYTES: u64 = 64 << 10;

impl Marking {
    /// The mark for an entry written at this place, if it needs one.
    pub(super) fn entry(&mut self, index: u64, sequence: u64, offset: u64, chain: u32) -> Option<Mark> {
        if let Some((next_index, mark)) = &mut self.last
            && *next_index == index
            && mark.sequence == sequence
            && offset - mark.offset < MARK_DISTANCE_BYTES
        {
            *next_index += 1;
            return None;
        }
        let mark = Mark { first_index: index, sequence, offset, chain };
        self.last = Some((index + 1, mark));
        Some(mark)
    }

    /// The entries before are gone: what comes next doesn't follow on them.
    pub(super) fn reset(&mut self) {
        self.last = None;
    }
}
