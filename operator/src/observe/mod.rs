//! What there is: the cluster's resources in Kubernetes, and what its members say.

pub mod etcd;
pub mod world;

pub use etcd::{Answer, Etcd, Row, View};
pub use world::{Member, World};
