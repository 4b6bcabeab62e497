//! `etcdctl` and `etcdutl`: the command line of a cluster.
//!
//! A command is a file in `command/` that parses its flags, makes its call through `client/` and prints the reply through
//! `output/`. Flags of every command are in `globals`.

pub mod client;
pub mod command;
pub mod command_line;
pub mod completion;
pub mod failure;
pub mod globals;
pub mod go;
mod key_range;
pub mod log;
pub mod output;
