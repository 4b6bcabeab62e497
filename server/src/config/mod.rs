//! As given (flags, environment, file) to resolved: [`Config`] is the only type that leaves.
//!
//! One table ([`table`]) defines every flag; the command line ([`args`]), the environment ([`env`]), the file ([`file`])
//! and the help text ([`help`]) all read it. Then `legacy` maps names of older releases, `resolve` checks and fills in,
//! and `unbuilt` refuses what this server cannot honour yet.

mod args;
mod command;
mod env;
mod error;
mod feature_gate;
mod file;
mod given;
mod help;
mod legacy;
mod notice;
mod resolve;
mod resolved;
mod sections;
mod table;
mod unbuilt;
pub mod url;
pub mod value;

pub use command::{API_VERSION, Command, Output, Sources};
pub use error::Error;
pub use feature_gate::{FeatureGates, Gate, Stage};
pub use notice::Notice;
pub use resolved::{
    AuthToken, AutoCompaction, Config, Discovery, DiscoveryKeys, DiscoveryUrl, InitialClusterState, Log, LogFormat,
    LogLevel, LogOutput, LogRotation, Tls, TlsVersion, Tracing,
};
pub use url::{Scheme, Url};

#[cfg(test)]
mod command_test;
#[cfg(test)]
mod resolve_test;
