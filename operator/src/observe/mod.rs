//! What there is: the cluster's resources in a [`cache`] or from [`kubernetes`] itself, its [`secrets`], and what
//! its members say when they are [asked](ask).
//! [`world`] has it all together; [`pod`] reads what Kubernetes says about one pod, [`job`] what came of one that carries a backup, and
//! [`follower`] what recorders and mirrors say. [`source`] finds where a restored cluster's data is. [`auth`]: users, roles and passwords.

pub mod ask;
pub mod auth;
pub mod cache;
pub mod etcd;
pub mod follower;
pub mod job;
pub mod kubernetes;
pub mod pod;
pub mod secrets;
pub mod source;
pub mod world;

pub use etcd::{Alarm, Answer, Etcd, Row, Silence, View};
pub use world::{Member, Order, World};
