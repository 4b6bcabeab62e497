//! The operator on a real Kubernetes: one program, so that two tests run at any time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

mod auth;
mod backup;
mod chart;
mod control_plane;
mod etcdctl;
mod hardship;
mod life;
mod manners;
mod migrate;
mod node;
mod plugin;
mod quickstart;
mod refusals;
mod spanning;
mod tls;
