//! `etcdctl role`

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

use bytes::Bytes;
use quorate_proto::{
    authpb::{Permission, permission::Type},
    etcdserverpb::{
        AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest, AuthRoleGrantPermissionRequest,
        AuthRoleListRequest, AuthRoleRevokePermissionRequest,
    },
};

use super::Session;
use crate::{
    client::Client,
    failure::Failure,
    key_range::{KeyRange, prefix_end, to_bytes},
    output::{AuthChange, Role as RoleReply},
};

/// As a key, the first of all; as a range end, none.
const ZERO: Bytes = Bytes::from_static(b"\0");

#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum Role {
    /// Adds a new role
    Add {
        #[arg(value_name = "ROLE")]
        args: Vec<String>,
    },
    /// Deletes a role
    Delete {
        #[arg(value_name = "ROLE")]
        args: Vec<String>,
    },
    /// Gets detailed information of a role
    Get {
        #[arg(value_name = "ROLE")]
        args: Vec<String>,
    },
    /// Lists all roles
    List {
        #[arg(hide = true)]
        args: Vec<String>,
    },
    /// Grants a key to a role
    GrantPermission {
        #[command(flatten)]
        extent: Extent,
        #[arg(value_name = "ROLE read|write|readwrite KEY [RANGE_END]")]
        args: Vec<OsString>,
    },
    /// Revokes a key from a role
    RevokePermission {
        #[command(flatten)]
        extent: Extent,
        #[arg(value_name = "ROLE KEY [RANGE_END]")]
        args: Vec<OsString>,
    },
}

/// What the key stands for.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    /// All keys that start like the key
    #[arg(long)]
    prefix: bool,
    /// Keys that are greater than or equal to the given key using byte compare
    #[arg(long)]
    from_key: bool,
}

impl Role {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        let open = Client::open(&session.globals);
        let (done, header) = match self {
            Role::Get { args } => {
                let name = only(args, "get")?;
                let reply = open.await?.call(AuthRoleGetRequest { role: name.clone() }).await?;
                return session.output.print(&RoleReply { name, reply });
            }
            Role::List { args } => {
                if !args.is_empty() {
                    return Err(Failure::bad_args("role list command requires no arguments"));
                }
                return session.output.print(&open.await?.call(AuthRoleListRequest {}).await?);
            }
            Role::Add { args } => {
                let name = only(args, "add")?;
                (format!("Role {name} created"), open.await?.call(AuthRoleAddRequest { name }).await?.header)
            }
            Role::Delete { args } => {
                let role = only(args, "delete")?;
                (format!("Role {role} deleted"), open.await?.call(AuthRoleDeleteRequest { role }).await?.header)
            }
            Role::GrantPermission { extent, args } => {
                let [role, kind, keys @ ..] = args.as_slice() else { return Err(Failure::bad_args(GRANT_USAGE)) };
                let [key, end @ ..] = keys else { return Err(Failure::bad_args(GRANT_USAGE)) };
                let (name, perm_type) = (text(role)?, permission_type(kind)?.into());
                let KeyRange { key, range_end } = extent.range(key, end.first())?;
                let done = format!("Role {name} updated");
                let perm = Some(Permission { perm_type, key, range_end });
                (done, open.await?.call(AuthRoleGrantPermissionRequest { name, perm }).await?.header)
            }
            Role::RevokePermission { extent, args } => {
                let [role, given, end @ ..] = args.as_slice() else { return Err(Failure::bad_args(REVOKE_USAGE)) };
                let role = text(role)?;
                let KeyRange { key, range_end } = extent.range(given, end.first())?;
                let done = revoked(&role, &given.to_string_lossy(), &range_end);
                (done, open.await?.call(AuthRoleRevokePermissionRequest { role, key, range_end }).await?.header)
            }
        };
        session.output.print(&AuthChange { done, header })
    }
}

