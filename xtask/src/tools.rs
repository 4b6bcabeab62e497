//! Foreign tools of the tests, built from pinned Go modules into the cache.
//!
//! Each group has a `go.mod` of its own below `e2e/tools/`, because their dependencies clash. A build lives in a folder
//! named by the hash of `go.mod`, `go.sum` and the build's options, so that a second run builds nothing, and `bin/tools/`
//! links to it.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::mixin;
use crate::place::Place;
use crate::run::{self, Failure};

/// Tools that share a `go.mod`.
struct Group {
    /// The folder below `e2e/tools/`.
    name: &'static str,
    /// Options of the linker.
    ldflags: &'static str,
    /// Name of the binary and its package.
    tools: &'static [(&'static str, &'static str)],
}

/// The quickest first.
const GROUPS: [Group; 7] = [
    Group { name: "mixin", ldflags: "-s -w", tools: &[("jsonnet", "github.com/google/go-jsonnet/cmd/jsonnet")] },
    Group {
        name: "etcd",
        ldflags: "-s -w",
        tools: &[
            ("etcd", "go.etcd.io/etcd/server/v3"),
            ("etcdctl", "go.etcd.io/etcd/etcdctl/v3"),
            ("etcdutl", "go.etcd.io/etcd/etcdutl/v3"),
        ],
    },
    Group {
        name: "etcd-tools",
        ldflags: "-s -w",
        tools: &[
            ("benchmark", "go.etcd.io/etcd/v3/tools/benchmark"),
            ("etcd-dump-logs", "go.etcd.io/etcd/v3/tools/etcd-dump-logs"),
        ],
    },
    Group { name: "coredns", ldflags: "-s -w", tools: &[("coredns", "github.com/coredns/coredns")] },
    Group { name: "helm", ldflags: "-s -w", tools: &[("helm", "helm.sh/helm/v3/cmd/helm")] },
    Group {
        name: "versitygw",
        ldflags: "-s -w",
        tools: &[("versitygw", "github.com/versity/versitygw/cmd/versitygw")],
    },
    Group {
        name: "kubernetes",
        // kubectl refuses the version that an unstamped build carries.
        ldflags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3",
        tools: &[
            ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
            ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
            ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
            ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
            ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
        ],
    },
];

/// Builds the named groups (none: all) as far as the cache lacks them, and links their tools.
pub fn build(place: &Place, names: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = names.iter().find(|name| !GROUPS.iter().any(|group| group.name == name.as_str())) {
        let known: Vec<_> = GROUPS.iter().map(|group| group.name).collect();
        return Err(Failure(format!("no group of tools is named {unknown}; there are {}", known.join(", "))));
    }
    for group in GROUPS.iter().filter(|group| names.is_empty() || names.iter().any(|name| name == group.name)) {
        let built = build_group(place, group)?;
        for (name, _) in group.tools {
            run::link(&built.join(name), &place.tools(), name)?;
        }
        if group.name == "mixin" {
            mixin::build(place)?;
        }
    }
    Ok(())
}

fn build_group(place: &Place, group: &Group) -> Result<PathBuf, Failure> {
    let module = place.checkout.join("e2e/tools").join(group.name);
    let folder = place.cache.join("tools").join(format!("{}-{}", group.name, key(&module, group)?));
    if folder.is_dir() {
        return Ok(folder);
    }
    // Built beside and renamed: a folder with its final name is complete.
    let unfinished = folder.with_extension(format!("{}.unfinished", std::process::id()));
    std::fs::create_dir_all(&unfinished).map_err(Failure::io(format!("making {}", unfinished.display())))?;
    for (name, package) in group.tools {
        let mut command = run::command(
            place,
            "go",
            &["build", "-trimpath", "-buildvcs=false", &format!("-ldflags={}", group.ldflags), "-o"],
        );
        command.arg(unfinished.join(name)).arg(package).current_dir(&module).env("CGO_ENABLED", "0");
        run::run(command)?;
    }
    match std::fs::rename(&unfinished, &folder) {
        // Another run may have finished the same build first.
        Err(_) if folder.is_dir() => {
            std::fs::remove_dir_all(&unfinished).map_err(Failure::io(format!("removing {}", unfinished.display())))?;
        }
        renamed => renamed.map_err(Failure::io(format!("renaming {}", unfinished.display())))?,
    }
    Ok(folder)
}

/// The first 16 hex digits of the hash of everything that decides the build.
fn key(module: &Path, group: &Group) -> Result<String, Failure> {
    let mut hash = Sha256::new();
    for file in ["go.mod", "go.sum"] {
        let path = module.join(file);
        hash.update(std::fs::read(&path).map_err(Failure::io(format!("reading {}", path.display())))?);
    }
    hash.update(group.ldflags);
    for (name, package) in group.tools {
        hash.update(format!("{name}={package};"));
    }
    Ok(run::hex(&hash.finalize()[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_go_sum_is_another_build() {
        let module = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(module.path().join(name), text).unwrap();
        write("go.mod", "module x\n");
        write("go.sum", "a\n");
        let before = key(module.path(), &GROUPS[0]).unwrap();
        assert_eq!(key(module.path(), &GROUPS[0]).unwrap(), before);
        assert_ne!(key(module.path(), &GROUPS[1]).unwrap(), before);
        write("go.sum", "b\n");
        assert_ne!(key(module.path(), &GROUPS[0]).unwrap(), before);
        assert_eq!(before.len(), 16);
    }

    #[test]
    fn every_tool_is_listed_in_its_go_mod() {
        let place = Place::find().unwrap();
        for group in &GROUPS {
            let text =
                std::fs::read_to_string(place.checkout.join("e2e/tools").join(group.name).join("go.mod")).unwrap();
            for (_, package) in group.tools {
                // `go mod tidy` writes one tool on the line of its keyword, and several in a list.
                let is_listed = ["\t", "tool "].iter().any(|before| text.contains(&format!("{before}{package}\n")));
                assert!(is_listed, "{package} is no tool of {}", group.name);
            }
        }
    }
}
