//! What a watch reports.

use prost::Message;
use quorate_proto::{
    etcdserverpb::WatchResponse,
    mvccpb::{Event, event::EventType},
};

use super::{
    Json, Object, Reply, Style, Text, header,
    kv::{pair_fields, pair_lines, pair_object},
};

/// One message of a watch, as it came from the server.
#[derive(Clone, Debug)]
pub struct Watched(pub WatchResponse);

/// `PUT` or `DELETE`.
pub(crate) fn kind_name(event: &Event) -> &'static str {
    match event.r#type() {
        EventType::Put => "PUT",
        EventType::Delete => "DELETE",
    }
}

impl Reply for Watched {
    fn simple(&self, style: Style) -> Text {
        let mut out = Text::new();
        for event in &self.0.events {
            out.line(kind_name(event));
            if let Some(pair) = &event.prev_kv {
                pair_lines(pair, style, &mut out);
            }
            pair_lines(&event.kv.clone().unwrap_or_default(), style, &mut out);
        }
        out
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = Text::new();
        header::fields(self.0.header.as_ref(), style.hex, &mut out);
        for event in &self.0.events {
            out.field("Type", kind_name(event));
            if let Some(pair) = &event.prev_kv {
                pair_fields("Prev", pair, style, &mut out);
            }
            pair_fields("", &event.kv.clone().unwrap_or_default(), style, &mut out);
        }
        Some(out)
    }

    /// The names of the Go client's struct, not of the message.
    fn json(&self, _style: Style) -> Option<Json> {
        let events = self.0.events.iter().map(|event| {
            let object = Object::new()
                .nonzero("type", event.r#type)
                .nonzero("kv", event.kv.as_ref().map(pair_object))
                .nonzero("prev_kv", event.prev_kv.as_ref().map(pair_object));
            Json::from(object)
        });
        let object = Object::new()
            .always("Header", self.0.header.as_ref().map_or_else(Object::new, header::object))
            .always("Events", Json::list_or_null(events))
            .always("CompactRevision", self.0.compact_revision)
            .always("Canceled", self.0.canceled)
            .always("Created", self.0.created)
            .always("CancelReason", self.0.cancel_reason.as_str());
        Some(object.into())
    }

    /// Without what the Go client keeps to itself: the watch's id and the reason.
    fn protobuf(&self) -> Option<Vec<u8>> {
        let message = WatchResponse { watch_id: 0, fragment: false, cancel_reason: String::new(), ..self.0.clone() };
        Some(message.encode_to_vec())
    }
}
