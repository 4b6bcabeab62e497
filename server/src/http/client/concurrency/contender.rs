//! A place in the queue for a name.

use bytes::Bytes;
use quorate_proto::mvccpb::KeyValue;
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::response_op::Response;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::caller::{Caller, deletion};
use super::request;

/// Seconds that a lease has which the caller did not bring; nobody renews it. etcd's default for a session.
const LEASE_TTL_S: i64 = 60;
/// Tries to enter the queue with a key that others with the same lease put and delete meanwhile.
const ATTEMPTS: usize = 3;

/// The lease of a contender's key.
#[derive(Clone, Copy)]
pub(super) struct Lease {
    pub id: i64,
    /// The caller brought none, and knows of this one only when its call succeeds.
    is_made: bool,
}

impl Lease {
    pub(super) async fn of(caller: &Caller, given: i64) -> Result<Self, Status> {
        Ok(match given {
            0 => Self { id: caller.grant(LEASE_TTL_S).await?, is_made: true },
            id => Self { id, is_made: false },
        })
    }

    /// Leaves nothing behind of a call that failed. Whatever can't be taken back goes with its time.
    pub(super) async fn give_back(self, caller: &Caller) {
        if self.is_made
            && let Err(error) = caller.revoke(self.id).await
        {
            tracing::warn!(lease = format!("{:016x}", self.id), %error, "failed to revoke the lease of a call that failed");
        }
    }
}

/// Who won, and how.
pub(super) struct Won {
    pub key: Bytes,
    /// The key's create revision.
    pub revision: i64,
    pub lease: i64,
    /// The answer to entering the queue.
    pub entered: Option<pb::ResponseHeader>,
    /// The answer that showed that nobody is older.
    pub seen: Option<pb::ResponseHeader>,
}

struct Contender {
    caller: Caller,
    prefix: Bytes,
    key: Bytes,
    lease: Lease,
    /// The key's create revision, which is the place in the queue.
    revision: i64,
    /// The revision at which this call put the key.
    put_at: i64,
}

/// What is there before a contender at some revision.
struct Look {
    header: Option<pb::ResponseHeader>,
    older: Option<Bytes>,
}

/// What a contender asks for.
pub(super) struct Entry {
    pub name: Bytes,
    /// 0: one is made.
    pub lease: i64,
    pub value: Bytes,
    /// The answer to a caller whose key goes while it waits, usually with its lease.
    pub lost: fn() -> Status,
}

/// Waits for the caller's turn. A call that fails, or whose caller leaves, takes its key with it.
pub(super) async fn contend(caller: Caller, entry: Entry) -> Result<Won, Status> {
    let gone = CancellationToken::new();
    let _present = gone.clone().drop_guard();
    // A task, because what the call has begun is taken back after its caller has left.
    let call = tokio::spawn(run(caller, entry, gone));
    call.await.map_err(|error| Status::internal(format!("etcdserver: {error}")))?
}

async fn run(caller: Caller, entry: Entry, gone: CancellationToken) -> Result<Won, Status> {
    let lease = Lease::of(&caller, entry.lease).await?;
    let prefix = request::prefix(&entry.name);
    let key = request::key(&prefix, lease.id);
    // Never given up half way: whether the key is there would be unknown.
    let entered = match enter(&caller, &prefix, &key, lease.id, &entry).await {
        Ok(entered) => entered,
        Err(status) => {
            lease.give_back(&caller).await;
            return Err(status);
        }
    };
    let Entered { header, put_at, created, is_first } = entered;
    let (revision, is_new) = (created.unwrap_or(put_at), created.is_none());
    let won = Won { key: key.clone(), revision, lease: lease.id, entered: header, seen: header };
    if is_first && !is_new {
        // It had won before this call, which must not undo that.
        return Ok(won);
    }
    let contender = Contender { caller, prefix, key, lease, revision, put_at };
    let turn = async {
        if is_first {
            return Ok(won);
        }
        let seen = contender.turn(entry.lost).await?;
        Ok(Won { seen, ..won })
    };
    let outcome = tokio::select! {
        biased;
        () = gone.cancelled() => Err(Status::cancelled("context canceled")),
        outcome = turn => outcome,
    };
    if outcome.is_err() {
        contender.withdraw().await;
    }
    outcome
}

/// How a key came into the queue.
struct Entered {
    header: Option<pb::ResponseHeader>,
    /// The revision at which this call put it.
    put_at: i64,
    /// Its create revision, if it was there before.
    created: Option<i64>,
    /// No key is older.
    is_first: bool,
}

/// Puts the key. One that is there is put again, so that an earlier call for it that fails does not take it away.
async fn enter(caller: &Caller, prefix: &Bytes, key: &Bytes, lease: i64, entry: &Entry) -> Result<Entered, Status> {
    // The key that is found may be gone at the next step, and come back at the one after.
    for _ in 0..ATTEMPTS {
        let mut txn = caller.txn(request::enter(prefix, key, entry.value.clone(), lease)).await?;
        let created = match txn.succeeded {
            true => None,
            false => first_pair(&txn, 0)?.map(|own| own.create_revision),
        };
        if let Some(created) = created {
            txn = caller.txn(request::enter_again(prefix, key, created, entry.value.clone(), lease)).await?;
        }
        if txn.succeeded {
            let put_at = txn.header.map(|header| header.revision).unwrap_or_default();
            let oldest = first_pair(&txn, 1)?.map(|oldest| oldest.create_revision);
            let is_first = oldest.is_none_or(|oldest| oldest == created.unwrap_or(put_at));
            return Ok(Entered { header: txn.header, put_at, created, is_first });
        }
    }
    Err((entry.lost)())
}

impl Contender {
    /// Returns once no older key is left, with the header of the look that saw it.
    async fn turn(&self, lost: fn() -> Status) -> Result<Option<pb::ResponseHeader>, Status> {
        loop {
            let Look { header, older } = self.look(lost).await?;
            let Some(older) = older else { return Ok(header) };
            let next = header.map(|header| header.revision).unwrap_or_default() + 1;
            let watched = [older, self.key.clone()].map(|key| deletion(key, next)).into();
            // Whatever it sees, the next look says what it means.
            self.caller.watch(watched).await?.next().await?;
        }
    }

    async fn look(&self, lost: fn() -> Status) -> Result<Look, Status> {
        let look = self.caller.txn(request::look(&self.prefix, &self.key, self.revision)).await?;
        if !look.succeeded {
            return Err(lost());
        }
        Ok(Look { header: look.header, older: first_pair(&look, 0)?.map(|pair| pair.key) })
    }

    /// Takes the key back, unless a later call with the same lease has put it anew and counts on it.
    async fn withdraw(self) {
        let Self { caller, key, lease, put_at, .. } = self;
        if lease.is_made {
            return lease.give_back(&caller).await;
        }
        if let Err(error) = caller.txn(request::withdraw(&key, put_at)).await {
            tracing::warn!(lease = format!("{:016x}", lease.id), %error, "failed to take back a contender's key");
        }
    }
}

/// The first pair of the range at this place of a transaction's answer.
pub(super) fn first_pair(txn: &pb::TxnResponse, at: usize) -> Result<Option<KeyValue>, Status> {
    let Some(Response::ResponseRange(range)) = txn.responses.get(at).and_then(|answer| answer.response.as_ref()) else {
        return Err(Status::internal("etcdserver: the reply does not belong to the request"));
    };
    let pair = range.kvs.first().map(|pair| pair.decode()).transpose();
    pair.map_err(|error| Status::internal(format!("etcdserver: a pair can't be read: {error}")))
}
