//! Users, roles and permissions as the members have them, and the passwords of Secrets.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use quorate_proto::authpb::permission::Type;

use crate::crd::auth::Access;
use crate::etcd_client::{Client, Error};
use crate::plan::auth::{Found, Password, Permissions, Text};

/// Asks one member for all of it.
pub async fn found(client: &Client, is_enabled: bool) -> Result<Found, Error> {
    let mut found = Found { is_enabled, ..Found::default() };
    for role in client.roles().await? {
        let mut permissions = Permissions::new();
        for permission in client.permissions(&role).await? {
            let access = match permission.perm_type() {
                Type::Read => Access::Read,
                Type::Write => Access::Write,
                Type::Readwrite => Access::ReadWrite,
            };
            permissions.insert((permission.key.to_vec(), permission.range_end.to_vec()), access);
        }
        found.roles.insert(role, permissions);
    }
    for user in client.users().await? {
        let roles = client.roles_of(&user).await?.into_iter().collect();
        found.users.insert(user, roles);
    }
    Ok(found)
}

/// What a Secret has under a key. A line break at its end is left by editors.
pub fn password(secrets: &[Secret], name: &str, key: &str) -> Password {
    let Some(secret) = secrets.iter().find(|secret| secret.name_any() == name) else {
        return Password::Missing(format!("there is no Secret {name}; make it with the key {key}"));
    };
    let Some(bytes) = secret.data.as_ref().and_then(|data| data.get(key)) else {
        return Password::Missing(format!("Secret {name} has no key {key}; put the password there"));
    };
    let Ok(text) = std::str::from_utf8(&bytes.0) else {
        return Password::Missing(format!("Secret {name}: {key} is not UTF-8; put a text there"));
    };
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() {
        return Password::Missing(format!("Secret {name}: {key} is empty; put the password there"));
    }
    let version = secret.resource_version().unwrap_or_default();
    let from = format!("{}/{version}/{key}", secret.uid().unwrap_or_default());
    Password::Given { text: Text(text.to_owned()), from }
}
