//! One change of users and roles.

use quorate_proto::authpb::Permission;
use quorate_proto::authpb::permission::Type;

use crate::crd::auth::Access;
use crate::etcd_client::{Client, Error};
use crate::plan::auth::Change;

pub async fn change(client: &Client, change: &Change) -> Result<(), Error> {
    match change {
        Change::AddRole { role } => client.add_role(role).await,
        Change::Allow { role, range: (key, range_end), access } => {
            let perm_type = match access {
                Access::Read => Type::Read,
                Access::Write => Type::Write,
                Access::ReadWrite => Type::Readwrite,
            };
            let (key, range_end) = (key.clone().into(), range_end.clone().into());
            client.allow(role, Permission { perm_type: perm_type.into(), key, range_end }).await
        }
        Change::Disallow { role, range: (key, range_end) } => client.disallow(role, key, range_end).await,
        Change::DeleteRole { role } => client.delete_role(role).await,
        Change::AddUser { user, password, from: _ } => {
            client.add_user(user, password.as_ref().map(|password| password.0.as_str())).await
        }
        Change::ChangePassword { user, password, from: _ } => client.change_password(user, &password.0).await,
        Change::DeleteUser { user } => client.delete_user(user).await,
        Change::GrantRole { user, role } => client.grant_role(user, role).await,
        Change::RevokeRole { user, role } => client.revoke_role(user, role).await,
        Change::Enable => client.enable_auth().await,
        Change::Disable => client.disable_auth().await,
    }
}
