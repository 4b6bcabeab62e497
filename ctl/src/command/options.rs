//! `etcdctl options`

use clap::CommandFactory;

use crate::{command_line::with_go_flags, failure::Failure, output};

/// Shows the global command-line flags
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Options {}

impl Options {
    /// The help of the program without its commands, global flags in sight.
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut shown = with_go_flags(super::Cli::command()).mut_args(|arg| arg.hide(false));
        shown = shown.help_template("The following options can be passed to any command:\n\n{options}\n");
        output::write(shown.render_help().to_string().as_bytes())
    }
}
