//! The Auth service: users, roles, permissions and tokens.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quorate_proto::authpb::Permission;
use quorate_proto::authpb::permission::Type;
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::auth_server::Auth;
use tonic::{Request, Response, Status};

use super::credentials::Credentials;
use crate::http::client::member::Member;
use crate::http::status;
use crate::store::auth::{Caller, ROOT, Refusal, Registry};

pub struct Service {
    member: Member,
}

impl Service {
    pub fn new(member: Member) -> Self {
        Self { member }
    }

    /// Agrees on a change of users, roles or permissions.
    async fn change(&self, credentials: &Credentials, request: pb::InternalRaftRequest) -> Result<Header, Status> {
        self.member.propose(credentials, request).await?;
        Ok(self.header())
    }

    /// Reads users and roles as the last call left them, if the caller may.
    async fn read<T>(
        &self,
        credentials: &Credentials,
        read: impl FnOnce(&Caller, &Registry) -> Result<T, Refusal>,
    ) -> Result<(Header, T), Status> {
        self.member.raft().read_barrier().await.map_err(status::raft)?;
        let caller = self.member.identify(credentials).await?;
        let read = read(&caller, &self.member.store().auth()).map_err(status::auth)?;
        Ok((self.header(), read))
    }

    fn header(&self) -> Header {
        Some(self.member.header(self.member.store().revision()))
    }

    /// For the log, which never has a password.
    async fn hashed(&self, password: String) -> Result<String, Status> {
        Ok(STANDARD.encode(self.member.authority().hash(password).await?))
    }
}

type Header = Option<pb::ResponseHeader>;

