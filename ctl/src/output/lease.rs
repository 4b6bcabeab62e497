//! Replies about leases. In JSON the header's fields lie beside the lease's, as in the Go client's structs; in protobuf the
//! header is all there is, since etcdctl takes those structs for their header.

use prost::Message;
use quorate_proto::etcdserverpb::{
    LeaseGrantResponse, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseRevokeResponse, LeaseTimeToLiveResponse,
    ResponseHeader,
};

use super::{Json, Object, Reply, Style, Text, header};

#[derive(Clone, Debug)]
pub struct Granted(pub LeaseGrantResponse);

#[derive(Clone, Debug)]
pub struct Revoked {
    pub id: i64,
    pub reply: LeaseRevokeResponse,
}

#[derive(Clone, Debug)]
pub struct KeptAlive(pub LeaseKeepAliveResponse);

#[derive(Clone, Debug)]
pub struct TimeToLive {
    pub reply: LeaseTimeToLiveResponse,
    /// The keys were asked for.
    pub keys: bool,
}

#[derive(Clone, Debug)]
pub struct LeaseList(pub LeaseLeasesResponse);

fn flat(header: Option<&ResponseHeader>) -> Object {
    header.map_or_else(Object::new, header::object)
}

fn encoded(header: Option<&ResponseHeader>) -> Option<Vec<u8>> {
    Some(header.map(Message::encode_to_vec).unwrap_or_default())
}

fn id_field(id: i64, style: Style, out: &mut Text) {
    if style.hex {
        out.field("ID", format_args!("{id:016x}"));
    } else {
        out.field("ID", id);
    }
}

impl Reply for Granted {
    fn simple(&self, _style: Style) -> Text {
        let mut out = Text::new();
        out.line(format_args!("lease {:016x} granted with TTL({}s)", self.0.id, self.0.ttl));
        out
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = Text::new();
        header::fields(self.0.header.as_ref(), style.hex, &mut out);
        id_field(self.0.id, style, &mut out);
        out.field("TTL", self.0.ttl);
        Some(out)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let object = flat(self.0.header.as_ref())
            .always("ID", self.0.id)
            .always("TTL", self.0.ttl)
            .always("Error", self.0.error.as_str());
        Some(object.into())
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        encoded(self.0.header.as_ref())
    }
}

impl Reply for Revoked {
    fn simple(&self, _style: Style) -> Text {
        let mut out = Text::new();
        out.line(format_args!("lease {:016x} revoked", self.id));
        out
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = Text::new();
        header::fields(self.reply.header.as_ref(), style.hex, &mut out);
        Some(out)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        Some(header::object_with(self.reply.header.as_ref()).into())
    }
}

impl Reply for KeptAlive {
    fn simple(&self, _style: Style) -> Text {
        let mut out = Text::new();
        out.line(format_args!("lease {:016x} keepalived with TTL({})", self.0.id, self.0.ttl));
        out
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = Text::new();
        header::fields(self.0.header.as_ref(), style.hex, &mut out);
        id_field(self.0.id, style, &mut out);
        out.field("TTL", self.0.ttl);
        Some(out)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        Some(flat(self.0.header.as_ref()).always("ID", self.0.id).always("TTL", self.0.ttl).into())
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        encoded(self.0.header.as_ref())
    }
}

impl Reply for TimeToLive {
    fn simple(&self, _style: Style) -> Text {
        let mut out = Text::new();
        let reply = &self.reply;
        if reply.granted_ttl == 0 && reply.ttl == -1 {
            out.line(format_args!("lease {:016x} already expired", reply.id));
            return out;
        }
        let mut line =
            format!("lease {:016x} granted with TTL({}s), remaining({}s)", reply.id, reply.granted_ttl, reply.ttl)
                .into_bytes();
        if self.keys {
            line.extend_from_slice(b", attached keys([");
            line.extend(reply.keys.join(&b' '));
            line.extend_from_slice(b"])");
        }
        out.bytes_line(&line);
        out
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = Text::new();
        header::fields(self.reply.header.as_ref(), style.hex, &mut out);
        id_field(self.reply.id, style, &mut out);
        out.field("TTL", self.reply.ttl);
        out.field("GrantedTTL", self.reply.granted_ttl);
        for key in &self.reply.keys {
            out.quoted_field("Key", key);
        }
        Some(out)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let object = flat(self.reply.header.as_ref())
            .always("id", self.reply.id)
            .always("ttl", self.reply.ttl)
            .always("granted-ttl", self.reply.granted_ttl)
            .always("keys", Json::list_or_null(self.reply.keys.iter().map(|key| Json::bytes(key))));
        Some(object.into())
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        encoded(self.reply.header.as_ref())
    }
}

impl Reply for LeaseList {
    fn simple(&self, _style: Style) -> Text {
        let mut out = Text::new();
        out.line(format_args!("found {} leases", self.0.leases.len()));
        for lease in &self.0.leases {
            out.line(format_args!("{:016x}", lease.id));
        }
        out
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = Text::new();
        header::fields(self.0.header.as_ref(), style.hex, &mut out);
        for lease in &self.0.leases {
            id_field(lease.id, style, &mut out);
        }
        Some(out)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let leases: Vec<Object> = self.0.leases.iter().map(|lease| Object::new().always("id", lease.id)).collect();
        Some(flat(self.0.header.as_ref()).always("leases", leases).into())
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        encoded(self.0.header.as_ref())
    }
}
