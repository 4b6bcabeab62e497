//! Messages as JSON, by the protobuf project's mapping in the form that etcd chose: fields have the names of the definitions
//! and are left out when zero; what is unknown is ignored.

use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde::Serialize;

use super::form;

const READ: DeserializeOptions = DeserializeOptions::new().deny_unknown_fields(false);
const WRITTEN: SerializeOptions = SerializeOptions::new().use_proto_field_name(true);

/// A request that is no message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("unexpected EOF")]
    Incomplete,
    #[error("invalid character '{}' looking for beginning of value", .0.escape_ascii())]
    NoObject(u8),
    #[error("request body with a JSON object larger than max ({0} bytes)")]
    TooLarge(usize),
    #[error("the request's body can't be read")]
    Body(#[source] tower::BoxError),
    #[error("proto: {0}")]
    NoMessage(serde_json::Error),
}

pub fn read(kind: MessageDescriptor, object: &[u8]) -> Result<DynamicMessage, Error> {
    form::check(&kind, object).map_err(Error::NoMessage)?;
    let mut text = serde_json::Deserializer::from_slice(object);
    DynamicMessage::deserialize_with_options(kind, &mut text, &READ).map_err(Error::NoMessage)
}

/// As a field of what is serialized.
pub struct Written<'a>(pub &'a DynamicMessage);

impl Serialize for Written<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_with_options(serializer, &WRITTEN)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message;
    use prost_reflect::DescriptorPool;
    use quorate_proto::etcdserverpb as pb;
    use quorate_proto::mvccpb::KeyValue;

    use super::*;

    fn kind(name: &str) -> MessageDescriptor {
        DescriptorPool::decode(quorate_proto::DESCRIPTORS).unwrap().get_message_by_name(name).unwrap()
    }

    fn range(text: &str) -> Result<pb::RangeRequest, Error> {
        let message = read(kind("etcdserverpb.RangeRequest"), text.as_bytes())?;
        Ok(pb::RangeRequest::decode(&*message.encode_to_vec()).unwrap())
    }

    fn written(name: &str, message: &impl Message) -> String {
        let message = DynamicMessage::decode(kind(name), &*message.encode_to_vec()).unwrap();
        serde_json::to_string(&Written(&message)).unwrap()
    }

    #[test]
    fn a_field_has_either_of_its_names() {
        for text in [r#"{"range_end":"AA=="}"#, r#"{"rangeEnd":"AA=="}"#] {
            assert_eq!(range(text).unwrap().range_end, Bytes::from_static(&[0]), "{text}");
        }
    }

    #[test]
    fn a_number_may_be_text_and_an_enum_a_number() {
        for text in [
            r#"{"limit":"7","sort_order":"DESCEND","sort_target":"MOD"}"#,
            r#"{"limit":7,"sort_order":2,"sort_target":3}"#,
            r#"{"limit":7.0,"sort_order":2,"sort_target":"MOD","revision":null}"#,
        ] {
            let request = range(text).unwrap();
            assert_eq!((request.limit, request.sort_order, request.sort_target), (7, 2, 3), "{text}");
        }
    }

    #[test]
    fn base64_may_be_of_either_alphabet_and_without_padding() {
        for text in [r#"{"key":"-_8="}"#, r#"{"key":"+/8="}"#, r#"{"key":"-_8"}"#] {
            assert_eq!(range(text).unwrap().key, Bytes::from_static(&[0xfb, 0xff]), "{text}");
        }
    }

    #[test]
    fn what_is_unknown_is_ignored() {
        assert_eq!(range(r#"{"limit":1,"later":{"a":[1]},"sort_order":"LATER"}"#).unwrap().limit, 1);
    }

    #[test]
    fn what_is_of_another_type_is_refused() {
        for text in [
            r#"{"key":1}"#,
            r#"{"key":"%"}"#,
            r#"{"limit":"many"}"#,
            r#"{"limit":1.5}"#,
            r#"{"limit":9223372036854775808}"#,
            r#"{"serializable":"true"}"#,
            r#"{"sort_order":{}}"#,
            r#"[]"#,
            "{\"key\":\"\u{0}\"}",
        ] {
            assert!(range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn of_a_oneof_there_is_one() {
        let watch = kind("etcdserverpb.WatchRequest");
        assert!(read(watch, br#"{"cancel_request":{},"progress_request":{}}"#).is_err());
    }

    #[test]
    fn large_numbers_are_text_and_zeros_are_left_out() {
        let pair = KeyValue { key: Bytes::from_static(b"k"), mod_revision: 1 << 60, ..KeyValue::default() };
        let header = Some(pb::ResponseHeader { cluster_id: u64::MAX, ..Default::default() });
        let reply = pb::RangeResponse { header, kvs: vec![pair], ..Default::default() };
        assert_eq!(
            written("etcdserverpb.RangeResponse", &reply),
            r#"{"header":{"cluster_id":"18446744073709551615"},"kvs":[{"key":"aw==","mod_revision":"1152921504606846976"}]}"#
        );
    }

    #[test]
    fn an_enum_is_written_by_name_and_a_small_number_as_one() {
        let alarm = pb::AlarmMember { member_id: 1, alarm: pb::AlarmType::Nospace as i32 };
        assert_eq!(written("etcdserverpb.AlarmMember", &alarm), r#"{"memberID":"1","alarm":"NOSPACE"}"#);
        let hash = pb::HashResponse { hash: 7, ..Default::default() };
        assert_eq!(written("etcdserverpb.HashResponse", &hash), r#"{"hash":7}"#);
    }

    /// A transaction's outcome must be told from one that is missing.
    #[test]
    fn a_oneof_is_written_though_it_is_zero() {
        let compare = pb::Compare { target_union: Some(pb::compare::TargetUnion::Version(0)), ..Default::default() };
        assert_eq!(written("etcdserverpb.Compare", &compare), r#"{"version":"0"}"#);
    }
}
