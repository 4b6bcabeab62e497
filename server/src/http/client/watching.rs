//! The watch service, joined to the member.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::member::Member;
use super::watch::{Access, Caller, Options, Service};
use crate::config::Config;

/// Everybody may watch everything until authentication is there.
struct Open;

#[tonic::async_trait]
impl Access for Open {
    async fn check(&self, _: &Caller, _: &[u8], _: &[u8]) -> Result<(), Status> {
        Ok(())
    }
}

/// `stop` ends every stream.
pub fn watch_service(config: &Config, member: &Member, stop: CancellationToken) -> Service {
    let (has_leader, knows) = tokio::sync::watch::channel(member.raft().leader() != 0);
    let mut changes = member.raft().changes();
    let stopped = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = stopped.cancelled() => return,
            }
            let leader = changes.borrow_and_update().leader;
            has_leader.send_if_modified(|before| std::mem::replace(before, leader != 0) != (leader != 0));
        }
    });
    let header = member.clone();
    let options = Options {
        progress_interval: config.watch_progress_notify_interval,
        max_request_bytes: config.max_request_bytes,
        no_leader_timeout: 3 * config.election_timeout,
    };
    Service::new(
        member.store().watch().clone(),
        Arc::new(member.store().clone()),
        Arc::new(move |revision| header.header(revision)),
        Arc::new(Open),
        knows,
        stop,
        options,
    )
}
