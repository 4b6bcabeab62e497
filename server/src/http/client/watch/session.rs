//! One stream: reads requests, moves its cursor, writes messages, one thing at a time.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::watch_create_request::FilterType;
use quorate_proto::served::etcdserverpb::watch_request::RequestUnion;
use tokio::time::{Instant, Sleep};
use tonic::{Status, Streaming};

use super::pace::Pace;
use super::service::Shared;
use super::{Caller, reply};
use crate::store::watch::{Batch, Cursor, Filters, Interest, Range, Refusal};

/// etcd's allowance on top of `--max-request-bytes` for what surrounds the request's own data.
const MESSAGE_OVERHEAD_BYTES: usize = 512 << 10;
const MIN_PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

pub(super) struct Session {
    shared: Arc<Shared>,
    caller: Caller,
    cursor: Cursor,
    /// `None`: the client sends no more requests. Its watchers stay.
    requests: Option<Streaming<pb::WatchRequest>>,
    /// Filled by one step only when it is empty, so a step bounds it.
    replies: VecDeque<pb::WatchResponse>,
    /// A progress request waits until everything up to this revision was sent.
    progress_target: Option<i64>,
    /// Set once a watcher asks for periodic progress.
    tick: Option<Tick>,
    end: Pin<Box<dyn Future<Output = Status> + Send>>,
    ended: bool,
    pace: Pace,
}

