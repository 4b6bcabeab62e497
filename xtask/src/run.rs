//! How commands are run, and the one failure of a task.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::place::Place;

/// Why a task failed, for a human.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl Failure {
    /// Adapter for `map_err` on I/O.
    pub fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Failure {
        let what = what.to_string();
        move |error| Failure(format!("{what}: {error}"))
    }
}

/// A command in the checkout, shown before it runs.
pub fn command<A: AsRef<OsStr>>(place: &Place, program: impl AsRef<OsStr>, arguments: &[A]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&place.checkout);
    command
}

/// The cargo that runs this task, with the cache's target folder.
pub fn cargo<A: AsRef<OsStr>>(place: &Place, arguments: &[A]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = command(place, cargo, arguments);
    command.env("CARGO_TARGET_DIR", &place.target);
    command
}

/// Runs it; anything but exit code 0 is a failure.
pub fn run(mut command: Command) -> Result<(), Failure> {
    let shown = show(&command);
    eprintln!("$ {shown}");
    let status = command.status().map_err(Failure::io(format!("starting `{shown}`")))?;
    if status.success() { Ok(()) } else { Err(Failure(format!("`{shown}` failed: {status}"))) }
}

/// Runs it and returns its standard output.
pub fn output(mut command: Command) -> Result<String, Failure> {
    let shown = show(&command);
    eprintln!("$ {shown}");
    command.stderr(Stdio::inherit());
    let output = command.output().map_err(Failure::io(format!("starting `{shown}`")))?;
    if !output.status.success() {
        return Err(Failure(format!("`{shown}` failed: {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as one would type it.
pub fn show(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Bytes as lower-case digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Links `target` under this name in a folder that is made if need be; a link that is there goes to it at once.
pub fn link(target: &Path, folder: &Path, name: &str) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(Failure::io(format!("making {}", folder.display())))?;
    let beside = folder.join(format!("{name}.new"));
    let _ = std::fs::remove_file(&beside); // Left by a run that was ended between the next two lines.
    std::os::unix::fs::symlink(target, &beside).map_err(Failure::io(format!("linking {}", beside.display())))?;
    std::fs::rename(&beside, folder.join(name)).map_err(Failure::io(format!("linking {name}")))
}
