//! The form of a request: what readers of JSON let pass and etcd's refuses. A field that is there twice is the worst of it, because
//! whoever checked the request before may have read the other one.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use prost_reflect::{Kind, MessageDescriptor};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

const TWO_TO_THE_63: f64 = 9_223_372_036_854_775_808.0;

/// Looks at the whole object, also at what no field is for: all of it has to be JSON in UTF-8.
pub fn check(kind: &MessageDescriptor, object: &[u8]) -> Result<(), serde_json::Error> {
    let mut text = serde_json::Deserializer::from_slice(object);
    Form(Some(Kind::Message(kind.clone()))).deserialize(&mut text)
}

/// A value of this kind, or a list of them; `None`: of a field that nobody knows. Values of the wrong type are the reader's to refuse.
#[derive(Clone)]
struct Form(Option<Kind>);

impl<'de> DeserializeSeed<'de> for Form {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Form {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = object.next_key::<Cow<'de, str>>()? {
            let field = match &self.0 {
                Some(Kind::Message(message)) => {
                    message.get_field_by_json_name(&name).or_else(|| message.get_field_by_name(&name))
                }
                _ => None,
            };
            // The two names of a field are one field.
            if field.as_ref().is_some_and(|field| !seen.insert(field.number())) {
                return Err(A::Error::custom(format_args!("duplicate field {name:?}")));
            }
            object.next_value_seed(Form(field.map(|field| field.kind())))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self.clone())?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.0 {
            Some(kind) if is_integer(&kind) && !is_plain(text) => {
                Err(E::custom(format_args!("invalid value {text:?} for a number")))
            }
            _ => Ok(()),
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    /// Whole numbers beyond 64 bits come this way too, rounded to some that may be within.
    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        let is_within = match self.0 {
            Some(Kind::Int64 | Kind::Sint64 | Kind::Sfixed64) => number.abs() < TWO_TO_THE_63,
            Some(Kind::Uint64 | Kind::Fixed64) => number < 2.0 * TWO_TO_THE_63,
            _ => true,
        };
        if is_within { Ok(()) } else { Err(E::custom(format_args!("number too large: {number}"))) }
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

fn is_integer(kind: &Kind) -> bool {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Uint32 | Kind::Fixed32 => true,
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => true,
        Kind::Double | Kind::Float | Kind::Bool | Kind::String | Kind::Bytes => false,
        Kind::Message(_) | Kind::Enum(_) => false,
    }
}

/// As numbers are written in JSON: `7`, not `+7` and not `007`.
fn is_plain(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.starts_with('+') && (digits == "0" || !digits.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;

    fn refused(kind: &str, object: &[u8]) -> Option<String> {
        let pool = DescriptorPool::decode(quorate_proto::DESCRIPTORS).unwrap();
        check(&pool.get_message_by_name(kind).unwrap(), object).err().map(|error| error.to_string())
    }

    #[test]
    fn a_field_is_there_once_by_either_name_and_at_any_depth() {
        for (object, refused_name) in [
            (r#"{"key":"YQ==","key":"Yg=="}"#, "key"),
            (r#"{"rangeEnd":"YQ==","range_end":"Yg=="}"#, "range_end"),
            (r#"{"key":null,"key":"YQ=="}"#, "key"),
        ] {
            let text = refused("etcdserverpb.RangeRequest", object.as_bytes()).unwrap();
            assert!(text.starts_with(&format!("duplicate field {refused_name:?}")), "{text}");
        }
        let nested = br#"{"success":[{"request_put":{"key":"YQ==","lease":1,"lease":2}}]}"#;
        assert!(refused("etcdserverpb.TxnRequest", nested).unwrap().starts_with("duplicate field \"lease\""));
        let siblings = br#"{"success":[{"request_put":{"key":"YQ=="}},{"request_put":{"key":"YQ=="}}]}"#;
        assert_eq!(refused("etcdserverpb.TxnRequest", siblings), None);
    }

    #[test]
    fn numbers_in_text_are_as_in_json() {
        for text in ["007", "+7", "00", "-01", "-+1"] {
            let object = format!(r#"{{"limit":"{text}"}}"#);
            assert!(refused("etcdserverpb.RangeRequest", object.as_bytes()).is_some(), "{text}");
        }
        for text in ["0", "-0", "7", "-70"] {
            let object = format!(r#"{{"limit":"{text}","key":"00","sort_order":"01"}}"#);
            assert_eq!(refused("etcdserverpb.RangeRequest", object.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn numbers_beyond_64_bits_are_not_rounded_to_some_within() {
        // 9223372036854775808 comes whole, as an unsigned number, and is the reader's to refuse.
        for number in ["-9223372036854775809", "18446744073709551616", "1e19"] {
            let object = format!(r#"{{"limit":{number}}}"#);
            assert!(refused("etcdserverpb.RangeRequest", object.as_bytes()).is_some(), "{number}");
        }
        let too_large = br#"{"memberID":18446744073709551616}"#;
        assert!(refused("etcdserverpb.AlarmRequest", too_large).is_some());
        for number in ["-9223372036854775808", "9223372036854775807", "1e2", "7.0"] {
            let object = format!(r#"{{"limit":{number}}}"#);
            assert_eq!(refused("etcdserverpb.RangeRequest", object.as_bytes()), None, "{number}");
        }
        assert_eq!(refused("etcdserverpb.AlarmRequest", br#"{"memberID":18446744073709551615}"#), None);
    }

    #[test]
    fn what_no_field_is_for_is_text_too() {
        for object in [&b"{\"later\":\"\xff\"}"[..], br#"{"later":["\ud83d"]}"#, br#"{"later":{"a":nil}}"#] {
            assert!(refused("etcdserverpb.RangeRequest", object).is_some(), "{}", object.escape_ascii());
        }
        let unknown = r#"{"later":{"a":[1,2.5,-3,true,null,"é"],"a":{}}}"#;
        assert_eq!(refused("etcdserverpb.RangeRequest", unknown.as_bytes()), None);
    }
}
