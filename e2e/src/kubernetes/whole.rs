//! A whole Kubernetes: a control plane and nodes that run pods, in namespaces and a folder of their own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures::future::try_join_all;
use serde_json::Value;
use tempfile::TempDir;

use super::access::{Access, User};
use super::api::{Api, is_true};
use super::control_plane::ControlPlane;
use super::datastore::{Datastore, Members};
use super::image::Image;
use super::inside::Inside;
use super::node::{self, Node};
use super::sandbox::{Kind, Sandbox, run};
use super::volumes::Provisioner;
use super::{dns, network};
use crate::Error;
use crate::binaries::{plugin, tool};
use crate::ctl::{Ctl, Output};
use crate::wait;

/// From the start of a kubelet until its node is ready, on a busy machine.
const NODE_LIMIT: Duration = Duration::from_secs(120);
const DNS_LIMIT: Duration = Duration::from_secs(120);

/// The network of the control plane, whose names are those of the pods.
const PREPARATION: &str = r#"
ip link set lo up
ip link add "$1" type bridge
ip address add "$2/24" dev "$1"
ip link set "$1" up
# Addresses of Services are on no link: without a way out they would be unreachable before kube-proxy's rules see them.
ip route add default dev "$1"
echo 1 >/proc/sys/net/ipv4/ip_forward
mount --bind "$3" /etc/resolv.conf
"#;

/// A running Kubernetes. Dropping it ends all of it.
#[derive(Debug)]
pub struct Kubernetes {
    // In the order in which they end.
    _provisioner: Provisioner,
    nodes: Vec<Node>,
    control_plane: ControlPlane,
    members: Members,
    sandbox: Sandbox,
    access: Access,
    folder: Folder,
}

/// What to start.
#[derive(Debug)]
pub struct Builder {
    nodes: usize,
    datastore: Datastore,
    images: Vec<Image>,
}

impl Builder {
    /// How many nodes there are; one, if nothing is said.
    pub fn nodes(mut self, nodes: usize) -> Builder {
        self.nodes = nodes;
        self
    }

    /// What keeps its objects; upstream's etcd, if nothing is said.
    pub fn datastore(mut self, datastore: Datastore) -> Builder {
        self.datastore = datastore;
        self
    }

    /// An image that all nodes have from the start.
    pub fn image(mut self, image: Image) -> Builder {
        self.images.push(image);
        self
    }

    /// Starts everything and waits until all nodes are ready and names are known.
    pub async fn start(self) -> Result<Kubernetes, Error> {
        let folder = Folder::make()?;
        let logs = folder.logs();
        let resolver = folder.path().join("resolv.conf");
        let domain = network::DOMAIN;
        let text = format!("nameserver {}\nsearch svc.{domain} {domain}\noptions ndots:5\n", network::NAME_SERVICE);
        super::access::write(&resolver, &text)?;
        let arguments = [OsStr::new(network::BRIDGE), OsStr::new(network::CONTROL_PLANE), resolver.as_os_str()];
        let log = logs.join("control-plane.log");
        let sandbox = Sandbox::start("the control plane", Kind::Network, &log, PREPARATION, &arguments).await?;

        let mut users = vec![User::Admin, User::Controllers, User::Scheduler, User::Proxy];
        users.extend((1..=self.nodes).map(|number| User::Kubelet(node::name(number))));
        let access = Access::write(&folder.path().join("access"), &users)?;
        let mut nodes = (1..=self.nodes)
            .map(|number| Node::prepare(number, self.nodes, folder.path(), &logs))
            .collect::<Result<Vec<Node>, Error>>()?;

        let mut images = vec![Image::Pause, Image::Coredns];
        images.extend(self.images);
        let boots = try_join_all(nodes.iter_mut().map(|node| boot(node, &sandbox, &images)));
        let control = start_control_plane(self.datastore, &sandbox, &access, folder.path(), &logs);
        let (_, (members, control_plane)) = tokio::try_join!(boots, control)?;

        let api = control_plane.api().clone();
        let volumes = nodes.iter().map(|node| (node.name(), node.volumes())).collect();
        let provisioner = Provisioner::start(api, volumes, logs.join("volumes.log")).await?;
        let mut kubernetes =
            Kubernetes { _provisioner: provisioner, nodes, control_plane, members, sandbox, access, folder };
        for node in &mut kubernetes.nodes {
            node.start_kubelet(&kubernetes.access)?;
        }
        // As the first node would: the control plane is no node, and kube-proxy wants to be on one.
        let proxy = node::proxy(&kubernetes.sandbox, &kubernetes.access, 1)?;
        kubernetes.control_plane.start_proxy(proxy)?;
        let replicas = kubernetes.nodes.len().min(2);
        kubernetes.apply(&dns::manifest(replicas)).await?;
        for number in 1..=kubernetes.nodes.len() {
            kubernetes.ready(number).await?;
        }
        let deployment = "/apis/apps/v1/namespaces/kube-system/deployments/coredns";
        let available = |object: &Value| object["status"]["availableReplicas"] == replicas;
        kubernetes.api().until("a name server for pods", DNS_LIMIT, deployment, available).await?;
        kubernetes.folder.is_up = true;
        Ok(kubernetes)
    }
}

