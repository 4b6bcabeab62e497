//! What a store has: its manifests, and what is left of backups that never were.

use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use serde::Serialize;

use crate::changes::Name;
use crate::layout;
use crate::manifest::{FORMAT, Manifest};
use crate::report::Reason;
use crate::retention::Retention;
use crate::store;

/// Some 200 GB in parts have less.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// Backups that are listed. Manifests are kept without their parts: some 500 bytes each.
const BACKUPS_MAX: usize = 50_000;
/// Whoever writes parts for so long without a manifest has been killed.
const UNFINISHED: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the store can't be listed")]
    List(#[source] object_store::Error),
    #[error("backup {id} has a manifest that can't be read")]
    Manifest { id: String, source: serde_json::Error },
    #[error("backup {id} has format {format}, which needs a newer version of this program")]
    Newer { id: String, format: u32 },
    #[error("there is no backup {0} in this store; `quorate-backup list` shows those that are there")]
    Missing(String),
    #[error("the store has more than {BACKUPS_MAX} backups: prune them")]
    TooMany,
}

impl Error {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Store(error) => error.reason(),
            Self::List(error) => store::reason(error),
            Self::Manifest { .. } | Self::Newer { .. } => Reason::BackupDamaged,
            Self::Missing(_) => Reason::BackupMissing,
            Self::TooMany => Reason::Other,
        }
    }
}

/// A store's backups, in a few words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub count: usize,
    pub oldest: String,
    pub newest: String,
    pub stored_bytes: u64,
}

/// A backup without its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub manifest: Manifest,
    pub stored_bytes: u64,
}

/// Of one backup.
pub async fn read(store: &dyn ObjectStore, id: &str) -> Result<Manifest, Error> {
    let text = match store::get(store, &layout::manifest(id)).await {
        Err(error) if error.reason() == Reason::BackupMissing => return Err(Error::Missing(id.to_owned())),
        read => read?,
    };
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|source| Error::Manifest { id: id.to_owned(), source })?;
    if manifest.format > FORMAT {
        return Err(Error::Newer { id: id.to_owned(), format: manifest.format });
    }
    Ok(manifest)
}

/// The newest first. One that can't be read is told in the log, and is in the way of nothing.
pub async fn list(store: &dyn ObjectStore, cluster_id: Option<&str>) -> Result<Vec<Entry>, Error> {
    let mut listed = store.list(Some(&Path::from(layout::BACKUPS)));
    let mut entries = Vec::new();
    while let Some(object) = listed.try_next().await.map_err(Error::List)? {
        let Some(id) = id_of_manifest(&object).filter(|_| object.size <= MANIFEST_BYTES_MAX) else { continue };
        let mut manifest = match read(store, &id).await {
            Ok(manifest) => manifest,
            // It was deleted meanwhile.
            Err(Error::Missing(_)) => continue,
            Err(error @ (Error::Manifest { .. } | Error::Newer { .. })) => {
                tracing::warn!(id, error = &error as &dyn std::error::Error, "a backup is passed over");
                continue;
            }
            Err(error) => return Err(error),
        };
        if cluster_id.is_some_and(|wanted| wanted != manifest.cluster_id) {
            continue;
        }
        if entries.len() == BACKUPS_MAX {
            return Err(Error::TooMany);
        }
        let stored_bytes = manifest.stored_bytes();
        manifest.parts = Vec::new();
        entries.push(Entry { manifest, stored_bytes });
    }
    entries.sort_by(|one, other| other.manifest.id.cmp(&one.manifest.id));
    Ok(entries)
}

fn id_of_manifest(object: &ObjectMeta) -> Option<String> {
    let parts: Vec<_> = object.location.parts().collect();
    match parts.as_slice() {
        [backups, id, file] if backups.as_ref() == layout::BACKUPS && file.as_ref() == layout::MANIFEST => {
            Some(id.as_ref().to_owned())
        }
        _ => None,
    }
}

