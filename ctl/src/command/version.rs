//! `etcdctl version`

use crate::{failure::Failure, output::write_line};

/// Version of etcd whose commands and outputs these are.
pub const ETCD_VERSION: &str = "3.7.3";
const API_VERSION: &str = "3.7";

/// Prints the version of etcdctl
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Version {}

impl Version {
    pub(super) fn run(self) -> Result<(), Failure> {
        write_line(&format!("etcdctl version: {ETCD_VERSION}"))?;
        write_line(&format!("API version: {API_VERSION}"))?;
        write_line(&format!("Quorate version: {}", env!("CARGO_PKG_VERSION")))
    }
}