async fn boot(node: &mut Node, control_plane: &Sandbox, images: &[Image]) -> Result<(), Error> {
    node.boot(control_plane).await?;
    for image in images {
        node.load(*image).await?;
    }
    Ok(())
}

async fn start_control_plane(
    datastore: Datastore,
    sandbox: &Sandbox,
    access: &Access,
    folder: &Path,
    logs: &Path,
) -> Result<(Members, ControlPlane), Error> {
    let mut members = Members::start(datastore, sandbox, folder, logs)?;
    members.ready(sandbox).await?;
    let mut control_plane = ControlPlane::start(sandbox, access, &datastore.endpoints(), folder, logs).await?;
    control_plane.start_controllers(sandbox, access)?;
    Ok((members, control_plane))
}

impl Kubernetes {
    /// One node on upstream's etcd, unless the builder is told otherwise.
    pub fn builder() -> Builder {
        Builder { nodes: 1, datastore: Datastore::Upstream, images: Vec::new() }
    }

    /// Plain calls to the API server, and waiting for what it answers.
    pub fn api(&self) -> &Api {
        self.control_plane.api()
    }

    /// Runs kubectl as the administrator.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<Output, Error> {
        self.kubectl_with_input(arguments, "").await
    }

    /// Runs kubectl with a text on its standard input.
    pub async fn kubectl_with_input(&self, arguments: &[&str], input: &str) -> Result<Output, Error> {
        self.tool("kubectl")?.run_with_input(arguments, input).await
    }

    /// Makes the objects of a manifest what it says; the last word is the test's.
    pub async fn apply(&self, manifest: &str) -> Result<String, Error> {
        let arguments = ["apply", "--server-side", "--force-conflicts", "--filename=-"];
        self.kubectl_with_input(&arguments, manifest).await?.success()
    }

    /// Runs helm as the administrator.
    pub async fn helm(&self, arguments: &[&str]) -> Result<Output, Error> {
        self.tool("helm")?.run(arguments).await
    }

    /// Our plugin, found and run by kubectl as the administrator, or with the kubeconfig of somebody else.
    pub fn plugin(&self, kubeconfig: &Path) -> Result<Ctl, Error> {
        let plugin = plugin()?;
        let path = format!("PATH={}", plugin.parent().unwrap_or(&plugin).display());
        Ok(self.with(kubeconfig).argument(path).argument(tool("kubectl")?.to_string_lossy()).argument("quorate"))
    }

    /// A foreign tool in the control plane's network that finds the API by itself.
    pub fn tool(&self, name: &str) -> Result<Ctl, Error> {
        Ok(self.with(&self.kubeconfig()).argument(tool(name)?.to_string_lossy()))
    }

    /// What follows runs in the control plane's network with a kubeconfig.
    fn with(&self, kubeconfig: &Path) -> Ctl {
        let command = self.sandbox.command("env");
        let mut ctl = Ctl::of(command.get_program().into());
        for argument in command.get_args() {
            ctl = ctl.argument(argument.to_string_lossy());
        }
        let home = format!("HOME={}", self.folder.path().display());
        ctl.argument(home).argument(format!("KUBECONFIG={}", kubeconfig.display()))
    }

    /// A program of this machine in the network of the control plane: Services, pods and their names are reached from
    /// there, and `KUBECONFIG` is the administrator's. An operator can run so while it is worked on.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = self.sandbox.command(program);
        command.env("KUBECONFIG", self.kubeconfig()).env("HOME", self.folder.path());
        command
    }

    /// A thread of the test in the same network.
    pub fn inside(&self) -> Result<Inside, Error> {
        Inside::start(self.sandbox.pid())
    }

    /// The administrator's; its address is known to [`Kubernetes::command`] only.
    pub fn kubeconfig(&self) -> PathBuf {
        self.access.kubeconfig(&User::Admin)
    }

    /// Everything's files are below it; its name is nobody else's.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes an image known on all running nodes.
    pub async fn load(&self, image: Image) -> Result<(), Error> {
        try_join_all(self.nodes.iter().map(|node| node.load(image))).await.map(drop)
    }

    /// Node `number`, counted from 1.
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number - 1]
    }

    /// Waits until node `number` is ready.
    pub async fn ready(&mut self, number: usize) -> Result<(), Error> {
        let name = node::name(number);
        let path = format!("/api/v1/nodes/{name}");
        wait::until(&format!("readiness of {name}"), NODE_LIMIT, async || {
            self.must_run()?;
            Ok(self.api().look(&path, |node| is_true(node, "Ready")).await)
        })
        .await
        .map(drop)
    }

    /// Waits until the control plane has noticed that node `number` is gone.
    pub async fn unready(&self, number: usize) -> Result<(), Error> {
        let name = node::name(number);
        let path = format!("/api/v1/nodes/{name}");
        let is_lost = |node: &Value| !is_true(node, "Ready");
        self.api().until(&format!("the loss of {name}"), NODE_LIMIT, &path, is_lost).await.map(drop)
    }

    /// Power off for node `number`: its processes end at once, its disk stays.
    pub fn lose(&mut self, number: usize) -> Result<(), Error> {
        self.nodes[number - 1].lose(&self.sandbox)
    }

    /// Starts a lost node again, or a running one anew; [`Kubernetes::ready`] waits for it.
    pub async fn restart(&mut self, number: usize) -> Result<(), Error> {
        let node = &mut self.nodes[number - 1];
        node.lose(&self.sandbox)?;
        node.boot(&self.sandbox).await?;
        node.start_kubelet(&self.access)
    }

    /// Takes node `number` off the network; its pods run on.
    pub fn cut(&self, number: usize) -> Result<(), Error> {
        self.nodes[number - 1].set_link(&self.sandbox, false)
    }

    /// Undoes [`Kubernetes::cut`].
    pub fn join(&self, number: usize) -> Result<(), Error> {
        self.nodes[number - 1].set_link(&self.sandbox, true)
    }

    /// Kills the API server, leaves it away for a while, and starts it again.
    pub async fn interrupt_api_server(&mut self, away: Duration) -> Result<(), Error> {
        self.control_plane.interrupt(&self.sandbox, &self.access, away).await
    }

    /// Kills member `at` of the datastore, counted from 0.
    pub fn kill_member(&mut self, at: usize) -> Result<(), Error> {
        self.members.kill(at)
    }

    /// Starts member `at` of the datastore again.
    pub fn launch_member(&mut self, at: usize) -> Result<(), Error> {
        self.members.launch(at, &self.sandbox)
    }

    /// What a human looks at first when something does not happen.
    fn listing(&self, what: &[&str]) -> Result<String, Error> {
        let mut command = self.command(&tool("kubectl")?);
        command.args(["--request-timeout=5s", "get", "--all-namespaces", "--output=wide"]).args(what);
        run(command)
    }

    /// An error if a part has ended by itself.
    pub fn must_run(&mut self) -> Result<(), Error> {
        self.control_plane.must_run()?;
        self.nodes.iter_mut().try_for_each(Node::must_run)
    }
}

