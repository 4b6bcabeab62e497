//! Our programs as processes, with real disks, networks and failures: one program, so that two tests run at any time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

mod cluster;
mod corruption;
mod damage;
mod debugging;
mod discovery;
mod discovery_url;
mod dns;
mod downgrade;
mod gateway;
mod grpc_proxy;
mod kv;
mod lock;
mod members;
mod recovery;
mod sockets;
mod systemd;
mod tls;
mod traces;
mod v2_members;
