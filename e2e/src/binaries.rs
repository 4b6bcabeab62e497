//! Where the binaries under test and the foreign tools are.

use std::path::PathBuf;

use crate::Error;

/// Whose implementation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// This repository's.
    Quorate,
    /// etcd's own, the reference.
    Upstream,
}

impl Flavour {
    /// The flavour a test runs by default: ours, unless `QUORATE_E2E_FLAVOUR=upstream` asks to prove the test itself
    /// on the reference.
    pub fn under_test() -> Flavour {
        match std::env::var("QUORATE_E2E_FLAVOUR").as_deref() {
            Ok("upstream") => Flavour::Upstream,
            _ => Flavour::Quorate,
        }
    }

    /// The server binary.
    pub fn etcd(self) -> Result<PathBuf, Error> {
        self.find("etcd")
    }

    /// The client binary.
    pub fn etcdctl(self) -> Result<PathBuf, Error> {
        self.find("etcdctl")
    }

    /// The binary that works on data folders and snapshot files.
    pub fn etcdutl(self) -> Result<PathBuf, Error> {
        self.find("etcdutl")
    }

    fn find(self, name: &str) -> Result<PathBuf, Error> {
        match self {
            Flavour::Quorate => present(own_dir().join(name), "`make build` makes it; QUORATE_BIN names its folder"),
            Flavour::Upstream => tool(name),
        }
    }
}

impl std::fmt::Display for Flavour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Flavour::Quorate => "quorate",
            Flavour::Upstream => "upstream",
        })
    }
}

/// The operator.
pub fn operator() -> Result<PathBuf, Error> {
    Flavour::Quorate.find("quorate-operator")
}

/// What carries backups.
pub fn backup() -> Result<PathBuf, Error> {
    Flavour::Quorate.find("quorate-backup")
}

/// kubectl's plugin.
pub fn plugin() -> Result<PathBuf, Error> {
    Flavour::Quorate.find("kubectl-quorate")
}

/// A foreign tool that `cargo xtask tools` builds: `benchmark`, `etcd-dump-logs`, `kube-apiserver`, `kubectl`, …
pub fn tool(name: &str) -> Result<PathBuf, Error> {
    present(tools_dir().join(name), "`cargo xtask tools` builds it; QUORATE_TOOLS names its folder")
}

/// The archive of an image that `cargo xtask images` makes: `server`, `debug`, `pause`, …
pub fn image(name: &str) -> Result<PathBuf, Error> {
    let remedy = "`cargo xtask images` makes it; QUORATE_IMAGES names its folder";
    present(images_dir().join(format!("{name}.tar")), remedy)
}

fn present(path: PathBuf, remedy: &'static str) -> Result<PathBuf, Error> {
    if path.is_file() { Ok(path) } else { Err(Error::Missing { path, remedy }) }
}

/// `QUORATE_BIN`, else `bin/` of the checkout.
pub fn own_dir() -> PathBuf {
    std::env::var_os("QUORATE_BIN").map_or_else(|| repository().join("bin"), PathBuf::from)
}

/// `QUORATE_TOOLS`, else `bin/tools/` of the checkout.
fn tools_dir() -> PathBuf {
    std::env::var_os("QUORATE_TOOLS").map_or_else(|| repository().join("bin/tools"), PathBuf::from)
}

/// `QUORATE_IMAGES`, else `bin/images/` of the checkout.
fn images_dir() -> PathBuf {
    std::env::var_os("QUORATE_IMAGES").map_or_else(|| repository().join("bin/images"), PathBuf::from)
}

/// Programs that use the client libraries of other languages, by language: `QUORATE_CLIENTS`, else `bin/clients/` of the checkout.
pub fn clients_dir() -> PathBuf {
    std::env::var_os("QUORATE_CLIENTS").map_or_else(|| repository().join("bin/clients"), PathBuf::from)
}

/// The checkout, as cargo says at run time: another checkout with the same target folder may have built this program.
pub fn repository() -> PathBuf {
    let crate_dir = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    crate_dir.parent().unwrap_or(&crate_dir).to_path_buf()
}
