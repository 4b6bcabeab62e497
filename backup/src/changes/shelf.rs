use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use prost::Message;
use sha2::{Digest, Sha256};

use super::{Chunk, Malformed, Name};
use crate::layout;
use crate::manifest::{BYTES_MAX, Compression, Encryption, Manifest};
use crate::report::Reason;
use crate::seal::{self, Keys, Seal};
use crate::store;

/// In the store. One revision may have more than a chunk is meant to.
const CHUNK_BYTES_MAX: u64 = 256 << 20;
/// Names of one cluster's chunks that are read; 48 bytes each. Pruning keeps them far below.
const NAMES_MAX: usize = 500_000;

#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    #[error("the store fails")]
    Store(#[source] store::Cause),
    #[error("the chunk {name} is damaged")]
    Chunk { name: Name, source: Malformed },
    #[error("the chunk {0} in the store is altered: its checksum is another")]
    Altered(Name),
    #[error("the chunk {name} can't be sealed or opened")]
    Seal { name: String, source: seal::Error },
    #[error("the store has more than {NAMES_MAX} chunks of this cluster: prune its backups")]
    TooMany,
}

impl ShelfError {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Store(error) => store::reason(&error.0),
            Self::Seal { source: seal::Error::KeyMissing | seal::Error::KeyWrong(_), .. } => Reason::KeyMissing,
            Self::Seal { .. } => Reason::BackupDamaged,
            Self::Chunk { .. } | Self::Altered(_) => Reason::BackupDamaged,
            Self::TooMany => Reason::Other,
        }
    }
}

impl From<object_store::Error> for ShelfError {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The chunks of one cluster in a store.
#[derive(Clone)]
pub struct Shelf {
    store: Arc<dyn ObjectStore>,
    cluster_id: u64,
    seal: Seal,
    keys: Keys,
}

impl Shelf {
    pub fn new(store: Arc<dyn ObjectStore>, cluster_id: u64) -> Self {
        let seal = Seal { compression: Compression::Zstd, recipients: Vec::new() };
        Self { store, cluster_id, seal, keys: Keys::default() }
    }

    /// With chunks that are encrypted for some, and opened with somebody's key.
    pub fn encrypted(self, recipients: Vec<age::x25519::Recipient>, keys: Keys) -> Self {
        Self { seal: Seal { recipients, ..self.seal }, keys, ..self }
    }

    fn folder(&self) -> String {
        layout::changes_of(&format!("{:x}", self.cluster_id))
    }

    pub fn cluster_id(&self) -> u64 {
        self.cluster_id
    }

    /// In the order in which they are read.
    pub async fn names(&self) -> Result<Vec<Name>, ShelfError> {
        Ok(self.objects().await?.into_iter().map(|(name, _)| name).collect())
    }

    /// With the bytes that each has in the store.
    pub async fn objects(&self) -> Result<Vec<(Name, u64)>, ShelfError> {
        let mut listed = self.store.list(Some(&Path::from(self.folder())));
        let mut objects = Vec::new();
        while let Some(object) = listed.try_next().await? {
            if objects.len() >= NAMES_MAX {
                return Err(ShelfError::TooMany);
            }
            let name = object.location.filename().and_then(Name::parse);
            objects.extend(name.map(|name| (name, object.size)));
        }
        objects.sort_unstable();
        Ok(objects)
    }

    /// Revision of this cluster's newest backup that isn't beyond the given one.
    pub async fn newest_backup(&self, not_beyond: i64) -> Result<Option<i64>, ShelfError> {
        let cluster_id = format!("{:x}", self.cluster_id);
        let mut listed = self.store.list(Some(&Path::from(layout::BACKUPS)));
        let mut newest = None;
        while let Some(object) = listed.try_next().await? {
            if object.location.filename() != Some(layout::MANIFEST) || object.size > BYTES_MAX {
                continue;
            }
            let text = self.store.get(&object.location).await?.bytes().await?;
            // Who lists backups tells of those that can't be read.
            let Ok(manifest) = Manifest::read(&text) else { continue };
            if manifest.cluster_id == cluster_id && manifest.revision <= not_beyond {
                newest = newest.max(Some(manifest.revision));
            }
        }
        Ok(newest)
    }

