//! The Kubernetes objects of a cluster, as they should be: pure.

pub mod member;
pub mod name;
