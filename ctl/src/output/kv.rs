//! Replies to put, get and del.

use prost::Message;
use quorate_proto::{
    etcdserverpb::{DeleteRangeResponse, PutResponse, RangeResponse},
    mvccpb::KeyValue,
};

use super::{Json, Object, Reply, Style, Text, header};

/// Key and value on lines of their own.
pub(super) fn pair_lines(pair: &KeyValue, style: Style, out: &mut Text) {
    for (bytes, shown) in [(&pair.key, !style.value_only), (&pair.value, true)] {
        match (shown, style.hex) {
            (false, _) => {}
            (true, true) => out.line(bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>()),
            (true, false) => out.bytes_line(bytes),
        }
    }
}

/// The pair's fields, named with a prefix such as `Prev`.
pub(super) fn pair_fields(prefix: &str, pair: &KeyValue, style: Style, out: &mut Text) {
    out.quoted_field(&format!("{prefix}Key"), &pair.key);
    out.field(&format!("{prefix}CreateRevision"), pair.create_revision);
    out.field(&format!("{prefix}ModRevision"), pair.mod_revision);
    out.field(&format!("{prefix}Version"), pair.version);
    out.quoted_field(&format!("{prefix}Value"), &pair.value);
    if style.hex {
        out.field(&format!("{prefix}Lease"), format_args!("{:016x}", pair.lease));
    } else {
        out.field(&format!("{prefix}Lease"), pair.lease);
    }
}

pub(super) fn pair_object(pair: &KeyValue) -> Object {
    Object::new()
        .nonzero("key", Json::bytes(&pair.key))
        .nonzero("create_revision", pair.create_revision)
        .nonzero("mod_revision", pair.mod_revision)
        .nonzero("version", pair.version)
        .nonzero("value", Json::bytes(&pair.value))
        .nonzero("lease", pair.lease)
}

impl Reply for PutResponse {
    fn simple(&self, style: Style) -> Text {
        let mut out = Text::new();
        out.line("OK");
        if let Some(pair) = &self.prev_kv {
            pair_lines(pair, style, &mut out);
        }
        out
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = Text::new();
        header::fields(self.header.as_ref(), style.hex, &mut out);
        if let Some(pair) = &self.prev_kv {
            pair_fields("Prev", pair, style, &mut out);
        }
        Some(out)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let object = header::object_with(self.header.as_ref());
        Some(object.nonzero("prev_kv", self.prev_kv.as_ref().map(pair_object)).into())
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        Some(self.encode_to_vec())
    }
}

impl Reply for RangeResponse {
    fn simple(&self, style: Style) -> Text {
        let mut out = Text::new();
        for pair in &self.kvs {
            pair_lines(pair, style, &mut out);
        }
        out
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = Text::new();
        header::fields(self.header.as_ref(), style.hex, &mut out);
        for pair in &self.kvs {
            pair_fields("", pair, style, &mut out);
        }
        out.field("More", self.more);
        out.field("Count", self.count);
        Some(out)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let object = header::object_with(self.header.as_ref())
            .nonzero("kvs", self.kvs.iter().map(pair_object).collect::<Vec<_>>())
            .nonzero("more", self.more)
            .nonzero("count", self.count);
        Some(object.into())
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        Some(self.encode_to_vec())
    }
}

impl Reply for DeleteRangeResponse {
    fn simple(&self, style: Style) -> Text {
        let mut out = Text::new();
        out.line(self.deleted);
        for pair in &self.prev_kvs {
            pair_lines(pair, style, &mut out);
        }
        out
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = Text::new();
        header::fields(self.header.as_ref(), style.hex, &mut out);
        out.field("Deleted", self.deleted);
        for pair in &self.prev_kvs {
            pair_fields("Prev", pair, style, &mut out);
        }
        Some(out)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let object = header::object_with(self.header.as_ref())
            .nonzero("deleted", self.deleted)
            .nonzero("prev_kvs", self.prev_kvs.iter().map(pair_object).collect::<Vec<_>>());
        Some(object.into())
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        Some(self.encode_to_vec())
    }
}
