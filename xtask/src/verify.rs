//! The read-only gate and the fixer.

use std::path::PathBuf;

use crate::place::Place;
use crate::run::{self, Failure, cargo};
use crate::tidy;

/// Checks dependencies: licences, sources, banned and doubled crates.
const CARGO_DENY: &str = "0.20.2";

/// Everything that must hold before a commit. Changes nothing in the checkout.
pub fn verify(place: &Place) -> Result<(), Failure> {
    run::run(cargo(place, &["fmt", "--all", "--check"]))?;
    tidy::check(&place.checkout)?;
    run::run(cargo(place, &["clippy", "--release", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    let mut documentation = cargo(place, &["doc", "--release", "--workspace", "--no-deps"]);
    documentation.env("RUSTDOCFLAGS", "--deny warnings");
    run::run(documentation)?;
    let deny = cargo_deny(place)?;
    // Advisories need a database from the network: they are checked apart, with `cargo-deny check advisories`.
    run::run(run::command(place, deny, &["check", "bans", "licenses", "sources"]))
}

/// Formatting, and what clippy can repair itself.
pub fn fix(place: &Place) -> Result<(), Failure> {
    let clippy = ["clippy", "--release", "--workspace", "--all-targets", "--fix", "--allow-dirty", "--allow-staged"];
    run::run(cargo(place, &clippy))?;
    let operator = ["run", "--release", "--package", "quorate-operator", "--"];
    for folder in ["crds", "charts/quorate-operator/files/crds"] {
        run::run(cargo(place, &[&operator[..], &["crds", "--folder", folder]].concat()))?;
    }
    let page = run::output(cargo(place, &[&operator[..], &["reference"]].concat()))?;
    let file = place.checkout.join("docs/operator/reference.md");
    std::fs::write(&file, page).map_err(Failure::io(format!("writing {}", file.display())))?;
    run::run(cargo(place, &["fmt", "--all"]))
}

/// The pinned cargo-deny of the cache, installed when it is not there.
fn cargo_deny(place: &Place) -> Result<PathBuf, Failure> {
    let root = place.cache.join(format!("cargo-deny-{CARGO_DENY}"));
    let binary = root.join("bin/cargo-deny");
    if !binary.is_file() {
        let mut install = cargo(place, &["install", "cargo-deny", "--locked", "--version", CARGO_DENY, "--root"]);
        // Not the workspace's target folder nor its build options: they are for static binaries of ours.
        install.arg(&root).env("CARGO_TARGET_DIR", root.join("target")).current_dir(&place.cache);
        run::run(install)?;
        std::fs::remove_dir_all(root.join("target")).map_err(Failure::io("removing the build of cargo-deny"))?;
    }
    Ok(binary)
}
