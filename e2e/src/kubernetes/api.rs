//! Plain HTTP calls to the API server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use super::access::{Access, User};
use super::sandbox::Sandbox;
use crate::Error;
use crate::binaries::tool;
use crate::process::Process;
use crate::wait::{self, Look};

/// One call, including the time that a datastore may need to elect a leader.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// Time between two looks at an object: each costs the API server and its proxy a millisecond.
const STEP: Duration = Duration::from_millis(80);

/// The API, reached through a socket in the file system, which is the same in every network.
#[derive(Clone, Debug)]
pub struct Api {
    socket: PathBuf,
}

impl Api {
    /// Starts `kubectl proxy`, which adds TLS and the administrator's token.
    pub(super) fn start(
        sandbox: &Sandbox,
        access: &Access,
        folder: &Path,
        logs: &Path,
    ) -> Result<(Process, Api), Error> {
        let socket = folder.join("api.sock");
        let mut command = sandbox.command(tool("kubectl")?);
        command.arg("--kubeconfig").arg(access.kubeconfig(&User::Admin));
        command.arg("proxy").arg(format!("--unix-socket={}", socket.display()));
        let proxy = Process::start("kubectl proxy", command, &logs.join("kubectl-proxy.log"))?;
        Ok((proxy, Api { socket }))
    }

    /// One call with a whole answer: status code and body (a text if it is no JSON).
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value), Error> {
        let what = format!("{method} {path}");
        let too_late =
            || Error::TooLate { what: what.clone(), waited_ms: CALL_LIMIT.as_millis(), last: "no answer".into() };
        tokio::time::timeout(CALL_LIMIT, self.exchange(method, path, body, &what)).await.map_err(|_| too_late())?
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        what: &str,
    ) -> Result<(u16, Value), Error> {
        let failed = |error: hyper::Error| Error::Answer { what: what.to_owned(), answer: format!("{error:?}") };
        let stream = UnixStream::connect(&self.socket).await.map_err(Error::io(what))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", kind)
            .body(Full::new(bytes))
            .map_err(|error| Error::Answer { what: what.to_owned(), answer: error.to_string() })?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(failed)?;
            let code = response.status().as_u16();
            let bytes = response.into_body().collect().await.map_err(failed)?.to_bytes();
            let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
            Ok((code, serde_json::from_slice(&bytes).unwrap_or_else(|_| text())))
        };
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            // A connection that has ended well has brought its answer.
            ended = connection => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(failed(error)),
            },
        }
    }

    /// A call that must succeed.
    pub async fn expect(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let what = format!("{method} {path}");
        match self.call(method, path, body).await? {
            (200..300, answer) => Ok(answer),
            (code, answer) => Err(Error::Answer { what, answer: format!("{code} {answer}") }),
        }
    }

    /// Looks at an object or a list until it is as wanted, at most for `limit`.
    pub async fn until(
        &self,
        what: &str,
        limit: Duration,
        path: &str,
        is_wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, Error> {
        wait::until(what, limit, async || Ok(self.look(path, &is_wanted).await)).await
    }

    /// One look, and a pause if it was in vain.
    pub(super) async fn look(&self, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Look<Value> {
        let last = match self.call(Method::GET, path, None).await {
            Ok((200, object)) if is_wanted(&object) => return Look::Yes(object),
            Ok((code, answer)) => format!("{code} {answer}"),
            Err(error) => format!("{error:?}"),
        };
        tokio::time::sleep(STEP).await;
        Look::NotYet(last)
    }
}

/// Whether a condition of an object's status is true.
pub fn is_true(object: &Value, condition: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|one| one["type"] == condition && one["status"] == "True")
}
