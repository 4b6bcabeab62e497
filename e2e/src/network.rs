//! A network of its own, whose name server is a CoreDNS with one zone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Error;
use crate::binaries::tool;
use crate::ctl::Ctl;
use crate::process::Process;
use crate::wait::{self, Look};

const LIMIT: Duration = Duration::from_secs(20);

/// The network is there as long as this value. Its loopback has all addresses of 127.0.0.0/8.
#[derive(Debug)]
pub struct Network {
    zone: PathBuf,
    /// Keeps the namespaces; dropped last.
    server: Process,
    holder: Process,
}

impl Network {
    /// Starts it. `zone`: the records of `example.test`.
    pub async fn start(folder: &Path, zone: &str) -> Result<Network, Error> {
        let resolver = folder.join("resolv.conf");
        write(&resolver, "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n")?;
        let zone_file = folder.join("example.test.zone");
        write(&zone_file, zone)?;
        let corefile = folder.join("Corefile");
        let text = format!(
            "example.test:53 {{\n  bind 127.0.0.1\n  errors\n  file {} {{\n    reload 200ms\n  }}\n}}\n",
            zone_file.display()
        );
        write(&corefile, &text)?;

        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let script = "ip link set lo up && mount --bind \"$1\" /etc/resolv.conf && echo ready && exec sleep infinity";
        command.args(["--net", "--mount", "sh", "-c", script, "sh"]).arg(&resolver);
        let mut holder = Process::start("a network namespace", command, &folder.join("namespace.log"))?;
        wait::until("a network namespace", LIMIT, async || {
            holder.must_run()?;
            let log = holder.log();
            Ok(if log.contains("ready") { Look::Yes(()) } else { Look::NotYet(log) })
        })
        .await?;

        let mut command = enter(&holder, &tool("coredns")?);
        command.arg("-conf").arg(&corefile);
        let mut server = Process::start("coredns", command, &folder.join("coredns.log"))?;
        wait::until("a name server", LIMIT, async || {
            server.must_run()?;
            let log = server.log();
            Ok(if log.contains("CoreDNS-") { Look::Yes(()) } else { Look::NotYet(log) })
        })
        .await?;
        Ok(Network { zone: zone_file, server, holder })
    }

    /// A command that runs in the network.
    pub fn command(&self, program: &Path) -> Command {
        enter(&self.holder, program)
    }

    /// The name server.
    pub fn server(&self) -> &Process {
        &self.server
    }

    /// A tool that runs in the network.
    pub fn ctl(&self, program: &Path) -> Ctl {
        let command = self.command(program);
        let mut ctl = Ctl::of(command.get_program().into());
        for argument in command.get_args() {
            ctl = ctl.argument(argument.to_string_lossy());
        }
        ctl
    }

    /// Other records; the server takes them up when their serial number is higher.
    pub fn replace_zone(&self, zone: &str) -> Result<(), Error> {
        write(&self.zone, zone)
    }
}

fn enter(holder: &Process, program: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &holder.pid().as_raw_nonzero().to_string(), "--net", "--mount"]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--preserve-credentials"]);
    }
    command.arg("--").arg(program).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let new = path.with_extension("new");
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, path))
        .map_err(|source| Error::Io { what: format!("writing {}", path.display()), source })
}
