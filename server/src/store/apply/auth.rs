//! Changes of users, roles and permissions. Checks and their order are etcd's.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost::Message;
use quorate_proto::authpb::{Permission, Role, User};
use quorate_proto::served::etcdserverpb as pb;

use super::execution::Execution;
use crate::store::{
    auth::{ROOT, Refusal, Registry, is_grantable, row},
    backend::Family,
};

type Done = Result<(), Refusal>;

pub(super) fn enable(on: &mut Execution<'_>) -> Done {
    let registry = &on.state.auth;
    if registry.enabled {
        return Ok(());
    }
    let root = registry.user(ROOT).ok_or(Refusal::RootUserMissing)?;
    if !root.roles.iter().any(|role| role == ROOT) {
        return Err(Refusal::RootRoleMissing);
    }
    set_enabled(on, true);
    // As in etcd, this is no new revision.
    Ok(())
}

pub(super) fn disable(on: &mut Execution<'_>) {
    if on.state.auth.enabled {
        set_enabled(on, false);
        on.state.tokens.end_all();
        commit(on);
    }
}

/// The token. Its password was checked before the request was proposed.
pub(super) fn authenticate(on: &Execution<'_>, request: &pb::InternalAuthenticateRequest) -> Result<String, Refusal> {
    if !on.state.auth.enabled {
        return Err(Refusal::NotEnabled);
    }
    let user = on.state.auth.user(&request.name).ok_or(Refusal::Failed)?;
    if has_no_password(user) {
        return Err(Refusal::NoPasswordUser);
    }
    // Members with tokens of another kind propose without one.
    if request.simple_token.is_empty() {
        return Ok(String::new());
    }
    Ok(on.state.tokens.assign(&request.simple_token, on.index, &request.name))
}

pub(super) fn add_user(on: &mut Execution<'_>, request: pb::AuthUserAddRequest) -> Done {
    let pb::AuthUserAddRequest { name, password: _, options, hashed_password } = request;
    if name.is_empty() {
        return Err(Refusal::UserEmpty);
    }
    if on.state.auth.user(&name).is_some() {
        return Err(Refusal::UserExists);
    }
    let options = options.unwrap_or_default();
    let password = if options.no_password { Bytes::new() } else { decode(&hashed_password)? };
    let user = User { name: Bytes::from(name), password, roles: Vec::new(), options: Some(options) };
    put_user(on, user);
    commit(on);
    Ok(())
}

pub(super) fn delete_user(on: &mut Execution<'_>, request: &pb::AuthUserDeleteRequest) -> Done {
    let name = &request.name;
    if on.state.auth.enabled && name == ROOT {
        return Err(Refusal::InvalidManagement);
    }
    let old = edit(on).users.remove(name).ok_or(Refusal::UserNotFound)?;
    on.write_row(Family::AuthUsers, old.name.clone(), None, Some(old.encoded_len()));
    on.state.tokens.end_of(name);
    commit(on);
    Ok(())
}

pub(super) fn change_password(on: &mut Execution<'_>, request: &pb::AuthUserChangePasswordRequest) -> Done {
    let mut user = user(on, &request.name)?;
    if !has_no_password(&user) {
        user.password = decode(&request.hashed_password)?;
    }
    put_user(on, user);
    on.state.tokens.end_of(&request.name);
    commit(on);
    Ok(())
}

pub(super) fn grant_role(on: &mut Execution<'_>, request: &pb::AuthUserGrantRoleRequest) -> Done {
    let pb::AuthUserGrantRoleRequest { user: name, role } = request;
    let mut user = user(on, name)?;
    // The role root need not exist.
    if role != ROOT && on.state.auth.role(role).is_none() {
        return Err(Refusal::RoleNotFound);
    }
    let Err(place) = user.roles.binary_search(role) else { return Ok(()) };
    user.roles.insert(place, role.clone());
    put_user(on, user);
    commit(on);
    Ok(())
}

pub(super) fn revoke_role(on: &mut Execution<'_>, request: &pb::AuthUserRevokeRoleRequest) -> Done {
    let pb::AuthUserRevokeRoleRequest { name, role } = request;
    if on.state.auth.enabled && name == ROOT && role == ROOT {
        return Err(Refusal::InvalidManagement);
    }
    let mut user = user(on, name)?;
    let before = user.roles.len();
    user.roles.retain(|granted| granted != role);
    if user.roles.len() == before {
        return Err(Refusal::RoleNotGranted);
    }
    put_user(on, user);
    commit(on);
    Ok(())
}

pub(super) fn add_role(on: &mut Execution<'_>, request: pb::AuthRoleAddRequest) -> Done {
    let name = request.name;
    if name.is_empty() {
        return Err(Refusal::RoleEmpty);
    }
    if on.state.auth.role(&name).is_some() {
        return Err(Refusal::RoleExists);
    }
    put_role(on, Role { name: Bytes::from(name), key_permission: Vec::new() });
    commit(on);
    Ok(())
}

