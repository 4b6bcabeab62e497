//! A snapshot on its way to the store, in parts, and back.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use object_store::ObjectStore;
use sha2::{Digest, Sha256};

use crate::layout;
use crate::manifest::{Manifest, Part};
use crate::report::Reason;
use crate::seal::{self, Keys, PartReader, Seal};
use crate::store;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the snapshot can't be carried")]
    Seal(#[from] seal::Error),
    #[error("the snapshot can't be read")]
    Read(#[source] std::io::Error),
    #[error("part {name} of backup {id} is not what was written: it has another size or checksum")]
    Altered { id: String, name: String },
    #[error("part {name} of backup {id} is gone")]
    Gone { id: String, name: String },
    #[error("backup {id} is not what was written: its parts make another database")]
    Another { id: String },
    #[error("the work was given up")]
    GivenUp,
}

impl Error {
    pub fn reason(&self) -> Reason {
        let is_full = |error: &std::io::Error| error.kind() == std::io::ErrorKind::StorageFull;
        match self {
            Self::Store(error) => error.reason(),
            Self::Seal(seal::Error::KeyMissing | seal::Error::KeyWrong(_)) => Reason::KeyMissing,
            Self::Seal(seal::Error::Identity { .. } | seal::Error::IdentityFile(_) | seal::Error::Recipient { .. }) => {
                Reason::InvalidArguments
            }
            Self::Seal(seal::Error::Write(error)) | Self::Read(error) if is_full(error) => Reason::NoSpace,
            Self::Seal(seal::Error::Read(_)) => Reason::BackupDamaged,
            Self::Altered { .. } | Self::Gone { .. } | Self::Another { .. } => Reason::BackupDamaged,
            Self::Seal(_) | Self::Read(_) | Self::GivenUp => Reason::Other,
        }
    }
}

/// What has arrived.
pub struct Arrived {
    pub parts: Vec<Part>,
    pub database_bytes: u64,
    pub database_sha256: String,
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Seals a file and writes it as parts of a backup, below a folder of this attempt's own.
pub async fn up(store: &dyn ObjectStore, id: &str, attempt: &str, file: &Path, seal: &Seal) -> Result<Arrived, Error> {
    let file = File::open(file).map_err(Error::Read)?;
    let (writer, mut receiver) = seal::parts();
    let seal = seal.clone();
    let sealing = tokio::task::spawn_blocking(move || {
        let (bytes, sha256, writer) = seal.seal(file, writer)?;
        writer.finish().map_err(seal::Error::Write)?;
        Ok::<_, seal::Error>((bytes, sha256))
    });
    let mut parts = Vec::new();
    while let Some(bytes) = receiver.recv().await {
        let name = layout::part(attempt, parts.len());
        let (size, sha256) = (bytes.len() as u64, hex(&Sha256::digest(&bytes)));
        store::put_new(store, &layout::below(id, &name), bytes).await?;
        parts.push(Part { name, bytes: size, sha256 });
    }
    let (database_bytes, sha256) = sealing.await.map_err(|_| Error::GivenUp)??;
    Ok(Arrived { parts, database_bytes, database_sha256: hex(&sha256) })
}

/// Reads a backup from its first part to its last, and compares everything with what its manifest says.
pub async fn down<W>(store: &dyn ObjectStore, manifest: &Manifest, keys: &Keys, mut out: W) -> Result<W, Error>
where
    W: Write + Send + 'static,
{
    let (sender, reader) = PartReader::new();
    let (keys, compression, encryption) = (keys.clone(), manifest.compression, manifest.encryption);
    let opening = tokio::task::spawn_blocking(move || {
        let opened = keys.open(compression, encryption, reader, &mut out)?;
        out.flush().map_err(seal::Error::Write)?;
        Ok::<_, seal::Error>((opened, out))
    });
    let sent = send(store, manifest, sender).await;
    let opened = opening.await.map_err(|_| Error::GivenUp)?;
    sent?;
    let ((bytes, sha256), out) = opened?;
    let is_same = bytes == manifest.database_bytes && hex(&sha256) == manifest.database_sha256;
    if is_same { Ok(out) } else { Err(Error::Another { id: manifest.id.clone() }) }
}

async fn send(
    store: &dyn ObjectStore,
    manifest: &Manifest,
    sender: tokio::sync::mpsc::Sender<bytes::Bytes>,
) -> Result<(), Error> {
    for part in &manifest.parts {
        let (id, name) = (manifest.id.clone(), part.name.clone());
        let bytes = match store::get(store, &layout::below(&id, &name), part.bytes).await {
            Err(error) if error.reason() == Reason::BackupMissing => return Err(Error::Gone { id, name }),
            Err(store::Error::TooLarge { .. }) => return Err(Error::Altered { id, name }),
            read => read?,
        };
        if bytes.len() as u64 != part.bytes || hex(&Sha256::digest(&bytes)) != part.sha256 {
            return Err(Error::Altered { id, name });
        }
        // Whoever opens has found something that can't be opened, and says so.
        if sender.send(bytes).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Checks the parts alone: of a backup whose key isn't here.
pub async fn check_parts(store: &dyn ObjectStore, manifest: &Manifest) -> Result<(), Error> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let drained = async { while receiver.recv().await.is_some() {} };
    futures::future::join(send(store, manifest, sender), drained).await.0
}

#[cfg(test)]
pub(crate) mod tests;
