//! The etcd that a Kubernetes keeps its objects in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::sandbox::Sandbox;
use crate::Error;
use crate::binaries::{Flavour, tool};
use crate::process::Process;
use crate::wait::{self, Look};

const READY_LIMIT: Duration = Duration::from_secs(60);

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datastore {
    /// One member of upstream's.
    Upstream,
    /// Three members of ours.
    Quorate,
}

impl Datastore {
    fn flavour(self) -> Flavour {
        match self {
            Datastore::Upstream => Flavour::Upstream,
            Datastore::Quorate => Flavour::Quorate,
        }
    }

    fn size(self) -> usize {
        match self {
            Datastore::Upstream => 1,
            Datastore::Quorate => 3,
        }
    }

    /// Where its clients find it, in the network of the control plane.
    pub fn endpoints(self) -> Vec<String> {
        (0..self.size()).map(|at| format!("http://{}:2379", address(at))).collect()
    }
}

/// Running members.
#[derive(Debug)]
pub struct Members {
    datastore: Datastore,
    folder: PathBuf,
    logs: PathBuf,
    processes: Vec<Option<Process>>,
}

impl Members {
    /// Starts all; [`Members::ready`] waits for them.
    pub fn start(datastore: Datastore, sandbox: &Sandbox, folder: &Path, logs: &Path) -> Result<Members, Error> {
        let processes = (0..datastore.size()).map(|_| None).collect();
        let mut members = Members { datastore, folder: folder.to_owned(), logs: logs.to_owned(), processes };
        for at in 0..datastore.size() {
            members.launch(at, sandbox)?;
        }
        Ok(members)
    }

    /// Starts member `at` (again).
    pub fn launch(&mut self, at: usize, sandbox: &Sandbox) -> Result<(), Error> {
        let (name, address) = (name(at), address(at));
        let list: Vec<_> = (0..self.datastore.size())
            .map(|at| format!("{}=http://{}:2380", self::name(at), self::address(at)))
            .collect();
        let mut command = sandbox.command(self.datastore.flavour().etcd()?);
        command.args(["--name", &name, "--data-dir"]).arg(self.folder.join(format!("{name}.etcd")));
        for flag in ["--listen-client-urls", "--advertise-client-urls"] {
            command.arg(format!("{flag}=http://{address}:2379"));
        }
        for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
            command.arg(format!("{flag}=http://{address}:2380"));
        }
        command.args(["--initial-cluster", &list.join(","), "--log-outputs", "stderr"]);
        let log = self.logs.join(format!("{name}.log"));
        self.processes[at] = Some(Process::start(&name, command, &log)?);
        Ok(())
    }

    /// SIGKILL for member `at`; its data stays.
    pub fn kill(&mut self, at: usize) -> Result<(), Error> {
        self.processes[at].take().map_or(Ok(()), Process::kill)
    }

    /// Waits until every member serves.
    pub async fn ready(&mut self, sandbox: &Sandbox) -> Result<(), Error> {
        let etcdctl = tool("etcdctl")?;
        let endpoints = format!("--endpoints={}", self.datastore.endpoints().join(","));
        wait::until("health of the datastore", READY_LIMIT, async || {
            for process in self.processes.iter_mut().flatten() {
                process.must_run()?;
            }
            let mut command = tokio::process::Command::from(sandbox.command(&etcdctl));
            command.args([&endpoints, "--command-timeout=2s", "endpoint", "health"]).kill_on_drop(true);
            let output = command.output().await.map_err(Error::io("starting etcdctl"))?;
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            Ok(if output.status.success() { Look::Yes(()) } else { Look::NotYet(said) })
        })
        .await
    }
}

fn name(at: usize) -> String {
    format!("etcd-{at}")
}

/// The loopback of the sandbox has all of 127.0.0.0/8.
fn address(at: usize) -> String {
    format!("127.0.0.{}", 11 + at)
}