/// Users lose the role with it.
pub(super) fn delete_role(on: &mut Execution<'_>, request: &pb::AuthRoleDeleteRequest) -> Done {
    let name = &request.role;
    if on.state.auth.enabled && name == ROOT {
        return Err(Refusal::InvalidManagement);
    }
    let old = edit(on).roles.remove(name).ok_or(Refusal::RoleNotFound)?;
    on.write_row(Family::AuthRoles, old.name.clone(), None, Some(old.encoded_len()));
    let holders: Vec<User> = on.state.auth.users.values().filter(|user| user.roles.contains(name)).cloned().collect();
    for mut user in holders {
        user.roles.retain(|role| role != name);
        on.state.tokens.end_of(&String::from_utf8_lossy(&user.name));
        put_user(on, user);
    }
    commit(on);
    Ok(())
}

/// A range that the role has already only changes its type.
pub(super) fn grant_permission(on: &mut Execution<'_>, request: pb::AuthRoleGrantPermissionRequest) -> Done {
    let pb::AuthRoleGrantPermissionRequest { name, perm } = request;
    let permission = perm.ok_or(Refusal::PermissionNotGiven)?;
    if !is_grantable(&permission) {
        return Err(Refusal::InvalidManagement);
    }
    let mut role = role(on, &name)?;
    match role.key_permission.iter_mut().find(|granted| is_same_range(granted, &permission.key, &permission.range_end))
    {
        Some(granted) => granted.perm_type = permission.perm_type,
        None => {
            role.key_permission.push(permission);
            role.key_permission.sort_by(|one, other| one.key.cmp(&other.key));
        }
    }
    put_role(on, role);
    commit(on);
    Ok(())
}

pub(super) fn revoke_permission(on: &mut Execution<'_>, request: &pb::AuthRoleRevokePermissionRequest) -> Done {
    let mut role = role(on, &request.role)?;
    let before = role.key_permission.len();
    role.key_permission.retain(|granted| !is_same_range(granted, &request.key, &request.range_end));
    if role.key_permission.len() == before {
        return Err(Refusal::PermissionNotGranted);
    }
    put_role(on, role);
    commit(on);
    Ok(())
}

fn is_same_range(permission: &Permission, key: &[u8], range_end: &[u8]) -> bool {
    permission.key == key && permission.range_end == range_end
}

fn has_no_password(user: &User) -> bool {
    user.options.is_some_and(|options| options.no_password)
}

fn decode(hashed_password: &str) -> Result<Bytes, Refusal> {
    STANDARD.decode(hashed_password).map(Bytes::from).map_err(|_| Refusal::NoPasswordUser)
}

fn user(on: &Execution<'_>, name: &str) -> Result<User, Refusal> {
    on.state.auth.user(name).cloned().ok_or(Refusal::UserNotFound)
}

fn role(on: &Execution<'_>, name: &str) -> Result<Role, Refusal> {
    on.state.auth.role(name).cloned().ok_or(Refusal::RoleNotFound)
}

fn put_user(on: &mut Execution<'_>, user: User) {
    let name = String::from_utf8_lossy(&user.name).into_owned();
    let (key, value) = (user.name.clone(), Bytes::from(user.encode_to_vec()));
    let old = edit(on).users.insert(name, user).map(|old| old.encoded_len());
    on.write_row(Family::AuthUsers, key, Some(value), old);
}

fn put_role(on: &mut Execution<'_>, role: Role) {
    let name = String::from_utf8_lossy(&role.name).into_owned();
    let (key, value) = (role.name.clone(), Bytes::from(role.encode_to_vec()));
    let old = edit(on).roles.insert(name, role).map(|old| old.encoded_len());
    on.write_row(Family::AuthRoles, key, Some(value), old);
}

fn set_enabled(on: &mut Execution<'_>, enabled: bool) {
    edit(on).enabled = enabled;
    on.write_row(Family::Auth, Bytes::from_static(row::ENABLED.as_bytes()), Some(vec![u8::from(enabled)].into()), None);
}

/// Whoever was identified before is identified anew.
fn commit(on: &mut Execution<'_>) {
    let registry = edit(on);
    registry.revision += 1;
    registry.derive_rights();
    let revision = registry.revision.to_be_bytes();
    on.write_row(
        Family::Auth,
        Bytes::from_static(row::REVISION.as_bytes()),
        Some(Bytes::copy_from_slice(&revision)),
        None,
    );
}

/// Readers keep the registry they have.
fn edit<'a>(on: &'a mut Execution<'_>) -> &'a mut Registry {
    Arc::make_mut(&mut on.state.auth)
}
