//! The Kubernetes objects of a cluster, as they should be: pure.
//!
//! [`member`] has the records of members, [`pod`] (with its [`flags`]) and [`volume`] what runs for a record, [`services`] what is there
//! once a cluster. [`name`] has everybody's names.

pub mod flags;
pub mod member;
pub mod name;
pub mod pod;
pub mod services;
pub mod volume;

#[cfg(test)]
mod desired_test;
