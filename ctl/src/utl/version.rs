//! `etcdutl version`

use quorate_ctl::{failure::Failure, output::write_line};

/// Version of etcd whose commands, outputs and files these are.
const ETCD_VERSION: &str = "3.7.3";
const API_VERSION: &str = "3.7";

/// Prints the version of etcdutl
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Version {}

impl Version {
    pub(super) fn run(self) -> Result<(), Failure> {
        write_line(&format!("etcdutl version: {ETCD_VERSION}"))?;
        write_line(&format!("API version: {API_VERSION}"))?;
        write_line(&format!("Quorate version: {}", env!("CARGO_PKG_VERSION")))
    }
}
