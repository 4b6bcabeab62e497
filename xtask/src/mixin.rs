//! etcd's alerting rules and dashboard, and promtool, which evaluates them.
//!
//! The rules are rendered anew each time, out of the module whose programs the tests use: it takes less than a second. promtool comes out
//! of Debian's package: a build out of its module takes minutes, and to install the package would start a Prometheus.

use std::path::{Path, PathBuf};

use crate::place::Place;
use crate::run::{self, Failure};

/// The field of the mixin and the file that gets it. The older dashboard has all queries of the newer one and needs no library.
const PARTS: [(&str, &str); 2] =
    [("prometheusAlerts", "etcd-rules.json"), ("grafanaDashboards", "etcd-dashboard.json")];

/// Writes the rendered files beside the tools, and links promtool.
pub fn build(place: &Place) -> Result<(), Failure> {
    let mixin = module(place)?.join("contrib/mixin");
    for (field, file) in PARTS {
        let text = format!("((import 'mixin.libsonnet') + {{ _config+:: {{ grafana7x: true }} }}).{field}");
        let mut command = run::command(place, place.tools().join("jsonnet"), &["--exec", &text]);
        command.current_dir(&mixin);
        let rendered = run::output(command)?;
        let (new, target) = (place.tools().join(format!("{file}.new")), place.tools().join(file));
        std::fs::write(&new, rendered).map_err(Failure::io(format!("writing {}", new.display())))?;
        std::fs::rename(&new, &target).map_err(Failure::io(format!("writing {}", target.display())))?;
    }
    run::link(&promtool(place)?, &place.tools(), "promtool")
}

/// The folder of etcd's module, in the version that `e2e/tools/etcd-tools` pins.
fn module(place: &Place) -> Result<PathBuf, Failure> {
    let mut command = run::command(place, "go", &["mod", "download", "-json", "go.etcd.io/etcd/v3"]);
    command.current_dir(place.checkout.join("e2e/tools/etcd-tools"));
    let told = run::output(command)?;
    let folder = told.lines().find_map(|line| line.trim().strip_prefix(r#""Dir": ""#)?.strip_suffix("\","));
    folder.map(PathBuf::from).ok_or_else(|| Failure(format!("go tells no folder of etcd's module: {told}")))
}

/// The machine's own, else that of the cache, which is filled when it has none.
fn promtool(place: &Place) -> Result<PathBuf, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(own) = std::env::split_paths(&path).map(|folder| folder.join("promtool")).find(|file| file.is_file()) {
        return Ok(own);
    }
    let folder = place.cache.join("tools/promtool");
    let file = folder.join("promtool");
    if !file.is_file() {
        std::fs::create_dir_all(&folder).map_err(Failure::io(format!("making {}", folder.display())))?;
        let unpacked = unpack(place, &folder)?;
        std::fs::rename(unpacked.join("usr/bin/promtool"), &file)
            .map_err(Failure::io(format!("moving promtool to {}", file.display())))?;
        std::fs::remove_dir_all(&unpacked).map_err(Failure::io(format!("removing {}", unpacked.display())))?;
    }
    Ok(file)
}

/// Debian's package in a folder below the given one.
fn unpack(place: &Place, folder: &Path) -> Result<PathBuf, Failure> {
    let unpacked = folder.join(format!("{}.unfinished", std::process::id()));
    std::fs::create_dir_all(&unpacked).map_err(Failure::io(format!("making {}", unpacked.display())))?;
    let mut download = run::command(place, "apt-get", &["download", "--quiet", "prometheus"]);
    download.current_dir(&unpacked);
    let remedy = "install promtool of Prometheus by hand, or let `apt-get update` fetch the lists of packages";
    run::run(download).map_err(|Failure(text)| Failure(format!("{text}: {remedy}")))?;
    let entries = std::fs::read_dir(&unpacked).map_err(Failure::io(format!("listing {}", unpacked.display())))?;
    let package =
        entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|is| is == "deb"));
    let package = package.ok_or_else(|| Failure(format!("no package in {}", unpacked.display())))?;
    let mut extract = run::command(place, "dpkg-deb", &["--extract"]);
    extract.arg(package).arg(&unpacked);
    run::run(extract)?;
    Ok(unpacked)
}
