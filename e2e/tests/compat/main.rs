//! Our programs beside upstream's, and programs written for upstream on ours: one program, so that two tests run at any time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

mod auth;
mod auth_table;
mod bad_input;
mod check;
mod clients;
mod dump_logs;
mod etcdutl;
mod gateway;
mod gateway_tables;
mod kube_apiserver;
mod lock;
mod metrics;
mod mirror;
mod openapi;
mod reconnect;
mod rules;
mod snapshot;
mod surface;
mod transcripts;
