//! Which member's data is damaged, by what all of them say about one revision.

use std::collections::BTreeMap;
use std::fmt;

use quorate_proto::peer::HashKvResponse;

use crate::store::HashKv;

/// What a member's history says about a revision. Equal histories say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    Hash(u32),
    /// Every entry up to the revision is applied, and the store hasn't come as far.
    Missing,
    /// The store is at a revision, or has a compaction, that no entry has made yet.
    Beyond,
}

/// Why nothing was compared with a member; it may be in order or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotCompared {
    NoAnswer(String),
    /// Its history begins elsewhere, so that its hash has to differ.
    OtherCompaction {
        compact_revision: i64,
    },
    /// It has compacted the revision, or kept no hash of a compaction there.
    Gone {
        compact_revision: i64,
    },
}

/// How far the entries go that are agreed on.
#[derive(Debug, Clone, Copy)]
pub struct Agreed {
    pub revision: i64,
    pub compact_revision: i64,
}

/// What an answer about the revision of `own` says.
pub fn read(own: &HashKv, answer: &HashKvResponse, agreed: Agreed) -> Result<Said, NotCompared> {
    let &HashKvResponse { hash, compact_revision, revision } = answer;
    if revision > agreed.revision || compact_revision > agreed.compact_revision {
        return Ok(Said::Beyond);
    }
    match hash {
        Some(hash) if compact_revision == own.compact_revision => Ok(Said::Hash(hash)),
        Some(_) => Err(NotCompared::OtherCompaction { compact_revision }),
        None if revision < own.hash_revision => Ok(Said::Missing),
        None => Err(NotCompared::Gone { compact_revision }),
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Same,
    /// More than half of the cluster say the same, and these don't.
    Differ(Vec<u64>),
    /// Nobody has more than half of the cluster on his side.
    NoMajority,
}

/// `cluster`: how many members there are, whether they said anything or not.
pub fn judge(said: &[(u64, Said)], cluster: usize) -> Verdict {
    let mut by_what: BTreeMap<Said, Vec<u64>> = BTreeMap::new();
    for (member, said) in said {
        by_what.entry(*said).or_default().push(*member);
    }
    if by_what.len() < 2 {
        return Verdict::Same;
    }
    let Some(majority) = by_what.iter().find(|(_, members)| members.len() * 2 > cluster).map(|(said, _)| *said) else {
        return Verdict::NoMajority;
    };
    let mut others: Vec<u64> = said.iter().filter(|(_, said)| *said != majority).map(|(member, _)| *member).collect();
    others.sort_unstable();
    Verdict::Differ(others)
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(hash) => write!(f, "hash {hash}"),
            Self::Missing => f.write_str("no such revision"),
            Self::Beyond => f.write_str("a revision that was never agreed on"),
        }
    }
}

impl fmt::Display for NotCompared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(reason) => write!(f, "no answer: {reason}"),
            Self::OtherCompaction { compact_revision } => write!(f, "its compact revision is {compact_revision}"),
            Self::Gone { compact_revision } => {
                write!(f, "it has no such hash any more; its compact revision is {compact_revision}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What members 1, 2, … say: a letter is a hash, `-` no such revision, `+` one too many, `.` nothing.
    #[track_caller]
    fn check(all: &str, expected: &Verdict) {
        let said: Vec<(u64, Said)> = (1..)
            .zip(all.chars())
            .filter_map(|(member, what)| match what {
                '.' => None,
                '-' => Some((member, Said::Missing)),
                '+' => Some((member, Said::Beyond)),
                hash => Some((member, Said::Hash(hash.into()))),
            })
            .collect();
        assert_eq!(judge(&said, all.len()), *expected, "{all}");
    }

    #[test]
    fn who_differs_from_the_majority_of_the_cluster_is_blamed() {
        use Verdict::{Differ, NoMajority, Same};
        for (all, expected) in [
            ("a", Same),
            ("aaa", Same),
            ("a..", Same),
            ("aab", Differ(vec![3])),
            // The leader, which asks and is the first, is no better than the others.
            ("baa", Differ(vec![1])),
            ("aaabc", Differ(vec![4, 5])),
            ("baaa.", Differ(vec![1])),
            ("aab-+", NoMajority),
            ("ab", NoMajority),
            ("ab.", NoMajority),
            ("abc", NoMajority),
            ("aabb", NoMajority),
            // Two of five agree, and three were not heard or say something else.
            ("aab..", NoMajority),
            ("aa-", Differ(vec![3])),
            ("aa+", Differ(vec![3])),
            ("--a", Differ(vec![3])),
        ] {
            check(all, &expected);
        }
    }

    #[test]
    fn hashes_count_only_where_the_same_history_is_hashed() {
        let own = HashKv { hash: 7, compact_revision: 10, hash_revision: 20, revision: 25 };
        let agreed = Agreed { revision: 30, compact_revision: 15 };
        let answer = |hash, compact_revision, revision| HashKvResponse { hash, compact_revision, revision };
        for (answer, expected) in [
            (answer(Some(7), 10, 20), Ok(Said::Hash(7))),
            (answer(Some(8), 10, 30), Ok(Said::Hash(8))),
            (answer(Some(8), -1, 30), Err(NotCompared::OtherCompaction { compact_revision: -1 })),
            (answer(Some(8), 15, 30), Err(NotCompared::OtherCompaction { compact_revision: 15 })),
            (answer(None, 10, 19), Ok(Said::Missing)),
            (answer(None, 15, 30), Err(NotCompared::Gone { compact_revision: 15 })),
            (answer(Some(7), 10, 31), Ok(Said::Beyond)),
            (answer(Some(7), 16, 30), Ok(Said::Beyond)),
        ] {
            assert_eq!(read(&own, &answer, agreed), expected, "{answer:?}");
        }
    }
}
