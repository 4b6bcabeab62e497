//! A terminal for one command: what a tool asks is answered when it asks.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::Error;
use crate::ctl::Output;
use crate::wait::{self, Look};

/// How long a tool may take to ask, and to end.
const LIMIT: Duration = Duration::from_secs(30);

/// A question that hides its answer, and the answer.
pub type Answer = (&'static str, &'static str);

/// Runs a command on a terminal of its own. Both of its outputs are there together, as somebody at the desk would see them.
pub async fn run(mut command: Command, answers: &[Answer]) -> Result<Output, Error> {
    let name = format!("{command:?}");
    let failed = |what: &str| Error::io(format!("{what} a terminal for {name}"));
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
    let master = master.map_err(|errno| failed("opening")(errno.into()))?;
    grantpt(&master).and_then(|()| unlockpt(&master)).map_err(|errno| failed("unlocking")(errno.into()))?;
    let other_end = ptsname(&master, Vec::new()).map_err(|errno| failed("naming")(errno.into()))?;
    fcntl_setfl(&master, OFlags::NONBLOCK | OFlags::RDWR).map_err(|errno| failed("setting up")(errno.into()))?;
    let slave = File::options().read(true).write(true).open(other_end.to_string_lossy().as_ref());
    let slave = slave.map_err(failed("opening the other end of"))?;
    let again = || slave.try_clone();
    command.stdin(again().map_err(failed("sharing"))?).stdout(again().map_err(failed("sharing"))?);
    command.stderr(again().map_err(failed("sharing"))?);
    let child = command.spawn().map_err(Error::io(format!("starting {name}")))?;
    drop(command);
    drop(slave);
    let mut screen = Screen { master: File::from(master), child, shown: String::new(), seen: 0 };
    for (question, answer) in answers {
        screen.answer(question, answer).await?;
    }
    screen.end().await
}

struct Screen {
    master: File,
    child: Child,
    shown: String,
    /// Bytes of `shown` up to behind the last question.
    seen: usize,
}

impl Screen {
    /// Answers once the question is there and the terminal hides what is typed.
    async fn answer(&mut self, question: &str, answer: &str) -> Result<(), Error> {
        wait::until(&format!("the question {question:?}"), LIMIT, async || {
            self.read()?;
            let is_hidden = tcgetattr(&self.master).is_ok_and(|modes| !modes.local_modes.contains(LocalModes::ECHO));
            let unseen = self.shown.get(self.seen..).unwrap_or_default();
            Ok(match unseen.find(question).filter(|_| is_hidden) {
                Some(at) => {
                    self.seen += at + question.len();
                    Look::Yes(())
                }
                None => Look::NotYet(self.shown.clone()),
            })
        })
        .await?;
        let typed = format!("{answer}\n");
        std::io::Write::write_all(&mut self.master, typed.as_bytes()).map_err(Error::io("typing an answer"))
    }

    async fn end(mut self) -> Result<Output, Error> {
        let status = wait::until("the end of a command on a terminal", LIMIT, async || {
            self.read()?;
            let ended = self.child.try_wait().map_err(Error::io("waiting for a command on a terminal"))?;
            Ok(ended.map_or_else(|| Look::NotYet(self.shown.clone()), Look::Yes))
        })
        .await?;
        self.read()?;
        let stdout = std::mem::take(&mut self.shown);
        Ok(Output { stdout, stderr: String::new(), code: status.code().unwrap_or(-1) })
    }

    /// Takes what is there.
    fn read(&mut self) -> Result<(), Error> {
        let mut buffer = [0; 4096];
        loop {
            match self.master.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => self.shown.push_str(&String::from_utf8_lossy(&buffer[..count])),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                // Nobody has the other end open any more.
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => return Ok(()),
                Err(error) => return Err(Error::io("reading from a terminal")(error)),
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It has ended already unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
