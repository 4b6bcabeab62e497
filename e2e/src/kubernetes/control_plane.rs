//! The API server, the controllers and the scheduler.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::access::{Access, User};
use super::api::Api;
use super::network;
use super::sandbox::Sandbox;
use crate::Error;
use crate::binaries::tool;
use crate::process::Process;
use crate::wait;

/// From start to `/readyz`: its post-start hooks write a few hundred objects.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// A node that says nothing for so long is lost. Upstream's 50 s are long for a test; a kubelet of ours speaks every
/// [`super::settings::LEASE_S`] / 4 seconds.
const SILENCE_LIMIT_S: u32 = 12;
/// Pods leave a lost node after this, unless they say otherwise. Upstream's is 300 s.
const TOLERATION_S: u32 = 10;

/// The running parts.
#[derive(Debug)]
pub struct ControlPlane {
    processes: Vec<Process>,
    api: Api,
    logs: PathBuf,
    /// Of the datastore.
    endpoints: Vec<String>,
}

impl ControlPlane {
    /// Starts the API server and waits for it.
    pub(super) async fn start(
        sandbox: &Sandbox,
        access: &Access,
        endpoints: &[String],
        folder: &Path,
        logs: &Path,
    ) -> Result<ControlPlane, Error> {
        let server = Process::start(
            "kube-apiserver",
            api_server(sandbox, access, endpoints)?,
            &logs.join("kube-apiserver.log"),
        )?;
        let (proxy, api) = Api::start(sandbox, access, folder, logs)?;
        let (logs, endpoints) = (logs.to_owned(), endpoints.to_vec());
        let mut control_plane = ControlPlane { processes: vec![server, proxy], api, logs, endpoints };
        control_plane.ready().await?;
        Ok(control_plane)
    }

    async fn ready(&mut self) -> Result<(), Error> {
        wait::until("readiness of kube-apiserver", READY_LIMIT, async || {
            self.must_run()?;
            Ok(self.api.look("/readyz", |_| true).await)
        })
        .await
        .map(drop)
    }

    /// Kills the API server, leaves it away for a while, and starts it again; then the controllers, as when the machine
    /// that both are on restarts. Controllers that go on would wait longer with each failed try, up to 1000 s, and so
    /// long no EndpointSlice and no name of a new pod.
    pub(super) async fn interrupt(&mut self, sandbox: &Sandbox, access: &Access, away: Duration) -> Result<(), Error> {
        self.kill("kube-apiserver")?;
        tokio::time::sleep(away).await;
        self.start_one("kube-apiserver", api_server(sandbox, access, &self.endpoints)?)?;
        self.ready().await?;
        self.kill("kube-controller-manager")?;
        self.start_one("kube-controller-manager", controllers(sandbox, access)?)
    }

    fn kill(&mut self, name: &str) -> Result<(), Error> {
        self.processes.extract_if(.., |process| process.name() == name).try_for_each(Process::kill)
    }

    /// Starts what acts on objects.
    pub(super) fn start_controllers(&mut self, sandbox: &Sandbox, access: &Access) -> Result<(), Error> {
        self.start_one("kube-controller-manager", controllers(sandbox, access)?)?;
        let mut scheduler = sandbox.command(tool("kube-scheduler")?);
        scheduler.arg("--kubeconfig").arg(access.kubeconfig(&User::Scheduler)).arg("--leader-elect=false");
        self.start_one("kube-scheduler", scheduler)
    }

    /// Starts a kube-proxy, so that commands in the control plane's network reach Services as pods do.
    pub(super) fn start_proxy(&mut self, command: Command) -> Result<(), Error> {
        self.start_one("kube-proxy", command)
    }

    fn start_one(&mut self, name: &str, command: Command) -> Result<(), Error> {
        let log = self.logs.join(format!("{name}.log"));
        self.processes.push(Process::start(name, command, &log)?);
        Ok(())
    }

    /// Calls to the API server.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// An error if a part has ended.
    pub fn must_run(&mut self) -> Result<(), Error> {
        self.processes.iter_mut().try_for_each(Process::must_run)
    }
}

fn api_server(sandbox: &Sandbox, access: &Access, endpoints: &[String]) -> Result<Command, Error> {
    let mut command = sandbox.command(tool("kube-apiserver")?);
    command
        .arg(format!("--etcd-servers={}", endpoints.join(",")))
        .arg(format!("--bind-address={}", network::CONTROL_PLANE))
        .arg(format!("--advertise-address={}", network::CONTROL_PLANE))
        .arg(format!("--secure-port={}", network::API_PORT))
        .arg(format!("--service-cluster-ip-range={}", network::SERVICES))
        .arg(format!("--service-account-issuer=https://kubernetes.default.svc.{}", network::DOMAIN))
        .arg("--tls-cert-file")
        .arg(&access.api_server.cert)
        .arg("--tls-private-key-file")
        .arg(&access.api_server.key)
        .arg("--token-auth-file")
        .arg(&access.tokens)
        .arg("--service-account-key-file")
        .arg(&access.service_account_key)
        .arg("--service-account-signing-key-file")
        .arg(&access.service_account_key)
        .args(["--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"])
        .arg("--allow-privileged")
        // `exec` and `logs` would look up the nodes' names, which no name server knows.
        .arg("--kubelet-preferred-address-types=InternalIP")
        .arg(format!("--default-not-ready-toleration-seconds={TOLERATION_S}"))
        .arg(format!("--default-unreachable-toleration-seconds={TOLERATION_S}"));
    Ok(command)
}

fn controllers(sandbox: &Sandbox, access: &Access) -> Result<Command, Error> {
    let mut command = sandbox.command(tool("kube-controller-manager")?);
    command
        .arg("--kubeconfig")
        .arg(access.kubeconfig(&User::Controllers))
        .arg("--root-ca-file")
        .arg(&access.authority)
        .arg("--service-account-private-key-file")
        .arg(&access.service_account_key)
        .arg(format!("--service-cluster-ip-range={}", network::SERVICES))
        .arg(format!("--node-monitor-grace-period={SILENCE_LIMIT_S}s"))
        .args(["--node-monitor-period=1s", "--use-service-account-credentials", "--leader-elect=false"])
        // Many small tests in a short time are no reason to slow down.
        .args(["--kube-api-qps=200", "--kube-api-burst=400"]);
    Ok(command)
}
