//! A real kube-apiserver whose storage is a cluster under test, and plain HTTP calls to it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::Error;
use crate::binaries::tool;
use crate::port::Port;
use crate::process::Process;
use crate::wait::{self, Look};

/// From start to `/readyz`: its post-start hooks write a few hundred objects.
const READY_LIMIT: Duration = Duration::from_secs(180);
/// One call, including the time that a cluster under it may need to elect a leader.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// The only user: everything is allowed to it.
const TOKEN: &str = "e2e-admin-token";

/// A kube-apiserver behind `kubectl proxy`, which adds TLS and the token so that tests speak plain HTTP.
#[derive(Debug)]
pub struct ApiServer {
    server: Process,
    proxy: Process,
    proxy_port: Port,
    http: Client<HttpConnector, Full<Bytes>>,
    _secure_port: Port,
}

impl ApiServer {
    /// Starts one with the given etcd endpoints (`host:port`) and extra flags; files go below `folder`.
    pub async fn start(endpoints: &[String], folder: &Path, name: &str, flags: &[&str]) -> Result<ApiServer, Error> {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).map_err(Error::io(format!("making {}", folder.display())))?;
        let key = folder.join("service-account.key");
        make_key(&key)?;
        let tokens = folder.join("tokens.csv");
        std::fs::write(&tokens, format!("{TOKEN},admin,admin,system:masters\n"))
            .map_err(Error::io(format!("writing {}", tokens.display())))?;

        let secure_port = Port::reserve()?;
        let servers = endpoints.iter().map(|endpoint| format!("http://{endpoint}")).collect::<Vec<_>>().join(",");
        let mut command = Command::new(tool("kube-apiserver")?);
        command
            .arg(format!("--etcd-servers={servers}"))
            .arg("--bind-address=127.0.0.1")
            .arg("--advertise-address=10.0.0.1")
            .arg(format!("--secure-port={}", secure_port.number()))
            .arg(format!("--cert-dir={}", folder.join("certificates").display()))
            .arg(format!("--token-auth-file={}", tokens.display()))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!("--service-account-key-file={}", key.display()))
            .arg(format!("--service-account-signing-key-file={}", key.display()))
            .arg("--service-cluster-ip-range=10.96.0.0/24")
            .arg("--authorization-mode=RBAC")
            .arg("--disable-admission-plugins=ServiceAccount")
            .args(flags);
        let server = Process::start(name, command, &folder.join("kube-apiserver.log"))?;

        let proxy_port = Port::reserve()?;
        let mut command = Command::new(tool("kubectl")?);
        command
            .env("HOME", &folder)
            .arg("--kubeconfig=/dev/null")
            .arg(format!("--server=https://127.0.0.1:{}", secure_port.number()))
            .arg("--insecure-skip-tls-verify")
            .arg(format!("--token={TOKEN}"))
            .args(["proxy", "--address=127.0.0.1"])
            .arg(format!("--port={}", proxy_port.number()));
        let proxy = Process::start("kubectl proxy", command, &folder.join("proxy.log"))?;

        let http = Client::builder(TokioExecutor::new()).build_http();
        let mut api_server = ApiServer { server, proxy, proxy_port, http, _secure_port: secure_port };
        api_server.ready().await?;
        Ok(api_server)
    }

    /// Waits for `/readyz`; an error if the process is gone.
    pub async fn ready(&mut self) -> Result<(), Error> {
        wait::until("readiness of kube-apiserver", READY_LIMIT, async || {
            self.must_run()?;
            Ok(match self.call(Method::GET, "/readyz?verbose", None).await {
                Ok((200, _)) => Look::Yes(()),
                Ok((code, answer)) => Look::NotYet(format!("{code} {answer}")),
                Err(error) => Look::NotYet(error.to_string()),
            })
        })
        .await
    }

    /// An error if the server or its proxy ended. A kube-apiserver that loses its storage for too long does.
    pub fn must_run(&mut self) -> Result<(), Error> {
        self.server.must_run()?;
        self.proxy.must_run()
    }

    /// One call with a whole answer: status code and body (a text if it is no JSON).
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value), Error> {
        let what = format!("{method} {path}");
        let exchange = async {
            let response = self.send(method, path, body).await?;
            let code = response.status().as_u16();
            let answer = |error: hyper::Error| Error::Answer { what: what.clone(), answer: error.to_string() };
            let bytes = response.into_body().collect().await.map_err(answer)?.to_bytes();
            let json = serde_json::from_slice(&bytes);
            Ok((code, json.unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()))))
        };
        tokio::time::timeout(CALL_LIMIT, exchange).await.unwrap_or_else(|_| {
            Err(Error::TooLate { what: what.clone(), waited_ms: CALL_LIMIT.as_millis(), last: "no answer".into() })
        })
    }

    /// A call that must succeed.
    pub async fn expect(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let what = format!("{method} {path}");
        match self.call(method, path, body).await? {
            (200..300, answer) => Ok(answer),
            (code, answer) => Err(Error::Answer { what, answer: format!("{code} {answer}") }),
        }
    }

    /// Opens a watch: `path` with `watch=1` in its query.
    pub async fn watch(&self, path: &str) -> Result<Watch, Error> {
        let response = self.send(Method::GET, path, None).await?;
        match response.status().as_u16() {
            200 => Ok(Watch { body: response.into_body(), buffered: Vec::new() }),
            code => Err(Error::Answer { what: format!("watch {path}"), answer: code.to_string() }),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response<Incoming>, Error> {
        let what = format!("{method} {path}");
        let failed = |error: String| Error::Answer { what: what.clone(), answer: error };
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.proxy_port.url()))
            .header("content-type", "application/json")
            .body(Full::new(bytes))
            .map_err(|error| failed(error.to_string()))?;
        self.http.request(request).await.map_err(|error| failed(format!("{error:?}")))
    }
}

/// An open watch: one JSON event a line.
#[derive(Debug)]
pub struct Watch {
    body: Incoming,
    buffered: Vec<u8>,
}

impl Watch {
    /// The next event; `None` when the server ended the watch.
    pub async fn next(&mut self) -> Result<Option<Value>, Error> {
        let bad = |answer: String| Error::Answer { what: "reading a watch".into(), answer };
        loop {
            if let Some(end) = self.buffered.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffered.drain(..=end).collect();
                return serde_json::from_slice(&line).map(Some).map_err(|error| bad(error.to_string()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(bad(error.to_string())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffered.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

/// A key that signs service account tokens; openssl is there wherever certificates are.
pub fn make_key(path: &Path) -> Result<(), Error> {
    let what = || format!("openssl ecparam -genkey for {}", path.display());
    let output = Command::new("openssl")
        .args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"])
        .arg(path)
        .output()
        .map_err(Error::io(what()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Answer { what: what(), answer: String::from_utf8_lossy(&output.stderr).into_owned() })
}
