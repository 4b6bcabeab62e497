//! What goes wrong between us and a server, in the words of etcd's client.

use tonic::{Code, Status};

use crate::failure::{Exit, Failure};

/// Why a call has no reply.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused the call or the connection broke.
    #[error("{}", status_text(.0))]
    Status(Status),
    /// Time ran out; with the last connection failure, if there was one.
    #[error("context deadline exceeded")]
    Deadline(Option<String>),
    #[error("rpc error: code = ResourceExhausted desc = trying to send message larger than max ({bytes} vs. {limit})")]
    TooLarge { bytes: usize, limit: usize },
    /// No token for the user and password.
    #[error("{0}")]
    Login(Box<Error>),
    #[error("no endpoint: --endpoints is empty")]
    NoEndpoint,
    #[error("invalid endpoint \"{endpoint}\" in --endpoints: {reason}")]
    BadEndpoint { endpoint: String, reason: String },
    #[error("KeyFile and CertFile must both be present[key: {key}, cert: {cert}]")]
    HalfAPair { cert: String, key: String },
    #[error("{}", chain(.0))]
    Tls(quorate_tls::Error),
    #[error("failed to find the endpoints of --discovery-srv={domain}: {reason}")]
    Discovery { domain: String, reason: String },
    #[error("empty string is passed to {0} option")]
    Empty(&'static str),
    #[error("{0} must not be negative")]
    Negative(&'static str),
    #[error("the authentication token is not made of printable ASCII characters")]
    BadToken,
    #[error("could not read the password: {0}")]
    Password(std::io::Error),
}

/// A status with a source is none that a server sent: the connection broke, which tonic calls many names.
impl From<Status> for Error {
    fn from(status: Status) -> Self {
        match std::error::Error::source(&status) {
            Some(source) => Self::Status(Status::unavailable(format!("{}: {}", status.message(), chain(source)))),
            None => Self::Status(status),
        }
    }
}

impl Error {
    /// A connection that broke before the call was answered.
    pub(super) fn transport(error: tonic::transport::Error) -> Self {
        Self::Status(Status::unavailable(chain(&error)))
    }

    /// Another endpoint, or the same one later, may do better.
    pub(super) fn is_unavailable(&self) -> bool {
        matches!(self, Self::Status(status) if status.code() == Code::Unavailable)
    }

    /// What the server said.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Status(status) => Some(status.message()),
            _ => None,
        }
    }

    /// For the log: with the code and what lies behind a time limit.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::Status(status) => coded(status),
            Self::Deadline(Some(last)) => {
                format!(
                    "rpc error: code = DeadlineExceeded desc = latest balancer error: connection error: desc = {last:?}"
                )
            }
            Self::Deadline(None) => "rpc error: code = DeadlineExceeded desc = context deadline exceeded".to_owned(),
            other => other.to_string(),
        }
    }

    /// The failure of a command whose connections or flags are to blame, with `exit` for everything else.
    pub fn into_failure(self, exit: Exit) -> Failure {
        let exit = match &self {
            Self::Login(_) => Exit::BadConnection,
            Self::NoEndpoint
            | Self::BadEndpoint { .. }
            | Self::HalfAPair { .. }
            | Self::Tls(_)
            | Self::Empty(_)
            | Self::Negative(_)
            | Self::BadToken => Exit::BadArgs,
            Self::Discovery { .. } => Exit::Error,
            Self::Status(_) | Self::Deadline(_) | Self::TooLarge { .. } | Self::Password(_) => exit,
        };
        Failure::new(exit, self)
    }
}

/// Most commands end with code 1 whatever the server had against them.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        error.into_failure(Exit::Error)
    }
}

/// etcd's own messages stand for themselves, others come with their code.
fn status_text(status: &Status) -> String {
    if status.message().starts_with("etcdserver: ") {
        return status.message().to_owned();
    }
    match status.code() {
        Code::DeadlineExceeded => "context deadline exceeded".to_owned(),
        Code::Cancelled => "context canceled".to_owned(),
        _ => coded(status),
    }
}

fn coded(status: &Status) -> String {
    format!("rpc error: code = {} desc = {}", code_name(status.code()), status.message())
}

/// Go's names, which differ from tonic's in one letter.
fn code_name(code: Code) -> String {
    match code {
        Code::Ok => "OK".to_owned(),
        Code::Cancelled => "Canceled".to_owned(),
        other => format!("{other:?}"),
    }
}

/// An error with all its sources: a transport error says nothing by itself.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_etcd_stand_alone() {
        let error = Error::from(Status::out_of_range("etcdserver: mvcc: required revision has been compacted"));
        assert_eq!(error.to_string(), "etcdserver: mvcc: required revision has been compacted");
    }

    #[test]
    fn other_messages_have_their_code() {
        let error = Error::from(Status::unknown("boom"));
        assert_eq!(error.to_string(), "rpc error: code = Unknown desc = boom");
        assert_eq!(Error::from(Status::cancelled("x")).to_string(), "context canceled");
    }
}
