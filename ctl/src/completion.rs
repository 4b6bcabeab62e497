//! `completion`, of both programs.

use clap_complete::Shell;

use crate::{
    failure::{Exit, Failure},
    go, output,
};

/// Generate completion script
///
/// For this session: `source <(etcdctl completion bash)`, likewise with zsh; `etcdctl completion fish | source`;
/// `etcdctl completion powershell | Out-String | Invoke-Expression`. For all to come, write the script to where the shell
/// looks for it, such as /etc/bash_completion.d/etcdctl.
#[derive(clap::Args, Clone, Debug)]
pub struct Completion {
    #[arg(value_name = "bash|zsh|fish|powershell")]
    args: Vec<String>,
}

impl Completion {
    /// Prints the script of a program with this command line.
    pub fn run(self, mut program: clap::Command) -> Result<(), Failure> {
        let name = program.get_name().to_owned();
        let [shell] = self.args.as_slice() else {
            return Err(Failure::new(Exit::Error, format!("accepts 1 arg(s), received {}", self.args.len())));
        };
        let shell = match shell.as_str() {
            "bash" => Shell::Bash,
            "zsh" => Shell::Zsh,
            "fish" => Shell::Fish,
            "powershell" => Shell::PowerShell,
            other => {
                let other = go::quote(other.as_bytes());
                return Err(Failure::new(Exit::Error, format!("invalid argument {other} for \"{name} completion\"")));
            }
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut program, name, &mut script);
        output::write(&script)
    }
}
