//! Quorate's server: an etcd-compatible, raft-backed key-value store.
//!
//! Four rooms, named after the parts of a replicated store, and the walk of a put through them:
//!
//! ```text
//!            HTTP SERVER             RAFT                     WAL
//!  client ─> http/client/kv ─────> raft/propose ──────────> wal/append ─┐
//!                                    │   raft/transport ─> another member's http/peer/append
//!                                    v                                  │
//!  client <─ http/client/watch     store/apply/kv ─> store/kv/put <─────┘ (a quorum has synced it)
//!                 ^                  │         STORE
//!                 └───────────── store/watch/publish
//! ```
//!
//! A read is shorter: `http/client/kv` -> `raft/read` (a quorum still follows this leader) -> `store/kv/range`.
//! `node` wires the parts; `duty` is what a leader does by the clock, and it only proposes.

pub mod config;

pub mod bootstrap;
pub mod data_folder;
pub mod node;

pub mod http;
pub mod raft;
pub mod store;
pub mod wal;

pub mod discovery;
pub mod duty;
pub mod program;
pub mod proxy;

pub mod background;
pub mod clock;
pub mod dial;
pub mod identity;
pub mod last_words;
pub mod metrics;
pub mod notify;
pub mod operation;
pub mod position;
pub mod telemetry;
pub mod traffic;
pub mod version;
