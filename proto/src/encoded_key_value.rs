//! A key-value pair that passes through the server as bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::{
    DecodeError, Message,
    encoding::{self, DecodeContext, WireType},
};

use crate::mvccpb::KeyValue;

/// An `mvccpb.KeyValue` in its wire encoding, which is also how it is stored. As a field of a message it is written and read
/// without a look inside, so a range reply costs one copy a pair.
///
/// Equality is that of the bytes: two encodings of one pair may differ in the order of their fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EncodedKeyValue(Bytes);

impl EncodedKeyValue {
    /// The pair's encoding.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Gives the encoding away.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Reads the pair; key and value share this encoding's memory.
    pub fn decode(&self) -> Result<KeyValue, DecodeError> {
        KeyValue::decode(self.0.clone())
    }
}

/// The bytes are taken as they are: they must be the encoding of a pair.
impl From<Bytes> for EncodedKeyValue {
    fn from(encoding: Bytes) -> Self {
        Self(encoding)
    }
}

impl From<&KeyValue> for EncodedKeyValue {
    fn from(pair: &KeyValue) -> Self {
        Self(pair.encode_to_vec().into())
    }
}

impl Message for EncodedKeyValue {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    /// Protobuf hands over one field at a time. Appending each as it came keeps unknown fields, and makes a message that comes
    /// in two parts the merge of both, as the format wants it.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        let length = match wire_type {
            WireType::Varint => {
                let value = encoding::decode_varint(buf)?;
                let mut whole = self.open(tag, wire_type, encoding::encoded_len_varint(value));
                encoding::encode_varint(value, &mut whole);
                self.0 = whole.freeze();
                return Ok(());
            }
            WireType::LengthDelimited => {
                let mut value = Bytes::new();
                encoding::bytes::merge(wire_type, &mut value, buf, ctx)?;
                let mut whole =
                    self.open(tag, wire_type, encoding::encoded_len_varint(value.len() as u64) + value.len());
                encoding::encode_varint(value.len() as u64, &mut whole);
                whole.put_slice(&value);
                self.0 = whole.freeze();
                return Ok(());
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            // No etcd has written a group; dropping one keeps the rest readable.
            WireType::StartGroup | WireType::EndGroup => return encoding::skip_field(wire_type, tag, buf, ctx),
        };
        if buf.remaining() < length {
            // `skip_field` finds the same shortage and has the error for it.
            return encoding::skip_field(wire_type, tag, buf, ctx);
        }
        let mut whole = self.open(tag, wire_type, length);
        whole.put(buf.take(length));
        self.0 = whole.freeze();
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0 = Bytes::new();
    }
}

impl EncodedKeyValue {
    /// What is there so far, with the next field's key behind it and room for `length` bytes more.
    fn open(&mut self, tag: u32, wire_type: WireType, length: usize) -> BytesMut {
        let mut whole = BytesMut::from(std::mem::take(&mut self.0));
        whole.reserve(encoding::key_len(tag) + length);
        encoding::encode_key(tag, wire_type, &mut whole);
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{etcdserverpb, mvccpb, served};

    fn pair() -> KeyValue {
        KeyValue {
            key: Bytes::from_static(b"/registry/pods/a"),
            create_revision: 5,
            mod_revision: 1 << 40,
            version: 3,
            value: Bytes::from(vec![7; 300]),
            lease: -1,
        }
    }

    #[test]
    fn a_served_range_reply_reads_as_the_plain_one() {
        let served = served::etcdserverpb::RangeResponse {
            header: Some(served::etcdserverpb::ResponseHeader { revision: 9, ..Default::default() }),
            kvs: vec![EncodedKeyValue::from(&pair()), EncodedKeyValue::default()],
            more: true,
            count: 2,
        };
        let plain = etcdserverpb::RangeResponse::decode(&*served.encode_to_vec()).unwrap();
        assert_eq!(plain.kvs, [pair(), KeyValue::default()]);
        assert_eq!(plain.header.unwrap().revision, 9);
        assert!(plain.more);
        assert_eq!(plain.count, 2);
    }

    #[test]
    fn a_plain_range_reply_reads_as_the_served_one() {
        let plain = etcdserverpb::RangeResponse { kvs: vec![pair(), pair()], count: 2, ..Default::default() };
        let served = served::etcdserverpb::RangeResponse::decode(Bytes::from(plain.encode_to_vec())).unwrap();
        assert_eq!(served.encode_to_vec(), plain.encode_to_vec());
        assert_eq!(served.kvs[1].decode().unwrap(), pair());
        assert_eq!(served.kvs[0].as_bytes(), &pair().encode_to_vec());
    }

    #[test]
    fn a_served_event_reads_as_the_plain_one() {
        let served = served::mvccpb::Event {
            r#type: served::mvccpb::event::EventType::Delete.into(),
            kv: Some(EncodedKeyValue::from(&pair())),
            prev_kv: None,
        };
        let plain = mvccpb::Event::decode(&*served.encode_to_vec()).unwrap();
        assert_eq!(plain.kv, Some(pair()));
        assert_eq!(plain.prev_kv, None);
    }

    #[test]
    fn fields_of_a_later_etcd_are_kept() {
        let mut encoding = BytesMut::from(&*pair().encode_to_vec());
        encoding::fixed64::encode(100, &8, &mut encoding);
        encoding::fixed32::encode(101, &4, &mut encoding);
        let read = <EncodedKeyValue as Message>::decode(encoding.clone().freeze()).unwrap();
        assert_eq!(read.into_bytes(), encoding);
    }

    #[test]
    fn a_pair_that_is_cut_short_is_refused() {
        let whole = pair().encode_to_vec();
        assert!(<EncodedKeyValue as Message>::decode(&whole[..whole.len() - 1]).is_err());
        let mut fixed = Vec::new();
        encoding::fixed64::encode(100, &8, &mut fixed);
        assert!(<EncodedKeyValue as Message>::decode(&fixed[..fixed.len() - 1]).is_err());
    }

    #[test]
    fn two_parts_of_a_pair_merge() {
        let mut pair_in_parts =
            EncodedKeyValue::from(&KeyValue { version: 1, key: Bytes::from_static(b"k"), ..Default::default() });
        let later = KeyValue { version: 2, ..Default::default() };
        pair_in_parts.merge(&*later.encode_to_vec()).unwrap();
        let read = pair_in_parts.decode().unwrap();
        assert_eq!((read.version, &*read.key), (2, b"k".as_slice()));
    }
}
