//! Replies about members.

use prost::Message;
use quorate_proto::etcdserverpb::{Member, MemberListResponse, ResponseHeader};

use super::{Json, Object, Reply, Style, Table, Text, header};

fn object(member: &Member, hex: bool) -> Object {
    let id = if hex {
        Object::new().always("ID", format!("{:x}", member.id))
    } else {
        Object::new().nonzero("ID", member.id)
    };
    id.nonzero("name", member.name.as_str())
        .nonzero("peerURLs", member.peer_ur_ls.as_slice())
        .nonzero("clientURLs", member.client_ur_ls.as_slice())
        .nonzero("isLearner", member.is_learner)
}

fn reply_object(header: Option<&ResponseHeader>, added: Option<&Member>, members: &[Member], style: Style) -> Json {
    let members: Vec<Object> = members.iter().map(|member| object(member, style.hex)).collect();
    let added = added.map(|member| object(member, style.hex));
    if style.hex {
        header::hex_object_with(header).nonzero("member", added).always("members", members).into()
    } else {
        header::object_with(header).nonzero("member", added).nonzero("members", members).into()
    }
}

impl Reply for MemberListResponse {
    fn simple(&self, _style: Style) -> Text {
        rows(self).lines()
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = Text::new();
        header::fields(self.header.as_ref(), style.hex, &mut out);
        for member in &self.members {
            if style.hex {
                out.field("ID", format_args!("{:x}", member.id));
            } else {
                out.field("ID", member.id);
            }
            out.quoted_field("Name", member.name.as_bytes());
            for url in &member.peer_ur_ls {
                out.quoted_field("PeerURL", url.as_bytes());
            }
            for url in &member.client_ur_ls {
                out.quoted_field("ClientURL", url.as_bytes());
            }
            out.field("IsLearner", member.is_learner);
            out.line("");
        }
        Some(out)
    }

    fn json(&self, style: Style) -> Option<Json> {
        Some(reply_object(self.header.as_ref(), None, &self.members, style))
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        Some(self.encode_to_vec())
    }

    fn table(&self) -> Option<Table> {
        Some(rows(self))
    }
}

fn rows(list: &MemberListResponse) -> Table {
    let row = |member: &Member| {
        vec![
            format!("{:x}", member.id),
            if member.name.is_empty() { "unstarted" } else { "started" }.to_owned(),
            member.name.clone(),
            member.peer_ur_ls.join(","),
            member.client_ur_ls.join(","),
            member.is_learner.to_string(),
        ]
    };
    Table {
        header: &["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"],
        rows: list.members.iter().map(row).collect(),
    }
}

/// What happened to a member.
#[derive(Clone, Debug)]
pub enum MemberChange {
    Added(Member),
    Removed,
    Updated,
    Promoted,
}

/// The reply to a change of members.
#[derive(Clone, Debug)]
pub struct MemberChanged {
    pub id: u64,
    pub change: MemberChange,
    pub header: Option<ResponseHeader>,
    /// All members after the change.
    pub members: Vec<Member>,
    /// The reply itself, for the protobuf format.
    pub encoded: Vec<u8>,
}

impl Reply for MemberChanged {
    fn simple(&self, _style: Style) -> Text {
        let change = match &self.change {
            MemberChange::Added(member) if member.is_learner => "added as learner to",
            MemberChange::Added(_) => "added to",
            MemberChange::Removed => "removed from",
            MemberChange::Updated => "updated in",
            MemberChange::Promoted => "promoted in",
        };
        let cluster_id = self.header.map(|header| header.cluster_id).unwrap_or_default();
        let mut out = Text::new();
        out.line(format_args!("Member {:16x} {change} cluster {cluster_id:16x}", self.id));
        out
    }

    fn json(&self, style: Style) -> Option<Json> {
        let added = match &self.change {
            MemberChange::Added(member) => Some(member),
            MemberChange::Removed | MemberChange::Updated | MemberChange::Promoted => None,
        };
        Some(reply_object(self.header.as_ref(), added, &self.members, style))
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        Some(self.encoded.clone())
    }
}
