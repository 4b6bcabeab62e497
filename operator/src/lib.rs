//! The operator: brings `EtcdCluster` resources to what they say.
//!
//! A reconcile walks through `observe` (what there is), `plan` (what to do next, pure), then does it and says so. `desired` has the
//! Kubernetes objects that a plan asks for, and [`crd`] what users write and read.

pub mod crd;
pub mod desired;
pub mod observe;
pub mod plan;
