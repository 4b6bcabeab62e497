//! A stream of leaders: the one that is, whatever it proclaims, and each later one.

use std::collections::VecDeque;
use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, stream};
use quorate_proto::EncodedKeyValue;
use quorate_proto::etcdserverpb as plain;
use quorate_proto::mvccpb::{KeyValue, event::EventType};
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::v3electionpb::LeaderResponse;
use tonic::Status;

use super::caller::{Caller, Seen, Watching, changes};
use super::contender::first_pair;
use super::request;
use crate::http::status;

pub(super) type Leaders = Pin<Box<dyn Stream<Item = Result<LeaderResponse, Status>> + Send>>;

pub(super) fn start(caller: Caller, name: &[u8]) -> Leaders {
    let observer = Observer {
        caller,
        prefix: request::prefix(name),
        stage: Stage::Lost,
        told: (Bytes::new(), 0),
        pending: VecDeque::new(),
    };
    // The connection polls it, so a client that does not read stops it.
    Box::pin(stream::unfold(Some(observer), |observer| async move {
        let mut observer = observer?;
        match observer.next().await {
            Ok(leader) => Some((Ok(leader), Some(observer))),
            Err(status) => Some((Err(status::of_inner_call(status)), None)),
        }
    }))
}

struct Observer {
    caller: Caller,
    prefix: Bytes,
    stage: Stage,
    /// Key and mod revision of what was told last: after a compaction it may be found again.
    told: (Bytes, i64),
    /// What one message of a watch said.
    pending: VecDeque<LeaderResponse>,
}

enum Stage {
    /// Who leads has to be looked up.
    Lost,
    /// Nobody led, and the first key that is put will.
    Vacant(Watching),
    Led(Watching),
}

impl Observer {
    async fn next(&mut self) -> Result<LeaderResponse, Status> {
        loop {
            if let Some(leader) = self.pending.pop_front() {
                return Ok(leader);
            }
            match &mut self.stage {
                Stage::Lost => self.look().await?,
                Stage::Vacant(watching) => match watching.next().await? {
                    Seen::Events(response) => self.first_of(response).await?,
                    Seen::Compacted => self.stage = Stage::Lost,
                },
                Stage::Led(watching) => match watching.next().await? {
                    Seen::Events(response) => self.changes_of(response),
                    Seen::Compacted => self.stage = Stage::Lost,
                },
            }
        }
    }

    async fn look(&mut self) -> Result<(), Status> {
        let found = self.caller.txn(request::leader(&self.prefix)).await?;
        let revision = found.header.map(|header| header.revision).unwrap_or_default();
        match first_pair(&found, 0)? {
            Some(leader) => self.follow(found.header, leader, revision + 1).await,
            None => {
                let range_end = request::prefix_end(&self.prefix);
                let candidates = plain::WatchCreateRequest { range_end, ..changes(self.prefix.clone(), revision + 1) };
                self.stage = Stage::Vacant(self.caller.watch(vec![candidates]).await?);
                Ok(())
            }
        }
    }

    async fn first_of(&mut self, response: plain::WatchResponse) -> Result<(), Status> {
        let header = response.header;
        let put = response.events.into_iter().find(|event| event.r#type() == EventType::Put);
        let Some(leader) = put.and_then(|event| event.kv) else { return Ok(()) };
        let revision = leader.mod_revision;
        self.follow(header.map(|header| served(header, revision)), leader, revision + 1).await
    }

    /// Tells of a leader, and stays with it.
    async fn follow(&mut self, header: Option<pb::ResponseHeader>, leader: KeyValue, next: i64) -> Result<(), Status> {
        self.stage = Stage::Led(self.caller.watch(vec![changes(leader.key.clone(), next)]).await?);
        self.tell(header, &leader);
        Ok(())
    }

    fn changes_of(&mut self, response: plain::WatchResponse) {
        let header = response.header.map(|header| served(header, header.revision));
        for event in response.events {
            match event.r#type() {
                EventType::Put => self.tell(header, &event.kv.unwrap_or_default()),
                EventType::Delete => {
                    self.stage = Stage::Lost;
                    return;
                }
            }
        }
    }

    fn tell(&mut self, header: Option<pb::ResponseHeader>, leader: &KeyValue) {
        let version = (leader.key.clone(), leader.mod_revision);
        if self.told != version {
            self.told = version;
            self.pending.push_back(LeaderResponse { header, kv: Some(EncodedKeyValue::from(leader)) });
        }
    }
}

fn served(header: plain::ResponseHeader, revision: i64) -> pb::ResponseHeader {
    let plain::ResponseHeader { cluster_id, member_id, revision: _, raft_term } = header;
    pb::ResponseHeader { cluster_id, member_id, revision, raft_term }
}
