//! What a store has: its manifests, and what is left of backups that never were.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use serde::{Deserialize, Serialize};

use crate::changes::Name;
use crate::layout;
use crate::manifest::{self, BYTES_MAX, FORMAT, Manifest};
use crate::report::{Reason, sentence};
use crate::retention::Retention;
use crate::store;

/// Backups that are listed. Manifests are kept without their parts: some 500 bytes each.
const BACKUPS_MAX: usize = 50_000;
/// Whoever writes parts for so long without a manifest has been killed.
const UNFINISHED: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the store can't be listed")]
    List(#[source] store::Cause),
    #[error("backup {id} has a manifest that can't be read")]
    Manifest { id: String, source: manifest::Error },
    #[error("backup {id} has the manifest of another, {other}")]
    Foreign { id: String, other: String },
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
            Self::List(error) => store::reason(&error.0),
            Self::Manifest { .. } | Self::Foreign { .. } | Self::Newer { .. } => Reason::BackupDamaged,
            Self::Missing(_) => Reason::BackupMissing,
            Self::TooMany => Reason::Other,
        }
    }
}

fn listing(error: object_store::Error) -> Error {
    Error::List(error.into())
}

/// A store's backups, in a few words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub count: usize,
    pub oldest: String,
    pub newest: String,
    pub stored_bytes: u64,
    /// Of any cluster.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// What [`list`] finds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// The newest first.
    pub entries: Vec<Entry>,
    /// Backups whose manifests can't be read; the log has their ids.
    pub unreadable: usize,
}

/// A backup without its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub manifest: Manifest,
    pub stored_bytes: u64,
}

/// Of one backup.
pub async fn read(store: &dyn ObjectStore, id: &str) -> Result<Manifest, Error> {
    let text = match store::get(store, &layout::manifest(id), BYTES_MAX).await {
        Err(error) if error.reason() == Reason::BackupMissing => return Err(Error::Missing(id.to_owned())),
        read => read?,
    };
    let id = id.to_owned();
    // First: a newer format may lack what is asked for below.
    match serde_json::from_slice::<Format>(&text) {
        Ok(Format { format }) if format > FORMAT => return Err(Error::Newer { id, format }),
        _ => {}
    }
    let manifest = match Manifest::read(&text) {
        Ok(manifest) => manifest,
        Err(source) => return Err(Error::Manifest { id, source }),
    };
    if manifest.id == id { Ok(manifest) } else { Err(Error::Foreign { id, other: manifest.id }) }
}

