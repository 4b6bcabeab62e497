//! `--strict-reconfig-check`: whether a change of members could cost the cluster its quorum. etcd's rules.

use std::collections::BTreeSet;
use std::time::Duration;

/// A member counts as connected when it has answered for this long.
pub const STEADY: Duration = Duration::from_secs(5);

/// What the rules look at. Members that wait for their vote count as voters.
#[derive(Debug, Default)]
pub struct View {
    pub voters: BTreeSet<u64>,
    /// Members that have run at least once.
    pub started: BTreeSet<u64>,
    /// Members that answer now, for at least [`STEADY`] or since a new leader took over; this one among them.
    pub steady: BTreeSet<u64>,
    /// Members that answer now, however short.
    pub connected: BTreeSet<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("re-configuration failed due to not enough started members")]
    NotEnoughStarted,
    #[error("unhealthy cluster")]
    Unhealthy,
}

fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

impl View {
    fn started_voters(&self) -> usize {
        self.voters.intersection(&self.started).count()
    }

    /// Enough members answer for one more.
    pub fn check_healthy(&self) -> Result<(), Refusal> {
        let healthy = self.voters.intersection(&self.steady).count();
        if self.voters.len() > 1 && healthy < quorum(self.voters.len() + 1) {
            return Err(Refusal::Unhealthy);
        }
        Ok(())
    }

    pub fn check_add_voter(&self) -> Result<(), Refusal> {
        let (voters, started) = (self.voters.len(), self.started_voters());
        // From one to two: the quorum is both, but nobody could ever grow otherwise.
        if voters == 1 && started == 1 {
            return Ok(());
        }
        if started < quorum(voters + 1) {
            return Err(Refusal::NotEnoughStarted);
        }
        Ok(())
    }

    pub fn check_promote(&self, id: u64) -> Result<(), Refusal> {
        let started = self.started_voters() + usize::from(self.started.contains(&id));
        if started < quorum(self.voters.len() + 1) {
            return Err(Refusal::NotEnoughStarted);
        }
        Ok(())
    }

    pub fn check_remove_voter(&self, id: u64) -> Result<(), Refusal> {
        let left: BTreeSet<u64> = self.voters.iter().copied().filter(|voter| *voter != id).collect();
        if left.intersection(&self.started).count() < quorum(left.len()) {
            return Err(Refusal::NotEnoughStarted);
        }
        // One that is away anyway takes nothing with it.
        if !self.connected.contains(&id) {
            return Ok(());
        }
        if left.intersection(&self.steady).count() < quorum(left.len()) {
            return Err(Refusal::Unhealthy);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(voters: &[u64], started: &[u64], steady: &[u64]) -> View {
        let set = |ids: &[u64]| ids.iter().copied().collect::<BTreeSet<u64>>();
        View { voters: set(voters), started: set(started), steady: set(steady), connected: set(steady) }
    }

    #[test]
    fn a_second_unstarted_member_is_refused_and_a_first_is_not() {
        assert_eq!(view(&[1], &[1], &[1]).check_add_voter(), Ok(()));
        assert_eq!(view(&[1, 2], &[1], &[1]).check_add_voter(), Err(Refusal::NotEnoughStarted));
        assert_eq!(view(&[1, 2, 3], &[1, 2, 3], &[1, 2, 3]).check_add_voter(), Ok(()));
    }

    #[test]
    fn nothing_is_added_to_a_cluster_that_would_lose_its_quorum() {
        assert_eq!(view(&[1], &[1], &[1]).check_healthy(), Ok(()));
        assert_eq!(view(&[1, 2, 3], &[1, 2, 3], &[1, 2, 3]).check_healthy(), Ok(()));
        assert_eq!(view(&[1, 2, 3], &[1, 2, 3], &[1, 2]).check_healthy(), Err(Refusal::Unhealthy));
    }

    #[test]
    fn a_member_that_is_away_may_be_removed_and_one_that_is_needed_may_not() {
        assert_eq!(view(&[1, 2, 3], &[1, 2, 3], &[1, 2]).check_remove_voter(3), Ok(()));
        assert_eq!(view(&[1, 2, 3], &[1, 2, 3], &[1, 2]).check_remove_voter(2), Err(Refusal::Unhealthy));
        assert_eq!(view(&[1, 2], &[1], &[1]).check_remove_voter(1), Err(Refusal::NotEnoughStarted));
        assert_eq!(view(&[1, 2], &[1], &[1]).check_remove_voter(2), Ok(()));
    }
}
