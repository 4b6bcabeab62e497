//! The Kubernetes objects of a cluster, as they should be: pure.
//!
//! [`member`] has the records of members, [`pod`] (with its [`flags`]) and [`volume`] what runs for a record, [`services`] and
//! [`monitor`] what is there once a cluster. [`worker`] is whatever runs `quorate-backup`: a [`job`], the containers that fetch a member's
//! first data ([`origin`]), and what goes on recording and mirroring ([`follower`]). [`rehearsal`] is a cluster that proves a backup. [`auth`] is the password of
//! `root`. [`name`] has everybody's names, and [`quantity`] reads sizes.

pub mod auth;
pub mod flags;
pub mod follower;
pub mod job;
pub mod member;
pub mod monitor;
pub mod name;
pub mod origin;
pub mod pod;
pub mod quantity;
pub mod rehearsal;
pub mod services;
pub mod volume;
pub mod worker;

#[cfg(test)]
mod desired_test;
