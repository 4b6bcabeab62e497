//! The layout rules of ARCHITECTURE.md, proven over the files of the checkout.
//!
//! - [`text`]: what no file may contain, and how long it may be.
//! - [`name`]: what no file may be called.
//! - [`rooms`]: which room of the server may name which.
//! - [`crates`]: which crate may depend on which.

mod crates;
mod name;
mod rooms;
mod text;

use std::path::{Path, PathBuf};

use crate::run::Failure;

/// Folders of the root that hold nothing of ours.
const SKIPPED: [&str; 4] = [".git", "target", "bin", ".cache"];
/// Kinds of files that are read.
const READ: [&str; 9] = ["rs", "toml", "md", "sh", "yaml", "yml", "proto", "mod", "json"];

/// A file as the rules see it.
pub(crate) struct File {
    /// Relative to the checkout, with `/`.
    path: String,
    text: String,
}

/// Applies every rule; the failure lists every breach.
pub fn check(checkout: &Path) -> Result<(), Failure> {
    let mut files = Vec::new();
    collect(checkout, checkout, &mut files)?;
    let mut breaches = Vec::new();
    for file in &files {
        text::check(file, &mut breaches);
        name::check(file, &mut breaches);
        rooms::check(file, &mut breaches);
        crates::check(file, &mut breaches);
    }
    if breaches.is_empty() {
        eprintln!("tidy: {} files, no breach", files.len());
        return Ok(());
    }
    breaches.sort();
    Err(Failure(format!("layout rules are broken:\n  {}", breaches.join("\n  "))))
}

fn collect(checkout: &Path, folder: &Path, files: &mut Vec<File>) -> Result<(), Failure> {
    let listing = || format!("listing {}", folder.display());
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Failure::io(listing()))? {
        entries.push(entry.map_err(Failure::io(listing()))?.path());
    }
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_symlink() || (folder == checkout && SKIPPED.contains(&name.as_ref())) {
            continue;
        }
        if path.is_dir() {
            collect(checkout, &path, files)?;
        } else if is_read(&path) {
            let text = std::fs::read_to_string(&path).map_err(Failure::io(format!("reading {}", path.display())))?;
            files.push(File { path: relative(checkout, &path), text });
        }
    }
    Ok(())
}

fn is_read(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    READ.contains(&extension.as_ref()) || path.file_name().is_some_and(|name| name == "Makefile")
}

fn relative(checkout: &Path, path: &Path) -> String {
    let relative: PathBuf = path.strip_prefix(checkout).unwrap_or(path).to_path_buf();
    relative.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_read() {
        let crate_dir = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
        let checkout = crate_dir.parent().unwrap();
        let mut files = Vec::new();
        collect(checkout, checkout, &mut files).unwrap();
        assert!(files.iter().any(|file| file.path == "xtask/src/tidy/mod.rs"));
        assert!(files.iter().any(|file| file.path.starts_with("ctl/src/bin/")));
        assert!(!files.iter().any(|file| file.path.starts_with(".git/")));
    }

    #[test]
    fn every_breach_is_listed_with_its_file() {
        let checkout = tempfile::tempdir().unwrap();
        let folder = checkout.path().join("server/src/wal");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("mod.rs"), "//! WAL.\nuse crate::store::Store;\n").unwrap();
        std::fs::write(folder.join("util.rs"), "//! Odds and ends.\n").unwrap();
        let Failure(text) = check(checkout.path()).unwrap_err();
        assert!(text.contains("server/src/wal/mod.rs:2:"), "{text}");
        assert!(text.contains("server/src/wal/util.rs:"), "{text}");
    }
}
