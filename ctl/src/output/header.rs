//! The header of a reply, which every format except the simple one shows.

use quorate_proto::etcdserverpb::ResponseHeader;

use super::{Object, Text};

/// The header as fields. The revision is left out where the server sets none, as in replies about members.
pub(super) fn fields(header: Option<&ResponseHeader>, hex: bool, out: &mut Text) {
    let header = header.copied().unwrap_or_default();
    if hex {
        out.field("ClusterID", format_args!("{:x}", header.cluster_id));
        out.field("MemberID", format_args!("{:x}", header.member_id));
    } else {
        out.field("ClusterID", header.cluster_id);
        out.field("MemberID", header.member_id);
    }
    if header.revision > 0 {
        out.field("Revision", header.revision);
    }
    out.field("RaftTerm", header.raft_term);
}

/// The header's own fields, for the object they belong to.
pub(super) fn object(header: &ResponseHeader) -> Object {
    Object::new()
        .nonzero("cluster_id", header.cluster_id)
        .nonzero("member_id", header.member_id)
        .nonzero("revision", header.revision)
        .nonzero("raft_term", header.raft_term)
}

/// An object that starts with the `header` field, if there is a header.
pub(super) fn object_with(header: Option<&ResponseHeader>) -> Object {
    Object::new().nonzero("header", header.map(object))
}

/// As [`object_with`], with hexadecimal ids, and there even without a header.
pub(super) fn hex_object_with(header: Option<&ResponseHeader>) -> Object {
    let header = header.map(|header| {
        Object::new()
            .always("cluster_id", format!("{:x}", header.cluster_id))
            .always("member_id", format!("{:x}", header.member_id))
            .nonzero("revision", header.revision)
            .nonzero("raft_term", header.raft_term)
    });
    Object::new().always("header", header)
}
