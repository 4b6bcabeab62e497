//! Replies about users, roles and authentication.

use prost::Message;
use quorate_proto::{
    authpb::{Permission, permission::Type},
    etcdserverpb::{
        AuthEnableResponse, AuthRoleGetResponse, AuthRoleListResponse, AuthStatusResponse, AuthUserGetResponse,
        AuthUserListResponse, ResponseHeader,
    },
};

use super::{Json, Object, Reply, Style, Text, header};
use crate::{go, key_range::prefix_end};

/// May do everything whatever permissions it has.
const ROOT: &str = "root";
const OPEN_END: &[u8] = b"\0";

/// The reply to a change of users, roles or permissions: it is nothing but a header.
#[derive(Clone, Debug)]
pub struct AuthChange {
    /// In the words of the simple format.
    pub done: String,
    pub header: Option<ResponseHeader>,
}

#[derive(Clone, Debug)]
pub struct User {
    pub name: String,
    pub reply: AuthUserGetResponse,
}

#[derive(Clone, Debug)]
pub struct Role {
    pub name: String,
    pub reply: AuthRoleGetResponse,
}

fn header_fields(header: Option<&ResponseHeader>, style: Style) -> Text {
    let mut out = Text::new();
    header::fields(header, style.hex, &mut out);
    out
}

impl Reply for AuthChange {
    fn simple(&self, _style: Style) -> Text {
        let mut out = Text::new();
        out.line(&self.done);
        out
    }

    fn fields(&self, style: Style) -> Option<Text> {
        Some(header_fields(self.header.as_ref(), style))
    }

    fn json(&self, _style: Style) -> Option<Json> {
        Some(header::object_with(self.header.as_ref()).into())
    }

    /// The header has the same number in all these messages.
    fn protobuf(&self) -> Option<Vec<u8>> {
        Some(AuthEnableResponse { header: self.header }.encode_to_vec())
    }
}

impl Reply for User {
    fn simple(&self, _style: Style) -> Text {
        let mut out = Text::new();
        out.line(format_args!("User: {}", self.name));
        let roles: String = self.reply.roles.iter().map(|role| format!(" {role}")).collect();
        out.line(format_args!("Roles:{roles}"));
        out
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let roles = self.reply.roles.as_slice();
        Some(header::object_with(self.reply.header.as_ref()).nonzero("roles", roles).into())
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        Some(self.reply.encode_to_vec())
    }
}

impl Reply for AuthUserListResponse {
    fn simple(&self, _style: Style) -> Text {
        names(&self.users)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        Some(header::object_with(self.header.as_ref()).nonzero("users", self.users.as_slice()).into())
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        Some(self.encode_to_vec())
    }
}

impl Reply for AuthRoleListResponse {
    fn simple(&self, _style: Style) -> Text {
        names(&self.roles)
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = header_fields(self.header.as_ref(), style);
        let roles: String = self.roles.iter().map(|role| format!(" {}", go::quote(role.as_bytes()))).collect();
        out.line(format_args!("\"Roles\" :{roles}"));
        Some(out)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        Some(header::object_with(self.header.as_ref()).nonzero("roles", self.roles.as_slice()).into())
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        Some(self.encode_to_vec())
    }
}

fn names(names: &[String]) -> Text {
    let mut out = Text::new();
    names.iter().for_each(|name| out.line(name));
    out
}

impl Reply for Role {
    fn simple(&self, _style: Style) -> Text {
        let mut out = Text::new();
        out.line(format_args!("Role {}", self.name));
        let everything =
            Permission { perm_type: Type::Readwrite.into(), range_end: OPEN_END.into(), ..Default::default() };
        let permissions = match self.reply.perm.as_slice() {
            [] if self.name == ROOT => &[everything],
            permissions => permissions,
        };
        for (title, other) in [("KV Read:", Type::Write), ("KV Write:", Type::Read)] {
            out.line(title);
            for permission in permissions.iter().filter(|permission| permission.perm_type() != other) {
                out.bytes_line(&keys_line(permission));
            }
        }
        out
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = header_fields(self.reply.header.as_ref(), style);
        for permission in &self.reply.perm {
            // The second blank is in etcdctl's output too.
            out.field("PermType", format_args!(" {}", permission.perm_type().as_str_name()));
            out.quoted_field("Key", &permission.key);
            out.quoted_field("RangeEnd", &permission.range_end);
        }
        Some(out)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let object = |permission: &Permission| {
            Object::new()
                .nonzero("permType", permission.perm_type)
                .nonzero("key", Json::bytes(&permission.key))
                .nonzero("range_end", Json::bytes(&permission.range_end))
        };
        let permissions: Vec<Object> = self.reply.perm.iter().map(object).collect();
        Some(header::object_with(self.reply.header.as_ref()).nonzero("perm", permissions).into())
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        Some(self.reply.encode_to_vec())
    }
}

/// The keys of a permission: one, a range, or a range that has a prefix for its name.
fn keys_line(permission: &Permission) -> Vec<u8> {
    let Permission { perm_type: _, key, range_end } = permission;
    if range_end.is_empty() {
        return [b"\t", key.as_ref()].concat();
    }
    let mut line = if range_end == OPEN_END {
        [b"\t[", key.as_ref(), b", <open ended>"].concat()
    } else {
        [b"\t[", key.as_ref(), b", ", range_end.as_ref(), b")"].concat()
    };
    if !key.is_empty() && prefix_end(key) == range_end {
        line.extend_from_slice(&[b" (prefix ", key.as_ref(), b")"].concat());
    }
    line
}

impl Reply for AuthStatusResponse {
    fn simple(&self, _style: Style) -> Text {
        let mut out = Text::new();
        out.line(format_args!("Authentication Status: {}", self.enabled));
        out.line(format_args!("AuthRevision: {}", self.auth_revision));
        out
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let object = header::object_with(self.header.as_ref())
            .nonzero("enabled", self.enabled)
            .nonzero("authRevision", self.auth_revision);
        Some(object.into())
    }

    fn protobuf(&self) -> Option<Vec<u8>> {
        Some(self.encode_to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(perm_type: Type, key: &'static [u8], range_end: &'static [u8]) -> Permission {
        Permission { perm_type: perm_type.into(), key: key.into(), range_end: range_end.into() }
    }

    fn shown(name: &str, perm: Vec<Permission>) -> String {
        let role = Role { name: name.to_owned(), reply: AuthRoleGetResponse { header: None, perm } };
        String::from_utf8(role.simple(Style::default()).into_bytes()).unwrap()
    }

    #[test]
    fn a_role_shows_keys_ranges_and_prefixes() {
        let perm = vec![
            permission(Type::Read, b"a", b""),
            permission(Type::Write, b"b", b"d"),
            permission(Type::Readwrite, b"e", b"f"),
            permission(Type::Read, b"g", b"\0"),
        ];
        assert_eq!(
            shown("r", perm),
            "Role r\nKV Read:\n\ta\n\t[e, f) (prefix e)\n\t[g, <open ended>\nKV Write:\n\t[b, d)\n\t[e, f) (prefix e)\n"
        );
    }

    #[test]
    fn root_without_permissions_may_do_everything() {
        let everything = "KV Read:\n\t[, <open ended>\nKV Write:\n\t[, <open ended>\n";
        assert_eq!(shown("root", Vec::new()), format!("Role root\n{everything}"));
        assert_eq!(shown("other", Vec::new()), "Role other\nKV Read:\nKV Write:\n");
    }
}
