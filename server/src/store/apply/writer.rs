//! The writer's door.

use std::{path::Path, sync::Arc, time::Instant};

use bytes::Bytes;

use super::{Entry, Outcome, Payload, Response, cluster::remove_members, dispatch::dispatch, execution::Execution};
use crate::{
    operation::Operation,
    position::Position,
    store::{
        Store,
        error::{Error, Refusal},
        kv::compactor::Compactor,
        shared::Shared,
        snapshot::replace,
        state::meta,
        watch::Hub,
    },
};

/// The only writer of a store. Dropping it stops the store's background work; reading goes on.
pub struct Writer {
    shared: Arc<Shared>,
    hub: Hub,
    compactor: Compactor,
}

impl Writer {
    pub(in crate::store) fn new(shared: Arc<Shared>, hub: Hub, compactor: Compactor) -> Self {
        Self { shared, hub, compactor }
    }

    /// A handle for reading.
    pub fn store(&self) -> Store {
        Store { shared: self.shared.clone(), hub: self.hub.clone() }
    }

    /// Applies committed entries in order, one outcome each. Rows, applied position and membership become readable and durable
    /// together; nobody reads a part of a revision. Every entry must stand behind the applied position.
    ///
    /// After an error memory and disk differ: the process must stop.
    pub fn apply(&mut self, batch: Vec<Entry>) -> Result<Vec<Outcome>, Error> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let mut state = self.shared.write();
        check_order(state.applied, &batch)?;
        let compacted_before = state.compacted;
        let mut execution = Execution::new(&mut state);
        let mut outcomes = Vec::with_capacity(batch.len());
        for Entry { position, payload } in batch {
            execution.index = position.index;
            outcomes.push(match payload {
                Payload::Blank => Ok(Response::Empty),
                Payload::Request(request) => {
                    let (operation, begun) = (Operation::of(&request), Instant::now());
                    let operations_before = execution.done.operations();
                    let outcome = match dispatch(&mut execution, *request) {
                        Ok(response) => Ok(response),
                        Err(Error::Refused(refusal)) => Err(refusal),
                        Err(failure) => return Err(failure),
                    };
                    let operations = execution.done.operations() - operations_before;
                    if matches!(operation, Operation::Txn | Operation::LeaseRevoke) && operations != 1 {
                        execution.done.txns += 1;
                    }
                    // As in etcd: a compaction that comes too late finds what it asks for.
                    let success = matches!(&outcome, Ok(_) | Err(Refusal::Compacted));
                    self.shared.tell(|observer| observer.executed(operation, success, begun.elapsed()));
                    outcome
                }
                Payload::Membership { data, removed } => {
                    execution.write_fact(meta::MEMBERSHIP, Some(meta::encode_membership(position, &data)));
                    execution.state.membership = Some((position, data));
                    remove_members(&mut execution, &removed);
                    Ok(Response::Empty)
                }
            });
            execution.finish_entry();
            execution.state.applied = position;
        }
        let applied = execution.state.position_row();
        execution.write_fact(meta::APPLIED, Some(applied));
        let Execution { batch, frames, done, .. } = execution;
        state.backend.write(batch)?;
        self.shared.publish(&state);
        let compacts = state.compacted != compacted_before;
        drop(state);
        self.shared.tell(|observer| observer.wrote(&done));
        if !frames.is_empty() {
            self.hub.publish(frames);
        }
        if compacts {
            self.compactor.wake();
        }
        Ok(outcomes)
    }

    /// Replaces the store's rows by those of a checkpoint in `folder`, which must be on the same file system and is used up.
    /// Every handle sees the new store from then on; watchers are told.
    pub fn replace_with(&mut self, folder: &Path) -> Result<(), Error> {
        replace::replace(&self.shared, folder)?;
        self.hub.reset(self.shared.revision());
        self.compactor.wake();
        Ok(())
    }

    /// Sets the membership outside of the log: for a store made from a file of another cluster, before it has members.
    pub fn set_membership(&mut self, position: Position, membership: Bytes) -> Result<(), Error> {
        let mut state = self.shared.write();
        let mut execution = Execution::new(&mut state);
        execution.write_fact(meta::MEMBERSHIP, Some(meta::encode_membership(position, &membership)));
        let batch = std::mem::take(&mut execution.batch);
        state.membership = Some((position, membership));
        state.backend.write(batch)
    }
}

fn check_order(mut applied: Position, batch: &[Entry]) -> Result<(), Error> {
    for &Entry { position, .. } in batch {
        if position.index <= applied.index || position.term < applied.term {
            return Err(Error::OutOfOrder { entry: position, applied });
        }
        applied = position;
    }
    Ok(())
}

#[cfg(test)]
impl Writer {
    /// What compaction drops stays until the next start.
    pub(in crate::store) fn stop_compaction(&mut self) {
        self.compactor.stop();
    }
}
