//! What the members of a cluster say about it.

use std::collections::{BTreeMap, BTreeSet};

/// What came of asking.
#[derive(Clone, Debug, PartialEq)]
pub enum Etcd {
    /// There is nobody to ask.
    Nobody,
    /// No member gave a list that a quorum agrees with. That is not an empty list.
    Silent(Silence),
    Seen(View),
}

/// Members without a quorum.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Silence {
    /// What came instead of a list.
    pub why: String,
    /// By member id: what each knows by itself.
    pub answers: BTreeMap<u64, Answer>,
}

/// A list of members that a quorum agrees with, and what each member answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    pub cluster_id: u64,
    pub rows: Vec<Row>,
    /// By member id; who is not here did not answer.
    pub answers: BTreeMap<u64, Answer>,
    /// Ids of members whose pods have been told to end, or have ended. They answer for some seconds more, and are not counted on.
    pub leaving: BTreeSet<u64>,
}

/// A line of the member list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub id: u64,
    /// Empty before the member's first start.
    pub name: String,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
    pub is_learner: bool,
}

/// A member's status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub version: String,
    pub database_bytes: i64,
    /// Index of the newest entry of its log that is applied.
    pub applied: u64,
    /// Term in which its log was last written, as far as it tells, and index of the newest entry.
    pub term: u64,
    pub index: u64,
    pub is_learner: bool,
    /// 0: it knows none.
    pub leader: u64,
    /// By whom each was raised.
    pub alarms: BTreeSet<(u64, Alarm)>,
}

/// Raised by a member, in force for all of them until somebody disarms it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// Its data differs from the others'.
    Corrupt,
    /// The database has reached its quota: writes are refused.
    NoSpace,
}

impl Alarm {
    /// Reads an entry of a status's errors: `memberID:10501334649042878790 alarm:NOSPACE`.
    pub fn parse(entry: &str) -> Option<(u64, Alarm)> {
        let value = |key: &str| entry.split_whitespace().find_map(|word| word.strip_prefix(key));
        let alarm = match value("alarm:")? {
            "CORRUPT" => Alarm::Corrupt,
            "NOSPACE" => Alarm::NoSpace,
            _ => return None,
        };
        Some((value("memberID:")?.parse().ok()?, alarm))
    }
}

impl View {
    /// 0 if the members that answer don't know one.
    pub fn leader(&self) -> u64 {
        self.answers.iter().find(|(id, answer)| **id == answer.leader).map_or(0, |(id, _)| *id)
    }

    pub fn voters(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.is_learner)
    }

    pub fn learners(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_learner)
    }

    pub fn row(&self, id: u64) -> Option<&Row> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// It answers and follows the leader, and is to go on doing so.
    pub fn is_ready(&self, id: u64) -> bool {
        let leader = self.leader();
        leader != 0
            && !self.leaving.contains(&id)
            && self.answers.get(&id).is_some_and(|answer| answer.leader == leader)
    }

    pub fn ready_voters(&self) -> BTreeSet<u64> {
        self.voters().map(|row| row.id).filter(|id| self.is_ready(*id)).collect()
    }

    /// Nearly all of what the leader has, as etcd asks of a learner before its promotion.
    pub fn has_caught_up(&self, id: u64) -> bool {
        let applied = |id| self.answers.get(&id).map(|answer| answer.applied);
        let (Some(own), Some(leader)) = (applied(id), applied(self.leader())) else { return false };
        self.is_ready(id) && own.saturating_mul(100) >= leader.saturating_mul(90)
    }

    /// The worst first.
    pub fn alarms(&self) -> Vec<(Alarm, u64)> {
        let all = self.answers.values().flat_map(|answer| &answer.alarms);
        all.map(|(id, alarm)| (*alarm, *id)).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// As `--initial-cluster` for this member, which the list shows without a name before its first start.
    pub fn initial_cluster(&self, own_name: &str, own_id: u64) -> String {
        let mut entries: Vec<String> = self
            .rows
            .iter()
            .flat_map(|row| {
                let name = if row.id == own_id { own_name } else { row.name.as_str() };
                row.peer_urls.iter().map(move |url| format!("{name}={url}"))
            })
            .collect();
        entries.sort();
        entries.join(",")
    }
}

/// Members that must agree.
pub fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_found_among_a_members_errors() {
        assert_eq!(
            Alarm::parse("memberID:10501334649042878790 alarm:NOSPACE "),
            Some((10501334649042878790, Alarm::NoSpace))
        );
        assert_eq!(Alarm::parse("alarm:CORRUPT memberID:7"), Some((7, Alarm::Corrupt)));
        for other in ["etcdserver: no leader", "memberID:7 alarm:NONE ", "alarm:NOSPACE", "memberID:x alarm:NOSPACE"] {
            assert_eq!(Alarm::parse(other), None, "{other}");
        }
    }
}
