//! What stands between clients and a cluster: `etcd gateway` passes bytes, `etcd grpc-proxy` calls.

pub mod command;
pub mod gateway;
pub mod grpc;