impl Drop for Kubernetes {
    fn drop(&mut self) {
        if self.folder.has_failed() {
            let events = ["events", "--sort-by=.metadata.creationTimestamp"];
            for what in [&["nodes,pods,services,persistentvolumeclaims"][..], &events] {
                eprintln!("--- {what:?}\n{}", self.listing(what).unwrap_or_else(|error| format!("{error:?}")));
            }
        }
    }
}

/// Everything's files. The logs outlive a failed test and a failed start.
#[derive(Debug)]
struct Folder {
    folder: TempDir,
    is_up: bool,
}

impl Folder {
    fn make() -> Result<Folder, Error> {
        let folder = tempfile::Builder::new()
            .prefix("quorate-e2e-")
            .tempdir()
            .map_err(Error::io("making a temporary folder"))?;
        let logs = folder.path().join("logs");
        std::fs::create_dir(&logs).map_err(Error::io(format!("making {}", logs.display())))?;
        Ok(Folder { folder, is_up: false })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn logs(&self) -> PathBuf {
        self.path().join("logs")
    }

    fn has_failed(&self) -> bool {
        !self.is_up || std::thread::panicking()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.has_failed() {
            let kept = PathBuf::from(format!("{}-logs", self.path().display()));
            if std::fs::rename(self.logs(), &kept).is_ok() {
                eprintln!("--- the logs of this Kubernetes are kept in {}", kept.display());
            }
        }
    }
}
