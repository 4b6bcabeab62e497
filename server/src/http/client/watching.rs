//! The watch service, joined to the member.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::auth::Credentials;
use super::member::Member;
use super::watch::{Access, Caller, Options, Service};
use crate::config::Config;
use crate::store::auth;

/// A watcher's caller is looked at when the watcher is created.
struct Readers(Member);

#[tonic::async_trait]
impl Access for Readers {
    async fn check(&self, caller: &Caller, key: &[u8], range_end: &[u8]) -> Result<(), Status> {
        let credentials = Credentials::of(&caller.metadata, &caller.extensions);
        let key = Bytes::copy_from_slice(key);
        let may = |caller: &auth::Caller, registry: &auth::Registry| caller.may_read(registry, &key, range_end);
        self.0.permit(&credentials, may).await?.confirm(&self.0)
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
        Arc::new(Readers(member.clone())),
        knows,
        stop,
        options,
    )
}
