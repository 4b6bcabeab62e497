use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, path::Path};
use prost::Message;
use sha2::{Digest, Sha256};
use std::sync::Arc;

use super::{Chunk, Malformed, Name};
use crate::layout;
use crate::report::Reason;

/// Names of one cluster's chunks that are read; 48 bytes each. Pruning keeps them far below.
const NAMES_MAX: usize = 500_000;

#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    #[error("the store fails")]
    Store(#[from] object_store::Error),
    #[error("the chunk {name} is damaged")]
    Chunk { name: Name, source: Malformed },
    #[error("the chunk {0} is altered: its checksum is another")]
    Altered(Name),
    #[error("the store has more than {NAMES_MAX} chunks of this cluster: prune its backups")]
    TooMany,
}

impl ShelfError {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Store(_) => Reason::StoreUnavailable,
            Self::Chunk { .. } | Self::Altered(_) => Reason::BackupDamaged,
            Self::TooMany => Reason::Other,
        }
    }
}

/// The chunks of one cluster in a store.
#[derive(Clone)]
pub struct Shelf {
    store: Arc<dyn ObjectStore>,
    cluster_id: u64,
}

impl Shelf {
    pub fn new(store: Arc<dyn ObjectStore>, cluster_id: u64) -> Self {
        Self { store, cluster_id }
    }

    fn folder(&self) -> String {
        format!("{}/{:x}", layout::CHANGES, self.cluster_id)
    }

    /// In the order in which they are read.
    pub async fn names(&self) -> Result<Vec<Name>, ShelfError> {
        let mut listed = self.store.list(Some(&Path::from(self.folder())));
        let mut names = Vec::new();
        while let Some(object) = listed.try_next().await? {
            if names.len() >= NAMES_MAX {
                return Err(ShelfError::TooMany);
            }
            names.extend(object.location.filename().and_then(Name::parse));
        }
        names.sort_unstable();
        Ok(names)
    }

    pub async fn newest_backup(&self, _not_beyond: i64) -> Result<Option<i64>, ShelfError> {
        Ok(None)
    }

    pub fn seal(&self, chunk: &Chunk) -> Result<(Name, Bytes), ShelfError> {
        let bytes = Bytes::from(chunk.encode_to_vec());
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        Ok((Name::of(chunk, &sha256), bytes))
    }

    pub async fn write(&self, name: &Name, bytes: Bytes) -> Result<(), ShelfError> {
        let path = Path::from(format!("{}/{name}", self.folder()));
        match self.store.put_opts(&path, bytes.into(), PutMode::Create.into()).await {
            // Its name has its checksum: an earlier try has arrived.
            Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            result => Ok(result.map(|_| ())?),
        }
    }

    pub async fn read(&self, name: &Name) -> Result<Chunk, ShelfError> {
        let path = Path::from(format!("{}/{name}", self.folder()));
        let bytes = self.store.get(&path).await?.bytes().await?;
        if !name.is_of(&Sha256::digest(&bytes).into()) {
            return Err(ShelfError::Altered(*name));
        }
        Chunk::open(bytes).map_err(|source| ShelfError::Chunk { name: *name, source })
    }

    pub async fn read_if_able(&self, name: &Name) -> Result<Option<Chunk>, ShelfError> {
        self.read(name).await.map(Some)
    }
}
