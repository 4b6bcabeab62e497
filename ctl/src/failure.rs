//! How a command ends when it can't do what was asked.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

/// Exit codes, the same as those of etcd's tools: scripts tell causes apart by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The request was refused or failed.
    Error = 1,
    /// No connection that could carry the request.
    BadConnection = 2,
    /// Standard input of `txn` or `watch` can't be understood.
    InvalidInput = 3,
    /// A flag's value asks for something that doesn't exist, such as a table of a put.
    BadFeature = 4,
    /// A long task was cut off: a watch ended by the server, a snapshot that didn't arrive.
    Interrupted = 5,
    /// A local file could not be read or written.
    Io = 6,
    /// The command line is wrong.
    BadArgs = 128,
}

/// What to tell the user and the exit code to leave with.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    /// Empty if everything was said already.
    text: String,
}

impl Failure {
    pub fn new(exit: Exit, text: impl Display) -> Self {
        Self { exit, text: text.to_string() }
    }

    /// A wrong command line.
    pub fn bad_args(text: impl Display) -> Self {
        Self::new(Exit::BadArgs, text)
    }

    /// A request that failed.
    pub fn error(text: impl Display) -> Self {
        Self::new(Exit::Error, text)
    }

    /// For a command that has printed what went wrong.
    pub fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    pub fn exit(&self) -> Exit {
        self.exit
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Prints `Error: …` and gives the code for `main` to return.
    pub fn report(&self) -> ExitCode {
        if !self.text.is_empty() {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(io::stderr(), "Error: {}", self.text);
        }
        ExitCode::from(self.exit as u8)
    }
}