struct Tick {
    interval: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Session {
    pub(super) fn new(
        shared: Arc<Shared>,
        caller: Caller,
        cursor: Cursor,
        requests: Streaming<pb::WatchRequest>,
        end: Pin<Box<dyn Future<Output = Status> + Send>>,
        pace: Pace,
    ) -> Self {
        Self {
            shared,
            caller,
            cursor,
            requests: Some(requests),
            replies: VecDeque::new(),
            progress_target: None,
            tick: None,
            end,
            ended: false,
            pace,
        }
    }

    /// The next message, or the status that ends the stream.
    pub(super) async fn next(&mut self) -> Option<Result<pb::WatchResponse, Status>> {
        if self.ended {
            return None;
        }
        self.pace.end();
        let reply = self.reply().await.transpose();
        if let Some(Ok(reply)) = &reply {
            self.pace.begin(reply);
        }
        self.ended = !matches!(reply, Some(Ok(_)));
        reply
    }

    async fn reply(&mut self) -> Result<Option<pb::WatchResponse>, Status> {
        loop {
            if let Some(reply) = self.replies.pop_front() {
                self.cursor.hub().counters().add_pending_events(-(reply.events.len() as i64));
                return Ok(Some(reply));
            }
            if self.answer_progress() || self.send_due_progress() {
                continue;
            }
            if self.cursor.has_work() {
                self.work().await?;
            } else if self.requests.is_none() && self.cursor.is_empty() {
                return Ok(None);
            } else {
                self.wait().await?;
            }
        }
    }

    /// Moves the cursor a step, without leaving the client's requests unread meanwhile.
    async fn work(&mut self) -> Result<(), Status> {
        if self.progress_target.is_none()
            && let Some(request) = next_request(&mut self.requests).now_or_never()
        {
            self.handle(request?).await;
        }
        let batches = tokio::select! {
            biased;
            status = &mut self.end => return Err(status),
            batches = self.cursor.advance() => batches,
        };
        let batches = batches.map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a watch stream ends: its history cannot be read"
            );
            Status::unavailable(format!("etcdserver: {error}"))
        })?;
        self.queue(batches);
        if self.replies.is_empty() {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn wait(&mut self) -> Result<(), Status> {
        if let Some(target) = self.progress_target {
            // Readable but not published yet: the writer is about to publish it.
            self.cursor.wake_at_publication();
            if self.cursor.position() >= target {
                return Ok(());
            }
        }
        tokio::select! {
            biased;
            status = &mut self.end => return Err(status),
            request = next_request(&mut self.requests), if self.progress_target.is_none() => self.handle(request?).await,
            () = self.cursor.woken() => {}
            () = async {
                match &mut self.tick {
                    Some(tick) => tick.sleep.as_mut().await,
                    None => std::future::pending().await,
                }
            } => {}
        }
        Ok(())
    }

    fn queue(&mut self, batches: Vec<Batch>) {
        let limit_bytes = self.shared.options.max_request_bytes + MESSAGE_OVERHEAD_BYTES;
        for batch in batches {
            let replies = reply::batch(&self.shared.header, batch, limit_bytes);
            let events: usize = replies.iter().map(|reply| reply.events.len()).sum();
            self.cursor.hub().counters().add_pending_events(events as i64);
            self.replies.extend(replies);
        }
    }

    async fn handle(&mut self, request: Option<pb::WatchRequest>) {
        let Some(request) = request else {
            self.requests = None;
            return;
        };
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(create).await,
            Some(RequestUnion::CancelRequest(cancel)) => {
                if self.cursor.cancel(cancel.watch_id) {
                    let revision = self.cursor.hub().revision();
                    self.replies.push_back(reply::canceled(&self.shared.header, cancel.watch_id, revision));
                }
            }
            // What the store can show now is the promise: a reader that saw this revision waits for it.
            Some(RequestUnion::ProgressRequest(_)) => {
                self.progress_target = Some(self.shared.history.revision().max(self.cursor.hub().revision()));
            }
            None => tracing::debug!("ignoring a watch request of unknown kind"),
        }
    }

    async fn create(&mut self, create: pb::WatchCreateRequest) {
        let reply = match self.admit(create).await {
            Ok((watch_id, interest)) => {
                if interest.progress_notify && self.tick.is_none() {
                    self.tick = Some(Tick::new(self.shared.options.progress_interval));
                }
                match self.cursor.watch(watch_id, interest) {
                    Ok(created) => reply::created(&self.shared.header, created.watch_id, created.revision),
                    Err(refusal) => self.refusal(&refusal),
                }
            }
            Err(reason) => reply::refused(&self.shared.header, self.cursor.hub().revision(), reason),
        };
        self.replies.push_back(reply);
    }

    fn refusal(&self, refusal: &Refusal) -> pb::WatchResponse {
        if *refusal != Refusal::DuplicateId {
            tracing::warn!(%refusal, "refusing a watcher");
        }
        reply::refused(&self.shared.header, self.cursor.hub().revision(), refusal.to_string())
    }

    /// Checks a request in etcd's order; the error is the cancel reason.
    async fn admit(&mut self, create: pb::WatchCreateRequest) -> Result<(i64, Interest), String> {
        if create.start_revision < 0 {
            return Err("etcdserver: mvcc: required revision has been compacted".to_owned());
        }
        let key = if create.key.is_empty() { Bytes::from_static(&[0]) } else { create.key };
        let allowed = self.shared.access.check(&self.caller, &key, &create.range_end).await;
        allowed.map_err(|status| reply::reason(&status))?;
        let Some(range) = Range::from_request(key, create.range_end) else {
            return Err("mvcc: watcher range is empty".to_owned());
        };
        let drops = |kind: FilterType| create.filters.contains(&i32::from(kind));
        let interest = Interest {
            range,
            start_revision: create.start_revision,
            filters: Filters { no_put: drops(FilterType::Noput), no_delete: drops(FilterType::Nodelete) },
            prev_kv: create.prev_kv,
            fragment: create.fragment,
            progress_notify: create.progress_notify,
        };
        Ok((create.watch_id, interest))
    }

    /// Answers a progress request once everything up to its revision was sent; silently drops it if a watcher is behind.
    fn answer_progress(&mut self) -> bool {
        let Some(target) = self.progress_target else { return false };
        if self.cursor.position() < target {
            return false;
        }
        self.progress_target = None;
        let Some(revision) = self.cursor.progress() else { return false };
        self.replies.push_back(reply::progress(&self.shared.header, reply::NO_WATCHER, revision));
        true
    }

    /// Sends periodic progress when its time has come.
    fn send_due_progress(&mut self) -> bool {
        let Some(tick) = &mut self.tick else { return false };
        let now = Instant::now();
        if now < tick.sleep.deadline() {
            return false;
        }
        tick.sleep.as_mut().reset(now + tick.interval);
        let due = self.cursor.tick();
        let revision = self.cursor.position();
        self.replies.extend(due.into_iter().map(|id| reply::progress(&self.shared.header, id, revision)));
        !self.replies.is_empty()
    }
}

impl Tick {
    fn new(interval: Duration) -> Self {
        let interval = interval.max(MIN_PROGRESS_INTERVAL);
        // Streams that were opened together, by a client that restarted, do not report together.
        let interval = interval + interval.mul_f64(rand::random_range(0.0..0.1));
        Self { interval, sleep: Box::pin(tokio::time::sleep(interval)) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let pending: usize = self.replies.iter().map(|reply| reply.events.len()).sum();
        self.cursor.hub().counters().add_pending_events(-(pending as i64));
    }
}

async fn next_request(requests: &mut Option<Streaming<pb::WatchRequest>>) -> Result<Option<pb::WatchRequest>, Status> {
    match requests {
        Some(requests) => requests.message().await,
        None => std::future::pending().await,
    }
}
