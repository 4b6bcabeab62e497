//! Runs etcdctl, etcdutl and other tools to their end.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::Error;
use crate::binaries::Flavour;
use crate::terminal::{self, Answer};

/// A command that takes longer is killed, unless [`Ctl::limit`] says otherwise.
const LIMIT: Duration = Duration::from_secs(120);

/// A command line tool with the arguments that every call starts with.
#[derive(Clone, Debug)]
pub struct Ctl {
    binary: PathBuf,
    first_arguments: Vec<String>,
    limit: Duration,
}

/// What a call printed, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    /// The exit code; -1 if a signal ended it.
    pub code: i32,
}

impl Output {
    /// The standard output of a call that must succeed.
    pub fn success(self) -> Result<String, Error> {
        if self.code == 0 {
            return Ok(self.stdout);
        }
        Err(Error::Answer {
            what: format!("exit code {}", self.code),
            answer: format!("{}{}", self.stdout, self.stderr),
        })
    }
}

impl Ctl {
    /// etcdctl against the given endpoints.
    pub fn etcdctl(flavour: Flavour, endpoints: &[String]) -> Result<Ctl, Error> {
        let first_arguments = vec![format!("--endpoints={}", endpoints.join(","))];
        Ok(Ctl { binary: flavour.etcdctl()?, first_arguments, limit: LIMIT })
    }

    /// etcdutl.
    pub fn etcdutl(flavour: Flavour) -> Result<Ctl, Error> {
        Ok(Ctl::of(flavour.etcdutl()?))
    }

    /// Any tool.
    pub fn of(binary: PathBuf) -> Ctl {
        Ctl { binary, first_arguments: Vec::new(), limit: LIMIT }
    }

    /// An argument in front of every call's.
    pub fn argument(mut self, argument: impl Into<String>) -> Ctl {
        self.first_arguments.push(argument.into());
        self
    }

    /// Kills calls that take longer than this.
    pub fn limit(mut self, limit: Duration) -> Ctl {
        self.limit = limit;
        self
    }

    /// Runs it with nothing on its standard input.
    pub async fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Output, Error> {
        self.run_with_input(arguments, "").await
    }

    /// Runs it on a terminal, where it asks for what the answers are for.
    pub async fn run_on_terminal<A: AsRef<OsStr>>(&self, arguments: &[A], answers: &[Answer]) -> Result<Output, Error> {
        terminal::run(self.command(arguments), answers).await
    }

    /// Runs it with a text on its standard input.
    pub async fn run_with_input<A: AsRef<OsStr>>(&self, arguments: &[A], input: &str) -> Result<Output, Error> {
        let what = format!("{}", self.binary.display());
        let mut command = tokio::process::Command::from(self.command(arguments));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(Error::io(format!("starting {what}")))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A tool that reads no input may be gone before it is written.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        let ended = tokio::time::timeout(self.limit, child.wait_with_output()).await;
        let output = ended
            .map_err(|_| Error::TooLate {
                what: format!("the end of {what}"),
                waited_ms: self.limit.as_millis(),
                last: "running".into(),
            })?
            .map_err(Error::io(format!("waiting for {what}")))?;
        Ok(Output {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or(-1),
        })
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> std::process::Command {
        let mut command = std::process::Command::new(&self.binary);
        command.args(&self.first_arguments).args(arguments);
        // Variables of the desk (ETCDCTL_*, proxies) must not reach the tool. Some tools insist on a home, and some start others: a
        // lock's command, or stty, which hides what is typed.
        command.env_clear().env("HOME", std::env::temp_dir());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }
}
