//! What the store promises, on every backend.

mod alarms;
mod compaction;
mod concurrency;
mod kv;
mod leases;
mod model;
mod replay;
mod snapshots;
mod txn;
mod watching;

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use quorate_proto::{
    EncodedKeyValue,
    mvccpb::KeyValue,
    served::etcdserverpb::{self as pb, request_op::Request},
};

use super::{
    apply::{Entry, Outcome, Payload, Response, Writer},
    backend::Memory,
    error::{Error, Refusal},
    handle::Store,
    options::Options,
};
use crate::position::Position;

/// A store and the log position of its next entry.
struct Subject {
    store: Store,
    writer: Writer,
    index: u64,
}

fn options() -> Options {
    // Small steps, so that compactions take several.
    Options {
        compaction_batch_rows: 3,
        compaction_pause: Duration::from_micros(1),
        cache_bytes: 1 << 20,
        ..Options::default()
    }
}

impl Subject {
    fn in_memory() -> Self {
        Self::on(&Memory::default())
    }

    fn on(memory: &Memory) -> Self {
        Self::of(Store::open_on(Arc::new(memory.clone()), options()).unwrap())
    }

    fn in_folder(folder: &Path) -> Self {
        Self::of(Store::open(folder, options()).unwrap())
    }

    fn of((store, writer): (Store, Writer)) -> Self {
        let index = store.applied().index;
        Self { store, writer, index }
    }

    fn apply(&mut self, request: pb::InternalRaftRequest) -> Outcome {
        self.apply_all(vec![request]).remove(0)
    }

    fn apply_all(&mut self, requests: Vec<pb::InternalRaftRequest>) -> Vec<Outcome> {
        let entries = requests.into_iter().map(|request| {
            self.index += 1;
            Entry { position: Position::new(2, self.index), payload: Payload::Request(Box::new(request)) }
        });
        let entries = entries.collect();
        self.writer.apply(entries).unwrap()
    }

    fn put(&mut self, key: &str, value: &str) -> i64 {
        match self.apply(put(key, value)) {
            Ok(Response::Put(reply)) => reply.header.unwrap().revision,
            other => panic!("{other:?}"),
        }
    }

    fn delete(&mut self, key: &str, range_end: &str) -> pb::DeleteRangeResponse {
        match self.apply(delete(key, range_end)) {
            Ok(Response::DeleteRange(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn txn(&mut self, request: pb::TxnRequest) -> pb::TxnResponse {
        match self.apply(pb::InternalRaftRequest { txn: Some(request), ..Default::default() }) {
            Ok(Response::Txn(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn compact(&mut self, revision: i64) {
        self.apply(compact(revision)).unwrap();
        self.wait(revision);
    }

    fn wait(&self, revision: i64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let done = async { tokio::time::timeout(Duration::from_secs(30), self.store.wait_compaction(revision)).await };
        runtime.block_on(done).expect("the compaction ends");
    }

    fn grant(&mut self, id: i64) {
        self.apply(grant(id)).unwrap();
    }

    fn range(&self, request: pb::RangeRequest) -> pb::RangeResponse {
        self.store.range(&request).unwrap()
    }

    fn get(&self, key: &str) -> Option<KeyValue> {
        pairs(&self.range(range(key, "")).kvs).pop()
    }

    fn value(&self, key: &str) -> Option<String> {
        self.get(key).map(|pair| text(&pair.value))
    }
}

/// Runs the test on both backends.
fn on_each_backend(test: impl Fn(Subject)) {
    test(Subject::in_memory());
    let folder = tempfile::tempdir().unwrap();
    test(Subject::in_folder(folder.path()));
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn pairs(encoded: &[EncodedKeyValue]) -> Vec<KeyValue> {
    encoded.iter().map(|pair| pair.decode().unwrap()).collect()
}

fn keys(encoded: &[EncodedKeyValue]) -> Vec<String> {
    pairs(encoded).iter().map(|pair| text(&pair.key)).collect()
}

fn range(key: &str, range_end: &str) -> pb::RangeRequest {
    pb::RangeRequest { key: bytes(key), range_end: bytes(range_end), ..Default::default() }
}

fn put(key: &str, value: &str) -> pb::InternalRaftRequest {
    put_with(pb::PutRequest { key: bytes(key), value: bytes(value), ..Default::default() })
}

fn put_with(request: pb::PutRequest) -> pb::InternalRaftRequest {
    pb::InternalRaftRequest { put: Some(request), ..Default::default() }
}

fn put_on(key: &str, value: &str, lease: i64) -> pb::InternalRaftRequest {
    put_with(pb::PutRequest { key: bytes(key), value: bytes(value), lease, ..Default::default() })
}

fn delete(key: &str, range_end: &str) -> pb::InternalRaftRequest {
    let request = pb::DeleteRangeRequest { key: bytes(key), range_end: bytes(range_end), prev_kv: true };
    pb::InternalRaftRequest { delete_range: Some(request), ..Default::default() }
}

fn compact(revision: i64) -> pb::InternalRaftRequest {
    let request = pb::CompactionRequest { revision, physical: false };
    pb::InternalRaftRequest { compaction: Some(request), ..Default::default() }
}

fn grant(id: i64) -> pb::InternalRaftRequest {
    let request = pb::LeaseGrantRequest { id, ttl: 60 };
    pb::InternalRaftRequest { lease_grant: Some(request), ..Default::default() }
}

fn revoke(id: i64) -> pb::InternalRaftRequest {
    pb::InternalRaftRequest { lease_revoke: Some(pb::LeaseRevokeRequest { id }), ..Default::default() }
}

fn op(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

fn put_op(key: &str, value: &str) -> pb::RequestOp {
    op(Request::RequestPut(pb::PutRequest { key: bytes(key), value: bytes(value), ..Default::default() }))
}

fn range_op(request: pb::RangeRequest) -> pb::RequestOp {
    op(Request::RequestRange(request))
}

fn delete_op(key: &str, range_end: &str) -> pb::RequestOp {
    op(Request::RequestDeleteRange(pb::DeleteRangeRequest {
        key: bytes(key),
        range_end: bytes(range_end),
        prev_kv: false,
    }))
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}
