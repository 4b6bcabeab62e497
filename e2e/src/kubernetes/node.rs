//! A node: containerd, kubelet and kube-proxy in a sandbox that is a machine of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::access::{Access, User, write};
use super::image::Image;
use super::sandbox::{Kind, Sandbox, run};
use super::{network, settings, volumes};
use crate::Error;
use crate::binaries::tool;
use crate::process::Process;
use crate::wait::{self, Look};

const CONTAINERD_LIMIT: Duration = Duration::from_secs(30);

/// What the machine sees of its own: disks for containers and volumes, logs, and what is gone after a reboot.
const PREPARATION: &str = r#"
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
mount --bind "$1" /var/lib
mount --bind "$2" /var/log
mount -t tmpfs tmpfs /run
# What a kubelet sets for the whole kernel looks set already.
for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
  name=${setting%=*}
  echo "${setting#*=}" >"/run/${name##*/}"
  mount --bind "/run/${name##*/}" "/proc/sys/$name"
done
"#;

/// A node, running or lost.
#[derive(Debug)]
pub struct Node {
    number: usize,
    /// Nodes of the whole.
    count: usize,
    /// Its disk.
    folder: PathBuf,
    /// `kubelet.log` and so on; `pods/` has the containers'.
    logs: PathBuf,
    groups: String,
    machine: Option<Machine>,
}

#[derive(Debug)]
struct Machine {
    // First, so that everything has ended when the wrappers of its processes are looked at.
    sandbox: Sandbox,
    processes: Vec<Process>,
}

impl Node {
    /// Node `number` of `count`, counted from 1; nothing is started.
    pub(super) fn prepare(number: usize, count: usize, folder: &Path, logs: &Path) -> Result<Node, Error> {
        let name = name(number);
        // Control groups are the machine's, which other tests use too: the folder's name is nobody else's.
        let unique = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let node = Node {
            number,
            count,
            folder: folder.join(&name),
            logs: logs.join(&name),
            groups: format!("{unique}-{name}"),
            machine: None,
        };
        for folder in [node.disk(), node.volumes(), node.folder.join("cni"), node.logs.clone()] {
            std::fs::create_dir_all(&folder).map_err(Error::io(format!("making {}", folder.display())))?;
        }
        let resolver = node.folder.join("resolv.conf");
        write(&resolver, "")?;
        write(&node.folder.join("containerd.toml"), &settings::containerd(&node.folder.join("cni")))?;
        write(&node.folder.join("cni/pods.conflist"), &settings::cni(number))?;
        write(&node.folder.join("kubelet.yaml"), &settings::kubelet(number, &resolver))?;
        Ok(node)
    }

    /// `node-1` and so on.
    pub fn name(&self) -> String {
        name(self.number)
    }

