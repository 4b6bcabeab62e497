//! THE JSON GATEWAY: every call of the client port as `POST /v3/…`, for those who have HTTP and JSON only.
//!
//! `service` finds a path's `route`, which the descriptors of the protocol define; `objects` cuts the body into JSON objects,
//! `form` refuses what JSON leaves open,
//! `json` makes messages of them, and `call` hands those to the gRPC services in this process, so that limits, checks and
//! counters are the same. `reply` and `headers` are the way back. `web_socket` carries the same over one connection in both
//! directions, `openapi` describes it all by each message's `schema`.
//!
//! Paths, bodies and status codes are those of etcd, whose gateway is grpc-gateway 2.

mod call;
mod codec;
mod form;
mod headers;
mod json;
mod objects;
mod openapi;
mod reply;
mod route;
mod schema;
mod service;
mod web_socket;

pub use json::Error as JsonError;
pub use route::{Error, Routes};
pub use service::Gateway;
