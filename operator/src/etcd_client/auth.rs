//! Calls about users, roles, and whether clients have to say who they are.

use quorate_proto::authpb::{Permission, UserAddOptions};
use quorate_proto::etcdserverpb::auth_client::AuthClient;
use quorate_proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest,
    AuthRoleGrantPermissionRequest, AuthRoleListRequest, AuthRoleRevokePermissionRequest, AuthStatusRequest,
    AuthStatusResponse, AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest,
};
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::{CHANGE, Client, Error, within};

impl Client {
    fn auth(&self) -> AuthClient<Channel> {
        AuthClient::new(self.channel.clone())
    }

    fn answer<T>(&self, answer: Result<Response<T>, Status>) -> Result<T, Error> {
        answer.map(Response::into_inner).map_err(|status| self.refused(status))
    }

    pub async fn auth_status(&self) -> Result<AuthStatusResponse, Error> {
        self.answer(self.auth().auth_status(within(CHANGE, AuthStatusRequest::default())).await)
    }

    pub async fn enable_auth(&self) -> Result<(), Error> {
        self.answer(self.auth().auth_enable(within(CHANGE, AuthEnableRequest::default())).await).map(drop)
    }

    pub async fn disable_auth(&self) -> Result<(), Error> {
        self.answer(self.auth().auth_disable(within(CHANGE, AuthDisableRequest::default())).await).map(drop)
    }

    pub async fn roles(&self) -> Result<Vec<String>, Error> {
        let answer = self.auth().role_list(within(CHANGE, AuthRoleListRequest::default())).await;
        Ok(self.answer(answer)?.roles)
    }

    pub async fn permissions(&self, role: &str) -> Result<Vec<Permission>, Error> {
        let request = AuthRoleGetRequest { role: role.to_owned() };
        Ok(self.answer(self.auth().role_get(within(CHANGE, request)).await)?.perm)
    }

    pub async fn users(&self) -> Result<Vec<String>, Error> {
        let answer = self.auth().user_list(within(CHANGE, AuthUserListRequest::default())).await;
        Ok(self.answer(answer)?.users)
    }

    pub async fn roles_of(&self, user: &str) -> Result<Vec<String>, Error> {
        let request = AuthUserGetRequest { name: user.to_owned() };
        Ok(self.answer(self.auth().user_get(within(CHANGE, request)).await)?.roles)
    }

    pub async fn add_role(&self, role: &str) -> Result<(), Error> {
        let request = AuthRoleAddRequest { name: role.to_owned() };
        self.answer(self.auth().role_add(within(CHANGE, request)).await).map(drop)
    }

    pub async fn delete_role(&self, role: &str) -> Result<(), Error> {
        let request = AuthRoleDeleteRequest { role: role.to_owned() };
        self.answer(self.auth().role_delete(within(CHANGE, request)).await).map(drop)
    }

    /// On the same range, it takes the place of the permission before.
    pub async fn allow(&self, role: &str, permission: Permission) -> Result<(), Error> {
        let request = AuthRoleGrantPermissionRequest { name: role.to_owned(), perm: Some(permission) };
        self.answer(self.auth().role_grant_permission(within(CHANGE, request)).await).map(drop)
    }

    pub async fn disallow(&self, role: &str, key: &[u8], range_end: &[u8]) -> Result<(), Error> {
        let (key, range_end) = (key.to_vec().into(), range_end.to_vec().into());
        let request = AuthRoleRevokePermissionRequest { role: role.to_owned(), key, range_end };
        self.answer(self.auth().role_revoke_permission(within(CHANGE, request)).await).map(drop)
    }

    /// Without a password, it is known by certificates alone.
    pub async fn add_user(&self, user: &str, password: Option<&str>) -> Result<(), Error> {
        let options = Some(UserAddOptions { no_password: password.is_none() });
        let request = AuthUserAddRequest {
            name: user.to_owned(),
            password: password.unwrap_or_default().to_owned(),
            options,
            ..AuthUserAddRequest::default()
        };
        self.answer(self.auth().user_add(within(CHANGE, request)).await).map(drop)
    }

    pub async fn delete_user(&self, user: &str) -> Result<(), Error> {
        let request = AuthUserDeleteRequest { name: user.to_owned() };
        self.answer(self.auth().user_delete(within(CHANGE, request)).await).map(drop)
    }

    pub async fn change_password(&self, user: &str, password: &str) -> Result<(), Error> {
        let request = AuthUserChangePasswordRequest {
            name: user.to_owned(),
            password: password.to_owned(),
            ..AuthUserChangePasswordRequest::default()
        };
        self.answer(self.auth().user_change_password(within(CHANGE, request)).await).map(drop)
    }

    pub async fn grant_role(&self, user: &str, role: &str) -> Result<(), Error> {
        let request = AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() };
        self.answer(self.auth().user_grant_role(within(CHANGE, request)).await).map(drop)
    }

    pub async fn revoke_role(&self, user: &str, role: &str) -> Result<(), Error> {
        let request = AuthUserRevokeRoleRequest { name: user.to_owned(), role: role.to_owned() };
        self.answer(self.auth().user_revoke_role(within(CHANGE, request)).await).map(drop)
    }
}
