use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quorate_proto::etcdserverpb::{
    WatchCreateRequest, WatchRequest, watch_client::WatchClient, watch_request::RequestUnion,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::metadata::MetadataValue;

use super::error::{Error, Side};
use super::gather::Gatherer;
use super::member::{Member, RESPONSE_BYTES_MAX};
use super::revision::Revision;
use super::status::Board;

/// For the watch to be begun.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Between looks at the source's revision.
const LOOK: Duration = Duration::from_secs(1);
/// The watch says nothing although there is something to say. etcd cuts a revision with very many events into fragments for a
/// minute, and says nothing meanwhile.
const SILENCE_LIMIT: Duration = Duration::from_secs(180);
/// Revisions that wait, and KiB that they may have together. One that has more waits alone.
pub(super) const WAITING_MAX: usize = 1024;
const WAITING_KIB_MAX: u32 = 16 << 10;

/// Revisions in order, from a watch of all keys of the source.
pub(super) struct Feed {
    source: Member,
    board: Board,
    sender: mpsc::Sender<Revision>,
    memory: Arc<Semaphore>,
}

impl Feed {
    pub(super) fn new(source: Member, board: Board) -> (Self, mpsc::Receiver<Revision>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let memory = Arc::new(Semaphore::new(WAITING_KIB_MAX as usize));
        (Self { source, board, sender, memory }, receiver)
    }

    /// Until the watch ends, or the receiver is gone.
    pub(super) async fn run(&self, first: i64) -> Result<Infallible, Error> {
        let create = WatchCreateRequest {
            key: Bytes::from_static(b"\0"),
            range_end: Bytes::from_static(b"\0"),
            start_revision: first,
            progress_notify: true,
            fragment: true,
            ..WatchCreateRequest::default()
        };
        let ended = Error::Ended(Side::Source);
        let (requests, receiver) = mpsc::channel(1);
        let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        if requests.send(create).await.is_err() {
            return Err(ended);
        }
        let mut request = Request::new(ReceiverStream::new(receiver));
        // A member that has lost its leader ends the watch, rather than say that nothing happens.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        let mut client = WatchClient::new(self.source.channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX);
        let mut responses = self.source.within(ANSWER_LIMIT, client.watch(request)).await?;
        let mut gatherer = Gatherer::new(first);
        let mut last_response = Instant::now();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut received = first - 1;
        loop {
            tokio::select! {
                response = responses.message() => {
                    let response = response.map_err(|status| self.source.refused(status))?.ok_or(Error::Ended(Side::Source))?;
                    let now = response.header.as_ref().map_or(0, |header| header.revision);
                    self.board.source_at(now);
                    for revision in gatherer.take(response)? {
                        received = revision.number;
                        self.hand_over(revision).await?;
                    }
                    // Behind the handing over: the receiver may be slow.
                    last_response = Instant::now();
                }
                _ = look.tick() => {
                    let now = self.source.revision().await?;
                    self.board.source_at(now);
                    if now > received && last_response.elapsed() > SILENCE_LIMIT {
                        return Err(Error::Silent(Side::Source));
                    }
                }
            }
        }
    }

    async fn hand_over(&self, mut revision: Revision) -> Result<(), Error> {
        let kib = u32::try_from(revision.bytes / 1024 + 1).unwrap_or(u32::MAX).min(WAITING_KIB_MAX);
        let ended = |_| Error::Ended(Side::Source);
        revision.permit = self.memory.clone().acquire_many_owned(kib).await.ok();
        self.sender.send(revision).await.map_err(|error| ended(error.0))
    }
}