    pub fn seal(&self, chunk: &Chunk) -> Result<(Name, Bytes), ShelfError> {
        let sealed = self.seal.seal(chunk.encode_to_vec().as_slice(), Vec::new());
        let (_, _, bytes) = sealed.map_err(|source| ShelfError::Seal { name: String::new(), source })?;
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        Ok((Name::of(chunk, &sha256), bytes.into()))
    }

    pub async fn write(&self, name: &Name, bytes: Bytes) -> Result<(), ShelfError> {
        let path = Path::from(format!("{}/{name}", self.folder()));
        match store::put_once(&*self.store, &path, &bytes).await {
            Err(object_store::Error::AlreadyExists { .. }) => Err(ShelfError::Altered(*name)),
            result => Ok(result?),
        }
    }

    pub async fn read(&self, name: &Name) -> Result<Chunk, ShelfError> {
        let path = Path::from(format!("{}/{name}", self.folder()));
        let found = self.store.get(&path).await?;
        if found.meta.size > CHUNK_BYTES_MAX {
            return Err(ShelfError::Altered(*name));
        }
        let bytes = found.bytes().await?;
        if !name.is_of(&Sha256::digest(&bytes).into()) {
            return Err(ShelfError::Altered(*name));
        }
        // What is encrypted says so.
        let encryption = if bytes.starts_with(b"age-encryption.org/") { Encryption::Age } else { Encryption::None };
        let mut opened = Vec::new();
        self.keys
            .open(self.seal.compression, encryption, bytes.as_ref(), &mut opened)
            .map_err(|source| ShelfError::Seal { name: name.to_string(), source })?;
        Chunk::open(opened.into()).map_err(|source| ShelfError::Chunk { name: *name, source })
    }

    /// None if it can't be opened: the recorder need not have the key to what it writes, and goes on behind a damaged chunk.
    pub async fn read_if_able(&self, name: &Name) -> Result<Option<Chunk>, ShelfError> {
        match self.read(name).await {
            Ok(chunk) => Ok(Some(chunk)),
            Err(error @ (ShelfError::Store(_) | ShelfError::TooMany)) => Err(error),
            Err(error @ (ShelfError::Chunk { .. } | ShelfError::Altered(_) | ShelfError::Seal { .. })) => {
                tracing::warn!(%name, %error, "the newest chunk can't be read");
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::super::chunk::tests::chunk;
    use super::*;

    async fn shelf(chunk: &Chunk) -> (Shelf, Name, Bytes) {
        let shelf = Shelf::new(Arc::new(InMemory::new()), 7);
        let (name, bytes) = shelf.seal(chunk).unwrap();
        shelf.write(&name, bytes.clone()).await.unwrap();
        (shelf, name, bytes)
    }

    #[tokio::test]
    async fn a_chunk_is_found_by_its_name() {
        let written = chunk(4, 9);
        let (shelf, name, bytes) = shelf(&written).await;
        assert_eq!(shelf.objects().await.unwrap(), [(name, bytes.len() as u64)]);
        assert_eq!(shelf.read(&name).await.unwrap(), written);
        let of_another_cluster = Shelf::new(shelf.store.clone(), 8);
        assert_eq!(of_another_cluster.names().await.unwrap(), []);
    }

    #[tokio::test]
    async fn an_altered_chunk_is_refused_wherever_the_byte_is() {
        let (shelf, name, bytes) = shelf(&chunk(4, 9)).await;
        let path = Path::from(format!("{}/{name}", shelf.folder()));
        for at in 0..bytes.len() {
            let mut altered = bytes.to_vec();
            altered[at] ^= 1;
            shelf.store.put(&path, altered.into()).await.unwrap();
            assert!(matches!(shelf.read(&name).await, Err(ShelfError::Altered(_))), "{at}");
        }
        // It is not taken for what is to be written, and not written over.
        assert!(matches!(shelf.write(&name, bytes).await, Err(ShelfError::Altered(_))));
        assert_eq!(shelf.read_if_able(&name).await.unwrap(), None);
    }
}
