//! Where things are: the checkout, and the cache that survives it.

use std::path::{Path, PathBuf};

use crate::run::Failure;

/// The folders that tasks work in.
#[derive(Debug)]
pub struct Place {
    /// The root of the repository.
    pub checkout: PathBuf,
    /// `QUORATE_CACHE`, else `~/.cache/quorate`, else `.cache/quorate` of the checkout.
    pub cache: PathBuf,
    /// `CARGO_TARGET_DIR`, else `target` of the cache.
    pub target: PathBuf,
}

impl Place {
    /// Looks at the environment.
    pub fn find() -> Result<Place, Failure> {
        // Asked at run time: another checkout with the same target folder may have built this program.
        let crate_dir = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let checkout = crate_dir.as_deref().and_then(Path::parent);
        let checkout = checkout.ok_or_else(|| Failure("start xtask by `cargo run`".into()))?.to_path_buf();
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let cache = match std::env::var_os("QUORATE_CACHE") {
            Some(cache) => PathBuf::from(cache),
            None => home.unwrap_or_else(|| checkout.clone()).join(".cache/quorate"),
        };
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| cache.join("target"), PathBuf::from);
        Ok(Place { checkout, cache, target })
    }

    /// Where our binaries are copied to.
    pub fn bin(&self) -> PathBuf {
        self.checkout.join("bin")
    }

    /// Where the archives of the images are linked.
    pub fn images(&self) -> PathBuf {
        self.checkout.join("bin/images")
    }

    /// Where programs that use client libraries are linked.
    pub fn clients(&self) -> PathBuf {
        self.checkout.join("bin/clients")
    }

    /// Where the foreign tools are linked.
    pub fn tools(&self) -> PathBuf {
        self.checkout.join("bin/tools")
    }
}
