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
    code: u8,
    /// Empty if everything was said already.
    text: String,
}

impl Failure {
    pub fn new(exit: Exit, text: impl Display) -> Self {
        Self { exit, code: exit as u8, text: text.to_string() }
    }

    /// For a command that leaves with the code of a program it ran.
    pub fn of_program(code: u8, text: impl Display) -> Self {
        Self { code, ..Self::error(text) }
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
        ExitCode::from(self.code)
    }
}