#[tonic::async_trait]
impl Auth for Service {
    async fn auth_enable(
        &self,
        request: Request<pb::AuthEnableRequest>,
    ) -> Result<Response<pb::AuthEnableResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        let request = pb::InternalRaftRequest { auth_enable: Some(request), ..Default::default() };
        let header = self.change(&credentials, request).await?;
        Ok(Response::new(pb::AuthEnableResponse { header }))
    }

    async fn auth_disable(
        &self,
        request: Request<pb::AuthDisableRequest>,
    ) -> Result<Response<pb::AuthDisableResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        let request = pb::InternalRaftRequest { auth_disable: Some(request), ..Default::default() };
        let header = self.change(&credentials, request).await?;
        Ok(Response::new(pb::AuthDisableResponse { header }))
    }

    /// Anybody may ask.
    async fn auth_status(
        &self,
        request: Request<pb::AuthStatusRequest>,
    ) -> Result<Response<pb::AuthStatusResponse>, Status> {
        let (credentials, _) = Credentials::split(request);
        let read = self.read(&credentials, |_, registry| Ok((registry.enabled(), registry.revision()))).await?;
        let (header, (enabled, auth_revision)) = read;
        Ok(Response::new(pb::AuthStatusResponse { header, enabled, auth_revision }))
    }

    async fn authenticate(
        &self,
        request: Request<pb::AuthenticateRequest>,
    ) -> Result<Response<pb::AuthenticateResponse>, Status> {
        let member = &self.member;
        let token = member.authority().authenticate(request.into_inner(), member.raft(), member.store()).await?;
        Ok(Response::new(pb::AuthenticateResponse { header: self.header(), token }))
    }

    async fn user_add(
        &self,
        request: Request<pb::AuthUserAddRequest>,
    ) -> Result<Response<pb::AuthUserAddResponse>, Status> {
        let (credentials, mut request) = Credentials::split(request);
        let has_password = !request.options.is_some_and(|options| options.no_password);
        let password = std::mem::take(&mut request.password);
        request.hashed_password = if has_password { self.hashed(password).await? } else { String::new() };
        let request = pb::InternalRaftRequest { auth_user_add: Some(request), ..Default::default() };
        let header = self.change(&credentials, request).await?;
        Ok(Response::new(pb::AuthUserAddResponse { header }))
    }

    async fn user_get(
        &self,
        request: Request<pb::AuthUserGetRequest>,
    ) -> Result<Response<pb::AuthUserGetResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        let read = self.read(&credentials, |caller, registry| {
            // A user may see itself.
            caller
                .may_administer(registry)
                .or_else(|refusal| (caller.name == request.name).then_some(()).ok_or(refusal))?;
            registry.user(&request.name).map(|user| user.roles.clone()).ok_or(Refusal::UserNotFound)
        });
        let (header, roles) = read.await?;
        Ok(Response::new(pb::AuthUserGetResponse { header, roles }))
    }

    async fn user_list(
        &self,
        request: Request<pb::AuthUserListRequest>,
    ) -> Result<Response<pb::AuthUserListResponse>, Status> {
        let (credentials, _) = Credentials::split(request);
        let read = self.read(&credentials, |caller, registry| {
            caller.may_administer(registry)?;
            Ok(registry.users().cloned().collect())
        });
        let (header, users) = read.await?;
        Ok(Response::new(pb::AuthUserListResponse { header, users }))
    }

    async fn user_delete(
        &self,
        request: Request<pb::AuthUserDeleteRequest>,
    ) -> Result<Response<pb::AuthUserDeleteResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        let request = pb::InternalRaftRequest { auth_user_delete: Some(request), ..Default::default() };
        let header = self.change(&credentials, request).await?;
        Ok(Response::new(pb::AuthUserDeleteResponse { header }))
    }

    async fn user_change_password(
        &self,
        request: Request<pb::AuthUserChangePasswordRequest>,
    ) -> Result<Response<pb::AuthUserChangePasswordResponse>, Status> {
        let (credentials, mut request) = Credentials::split(request);
        let password = std::mem::take(&mut request.password);
        // As etcd: without a password the given hash is kept, and without that nobody can log in.
        if !password.is_empty() {
            request.hashed_password = self.hashed(password).await?;
        }
        let request = pb::InternalRaftRequest { auth_user_change_password: Some(request), ..Default::default() };
        let header = self.change(&credentials, request).await?;
        Ok(Response::new(pb::AuthUserChangePasswordResponse { header }))
    }

    async fn user_grant_role(
        &self,
        request: Request<pb::AuthUserGrantRoleRequest>,
    ) -> Result<Response<pb::AuthUserGrantRoleResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        let request = pb::InternalRaftRequest { auth_user_grant_role: Some(request), ..Default::default() };
        let header = self.change(&credentials, request).await?;
        Ok(Response::new(pb::AuthUserGrantRoleResponse { header }))
    }

    async fn user_revoke_role(
        &self,
        request: Request<pb::AuthUserRevokeRoleRequest>,
    ) -> Result<Response<pb::AuthUserRevokeRoleResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        let request = pb::InternalRaftRequest { auth_user_revoke_role: Some(request), ..Default::default() };
        let header = self.change(&credentials, request).await?;
        Ok(Response::new(pb::AuthUserRevokeRoleResponse { header }))
    }

    async fn role_add(
        &self,
        request: Request<pb::AuthRoleAddRequest>,
    ) -> Result<Response<pb::AuthRoleAddResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        let request = pb::InternalRaftRequest { auth_role_add: Some(request), ..Default::default() };
        let header = self.change(&credentials, request).await?;
        Ok(Response::new(pb::AuthRoleAddResponse { header }))
    }

    async fn role_get(
        &self,
        request: Request<pb::AuthRoleGetRequest>,
    ) -> Result<Response<pb::AuthRoleGetResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        let read = self.read(&credentials, |caller, registry| {
            // Whoever has a role may see what it permits.
            let has = |name: &str| registry.user(name).is_some_and(|user| user.roles.contains(&request.role));
            caller.may_administer(registry).or_else(|refusal| has(&caller.name).then_some(()).ok_or(refusal))?;
            let role = registry.role(&request.role).ok_or(Refusal::RoleNotFound)?;
            Ok(if request.role == ROOT { vec![everything()] } else { role.key_permission.clone() })
        });
        let (header, perm) = read.await?;
        Ok(Response::new(pb::AuthRoleGetResponse { header, perm }))
    }

    async fn role_list(
        &self,
        request: Request<pb::AuthRoleListRequest>,
    ) -> Result<Response<pb::AuthRoleListResponse>, Status> {
        let (credentials, _) = Credentials::split(request);
        let read = self.read(&credentials, |caller, registry| {
            caller.may_administer(registry)?;
            Ok(registry.roles().cloned().collect())
        });
        let (header, roles) = read.await?;
        Ok(Response::new(pb::AuthRoleListResponse { header, roles }))
    }

    async fn role_delete(
        &self,
        request: Request<pb::AuthRoleDeleteRequest>,
    ) -> Result<Response<pb::AuthRoleDeleteResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        let request = pb::InternalRaftRequest { auth_role_delete: Some(request), ..Default::default() };
        let header = self.change(&credentials, request).await?;
        Ok(Response::new(pb::AuthRoleDeleteResponse { header }))
    }

    async fn role_grant_permission(
        &self,
        request: Request<pb::AuthRoleGrantPermissionRequest>,
    ) -> Result<Response<pb::AuthRoleGrantPermissionResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        let request = pb::InternalRaftRequest { auth_role_grant_permission: Some(request), ..Default::default() };
        let header = self.change(&credentials, request).await?;
        Ok(Response::new(pb::AuthRoleGrantPermissionResponse { header }))
    }

    async fn role_revoke_permission(
        &self,
        request: Request<pb::AuthRoleRevokePermissionRequest>,
    ) -> Result<Response<pb::AuthRoleRevokePermissionResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        let request = pb::InternalRaftRequest { auth_role_revoke_permission: Some(request), ..Default::default() };
        let header = self.change(&credentials, request).await?;
        Ok(Response::new(pb::AuthRoleRevokePermissionResponse { header }))
    }
}

/// The role root has no permissions of its own and shows this one.
fn everything() -> Permission {
    Permission { perm_type: Type::Readwrite as i32, key: Default::default(), range_end: vec![0].into() }
}
