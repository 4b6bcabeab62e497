//! Replies about alarms.

use prost::Message;
use quorate_proto::etcdserverpb::{AlarmMember, AlarmResponse};

use super::{Json, Object, Reply, Style, Text, header};

impl Reply for AlarmResponse {
    /// The text format of protobuf, which leaves out zero fields.
    fn simple(&self, _style: Style) -> Text {
        let mut out = Text::new();
        for alarm in &self.alarms {
            let mut parts = Vec::new();
            if alarm.member_id != 0 {
                parts.push(format!("memberID:{}", alarm.member_id));
            }
            if alarm.alarm != 0 {
                parts.push(format!("alarm:{}", name(alarm)));
            }
            out.line(parts.join(" "));
        }
        out
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = Text::new();
        header::fields(self.header.as_ref(), style.hex, &mut out);
        for alarm in &self.alarms {
            if style.hex {
                out.field("MemberID", format_args!("{:x}", alarm.member_id));
            } else {
                out.field("MemberID", alarm.member_id);
            }
            out.field("AlarmType", name(alarm));
            out.line("");
        }
        Some(out)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let alarms = self
            .alarms
            .iter()
            .map(|alarm| Object::new().nonzero("memberID", alarm.member_id).nonzero("alarm", alarm.alarm))
            .collect::<Vec<_>>();
        Some(header::object_with(self.header.as_ref()).nonzero("alarms", alarms).into())
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        Some(self.encode_to_vec())
    }
}

fn name(alarm: &AlarmMember) -> &'static str {
    alarm.alarm().as_str_name()
}
