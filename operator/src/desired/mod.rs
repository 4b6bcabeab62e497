//! The Kubernetes objects of a cluster, as they should be: pure.
//!
//! [`member`] has the records of members, [`pod`] (with its [`flags`]) and [`volume`] what runs for a record, [`services`] and
//! [`monitor`] what is there once a cluster. [`name`] has everybody's names, and [`quantity`] reads sizes.

pub mod flags;
pub mod member;
pub mod monitor;
pub mod name;
pub mod pod;
pub mod quantity;
pub mod services;
pub mod volume;

#[cfg(test)]
mod desired_test;
