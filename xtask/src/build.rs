//! Our binaries, built by cargo and copied to `bin/`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::place::Place;
use crate::run::{self, Failure};

const PACKAGES: [&str; 5] = ["quorate-server", "quorate-ctl", "quorate-backup", "quorate-operator", "quorate-plugin"];

/// Builds and copies.
pub fn binaries(place: &Place) -> Result<(), Failure> {
    let mut arguments = vec!["build", "--release", "--message-format=json-render-diagnostics", "--bins"];
    arguments.extend(PACKAGES.iter().flat_map(|package| ["--package", package]));
    let messages = run::output(run::cargo(place, &arguments))?;
    let bin = place.bin();
    std::fs::create_dir_all(&bin).map_err(Failure::io(format!("making {}", bin.display())))?;
    for executable in executables(&messages) {
        let name = executable.file_name().ok_or_else(|| Failure(format!("no name: {}", executable.display())))?;
        replace(&executable, &bin.join(name))?;
        eprintln!("bin/{}", name.to_string_lossy());
    }
    Ok(())
}

/// The executables that cargo's messages name.
fn executables(messages: &str) -> Vec<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .collect()
}

/// Copies beside the goal and renames: a running binary cannot be overwritten, but it can be replaced.
fn replace(from: &Path, to: &Path) -> Result<(), Failure> {
    let beside = to.with_extension("new");
    std::fs::copy(from, &beside).map_err(Failure::io(format!("copying {}", from.display())))?;
    std::fs::rename(&beside, to).map_err(Failure::io(format!("replacing {}", to.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_among_other_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"executable\":\"/t/release/etcd\"}\n{\"reason\":\"build-finished\"}\n";
        assert_eq!(executables(messages), [PathBuf::from("/t/release/etcd")]);
    }
}
