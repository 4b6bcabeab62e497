//! Replies about downgrades.

use prost::Message;
use quorate_proto::etcdserverpb::DowngradeResponse;

use super::{Json, Reply, Style, Text, header};

/// The reply to one of the downgrade commands.
#[derive(Clone, Debug)]
pub struct Downgraded {
    /// The command.
    pub action: &'static str,
    pub reply: DowngradeResponse,
}

impl Reply for Downgraded {
    fn simple(&self, _style: Style) -> Text {
        let mut out = Text::new();
        out.line(format_args!("Downgrade {} success, cluster version {}", self.action, self.reply.version));
        out
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let object = header::object_with(self.reply.header.as_ref()).nonzero("version", self.reply.version.as_str());
        Some(object.into())
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        Some(self.reply.encode_to_vec())
    }
}