/// One that can't be read is in the way of nothing.
pub async fn list(store: &dyn ObjectStore, cluster_id: Option<&str>) -> Result<Listed, Error> {
    let mut listed = store.list(Some(&Path::from(layout::BACKUPS)));
    let mut entries = Vec::new();
    let mut unreadable = 0;
    while let Some(object) = listed.try_next().await.map_err(listing)? {
        let Some(id) = id_of_manifest(&object) else { continue };
        let mut manifest = match read(store, &id).await {
            Ok(manifest) => manifest,
            // It was deleted meanwhile.
            Err(Error::Missing(_)) => continue,
            Err(error) if error.reason() == Reason::BackupDamaged => {
                tracing::warn!(id, error = &error as &dyn std::error::Error, "a backup is passed over");
                unreadable += 1;
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
    // Ids that people have given need not be in the order of time.
    entries.sort_by(|one, other| {
        let key = |entry: &Entry| (entry.manifest.taken, entry.manifest.id.clone());
        key(other).cmp(&key(one))
    });
    Ok(Listed { entries, unreadable })
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

impl Listed {
    pub fn summary(&self) -> Summary {
        let id = |entry: Option<&Entry>| entry.map(|entry| entry.manifest.id.clone()).unwrap_or_default();
        let Self { entries, unreadable } = self;
        Summary {
            count: entries.len(),
            oldest: id(entries.last()),
            newest: id(entries.first()),
            stored_bytes: entries.iter().map(|entry| entry.stored_bytes).sum(),
            unreadable: *unreadable,
        }
    }
}

/// What became of pruning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pruned {
    pub backups: usize,
    /// What there is now.
    pub left: Listed,
    /// Why something could not be deleted: a lock on objects, perhaps.
    pub trouble: Option<String>,
}

/// Deletes backups that are not to be kept, what was never finished, and changes that no backup that stays needs. Each cluster
/// is on its own, or only one is looked at.
pub async fn prune(
    store: &dyn ObjectStore,
    cluster_id: Option<&str>,
    retention: Retention,
    now: Timestamp,
) -> Result<Pruned, Error> {
    let left = list(store, cluster_id).await?;
    let mut clusters: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for entry in &left.entries {
        clusters.entry(entry.manifest.cluster_id.clone()).or_default().push(entry.clone());
    }
    let mut pruned = Pruned { left, ..Pruned::default() };
    for (cluster_id, entries) in &clusters {
        prune_cluster(store, cluster_id, entries, retention, now, &mut pruned).await;
    }
    for left in unfinished(store, now).await? {
        if let Err(error) = delete(store, &left).await {
            pruned.trouble = Some(words(&error));
        }
    }
    Ok(pruned)
}

async fn prune_cluster(
    store: &dyn ObjectStore,
    cluster_id: &str,
    newest_first: &[Entry],
    retention: Retention,
    now: Timestamp,
    pruned: &mut Pruned,
) {
    let times: Vec<Timestamp> = newest_first.iter().map(|entry| entry.manifest.taken).collect();
    let surplus = retention.surplus(&times, now);
    let mut gone = Vec::new();
    for number in surplus.iter().rev() {
        match delete(store, &newest_first[*number].manifest.id).await {
            Ok(()) => gone.push(*number),
            Err(error) => pruned.trouble = Some(words(&error)),
        }
    }
    pruned.backups += gone.len();
    let is_gone = |entry: &Entry| gone.iter().any(|number| newest_first[*number].manifest.id == entry.manifest.id);
    pruned.left.entries.retain(|entry| !is_gone(entry));
    // Nobody knows what one needs that can't be read. What could not be forgotten before is now.
    let oldest = newest_first.iter().filter(|entry| !is_gone(entry)).map(|entry| entry.manifest.revision).min();
    if let Some(oldest) = oldest
        && pruned.left.unreadable == 0
        && let Err(error) = forget_changes(store, cluster_id, oldest).await
    {
        pruned.trouble = Some(words(&error));
    }
}

fn words(error: &dyn std::error::Error) -> String {
    sentence(error).chars().take(500).collect()
}

/// The manifest first: what is left is no backup.
pub async fn delete(store: &dyn ObjectStore, id: &str) -> Result<(), Error> {
    store::delete(store, &Path::from(layout::manifest(id))).await?;
    clear(store, &format!("{}/{id}", layout::BACKUPS)).await
}

/// Everything below a path.
pub async fn clear(store: &dyn ObjectStore, below: &str) -> Result<(), Error> {
    clear_but(store, below, |_| false).await
}

/// What other attempts at a finished backup have left: none of them can be declared any more.
pub async fn clear_attempts(store: &dyn ObjectStore, manifest: &Manifest) -> Result<(), Error> {
    let id = &manifest.id;
    let mut attempts: Vec<&str> = manifest.parts.iter().filter_map(|part| part.name.split('/').next()).collect();
    attempts.dedup();
    attempts.push(layout::MANIFEST);
    let kept: Vec<Path> = attempts.into_iter().map(|name| Path::from(layout::below(id, name))).collect();
    let is_kept = |location: &Path| kept.iter().any(|kept| location.prefix_matches(kept));
    clear_but(store, &format!("{}/{id}", layout::BACKUPS), is_kept).await
}

async fn clear_but(store: &dyn ObjectStore, below: &str, is_kept: impl Fn(&Path) -> bool) -> Result<(), Error> {
    let path = Path::from(below);
    let mut listed = store.list(Some(&path));
    while let Some(object) = listed.try_next().await.map_err(listing)? {
        if !is_kept(&object.location) {
            store::delete(store, &object.location).await?;
        }
    }
    Ok(())
}

/// Ids of folders without a manifest in which nobody has written for long.
async fn unfinished(store: &dyn ObjectStore, now: Timestamp) -> Result<Vec<String>, Error> {
    let root = Path::from(layout::BACKUPS);
    let folders = store.list_with_delimiter(Some(&root)).await.map_err(listing)?.common_prefixes;
    let mut left = Vec::new();
    for folder in folders {
        let id = folder.filename().unwrap_or_default().to_owned();
        let mut objects = store.list(Some(&folder));
        let mut has_manifest = false;
        let mut newest = Timestamp::MIN;
        while let Some(object) = objects.try_next().await.map_err(listing)? {
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
    let path = Path::from(layout::changes_of(cluster_id));
    let mut listed = store.list(Some(&path));
    while let Some(object) = listed.try_next().await.map_err(listing)? {
        let name = object.location.filename().and_then(Name::parse);
        if name.is_some_and(|name| name.last <= revision) {
            store::delete(store, &object.location).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
