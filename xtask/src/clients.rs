//! Programs that use a cluster by the client libraries of other languages, built into the cache.
//!
//! Each has a folder below `e2e/clients/` with its dependencies pinned. As with [`crate::tools`], a build lives in a folder named by the
//! hash of what it is made of, and `bin/clients/` links to it. Go is there on every machine that runs the tests; what a machine has no
//! toolchain for is left out, and said.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::place::Place;
use crate::run::{self, Failure};

/// A language, by the name of its folder.
struct Language {
    name: &'static str,
    /// Commands that succeed where its toolchain is.
    toolchain: &'static [&'static [&'static str]],
    /// From the folder of sources to that of the result.
    build: fn(&Place, &Path, &Path) -> Result<(), Failure>,
}

const LANGUAGES: [Language; 4] = [
    Language { name: "go", toolchain: &[&["go", "version"]], build: go },
    Language { name: "python", toolchain: &[&["python3", "-c", "import ensurepip"]], build: python },
    Language { name: "javascript", toolchain: &[&["node", "--version"], &["npm", "--version"]], build: javascript },
    Language { name: "java", toolchain: &[&["java", "-version"], &["mvn", "--version"]], build: java },
];

/// Builds what the cache lacks, and links it.
pub fn build(place: &Place) -> Result<(), Failure> {
    for language in &LANGUAGES {
        match language.toolchain.iter().find(|command| !succeeds(command)) {
            Some(command) => {
                eprintln!("left out: the client library of {} (`{}` fails here)", language.name, command.join(" "));
            }
            None => run::link(&build_one(place, language)?, &place.clients(), language.name)?,
        }
    }
    Ok(())
}

fn succeeds(command: &[&str]) -> bool {
    let mut tried = Command::new(command[0]);
    tried.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    tried.status().is_ok_and(|status| status.success())
}

fn build_one(place: &Place, language: &Language) -> Result<PathBuf, Failure> {
    let sources = place.checkout.join("e2e/clients").join(language.name);
    let folder = place.cache.join("clients").join(format!("{}-{}", language.name, key(&sources)?));
    complete(folder, |folder| (language.build)(place, &sources, folder))
}

/// The folder as it is when it is complete already, else made anew.
pub fn complete(folder: PathBuf, make: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<PathBuf, Failure> {
    let complete = folder.join("complete");
    if complete.is_file() {
        return Ok(folder);
    }
    // In its place, not beside it: a Python environment knows where it is.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(Failure::io(format!("making {}", folder.display())))?;
    make(&folder)?;
    std::fs::write(&complete, "").map_err(Failure::io(format!("writing {}", complete.display())))?;
    Ok(folder)
}

fn go(place: &Place, sources: &Path, folder: &Path) -> Result<(), Failure> {
    let mut command = run::command(place, "go", &["build", "-trimpath", "-buildvcs=false", "-o"]);
    command.arg(folder.join("client")).arg(".").current_dir(sources).env("CGO_ENABLED", "0");
    run::run(command)
}

fn python(place: &Place, sources: &Path, folder: &Path) -> Result<(), Failure> {
    environment(place, sources, folder)?;
    copy(sources, folder, &["client.py"])
}

/// Python in `environment/` of the folder, with what the sources' `requirements.txt` pins.
pub fn environment(place: &Place, sources: &Path, folder: &Path) -> Result<(), Failure> {
    let mut environment = run::command(place, "python3", &["-m", "venv"]);
    environment.arg(folder.join("environment"));
    run::run(environment)?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    let mut install = run::command(place, folder.join("environment/bin/python"), &pip);
    install.arg(sources.join("requirements.txt"));
    run::run(install)
}

fn javascript(place: &Place, sources: &Path, folder: &Path) -> Result<(), Failure> {
    copy(sources, folder, &["client.js", "package.json", "package-lock.json"])?;
    let mut command = run::command(place, "npm", &["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]);
    command.current_dir(folder);
    run::run(command)
}

fn java(place: &Place, sources: &Path, folder: &Path) -> Result<(), Failure> {
    copy(sources, folder, &["pom.xml", "src/main/java/Client.java"])?;
    let mut command = run::command(place, "mvn", &["--quiet", "--batch-mode", "package"]);
    command.current_dir(folder);
    run::run(command)
}

fn copy(from: &Path, to: &Path, files: &[&str]) -> Result<(), Failure> {
    for file in files {
        let target = to.join(file);
        let parent = target.parent().unwrap_or(to);
        std::fs::create_dir_all(parent).map_err(Failure::io(format!("making {}", parent.display())))?;
        std::fs::copy(from.join(file), &target).map_err(Failure::io(format!("copying {file}")))?;
    }
    Ok(())
}

/// The first 16 hex digits of the hash of all sources.
pub fn key(sources: &Path) -> Result<String, Failure> {
    let mut files = Vec::new();
    list(sources, &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.strip_prefix(sources).unwrap_or(&file).as_os_str().as_encoded_bytes());
        hash.update(std::fs::read(&file).map_err(Failure::io(format!("reading {}", file.display())))?);
    }
    Ok(run::hex(&hash.finalize()[..8]))
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failure = || format!("listing {}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(Failure::io(failure()))? {
        let path = entry.map_err(Failure::io(failure()))?.path();
        if path.is_dir() { list(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_source_is_another_build() {
        let sources = tempfile::tempdir().unwrap();
        std::fs::create_dir(sources.path().join("src")).unwrap();
        std::fs::write(sources.path().join("src/main"), "a").unwrap();
        let before = key(sources.path()).unwrap();
        assert_eq!(key(sources.path()).unwrap(), before);
        std::fs::write(sources.path().join("src/main"), "b").unwrap();
        assert_ne!(key(sources.path()).unwrap(), before);
    }

    #[test]
    fn every_language_has_its_folder_and_no_other() {
        let folder = Place::find().unwrap().checkout.join("e2e/clients");
        let entries = std::fs::read_dir(folder).unwrap();
        let mut found: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let mut known: Vec<_> = LANGUAGES.iter().map(|language| language.name.to_owned()).collect();
        found.sort();
        known.sort();
        assert_eq!(found, known);
    }
}
