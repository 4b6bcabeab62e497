//! Watches through the proxy: clients that watch the same share one watch on a member.
//!
//! `session` is a client's stream, `broadcast` a watch on a member with its subscribers, `hub` brings the two together. A
//! subscriber that is behind the others, by the revision it starts at or because its client reads slowly, has a broadcast of
//! its own until it has caught up. A broadcast whose member goes away resumes at another one, behind the last event.

mod broadcast;
mod hub;
mod seat;
mod session;

pub use hub::Hub;
pub use session::Service;
