//! `--namespace`: what clients call `key` is `namespacekey` in the cluster.

use bytes::{Bytes, BytesMut};
use prost::DecodeError;
use quorate_proto::EncodedKeyValue;
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::{request_op::Request, response_op::Response};
use quorate_proto::served::mvccpb::Event;

/// Stands for "to the last key" as the end of a range.
const TO_THE_LAST: &[u8] = &[0];

/// Empty: keys are what they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace(Bytes);

impl Namespace {
    pub fn new(prefix: &str) -> Self {
        Self(Bytes::copy_from_slice(prefix.as_bytes()))
    }

    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    fn key(&self, key: &mut Bytes) {
        let mut inside = BytesMut::with_capacity(self.0.len() + key.len());
        inside.extend_from_slice(&self.0);
        inside.extend_from_slice(key);
        *key = inside.freeze();
    }

    /// The range in the cluster. A range to the last key ends with the namespace.
    pub fn enter(&self, key: &mut Bytes, range_end: &mut Bytes) {
        if self.is_everything() {
            return;
        }
        self.key(key);
        match range_end.as_ref() {
            b"" => {}
            TO_THE_LAST => *range_end = self.end(),
            _ => self.key(range_end),
        }
    }

    /// The first key behind the namespace.
    fn end(&self) -> Bytes {
        let kept = self.0.iter().rposition(|byte| *byte < u8::MAX);
        let Some(last) = kept else { return Bytes::from_static(TO_THE_LAST) };
        let mut end = self.0[..=last].to_vec();
        end[last] += 1;
        end.into()
    }

    fn name(&self, key: &mut Bytes) {
        if let Some(outside) = key.strip_prefix(self.0.as_ref()) {
            *key = key.slice_ref(outside);
        }
    }

    pub fn names(&self, keys: &mut Vec<Bytes>) {
        keys.retain(|key| key.starts_with(&self.0));
        keys.iter_mut().for_each(|key| self.name(key));
    }

    fn leave(&self, pair: &mut EncodedKeyValue) -> Result<(), DecodeError> {
        let mut decoded = pair.decode()?;
        self.name(&mut decoded.key);
        *pair = EncodedKeyValue::from(&decoded);
        Ok(())
    }

    fn leave_all<'a>(&self, pairs: impl IntoIterator<Item = &'a mut EncodedKeyValue>) -> Result<(), DecodeError> {
        pairs.into_iter().try_for_each(|pair| self.leave(pair))
    }

    pub fn events(&self, events: &mut [Event]) -> Result<(), DecodeError> {
        if self.is_everything() {
            return Ok(());
        }
        self.leave_all(events.iter_mut().flat_map(|event| event.kv.iter_mut().chain(&mut event.prev_kv)))
    }

    pub fn enter_range(&self, range: &mut pb::RangeRequest) {
        self.enter(&mut range.key, &mut range.range_end);
    }

    pub fn enter_put(&self, put: &mut pb::PutRequest) {
        self.key(&mut put.key);
    }

    pub fn enter_delete(&self, delete: &mut pb::DeleteRangeRequest) {
        self.enter(&mut delete.key, &mut delete.range_end);
    }

    /// Transactions within transactions too, which the decoder has bounded already.
    pub fn enter_txn(&self, txn: &mut pb::TxnRequest) {
        for compare in &mut txn.compare {
            self.enter(&mut compare.key, &mut compare.range_end);
        }
        for operation in txn.success.iter_mut().chain(&mut txn.failure) {
            match &mut operation.request {
                Some(Request::RequestRange(range)) => self.enter_range(range),
                Some(Request::RequestPut(put)) => self.enter_put(put),
                Some(Request::RequestDeleteRange(delete)) => self.enter_delete(delete),
                Some(Request::RequestTxn(inner)) => self.enter_txn(inner),
                None => {}
            }
        }
    }

    pub fn leave_range(&self, range: &mut pb::RangeResponse) -> Result<(), DecodeError> {
        self.leave_all(&mut range.kvs)
    }

    pub fn leave_put(&self, put: &mut pb::PutResponse) -> Result<(), DecodeError> {
        self.leave_all(&mut put.prev_kv)
    }

    pub fn leave_delete(&self, delete: &mut pb::DeleteRangeResponse) -> Result<(), DecodeError> {
        self.leave_all(&mut delete.prev_kvs)
    }

    pub fn leave_txn(&self, txn: &mut pb::TxnResponse) -> Result<(), DecodeError> {
        txn.responses.iter_mut().try_for_each(|answer| match &mut answer.response {
            Some(Response::ResponseRange(range)) => self.leave_range(range),
            Some(Response::ResponsePut(put)) => self.leave_put(put),
            Some(Response::ResponseDeleteRange(delete)) => self.leave_delete(delete),
            Some(Response::ResponseTxn(inner)) => self.leave_txn(inner),
            None => Ok(()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(namespace: &[u8], key: &'static [u8], end: &'static [u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut key, mut end) = (Bytes::from_static(key), Bytes::from_static(end));
        Namespace(Bytes::copy_from_slice(namespace)).enter(&mut key, &mut end);
        (key.to_vec(), end.to_vec())
    }

    #[test]
    fn ranges_stay_inside_the_namespace() {
        assert_eq!(entered(b"a/", b"k", b""), (b"a/k".to_vec(), Vec::new()));
        assert_eq!(entered(b"a/", b"k", b"l"), (b"a/k".to_vec(), b"a/l".to_vec()));
        assert_eq!(entered(b"a/", b"k", b"\0"), (b"a/k".to_vec(), b"a0".to_vec()));
        assert_eq!(entered(b"a\xff", b"k", b"\0"), (b"a\xffk".to_vec(), b"b".to_vec()));
        assert_eq!(entered(b"\xff", b"k", b"\0"), (b"\xffk".to_vec(), b"\0".to_vec()));
        assert_eq!(entered(b"", b"k", b"\0"), (b"k".to_vec(), b"\0".to_vec()));
    }

    #[test]
    fn keys_lose_what_they_were_given() {
        let namespace = Namespace::new("a/");
        let mut keys = vec![Bytes::from_static(b"a/k"), Bytes::from_static(b"b/k")];
        namespace.names(&mut keys);
        assert_eq!(keys, [Bytes::from_static(b"k")]);
    }
}
