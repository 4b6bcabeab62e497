//! A place in the queue for a name: the key `NAME/LEASE`.

use std::time::Duration;

use bytes::Bytes;
use quorate_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, ResponseHeader, TxnRequest,
    WatchCreateRequest,
    compare::{CompareTarget, TargetUnion},
    range_request::{SortOrder, SortTarget},
    request_op::Request,
    response_op::Response,
    watch_create_request::FilterType,
};
use tokio::time::Instant;

use crate::{
    client::{Client, Error},
    command::watch::stream::WatchStream,
    key_range::KeyRange,
};

/// The key is gone that a command waits with, or the lease that it hangs on.
pub(in crate::command) const LOST: &str = "mutex: session is expired";

/// Waiting lasts as long as the lease does, whatever a single call needs.
const PATIENCE: Duration = Duration::from_secs(365 * 24 * 3600);

pub(in crate::command) struct Contender {
    client: Client,
    range: KeyRange,
    key: Bytes,
    lease: i64,
}

impl Contender {
    pub(in crate::command) fn new(client: &Client, name: &[u8], lease: i64) -> Self {
        let range = contenders(name);
        let key = [&range.key, format!("{lease:x}").as_bytes()].concat().into();
        Self { client: client.clone(), range, key, lease }
    }

    pub(in crate::command) fn key(&self) -> &Bytes {
        &self.key
    }

    /// Puts the key, and waits until no older one is left. Gives the header of the answer that showed it; `None`: the key is gone.
    pub(in crate::command) async fn win(&mut self, value: Bytes) -> Result<Option<ResponseHeader>, Error> {
        let entered = self.client.call(self.entry(value)).await?;
        let header = entered.header.unwrap_or_default();
        let created = match entered.responses.first().and_then(|answer| answer.response.as_ref()) {
            // A key that was there, of another command with the same lease.
            Some(Response::ResponseRange(range)) => {
                range.kvs.first().map_or(header.revision, |own| own.create_revision)
            }
            _ => header.revision,
        };
        if !self.wait(created).await? {
            return Ok(Some(header));
        }
        let own = self.read().await?;
        Ok(own.kvs.first().and(own.header))
    }

    /// The key as it is now.
    pub(in crate::command) async fn read(&mut self) -> Result<RangeResponse, Error> {
        let own = RangeRequest { key: self.key.clone(), ..Default::default() };
        self.client.call_until(own, Instant::now() + PATIENCE).await
    }

    /// Gives the place up, won or not.
    pub(in crate::command) async fn leave(mut self) -> Result<(), Error> {
        self.client.call(DeleteRangeRequest { key: self.key, ..Default::default() }).await?;
        Ok(())
    }

    fn entry(&self, value: Bytes) -> TxnRequest {
        let key = self.key.clone();
        let is_new = Compare {
            target: CompareTarget::Create.into(),
            key: key.clone(),
            target_union: Some(TargetUnion::CreateRevision(0)),
            ..Default::default()
        };
        let put = PutRequest { key: key.clone(), value, lease: self.lease, ..Default::default() };
        let get = RangeRequest { key, ..Default::default() };
        TxnRequest {
            compare: vec![is_new],
            success: vec![RequestOp { request: Some(Request::RequestPut(put)) }],
            failure: vec![RequestOp { request: Some(Request::RequestRange(get)) }],
        }
    }

    /// Whether it had to wait for keys older than one of this create revision.
    async fn wait(&mut self, created: i64) -> Result<bool, Error> {
        let newest_older = RangeRequest {
            max_create_revision: created - 1,
            keys_only: true,
            ..first_by_creation(&self.range, SortOrder::Descend)
        };
        let mut has_waited = false;
        loop {
            let look = self.client.call_until(newest_older.clone(), Instant::now() + PATIENCE).await?;
            let Some(older) = look.kvs.into_iter().next() else { return Ok(has_waited) };
            has_waited = true;
            let mut deletion = WatchStream::patient(self.client.clone());
            let request = WatchCreateRequest {
                key: older.key,
                start_revision: look.header.unwrap_or_default().revision + 1,
                filters: vec![FilterType::Noput.into()],
                ..Default::default()
            };
            deletion.add(request, Vec::new());
            loop {
                let happening = deletion.next().await?;
                if !happening.response.events.is_empty() || happening.response.compact_revision != 0 {
                    break;
                }
                if let Some(reason) = happening.end {
                    return Err(Error::Status(tonic::Status::failed_precondition(reason)));
                }
            }
        }
    }
}

/// The keys of all who contend for a name.
pub(super) fn contenders(name: &[u8]) -> KeyRange {
    KeyRange::with_prefix([name, b"/"].concat().into())
}

/// Reads the key that was created first, or last.
pub(super) fn first_by_creation(range: &KeyRange, order: SortOrder) -> RangeRequest {
    RangeRequest {
        key: range.key.clone(),
        range_end: range.range_end.clone(),
        limit: 1,
        sort_order: order.into(),
        sort_target: SortTarget::Create.into(),
        ..Default::default()
    }
}
