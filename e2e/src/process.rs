//! One child process: its log file, its signals, its end.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::Error;
use crate::wait::{self, Look};

/// Lines of a log that an error or a failed test shows.
const SHOWN_LINES: usize = 20;
/// How long a process may take to end after a signal that asks for it, or to log what is waited for.
const END_LIMIT: Duration = Duration::from_secs(30);

/// A running child. Dropping it kills it; a failing test prints the end of its log.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command with both outputs appended to the file `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Process, Error> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(Error::io(format!("opening the log {}", log.display())))?;
        let same = file.try_clone().map_err(Error::io(format!("opening the log {} twice", log.display())))?;
        command.stdin(Stdio::null()).stdout(file).stderr(same);
        end_with_this_thread(&mut command);
        let child = command.spawn().map_err(Error::io(format!("starting {name}: {command:?}")))?;
        Ok(Process { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// What it was started as.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id, of our own child and not yet waited for, so never somebody else's.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until a text is in its log.
    pub async fn logs(&mut self, text: &str) -> Result<(), Error> {
        wait::until(&format!("{text:?} in the log of {}", self.name), END_LIMIT, async || {
            self.must_run()?;
            Ok(if self.log().contains(text) { Look::Yes(()) } else { Look::NotYet(self.log_end()) })
        })
        .await
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child.try_wait().map_err(Error::io(format!("asking for the end of {}", self.name)))
    }

    /// An error with the log's end if the process is gone.
    pub fn must_run(&mut self) -> Result<(), Error> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => {
                Err(Error::Ended { name: self.name.clone(), status: status.to_string(), log: self.log_end() })
            }
        }
    }

    /// SIGKILL, and waits for the end: afterwards its ports and files are free.
    pub fn kill(mut self) -> Result<(), Error> {
        self.end_now()
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(mut self) -> Result<ExitStatus, Error> {
        self.signal(Signal::TERM)?;
        self.end().await
    }

    /// Waits until it ends by itself.
    pub async fn end(&mut self) -> Result<ExitStatus, Error> {
        let what = format!("the end of {}", self.name);
        wait::until(&what, END_LIMIT, async || {
            Ok(match self.ended()? {
                Some(status) => Look::Yes(status),
                None => Look::NotYet("still running".into()),
            })
        })
        .await
    }

    /// Waits, without a limit, for the end of a process that cannot but end.
    pub fn wait(&mut self) -> Result<ExitStatus, Error> {
        self.child.wait().map_err(Error::io(format!("waiting for {}", self.name)))
    }

    /// SIGSTOP: the process keeps its connections and answers nothing.
    pub fn pause(&self) -> Result<(), Error> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<(), Error> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), Error> {
        kill_process(self.pid(), signal)
            .map_err(|errno| Error::Io { what: format!("sending {signal:?} to {}", self.name), source: errno.into() })
    }

    fn end_now(&mut self) -> Result<(), Error> {
        self.child.kill().map_err(Error::io(format!("killing {}", self.name)))?;
        self.child.wait().map_err(Error::io(format!("waiting for {}", self.name)))?;
        Ok(())
    }

    fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and a process that is gone already is the usual one.
        let _ = self.end_now();
        if std::thread::panicking() {
            eprintln!("--- the end of the log of {} ({})\n{}", self.name, self.log.display(), self.log_end());
        }
    }
}

/// A killed test run leaves no server behind: the kernel kills the child when the thread that started it ends.
/// Tests start their processes on the test's own thread, which outlives them.
fn end_with_this_thread(command: &mut Command) {
    // SAFETY: between fork and exec only prctl is called, which is async-signal-safe and allocates nothing.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
}