const GRANT_USAGE: &str = "role grant command requires role name, permission type, and key [endkey] as its argument";
const REVOKE_USAGE: &str = "role revoke-permission command requires role name and key [endkey] as its argument";

fn only(args: Vec<String>, command: &str) -> Result<String, Failure> {
    let [name] = <[String; 1]>::try_from(args)
        .map_err(|_| Failure::bad_args(format!("role {command} command requires role name as its argument")))?;
    Ok(name)
}

fn text(name: &OsStr) -> Result<String, Failure> {
    name.to_str().map(str::to_owned).ok_or_else(|| Failure::bad_args(format!("{name:?} is not valid UTF-8")))
}

fn permission_type(name: &OsStr) -> Result<Type, Failure> {
    let name = name.to_string_lossy();
    Type::from_str_name(&name.to_uppercase())
        .ok_or_else(|| Failure::bad_args(format!("invalid permission type: {name}")))
}

fn revoked(role: &str, key: &str, range_end: &Bytes) -> String {
    if range_end.is_empty() {
        format!("Permission of key {key} is revoked from role {role}")
    } else if *range_end == ZERO {
        format!("Permission of range [{key}, <open ended> is revoked from role {role}")
    } else {
        format!("Permission of range [{key}, {}) is revoked from role {role}", String::from_utf8_lossy(range_end))
    }
}

impl Extent {
    fn range(self, key: &OsStr, end: Option<&OsString>) -> Result<KeyRange, Failure> {
        let Self { prefix, from_key } = self;
        if prefix && from_key && (key.is_empty() || end.is_none()) {
            return Err(Failure::bad_args("--from-key and --prefix flags are mutually exclusive"));
        }
        // A permission has to have a key, and every key is behind the first; an end counts for nothing then.
        if key.is_empty() {
            let range_end = if prefix || from_key { ZERO } else { Bytes::new() };
            return Ok(KeyRange { key: ZERO, range_end });
        }
        let range_end = match end {
            Some(_) if prefix => return Err(Failure::bad_args("unexpected endkey argument with --prefix flag")),
            Some(_) if from_key => return Err(Failure::bad_args("unexpected endkey argument with --from-key flag")),
            Some(end) => to_bytes(end),
            None if prefix => prefix_end(key.as_bytes()),
            None if from_key => ZERO,
            None => Bytes::new(),
        };
        Ok(KeyRange { key: to_bytes(key), range_end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(prefix: bool, from_key: bool, key: &str, end: Option<&str>) -> Result<KeyRange, String> {
        let end = end.map(OsString::from);
        let range = Extent { prefix, from_key }.range(key.as_ref(), end.as_ref());
        range.map_err(|failure| failure.text().to_owned())
    }

    #[test]
    fn an_empty_key_with_a_flag_is_every_key() {
        let all = KeyRange { key: ZERO, range_end: ZERO };
        assert_eq!(range(true, false, "", None).unwrap(), all);
        assert_eq!(range(false, true, "", None).unwrap(), all);
        assert_eq!(range(false, false, "", Some("b")).unwrap(), KeyRange { key: ZERO, range_end: Bytes::new() });
    }

    #[test]
    fn an_end_goes_without_flags() {
        assert!(range(true, false, "a", Some("b")).unwrap_err().contains("--prefix"));
        assert!(range(false, true, "a", Some("b")).unwrap_err().contains("--from-key"));
        assert!(range(true, true, "a", None).unwrap_err().contains("mutually exclusive"));
        assert_eq!(range(false, false, "a", Some("b")).unwrap().range_end, "b");
    }

    #[test]
    fn what_was_revoked_is_told_as_it_was_given() {
        assert_eq!(revoked("r", "a", &Bytes::new()), "Permission of key a is revoked from role r");
        assert_eq!(revoked("r", "a", &"b".into()), "Permission of range [a, b) is revoked from role r");
        assert_eq!(revoked("r", "a", &ZERO), "Permission of range [a, <open ended> is revoked from role r");
    }
}
