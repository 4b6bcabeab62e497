//! Namespaces of a test's own, and commands in them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::Error;
use crate::process::Process;
use crate::wait::{self, Look};

const LIMIT: Duration = Duration::from_secs(20);
/// Debian's folders of system programs are not in everybody's path.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Joins a group `$0` of each controller, the root of the machine's groups. The arguments are the command to go on with.
/// A kubelet takes whatever container it finds a group of for its own, those of other tests too. Version 2, where the
/// root is a group itself, is left alone.
const JOIN_GROUPS: &str = r#"
[ -e /sys/fs/cgroup/cgroup.procs ] || for controller in /sys/fs/cgroup/*/; do
  [ -e "$controller/cgroup.procs" ] || continue
  mkdir -p "$controller/$0"
  for file in cpuset.cpus cpuset.mems; do
    if [ -e "$controller/$file" ]; then cat "$controller/$file" >"$controller/$0/$file"; fi
  done
  echo $$ >"$controller/$0/cgroup.procs"
done
exec "$@"
"#;
/// Makes the groups `$0` all that is seen.
const SHOW_GROUPS: &str = r#"
for controller in /sys/fs/cgroup/*/; do
  if [ -d "$controller/$0" ]; then mount --bind "$controller/$0" "$controller"; fi
done
"#;

/// A network and mounts of its own, for a machine also process ids. It is there as long as this value.
#[derive(Debug)]
pub struct Sandbox {
    /// `unshare`, which is in the network and the mounts and waits for the first process of the machine.
    holder: Process,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its processes are the test's own children, and end with it.
    Network,
    /// Its processes may leave their parents, as containers do: they end when the first process of the sandbox ends.
    Machine {
        /// The name of its control groups, which nobody else on this machine has.
        groups: String,
    },
}

impl Sandbox {
    /// Makes one and runs a shell script in it that prepares it; `$1` and so on are the arguments.
    pub async fn start<A: AsRef<OsStr>>(
        name: &str,
        kind: Kind,
        log: &Path,
        script: &str,
        arguments: &[A],
    ) -> Result<Sandbox, Error> {
        if !rustix::process::geteuid().is_root() {
            return Err(Error::Answer { what: "a sandbox".into(), answer: "only root can run containers".into() });
        }
        let (join, show, hold, groups) = match &kind {
            Kind::Network => ("exec \"$@\"", "", "exec sleep infinity", "sh"),
            // As the first process it inherits those whose parents have ended; a shell that waits reaps them.
            Kind::Machine { groups } => (JOIN_GROUPS, SHOW_GROUPS, "sleep infinity & wait", groups.as_str()),
        };
        let mut command = Command::new("sh");
        command.args(["-ec", join, groups, "unshare", "--net", "--mount"]);
        if kind != Kind::Network {
            command.args(["--cgroup", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        }
        let script = format!("{show}{script}\necho ready\n{hold}");
        command.args(["sh", "-ec", &script, groups]).args(arguments).env_clear().env("PATH", PATH);
        // The log may have a former life of this sandbox in it.
        let before = std::fs::read_to_string(log).unwrap_or_default().matches("ready\n").count();
        let mut holder = Process::start(name, command, log)?;
        wait::until(&format!("the namespaces of {name}"), LIMIT, async || {
            holder.must_run()?;
            let log = holder.log();
            Ok(if log.matches("ready\n").count() > before { Look::Yes(()) } else { Look::NotYet(log) })
        })
        .await?;
        Ok(Sandbox { holder, kind })
    }

    /// The process that others name to reach the sandbox's namespaces.
    pub fn pid(&self) -> Pid {
        self.holder.pid()
    }

    /// A command in the network and mounts of the sandbox, as a child of whoever starts it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.enter(&[], program)
    }

    /// A command in the machine: what it starts ends with the machine.
    pub fn command_inside(&self, program: impl AsRef<OsStr>) -> Command {
        match &self.kind {
            Kind::Network => self.command(program),
            // The holder itself is outside; its children are inside.
            Kind::Machine { .. } => {
                let pids = format!("--pid=/proc/{}/ns/pid_for_children", self.pid().as_raw_nonzero());
                self.enter(&["--cgroup", &pids], program)
            }
        }
    }

    fn enter(&self, more: &[&str], program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid().as_raw_nonzero().to_string(), "--net", "--mount"]).args(more);
        command.arg("--").arg(program).env_clear().env("PATH", PATH);
        command
    }

    /// Ends everything in the machine, and returns when it has ended.
    pub fn end(&mut self) -> Result<(), Error> {
        let Kind::Machine { groups } = &self.kind else { return Ok(()) };
        if self.holder.ended()?.is_none() {
            // The kernel lets the first process go when no other is left, and `unshare` ends after it.
            let pid = self.pid().as_raw_nonzero();
            let children = format!("/proc/{pid}/task/{pid}/children");
            let listed = std::fs::read_to_string(&children).map_err(Error::io(format!("reading {children}")))?;
            for child in listed.split_whitespace().filter_map(|child| child.parse().ok()).filter_map(Pid::from_raw) {
                kill_process(child, Signal::KILL).map_err(|errno| Error::Io {
                    what: "ending the first process of a machine".into(),
                    source: errno.into(),
                })?;
            }
            self.holder.wait()?;
        }
        for controller in std::fs::read_dir(CONTROL_GROUPS).into_iter().flatten().flatten() {
            remove_groups(&controller.path().join(groups));
        }
        Ok(())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // The holder is killed all the same, and with it by the kernel what it holds.
        let _ = self.end();
    }
}

/// Control groups go from the leaves, and their files go with them. One that is not empty or not there stays.
fn remove_groups(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(group);
}

/// Runs a short command to its end, which must be a good one.
pub(super) fn run(mut command: Command) -> Result<String, Error> {
    let what = format!("{command:?}");
    let output = command.output().map_err(Error::io(what.clone()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let answer = [output.stdout, output.stderr].concat();
    Err(Error::Answer { what, answer: String::from_utf8_lossy(&answer).into_owned() })
}
