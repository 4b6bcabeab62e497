//! The harness's one error.

use std::path::PathBuf;

/// Why the harness could not do what a test asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or process operation failed.
    #[error("{what}")]
    Io {
        /// What was tried, with its path.
        what: String,
        #[source]
        source: std::io::Error,
    },
    /// A binary that the test runs is not there.
    #[error("no binary at {path}: {remedy}")]
    Missing { path: PathBuf, remedy: &'static str },
    /// A process ended although it should run.
    #[error("{name} ended ({status}); the end of its log:\n{log}")]
    Ended { name: String, status: String, log: String },
    /// A condition did not come true in time.
    #[error("{what} did not happen within {waited_ms} ms; last seen: {last}")]
    TooLate { what: String, waited_ms: u128, last: String },
    /// A call of the etcd client failed.
    #[error("{what}")]
    Client {
        what: String,
        #[source]
        source: Box<etcd_client::Error>,
    },
    #[error("making a certificate")]
    Certificate(#[source] rcgen::Error),
    /// An HTTP answer that is not what the protocol promises.
    #[error("{what}: {answer}")]
    Answer { what: String, answer: String },
}

impl Error {
    /// Adapter for `map_err` on I/O.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }

    /// Adapter for `map_err` on certificates.
    pub fn certificate(source: rcgen::Error) -> Error {
        Error::Certificate(source)
    }

    /// Adapter for `map_err` on client calls.
    pub fn client(what: impl Into<String>) -> impl FnOnce(etcd_client::Error) -> Error {
        let what = what.into();
        move |source| Error::Client { what, source: Box::new(source) }
    }
}