pub fn summary(newest_first: &[Entry]) -> Summary {
    let id = |entry: Option<&Entry>| entry.map(|entry| entry.manifest.id.clone()).unwrap_or_default();
    Summary {
        count: newest_first.len(),
        oldest: id(newest_first.last()),
        newest: id(newest_first.first()),
        stored_bytes: newest_first.iter().map(|entry| entry.stored_bytes).sum(),
    }
}

/// What became of pruning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub backups: usize,
    /// Why something could not be deleted: a lock on objects, perhaps.
    pub trouble: Option<String>,
}

/// Deletes backups of a cluster that are not to be kept, what was never finished, and changes that no backup that stays needs.
pub async fn prune(
    store: &dyn ObjectStore,
    cluster_id: &str,
    retention: Retention,
    now: Timestamp,
) -> Result<Pruned, Error> {
    let entries = list(store, Some(cluster_id)).await?;
    let times: Vec<Timestamp> = entries.iter().map(|entry| entry.manifest.taken).collect();
    let surplus = retention.surplus(&times, now);
    let mut pruned = Pruned::default();
    for number in surplus.iter().rev() {
        match delete(store, &entries[*number].manifest.id).await {
            Ok(()) => pruned.backups += 1,
            Err(error) => pruned.trouble = Some(words(&error)),
        }
    }
    for left in unfinished(store, now).await? {
        if let Err(error) = delete(store, &left).await {
            pruned.trouble = Some(words(&error));
        }
    }
    if !surplus.is_empty() {
        let stays = entries.iter().enumerate().filter(|(number, _)| !surplus.contains(number));
        if let Some(oldest) = stays.map(|(_, entry)| entry.manifest.revision).min()
            && let Err(error) = forget_changes(store, cluster_id, oldest).await
        {
            pruned.trouble = Some(words(&error));
        }
    }
    Ok(pruned)
}

fn words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let words = causes.fold(error.to_string(), |words, cause| format!("{words}: {cause}"));
    words.chars().take(500).collect()
}

/// The manifest first: what is left is no backup.
pub async fn delete(store: &dyn ObjectStore, id: &str) -> Result<(), Error> {
    store::delete(store, &Path::from(layout::manifest(id))).await?;
    clear(store, &format!("{}/{id}", layout::BACKUPS)).await
}

/// Everything below a path.
pub async fn clear(store: &dyn ObjectStore, below: &str) -> Result<(), Error> {
    let path = Path::from(below);
    let mut listed = store.list(Some(&path));
    while let Some(object) = listed.try_next().await.map_err(Error::List)? {
        store::delete(store, &object.location).await?;
    }
    Ok(())
}

/// Ids of folders without a manifest in which nobody has written for long.
async fn unfinished(store: &dyn ObjectStore, now: Timestamp) -> Result<Vec<String>, Error> {
    let root = Path::from(layout::BACKUPS);
    let folders = store.list_with_delimiter(Some(&root)).await.map_err(Error::List)?.common_prefixes;
    let mut left = Vec::new();
    for folder in folders {
        let id = folder.filename().unwrap_or_default().to_owned();
        let mut objects = store.list(Some(&folder));
        let mut has_manifest = false;
        let mut newest = Timestamp::MIN;
        while let Some(object) = objects.try_next().await.map_err(Error::List)? {
            has_manifest |= id_of_manifest(&object).is_some();
            newest = newest.max(Timestamp::from_millisecond(object.last_modified.timestamp_millis()).unwrap_or(now));
        }
        if !has_manifest && now.duration_since(newest) > UNFINISHED {
            left.push(id);
        }
    }
    Ok(left)
}

/// Changes up to a revision: the backup that stays has them.
async fn forget_changes(store: &dyn ObjectStore, cluster_id: &str, revision: i64) -> Result<(), Error> {
    let path = Path::from(format!("{}/{cluster_id}", layout::CHANGES));
    let mut listed = store.list(Some(&path));
    while let Some(object) = listed.try_next().await.map_err(Error::List)? {
        let name = object.location.filename().and_then(Name::parse);
        if name.is_some_and(|name| name.last <= revision) {
            store::delete(store, &object.location).await?;
        }
    }
    Ok(())
}
