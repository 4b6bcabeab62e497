use quorate_format::revision::{Revision, RevisionKey};

use super::chunk::follows;
use super::{Chunk, Lease, Link, Moment, Name, Row};

/// Follows chunks from a backup on; they are offered in the order of their names.
///
/// Chunks may overlap, and some may be from another history that a cluster had before it went back: those are passed by.
#[derive(Clone, Debug)]
pub struct Chain {
    cluster_id: u64,
    goal: Goal,
    at: Revision,
    /// The last revision whose rows are all there.
    done: i64,
    /// The last row of the revision that is done, and the last row of all.
    links: [Option<Link>; 2],
    last_moment: Option<Moment>,
    /// For a time: the last revision that had been received at it. Known when a later moment is.
    until: Option<i64>,
}

/// Where a restoration is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    Revision(i64),
    /// The last revision that had been received at that time.
    UnixMs(i64),
}

/// What is to be done with a chunk, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    No,
    Yes,
    /// Something is missing before it, and no other chunk will have it.
    Beyond,
}

/// The last that could be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    pub revision: i64,
    /// Nothing else had been received until then.
    pub unix_ms: Option<i64>,
}

impl Chain {
    /// From `revision` on, whose last row is `link`, if the backup has it.
    pub fn new(cluster_id: u64, revision: i64, link: Option<Link>, goal: Goal) -> Self {
        let until = match goal {
            Goal::Revision(until) => Some(until),
            Goal::UnixMs(_) => None,
        };
        // No other row of it is missing.
        let at = Revision::new(revision, i64::MAX - 1);
        Self { cluster_id, goal, at, done: revision, links: [link.clone(), link], last_moment: None, until }
    }

    /// Whether the goal is reached.
    pub fn is_complete(&self) -> bool {
        self.until.is_some_and(|until| self.done >= until)
    }

    pub fn reached(&self) -> Reached {
        Reached { revision: self.done, unix_ms: self.last_moment.map(|moment| moment.unix_ms) }
    }

    pub fn wants(&self, name: &Name) -> Wanted {
        if name.after > self.done {
            return Wanted::Beyond;
        }
        if name.last < self.done || self.is_complete() {
            return Wanted::No;
        }
        // Nothing new in it, but perhaps a moment.
        let is_old = name.last == self.done && !matches!(self.goal, Goal::UnixMs(_));
        if is_old { Wanted::No } else { Wanted::Yes }
    }

    /// The leases and rows that the chunk adds; none if it belongs to another history.
    pub fn take(&mut self, chunk: Chunk) -> (Vec<Lease>, Vec<Row>) {
        let nothing = (Vec::new(), Vec::new());
        if chunk.cluster_id != self.cluster_id || chunk.after > self.done || !self.is_same_history(&chunk) {
            return nothing;
        }
        let at = self.at;
        let new = chunk.rows.into_iter().filter_map(|row| row.revision().ok().map(|revision| (revision, row)));
        let mut new = new.skip_while(|(revision, _)| *revision <= at).peekable();
        // If not, rows of the revision before are missing.
        if new.peek().is_some_and(|(revision, _)| !follows(at, *revision)) {
            return nothing;
        }
        self.take_moments(&chunk.moments);
        let (last, unfinished, until) = (chunk.last, chunk.unfinished, self.until);
        let mut added = Vec::new();
        for (revision, row) in new.take_while(|(revision, _)| until.is_none_or(|until| revision.main <= until)) {
            if revision.main > self.at.main {
                self.done = self.at.main;
                self.links[0] = self.links[1].take();
            }
            self.links[1] = Some(row.link());
            self.at = revision;
            added.push(row);
        }
        if self.at.main < last || (self.at.main == last && !unfinished) {
            self.done = self.at.main;
            self.links[0] = self.links[1].clone();
        }
        (chunk.leases, added)
    }

    /// Whether every row that both sides know is the same. Without one, nothing tells them apart.
    fn is_same_history(&self, chunk: &Chunk) -> bool {
        self.links.iter().flatten().all(|link| {
            let main = main_of(link);
            if let Ok(at) = chunk.rows.binary_search_by(|row| row.key.cmp(&link.key)) {
                let next = chunk.rows.get(at + 1).and_then(|row| row.revision().ok());
                let is_longer = main <= self.done && next.is_some_and(|next| next.main == main);
                return chunk.rows[at].link() == *link && !is_longer;
            }
            let first_whole = chunk.after + if chunk.first_sub() > 0 { 2 } else { 1 };
            // The revision is there, but has other rows.
            if (first_whole..=chunk.done()).contains(&main) {
                return false;
            }
            match &chunk.link {
                Some(other) if other.key == link.key => other == link,
                Some(other) => main_of(other) != main || chunk.first_sub() > 0,
                None => true,
            }
        })
    }

    fn take_moments(&mut self, moments: &[Moment]) {
        // What is done has its moments already; another recorder's may be later.
        let (done, is_done) = (self.done, self.is_complete());
        for moment in moments.iter().filter(|moment| moment.revision >= done && !is_done) {
            match self.goal {
                Goal::Revision(until) => {
                    self.last_moment = Some(*moment);
                    if moment.revision >= until {
                        return;
                    }
                }
                Goal::UnixMs(goal_ms) => {
                    if moment.unix_ms <= goal_ms {
                        self.last_moment = Some(*moment);
                    }
                    if moment.unix_ms >= goal_ms {
                        self.until = Some(self.last_moment.map_or(done, |last| last.revision));
                        return;
                    }
                }
            }
        }
    }
}

fn main_of(link: &Link) -> i64 {
    RevisionKey::parse(&link.key).map_or(0, |key| key.revision.main)
}

#[cfg(test)]
mod tests;
