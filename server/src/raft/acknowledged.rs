//! How far a member's log must go, by what it has told the leader.
//!
//! Within a term nobody but its leader changes a follower's log, and the leader cuts off nothing that was acknowledged to it.
//! A follower that has less has lost it: its folder was replaced by an older one, or its disk forgot what it had synced.

/// The last entry that a member acknowledged, and the leader's term in which it did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Acknowledged {
    pub term: u64,
    pub index: u64,
}

impl Acknowledged {
    pub fn note(&mut self, term: u64, index: u64) {
        if term > self.term {
            *self = Self { term, index };
        } else if term == self.term {
            self.index = self.index.max(index);
        }
    }

    pub fn to_header(self) -> String {
        format!("{}:{}", self.term, self.index)
    }

    pub fn from_header(text: &str) -> Option<Self> {
        let (term, index) = text.split_once(':')?;
        Some(Self { term: term.parse().ok()?, index: index.parse().ok()? })
    }

    /// Whether a log that ends at `last`, of a member that has seen `term`, can't be the one that acknowledged this.
    pub fn is_lost_by(self, term: u64, last: u64) -> bool {
        self.index > 0 && (term < self.term || (term == self.term && last < self.index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_log_that_no_later_leader_changed_can_be_judged() {
        let mut acknowledged = Acknowledged::default();
        assert!(!acknowledged.is_lost_by(0, 0));
        acknowledged.note(4, 10);
        acknowledged.note(4, 8);
        acknowledged.note(3, 50);
        assert_eq!(acknowledged, Acknowledged { term: 4, index: 10 });
        assert_eq!(Acknowledged::from_header(&acknowledged.to_header()), Some(acknowledged));
        assert!(acknowledged.is_lost_by(4, 9));
        assert!(!acknowledged.is_lost_by(4, 10));
        assert!(acknowledged.is_lost_by(3, 70), "it has acknowledged in a term that it does not know");
        assert!(!acknowledged.is_lost_by(5, 2), "a later leader may have cut it");
    }
}
