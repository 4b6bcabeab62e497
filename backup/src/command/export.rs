use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use object_store::ObjectStore;
use quorate_format::snapshot_file::Appender;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::carry;
use crate::manifest::Manifest;
use crate::report::Reason;
use crate::seal::Keys;

/// Writes a backup as a snapshot file, which `etcdutl snapshot restore` reads.
#[derive(Clone, Debug, clap::Args)]
pub struct Export {
    /// What to write; a file that is there already is left alone
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,

    /// The backup; the newest if not given
    #[arg(long, value_name = "ID", value_parser = crate::layout::parse_id)]
    pub id: Option<String>,

    /// Backups of this cluster only, as hexadecimal digits
    #[arg(long, value_name = "HEX")]
    pub cluster_id: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} is there already: name another file", .0.display())]
    Exists(PathBuf),
    #[error("{} can't be written", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Carry(#[from] carry::Error),
}

impl Error {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Exists(_) => Reason::InvalidArguments,
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => Reason::NoSpace,
            Self::Write { .. } => Reason::Other,
            Self::Carry(error) => error.reason(),
        }
    }
}

impl Export {
    /// The file gets its name when it is complete.
    pub async fn run(&self, store: &dyn ObjectStore, manifest: &Manifest, keys: &Keys) -> Result<(), Error> {
        let output = &self.output;
        if fs::symlink_metadata(output).is_ok() {
            return Err(Error::Exists(output.clone()));
        }
        let unfinished = unfinished(output);
        let written = write(store, manifest, keys, &unfinished).await.and_then(|()| publish(&unfinished, output));
        if written.is_err()
            && let Err(error) = fs::remove_file(&unfinished)
        {
            tracing::warn!(path = %unfinished.display(), %error, "what was half written is not removed");
        }
        written
    }
}

fn unfinished(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".unfinished");
    name.into()
}

async fn write(store: &dyn ObjectStore, manifest: &Manifest, keys: &Keys, path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let file = File::create(path).map_err(failed)?;
    let out = carry::down(store, manifest, keys, Appender::new(BufWriter::new(file))).await?;
    let file = out.finish().and_then(|out| Ok(out.into_inner()?)).map_err(failed)?;
    file.sync_all().map_err(failed)
}

fn publish(from: &Path, output: &Path) -> Result<(), Error> {
    let failed = |source| Error::Write { path: output.to_owned(), source };
    match renameat_with(CWD, from, CWD, output, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::EXIST) => return Err(Error::Exists(output.to_owned())),
        renamed => renamed.map_err(|error| failed(error.into()))?,
    }
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use quorate_format::snapshot_file;

    use super::*;
    use crate::layout;
    use crate::manifest::Compression;
    use crate::seal::Seal;

    async fn backup(store: &InMemory) -> Manifest {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), [7; 8192]).unwrap();
        let seal = Seal { compression: Compression::Zstd, recipients: Vec::new() };
        let arrived = carry::up(store, "id", "one", file.path(), &seal).await.unwrap();
        carry::tests::manifest("id", arrived, &seal)
    }

    #[tokio::test]
    async fn an_exported_file_is_a_snapshot_and_is_not_written_over() {
        let (store, keys, folder) = (InMemory::new(), Keys::default(), tempfile::tempdir().unwrap());
        let manifest = backup(&store).await;
        let export = Export { output: folder.path().join("a.db"), id: None, cluster_id: None };
        export.run(&store, &manifest, &keys).await.unwrap();
        let file = fs::read(&export.output).unwrap();
        assert_eq!(snapshot_file::verify(&mut file.as_slice(), file.len() as u64).unwrap(), 8192);
        assert!(matches!(export.run(&store, &manifest, &keys).await, Err(Error::Exists(_))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_damaged_backup_leaves_no_file() {
        let (store, keys, folder) = (InMemory::new(), Keys::default(), tempfile::tempdir().unwrap());
        let manifest = backup(&store).await;
        let part = object_store::path::Path::from(layout::below("id", &manifest.parts[0].name));
        store.put(&part, "altered".into()).await.unwrap();
        let export = Export { output: folder.path().join("a.db"), id: None, cluster_id: None };
        assert_eq!(export.run(&store, &manifest, &keys).await.unwrap_err().reason(), Reason::BackupDamaged);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
