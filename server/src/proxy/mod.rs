//! `etcd gateway`: what stands between clients and a cluster.

pub mod command;
pub mod gateway;