    /// Its `/var/lib`.
    fn disk(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// Where its volumes are, from outside.
    pub(super) fn volumes(&self) -> PathBuf {
        let inside = volumes::FOLDER.trim_start_matches("/var/lib/");
        self.disk().join(inside)
    }

    /// Starts the machine and containerd, and joins the network of the control plane.
    pub(super) async fn boot(&mut self, control_plane: &Sandbox) -> Result<(), Error> {
        let log = self.logs.join("machine.log");
        let arguments = [self.disk(), self.logs.clone()];
        let kind = Kind::Machine { groups: self.groups.clone() };
        let sandbox = Sandbox::start(&self.name(), kind, &log, PREPARATION, &arguments).await?;
        run(self.link(control_plane, &sandbox))?;
        run(self.addresses(&sandbox))?;
        let mut command = sandbox.command_inside("containerd");
        command.arg("--config").arg(self.folder.join("containerd.toml"));
        let name = format!("containerd of {}", self.name());
        let mut containerd = Process::start(&name, command, &self.logs.join("containerd.log"))?;
        // By way of the holder, whose mounts have it.
        let socket = format!("/proc/{}/root{}", sandbox.pid().as_raw_nonzero(), settings::CONTAINERD_SOCKET);
        wait::until(&format!("the socket of {name}"), CONTAINERD_LIMIT, async || {
            containerd.must_run()?;
            Ok(if Path::new(&socket).exists() { Look::Yes(()) } else { Look::NotYet("no socket".into()) })
        })
        .await?;
        self.machine = Some(Machine { sandbox, processes: vec![containerd] });
        Ok(())
    }

    /// A cable from the control plane's bridge, and the way to the node's pods.
    fn link(&self, control_plane: &Sandbox, sandbox: &Sandbox) -> Command {
        let (name, address, pods) = (self.name(), network::node(self.number), network::pods(self.number));
        let (pid, bridge) = (sandbox.pid().as_raw_nonzero(), network::BRIDGE);
        shell(
            control_plane,
            &format!(
                "ip link add {name} type veth peer name eth0 netns {pid}\n\
                 ip link set {name} master {bridge} up\n\
                 ip route replace {pods} via {address}"
            ),
        )
    }

    fn addresses(&self, sandbox: &Sandbox) -> Command {
        let mut script = format!(
            "ip address add {}/24 dev eth0\nip link set eth0 up\nip route add default via {}\n",
            network::node(self.number),
            network::CONTROL_PLANE
        );
        for other in (1..=self.count).filter(|other| *other != self.number) {
            script += &format!("ip route add {} via {}\n", network::pods(other), network::node(other));
        }
        shell(sandbox, &script)
    }

    /// Makes an image known to containerd.
    pub(super) async fn load(&self, image: Image) -> Result<(), Error> {
        let archive = image.archive()?.display().to_string();
        self.images(&["import", &archive]).await?;
        for name in image.other_names() {
            self.images(&["tag", "--force", &image.name(), &name]).await?;
        }
        Ok(())
    }

    /// Runs `ctr images`.
    async fn images(&self, arguments: &[&str]) -> Result<(), Error> {
        let Some(machine) = &self.machine else { return Ok(()) };
        let mut command = machine.sandbox.command_inside("ctr");
        command.args(["--address", settings::CONTAINERD_SOCKET, "--namespace", "k8s.io", "images"]).args(arguments);
        let what = format!("ctr images {} on {}", arguments.join(" "), self.name());
        let mut command = tokio::process::Command::from(command);
        let output = command.kill_on_drop(true).output().await.map_err(Error::io(what.clone()))?;
        if output.status.success() {
            return Ok(());
        }
        let answer = [output.stdout, output.stderr].concat();
        Err(Error::Answer { what, answer: String::from_utf8_lossy(&answer).into_owned() })
    }

    /// Starts what needs the API server.
    pub(super) fn start_kubelet(&mut self, access: &Access) -> Result<(), Error> {
        let (name, address) = (self.name(), network::node(self.number));
        let Some(machine) = &mut self.machine else { return Ok(()) };
        let mut kubelet = machine.sandbox.command_inside(tool("kubelet")?);
        kubelet
            .arg("--config")
            .arg(self.folder.join("kubelet.yaml"))
            .arg("--kubeconfig")
            .arg(access.kubeconfig(&User::Kubelet(name.clone())))
            .args(["--root-dir=/var/lib/kubelet", "--cert-dir=/var/lib/kubelet/pki"])
            .arg(format!("--hostname-override={name}"))
            .arg(format!("--node-ip={address}"));
        let proxy = proxy(&machine.sandbox, access, self.number)?;
        for (program, command) in [("kubelet", kubelet), ("kube-proxy", proxy)] {
            let log = self.logs.join(format!("{program}.log"));
            machine.processes.push(Process::start(&format!("{program} of {name}"), command, &log)?);
        }
        Ok(())
    }

    /// Power off: all processes end at once, the disk stays.
    pub(super) fn lose(&mut self, control_plane: &Sandbox) -> Result<(), Error> {
        let Some(Machine { mut sandbox, processes }) = self.machine.take() else { return Ok(()) };
        sandbox.end()?;
        drop(processes);
        // The kernel removes the cable with the machine's network, at a time of its own.
        let name = self.name();
        run(shell(control_plane, &format!("ip link del {name} 2>/dev/null || ! ip link show {name} 2>/dev/null")))
            .map(drop)
    }

    /// Pulls the cable, or plugs it in again.
    pub(super) fn set_link(&self, control_plane: &Sandbox, is_up: bool) -> Result<(), Error> {
        let state = if is_up { "up" } else { "down" };
        run(shell(control_plane, &format!("ip link set {} {state}", self.name()))).map(drop)
    }

    /// Whether its machine runs.
    pub fn is_running(&self) -> bool {
        self.machine.is_some()
    }

    /// A command on the node, as an administrator has it who is logged in there.
    pub fn command(&self, program: &str) -> Option<Command> {
        self.machine.as_ref().map(|machine| machine.sandbox.command_inside(program))
    }

    /// An error if a part has ended by itself.
    pub(super) fn must_run(&mut self) -> Result<(), Error> {
        self.machine.iter_mut().flat_map(|machine| &mut machine.processes).try_for_each(Process::must_run)
    }
}

/// A kube-proxy that makes Services reachable in this network, as node `number` would.
pub(super) fn proxy(sandbox: &Sandbox, access: &Access, number: usize) -> Result<Command, Error> {
    let mut command = sandbox.command_inside(tool("kube-proxy")?);
    command
        .arg("--kubeconfig")
        .arg(access.kubeconfig(&User::Proxy))
        .arg(format!("--hostname-override={}", name(number)))
        .arg(format!("--cluster-cidr={}", network::PODS))
        .args(["--proxy-mode=iptables", "--oom-score-adj=0", "--conntrack-max-per-core=0"])
        .args(["--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s"]);
    Ok(command)
}

pub(super) fn name(number: usize) -> String {
    format!("node-{number}")
}

fn shell(sandbox: &Sandbox, script: &str) -> Command {
    let mut command = sandbox.command("sh");
    command.args(["-ec", script]);
    command
}
