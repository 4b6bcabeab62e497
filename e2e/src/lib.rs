//! The harness for tests on real processes: members of ours and of upstream's behind one interface, the command
//! lines of both, a real kube-apiserver, and histories of concurrent clients with a checker.
//!
//! Read in this order:
//! - [`binaries`]: which file is run; [`port`]: ports nobody else gets; [`process`]: one child and its signals.
//! - [`member`], [`cluster`]: etcd members on this machine. [`ctl`]: etcdctl and etcdutl.
//! - [`secured`]: a [`cluster`] with TLS everywhere.
//! - [`kubernetes`]: a kube-apiserver whose etcd is a [`cluster`], and whole Kubernetes with nodes.
//! - [`history`]: what clients saw, and whether that can be true.
//! - [`gateway`]: requests to the JSON gateway.
//! - [`terminal`]: a terminal on which a tool asks. [`transcript`]: outputs of two command lines, made comparable.
//! - [`surface`]: what a program offers, and the page of differences.
//! - [`prometheus`]: what etcd's alerting rules and dashboard say of members. [`link`]: a slow way between members.
//! - [`cost`]: processor time and memory of a process, for the bench.

pub mod binaries;
pub mod certs;
pub mod cluster;
pub mod cost;
pub mod ctl;
mod error;
pub mod gateway;
pub mod health;
pub mod history;
pub mod kubernetes;
pub mod link;
pub mod member;
pub mod network;
pub mod port;
pub mod process;
pub mod prometheus;
pub mod secured;
pub mod surface;
pub mod terminal;
pub mod transcript;
pub mod wait;

pub use error::Error;
