use std::path::Path;

use jiff::Timestamp;
use object_store::path::Path as Location;
use object_store::{ObjectStore, ObjectStoreExt};
use quorate_format::bbolt::Reader;
use serde::Serialize;

use crate::changes::{Goal, Shelf};
use crate::manifest::Manifest;
use crate::restore::{Base, Choice, Error, Folder, Made, Replay, refuse_authentication, snapshot};
use crate::store::Cause;

/// The snapshot's name in the spool.
const SNAPSHOT: &str = "snapshot.db";

/// Makes a data folder of a backup, and of the changes behind it if a time or revision is given.
#[derive(Clone, Debug, clap::Args)]
pub struct Restore {
    /// The backup; the newest that isn't beyond what is wanted if not given
    #[arg(long, value_name = "ID", value_parser = crate::layout::parse_id)]
    pub id: Option<String>,

    /// All that had been received at this time, such as 2026-11-28T05:00:00Z
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,

    /// All up to this revision
    #[arg(long, value_name = "REVISION", conflicts_with = "at")]
    pub at_revision: Option<i64>,

    /// Backups of this cluster only, as hexadecimal digits
    #[arg(long, value_name = "HEX")]
    pub cluster_id: Option<String>,

    /// No backup, but a file in the store that `etcdctl snapshot save` made
    #[arg(long, value_name = "OBJECT", conflicts_with_all = ["id", "at", "at_revision", "cluster_id"])]
    pub snapshot: Option<String>,

    #[command(flatten)]
    pub folder: Folder,

    /// How much to increase the last revision, so that clients that saw a later one don't see it fall
    #[arg(long, value_name = "REVISIONS", requires = "mark_compacted")]
    pub bump_revision: Option<u64>,

    /// Mark everything as compacted, so that clients notice
    #[arg(long, requires = "bump_revision")]
    pub mark_compacted: bool,

    /// Refuse data with authentication: the new members are to serve plain text, and would let nobody in who has no password
    #[arg(long)]
    pub refuse_authentication: bool,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// The backup's, or the snapshot file's name.
    pub id: String,
    /// A snapshot file doesn't say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// The last in the folder, before it was increased.
    pub revision: i64,
    /// When the last change had been received, the backup was taken, or the file was put into the store.
    pub time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bumped_to: Option<i64>,
    pub keys: u64,
    pub database_bytes: u64,
    /// Rows that are not the backup's.
    pub changes: u64,
}

impl Restore {
    pub fn choice(&self) -> Choice {
        let Self { id, at, at_revision, cluster_id, .. } = self.clone();
        Choice { id, cluster_id, at, at_revision }
    }

    fn check(&self, snapshot: &Reader) -> Result<(), Error> {
        match self.refuse_authentication {
            true => refuse_authentication(snapshot, "give the new cluster TLS for clients (spec.tls.client)"),
            false => Ok(()),
        }
    }

    /// Of the backup that was chosen. `fetch` writes its database, which it has compared with the manifest, to the path it is given.
    ///
    /// `None` if there is a member already.
    pub async fn run(
        self,
        manifest: &Manifest,
        shelf: Shelf,
        fetch: impl AsyncFnOnce(&Path) -> Result<(), Error>,
    ) -> Result<Option<Restored>, Error> {
        let Some(prepared) = self.folder.prepare()? else { return Ok(None) };
        let goal = self.choice().goal();
        let objects = match goal {
            Some(_) => shelf.objects().await?,
            None => Vec::new(),
        };
        let is_behind = |last: i64, after: i64| {
            last > manifest.revision && !matches!(goal, Some(Goal::Revision(until)) if after >= until)
        };
        let changes = objects.iter().filter(|(name, _)| is_behind(name.last, name.after));
        prepared.check_space(manifest.database_bytes, changes.map(|(_, bytes)| bytes).sum())?;

        let path = prepared.spool.join(SNAPSHOT);
        fetch(&path).await?;
        let snapshot = Reader::open(&path)?;
        self.check(&snapshot)?;
        let base = Base::of(&snapshot)?;
        let names = objects.into_iter().map(|(name, _)| name).collect();
        let cluster_id = shelf.cluster_id();
        let replay = goal.map(|goal| Replay::begin(shelf, names, cluster_id, &base, goal));
        let Made { written, database_bytes, reached } =
            prepared.make(snapshot, self.bump_revision, None, replay).await?;
        let received = reached.and_then(|reached| reached.unix_ms).and_then(|ms| Timestamp::from_millisecond(ms).ok());
        Ok(Some(Restored {
            id: manifest.id.clone(),
            cluster_id: Some(manifest.cluster_id.clone()),
            revision: written.latest.max(written.compacted).max(1),
            time: received.filter(|_| written.changes > 0).unwrap_or(manifest.taken),
            bumped_to: written.bumped,
            keys: written.rows,
            database_bytes,
            changes: written.changes,
        }))
    }

    /// Of a snapshot file. `None` if there is a member already.
    pub async fn run_of_file(self, store: &dyn ObjectStore, name: &str) -> Result<Option<Restored>, Error> {
        let Some(prepared) = self.folder.prepare()? else { return Ok(None) };
        let failed = |error| Error::File { name: name.to_owned(), source: Cause(error) };
        let found = store.head(&Location::from(name)).await.map_err(failed)?;
        prepared.check_space(found.size, 0)?;
        let path = prepared.spool.join(SNAPSHOT);
        snapshot::carry(store, name, &path).await?;
        let snapshot = Reader::open(&path)?;
        self.check(&snapshot)?;
        let Made { written, database_bytes, .. } = prepared.make(snapshot, self.bump_revision, None, None).await?;
        Ok(Some(Restored {
            id: name.to_owned(),
            cluster_id: None,
            revision: written.latest.max(written.compacted).max(1),
            time: Timestamp::from_millisecond(found.last_modified.timestamp_millis()).unwrap_or_default(),
            bumped_to: written.bumped,
            keys: written.rows,
            database_bytes,
            changes: 0,
        }))
    }
}
