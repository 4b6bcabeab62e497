//! What may be risked: each rule compares members that serve with members that must agree, before and after a step.

use std::collections::BTreeSet;

use crate::observe::View;
use crate::observe::etcd::quorum;

/// A change of members can be agreed on.
pub fn can_change(view: &View) -> bool {
    let voters = view.voters().count();
    view.ready_voters().len() >= quorum(voters)
}

/// One more voter may be added: the larger quorum serves too.
pub fn can_promote(view: &View, learner: u64) -> bool {
    let ready = view.ready_voters();
    let after = view.voters().count() + 1;
    can_change(view) && ready.len() + usize::from(view.is_ready(learner)) >= quorum(after)
}

/// The others serve without this voter. From two to one, both must serve: the one that stays has to have everything.
pub fn can_remove(view: &View, id: u64) -> bool {
    let voters: BTreeSet<u64> = view.voters().map(|row| row.id).collect();
    if !voters.contains(&id) {
        return can_change(view);
    }
    let mut ready = view.ready_voters();
    if ready.len() < quorum(voters.len()) {
        return false;
    }
    ready.remove(&id);
    voters.len() > 1 && ready.len() >= quorum(voters.len() - 1)
}

/// Stopping this member for a while leaves a quorum, or can't leave one: a restart of one of two is an outage whenever it happens.
pub fn can_restart(view: &View, id: u64) -> bool {
    let voters = view.voters().count();
    let mut ready = view.ready_voters();
    let serves = ready.remove(&id);
    !serves || voters <= 2 || ready.len() >= quorum(voters)
}
