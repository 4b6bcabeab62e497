//! The peer port: the peer protocol by its path, everything else to plain HTTP.

use std::convert::Infallible;

use axum::Router;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use quorate_proto::peer::peer_server::PeerServer;
use tonic::body::Body;
use tower::Service as _;

use super::{Connection, Service, downgrade, hash, members};
use crate::http::admin;
use crate::http::client::Member;
use crate::raft::{Handle, MAX_MESSAGE_BYTES};

/// Cheap to clone.
#[derive(Clone)]
pub struct Services {
    raft: Handle,
    peer: PeerServer<Service>,
    http: Router,
}

/// `version`: the routes that the client port has as well.
pub fn services(service: Service, member: Member, version: Router) -> Services {
    let raft = service.raft.clone();
    let peer = PeerServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let http = members::routes(member.clone()).merge(hash::routes(member.clone()));
    let http = http.merge(downgrade::routes(member)).merge(version);
    Services { raft, peer, http: http.fallback(admin::not_found) }
}

impl Services {
    pub fn serve(
        &self,
        request: Request<Incoming>,
        connection: &Connection,
    ) -> BoxFuture<'static, Result<Response<Body>, Infallible>> {
        if request.uri().path().starts_with("/quorate.peer.Peer/") {
            connection.look_at(request.headers(), &self.raft);
            self.peer.clone().call(request)
        } else {
            admin::serve(self.http.clone(), request)
        }
    }
}
