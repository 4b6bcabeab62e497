//! One etcd member, ours or upstream's: the same flags start both.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions};

use crate::Error;
use crate::binaries::Flavour;
use crate::health;
use crate::port::Port;
use crate::process::Process;
use crate::wait::{self, Look};

/// How long a member may take from its start to its first healthy answer.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// A call that has no answer by then has an unknown outcome.
const CALL_LIMIT: Duration = Duration::from_secs(5);

/// A member with its ports and folder, running or not.
#[derive(Debug)]
pub struct Member {
    name: String,
    flavour: Flavour,
    folder: PathBuf,
    client: Port,
    peer: Port,
    /// Plain text for health, where clients must speak TLS.
    metrics: Option<Port>,
    peers_are_secured: bool,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    process: Option<Process>,
}

impl Member {
    /// Prepares a member in `folder` (its data folder is `folder/NAME.etcd`); nothing is started.
    pub fn prepare(flavour: Flavour, name: &str, folder: &Path) -> Result<Member, Error> {
        Ok(Member {
            name: name.to_owned(),
            flavour,
            folder: folder.to_owned(),
            client: Port::reserve()?,
            peer: Port::reserve()?,
            metrics: None,
            peers_are_secured: false,
            flags: Vec::new(),
            environment: Vec::new(),
            process: None,
        })
    }

    /// Clients are to speak TLS; the certificate's flags are the caller's to add.
    pub fn secure_clients(&mut self) -> Result<(), Error> {
        let metrics = Port::reserve()?;
        self.flags.push(format!("--listen-metrics-urls={}", metrics.url()));
        self.metrics = Some(metrics);
        Ok(())
    }

    /// Members are to speak TLS with each other; the certificate's flags are the caller's to add.
    pub fn secure_peers(&mut self) {
        self.peers_are_secured = true;
    }

    /// Where clients reach it.
    pub fn client_url(&self) -> String {
        url(self.metrics.is_some(), &self.client)
    }

    /// Adds a flag to every later start, after the ones the harness sets: a repeated flag wins.
    pub fn flag(&mut self, flag: impl Into<String>) {
        self.flags.push(flag.into());
    }

    /// Adds an environment variable to every later start.
    pub fn environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Whose binary later starts run; the data folder stays.
    pub fn set_flavour(&mut self, flavour: Flavour) {
        self.flavour = flavour;
    }

    /// The member's name in the cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join(format!("{}.etcd", self.name))
    }

    /// Where clients reach it, without a scheme.
    pub fn endpoint(&self) -> String {
        self.client.address().to_string()
    }

    /// Where other members reach it.
    pub fn peer_url(&self) -> String {
        url(self.peers_are_secured, &self.peer)
    }

    /// `NAME=PEER_URL`, as `--initial-cluster` lists it.
    pub fn initial_entry(&self) -> String {
        format!("{}={}", self.name, self.peer_url())
    }

    /// Starts the process with a given `--initial-cluster`, or without one if it is empty; [`Member::ready`] waits for it.
    pub fn start(&mut self, initial_cluster: &str) -> Result<(), Error> {
        let mut command = Command::new(self.flavour.etcd()?);
        // Variables of the desk (ETCD_*, proxies) must not reach the member.
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
            .args(["--name", &self.name])
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(["--listen-client-urls", &self.client_url(), "--advertise-client-urls", &self.client_url()])
            .args(["--listen-peer-urls", &self.peer_url(), "--initial-advertise-peer-urls", &self.peer_url()])
            .args(["--log-outputs", "stderr"])
            .args(&self.flags);
        if !initial_cluster.is_empty() {
            command.args(["--initial-cluster", initial_cluster]);
        }
        let log = self.folder.join(format!("{}.log", self.name));
        self.process = Some(Process::start(&format!("{} {}", self.flavour, self.name), command, &log)?);
        Ok(())
    }

    /// Waits until the member is healthy: it has a leader and serves.
    pub async fn ready(&mut self) -> Result<(), Error> {
        let address = self.metrics.as_ref().unwrap_or(&self.client).address();
        let what = format!("health of {}", self.name);
        wait::until(&what, READY_LIMIT, async || {
            self.running()?.must_run()?;
            Ok(match health::is_healthy(address).await {
                Ok(()) => Look::Yes(()),
                Err(last) => Look::NotYet(last),
            })
        })
        .await
    }

    /// The running process.
    pub fn running(&mut self) -> Result<&mut Process, Error> {
        let name = &self.name;
        self.process.as_mut().ok_or_else(|| Error::Ended {
            name: name.clone(),
            status: "not started".into(),
            log: String::new(),
        })
    }

    /// Whether a process was started and not stopped by the test.
    pub fn is_started(&self) -> bool {
        self.process.is_some()
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.process.take().map_or(Ok(()), Process::kill)
    }

    /// SIGTERM, and waits for the end. `None`: it was not running.
    pub async fn terminate(&mut self) -> Result<Option<ExitStatus>, Error> {
        match self.process.take() {
            Some(process) => process.terminate().await.map(Some),
            None => Ok(None),
        }
    }

    /// A client of this member alone.
    pub async fn client(&self) -> Result<Client, Error> {
        connect(&[self.endpoint()]).await
    }
}

/// A client of the given endpoints whose calls end in bounded time.
pub async fn connect(endpoints: &[String]) -> Result<Client, Error> {
    Client::connect(endpoints, Some(connect_options()))
        .await
        .map_err(Error::client(format!("connecting to {endpoints:?}")))
}

pub(crate) fn connect_options() -> ConnectOptions {
    ConnectOptions::new().with_connect_timeout(CALL_LIMIT).with_timeout(CALL_LIMIT)
}

fn url(is_secured: bool, port: &Port) -> String {
    format!("{}://{}", if is_secured { "https" } else { "http" }, port.address())
}
