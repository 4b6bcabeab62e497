//! The leaders of an election: the one that is, whatever it proclaims, and each later one.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use quorate_proto::{
    etcdserverpb::{RangeResponse, ResponseHeader, WatchCreateRequest, WatchResponse, range_request::SortOrder},
    mvccpb::{KeyValue, event::EventType},
};
use tokio::time::Instant;

use super::contender::{contenders, first_by_creation};
use crate::{
    client::{Client, Error},
    command::watch::stream::WatchStream,
    key_range::KeyRange,
};

/// Observers wait for the cluster as long as it takes.
const PATIENCE: Duration = Duration::from_secs(365 * 24 * 3600);

pub(in crate::command) struct Leaders {
    client: Client,
    range: KeyRange,
    stage: Stage,
    /// Key and mod revision of what was told last: after a compaction it may be found again.
    told: (Bytes, i64),
    /// What one message of a watch said.
    pending: VecDeque<RangeResponse>,
}

enum Stage {
    /// Who leads has to be looked up.
    Lost,
    /// Nobody led, and the first key that is put will.
    Vacant(WatchStream),
    Led(WatchStream),
}

impl Leaders {
    pub(in crate::command) fn of(client: Client, name: &[u8]) -> Self {
        let told = (Bytes::new(), 0);
        Self { client, range: contenders(name), stage: Stage::Lost, told, pending: VecDeque::new() }
    }

    /// The next leader or proclamation; `None`: the server has ended the watch.
    pub(in crate::command) async fn next(&mut self) -> Result<Option<RangeResponse>, Error> {
        loop {
            if let Some(leader) = self.pending.pop_front() {
                return Ok(Some(leader));
            }
            let (stream, is_led) = match &mut self.stage {
                Stage::Lost => {
                    self.look().await?;
                    continue;
                }
                Stage::Vacant(stream) => (stream, false),
                Stage::Led(stream) => (stream, true),
            };
            let happening = stream.next().await?;
            match (is_led, happening.response.compact_revision != 0) {
                (_, true) => self.stage = Stage::Lost,
                _ if happening.end.is_some() => return Ok(None),
                (true, false) => self.changes_of(happening.response),
                (false, false) => self.first_of(happening.response),
            }
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        let oldest = first_by_creation(&self.range, SortOrder::Ascend);
        let found = self.client.call_until(oldest, Instant::now() + PATIENCE).await?;
        let header = found.header.unwrap_or_default();
        match found.kvs.into_iter().next() {
            Some(leader) => self.follow(header, leader),
            None => self.stage = Stage::Vacant(self.watch(self.range.clone(), header.revision + 1)),
        }
        Ok(())
    }

    fn first_of(&mut self, response: WatchResponse) {
        let put = response.events.into_iter().find(|event| event.r#type() == EventType::Put);
        if let Some(leader) = put.and_then(|event| event.kv) {
            let revision = leader.mod_revision;
            self.follow(ResponseHeader { revision, ..response.header.unwrap_or_default() }, leader);
        }
    }

    /// Tells of a leader, and stays with it.
    fn follow(&mut self, header: ResponseHeader, leader: KeyValue) {
        let key = KeyRange { key: leader.key.clone(), ..KeyRange::default() };
        self.stage = Stage::Led(self.watch(key, header.revision + 1));
        self.tell(Some(header), leader);
    }

    fn changes_of(&mut self, response: WatchResponse) {
        for event in response.events {
            match event.r#type() {
                EventType::Put => self.tell(response.header, event.kv.unwrap_or_default()),
                EventType::Delete => {
                    self.stage = Stage::Lost;
                    return;
                }
            }
        }
    }

    fn tell(&mut self, header: Option<ResponseHeader>, leader: KeyValue) {
        let version = (leader.key.clone(), leader.mod_revision);
        if self.told != version {
            self.told = version;
            self.pending.push_back(RangeResponse { header, kvs: vec![leader], ..Default::default() });
        }
    }

    fn watch(&self, range: KeyRange, start_revision: i64) -> WatchStream {
        let KeyRange { key, range_end } = range;
        let mut stream = WatchStream::patient(self.client.clone());
        stream.add(WatchCreateRequest { key, range_end, start_revision, ..Default::default() }, Vec::new());
        stream
    }
}
