//! Archives of the images that the Kubernetes of the tests runs, without a registry: our own, and those of foreign tools.
//!
//! An archive lives in the cache, in a folder named by the hash of all that is in it, and `bin/images/` links to it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::place::Place;
use crate::run::{self, Failure};

/// Images that one recipe makes.
struct Group {
    name: &'static str,
    /// The recipe, whose targets are the images.
    dockerfile: &'static str,
    images: &'static [&'static str],
    /// More files of the checkout that decide what is in the images.
    sources: &'static [&'static str],
    /// Binaries below `bin/`, and whether the group can do without.
    binaries: &'static [(&'static str, bool)],
    /// Puts what the recipe copies into an empty folder.
    lay_out: fn(&Place, &Path) -> Result<(), Failure>,
}

const GROUPS: [Group; 2] = [
    Group {
        name: "ours",
        dockerfile: "Dockerfile",
        images: &["server", "debug", "operator"],
        sources: &["scripts/image-root"],
        binaries: &[
            ("etcd", false),
            ("etcdctl", false),
            ("etcdutl", false),
            ("quorate-operator", true),
            ("quorate-backup", true),
        ],
        lay_out: lay_out_ours,
    },
    Group {
        name: "foreign",
        dockerfile: "e2e/images/Dockerfile",
        images: &["pause", "coredns", "upstream-etcd", "versitygw"],
        sources: &["e2e/images/pause.c"],
        binaries: &[
            ("tools/coredns", false),
            ("tools/etcd", false),
            ("tools/etcdctl", false),
            ("tools/etcdutl", false),
            ("tools/versitygw", false),
        ],
        lay_out: lay_out_foreign,
    },
];

/// Archives of other builds are removed when nobody has used them for so long.
const UNUSED_LIMIT: Duration = Duration::from_hours(24);

/// Makes the archives that the cache lacks, out of the binaries in `bin/`, and links all of them in `bin/images/`.
pub fn build(place: &Place) -> Result<(), Failure> {
    for group in &GROUPS {
        let built = build_group(place, group)?;
        for image in group.images {
            let file = format!("{image}.tar");
            run::link(&built.join(&file), &place.images(), &file)?;
        }
        remove_unused(&built, group)?;
    }
    Ok(())
}

fn build_group(place: &Place, group: &Group) -> Result<PathBuf, Failure> {
    let folder = place.cache.join("images").join(format!("{}-{}", group.name, key(place, group)?));
    if !folder.is_dir() {
        // Built beside and renamed: a folder with its final name is complete.
        let unfinished = folder.with_extension(format!("{}.unfinished", std::process::id()));
        let context = unfinished.join("context");
        std::fs::create_dir_all(&context).map_err(Failure::io(format!("making {}", context.display())))?;
        (group.lay_out)(place, &context)?;
        for image in group.images {
            archive(place, group, image, &unfinished)?;
        }
        for spent in ["context", "storage", "run"] {
            let spent = unfinished.join(spent);
            std::fs::remove_dir_all(&spent).map_err(Failure::io(format!("removing {}", spent.display())))?;
        }
        match std::fs::rename(&unfinished, &folder) {
            // Another run may have finished the same build first.
            Err(_) if folder.is_dir() => std::fs::remove_dir_all(&unfinished)
                .map_err(Failure::io(format!("removing {}", unfinished.display())))?,
            renamed => renamed.map_err(Failure::io(format!("renaming {}", unfinished.display())))?,
        }
    }
    Ok(folder)
}

/// One image of the laid out context, as a file that containerd imports.
fn archive(place: &Place, group: &Group, image: &str, unfinished: &Path) -> Result<(), Failure> {
    let buildah = || {
        // A storage of its own: nothing is left in the system's, and two builds don't wait for each other.
        let mut command = run::command(place, "buildah", &["--storage-driver=vfs"]);
        command.arg("--root").arg(unfinished.join("storage")).arg("--runroot").arg(unfinished.join("run"));
        command
    };
    let name = format!("quorate.test/{image}:e2e");
    let context = unfinished.join("context");
    let mut build = buildah();
    build.args(["build", "--quiet", "--isolation=chroot", "--pull-never", "--target", image, "--tag", &name]);
    build.arg(format!("--build-context=binaries={}", context.display()));
    build.arg("--file").arg(place.checkout.join(group.dockerfile)).arg(context);
    run::run(build)?;
    let mut push = buildah();
    let file = unfinished.join(format!("{image}.tar"));
    push.args(["push", "--quiet", &name]).arg(format!("docker-archive:{}:{name}", file.display()));
    run::run(push)
}

fn lay_out_ours(place: &Place, context: &Path) -> Result<(), Failure> {
    let mut command = run::command(place, place.checkout.join("scripts/image-root"), &[place.bin()]);
    command.arg(context);
    run::run(command)
}

fn lay_out_foreign(place: &Place, context: &Path) -> Result<(), Failure> {
    for name in ["coredns", "etcd", "etcdctl", "etcdutl", "versitygw"] {
        std::fs::copy(place.tools().join(name), context.join(name)).map_err(Failure::io(format!("copying {name}")))?;
    }
    let mut command = run::command(place, "cc", &["-static", "-Os", "-s", "-Wall", "-Werror", "-o"]);
    command.arg(context.join("pause")).arg(place.checkout.join("e2e/images/pause.c"));
    run::run(command)
}

/// The first 16 hex digits of the hash of everything that decides the build.
fn key(place: &Place, group: &Group) -> Result<String, Failure> {
    let mut files: Vec<PathBuf> = vec![place.checkout.join(group.dockerfile)];
    files.extend(group.sources.iter().map(|source| place.checkout.join(source)));
    let binaries = group.binaries.iter().map(|(name, is_optional)| (place.bin().join(name), *is_optional));
    files.extend(binaries.filter(|(path, is_optional)| !is_optional || path.exists()).map(|(path, _)| path));
    let mut hash = Sha256::new();
    for path in files {
        let bytes = std::fs::read(&path).map_err(Failure::io(format!("reading {}", path.display())))?;
        // With its length and name, so that no two lists of files read the same.
        hash.update(format!("{}={};", path.file_name().unwrap_or_default().display(), bytes.len()));
        hash.update(bytes);
    }
    Ok(run::hex(&hash.finalize()[..8]))
}

/// Removes older builds of the group: each is as large as its binaries.
fn remove_unused(built: &Path, group: &Group) -> Result<(), Failure> {
    let now = SystemTime::now();
    let used = std::fs::File::open(built).and_then(|folder| folder.set_modified(now));
    used.map_err(Failure::io(format!("touching {}", built.display())))?;
    let Some(all) = built.parent() else { return Ok(()) };
    let listing = || format!("listing {}", all.display());
    for entry in std::fs::read_dir(all).map_err(Failure::io(listing()))? {
        let entry = entry.map_err(Failure::io(listing()))?;
        let is_ours = entry.file_name().to_string_lossy().starts_with(&format!("{}-", group.name));
        let modified = entry.metadata().and_then(|metadata| metadata.modified()).map_err(Failure::io(listing()))?;
        if is_ours && now.duration_since(modified).is_ok_and(|unused| unused > UNUSED_LIMIT) {
            std::fs::remove_dir_all(entry.path())
                .map_err(Failure::io(format!("removing {}", entry.path().display())))?;
        }
    }
    Ok(())
}
