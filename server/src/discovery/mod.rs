//! `etcd discovery serve`: where the first members of other clusters find each other.
//!
//! One port speaks both discovery protocols: URLs over HTTP (`http`, as etcd's keys API answered up to 3.6) and keys over gRPC
//! (`grpc`, as any etcd of today). Both see the same registrations, which `registry` keeps in a cluster under etcd's names:
//! `/_etcd/registry/TOKEN/_config/size` and `/_etcd/registry/TOKEN/members/ID`. The cluster is a given one, or a member in this
//! process with a data folder of its own.

pub mod command;
mod grpc;
mod http;
mod registry;
mod serve;

pub use serve::{Error, serve};
