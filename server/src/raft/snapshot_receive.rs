//! A snapshot on its way in. Its files are complete, checked and synced in a folder of their own before anything is installed.
//!
//! When a transfer is cut, the tables that are complete stay in a folder beside the store, and the next transfer of the same source
//! takes them over. A table that was written is never changed, so its name and its source say what is in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt};
use quorate_proto::peer::{self, snapshot_chunk::Chunk};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;
use tonic::Status;

use super::snapshot::{Folder, Snapshot, SnapshotMeta};
use super::types::{StoredMembership, Vote};
use super::wire;

/// How folders of transfers under way begin.
const INCOMING: &str = "incoming-";
/// Where the tables of a transfer that was cut wait for the next, and who sent them.
const KEPT: &str = "incoming-kept";
const SOURCE: &str = "source";
/// What nobody has asked for by then is from a transfer that nobody repeats.
const KEPT_TIME: Duration = Duration::from_secs(3600);
/// RocksDB's immutable files.
const TABLE: &str = ".sst";
/// Ends the name of a file that is not complete.
const PART: &str = ".part";

/// Written to disk at a time: a whole table at once would hold up every sync that others wait for meanwhile.
const SYNC_BYTES: u64 = 16 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a snapshot must begin with its head")]
    NoHead,
    #[error("the snapshot's file name {0:?} is not a plain name")]
    Name(String),
    #[error("a piece of the snapshot is out of order or too long (file {file}, offset {offset})")]
    Order { file: u32, offset: u64 },
    #[error("a piece of the snapshot file {name} at offset {offset} does not match its checksum")]
    Checksum { name: String, offset: u64 },
    #[error("the snapshot ended before all of its files were complete")]
    Incomplete,
    #[error("the sender stopped")]
    Sender(#[source] Status),
    #[error("failed to write the received snapshot")]
    Io(#[from] io::Error),
    #[error("the snapshot's head can't be read")]
    Head(#[from] wire::Error),
}

/// A transfer of which the head is here.
pub struct Incoming<S> {
    pieces: S,
    head: peer::SnapshotHead,
    place: Place,
    /// Positions of the files that need not be sent.
    kept: Vec<u32>,
}

/// The folder of a transfer. Dropped, it leaves the complete tables to the next.
struct Place {
    dir: PathBuf,
    folder: PathBuf,
    is_complete: bool,
}

pub struct Received {
    pub vote: Vote,
    pub snapshot: Snapshot,
}

/// Reads the head and finds what is there of the snapshot already. `dir`: where folders of transfers lie.
pub async fn begin<S>(mut pieces: S, dir: &Path) -> Result<Incoming<S>, Error>
where
    S: Stream<Item = Result<peer::SnapshotChunk, Status>> + Unpin,
{
    let head = match pieces.next().await.transpose().map_err(Error::Sender)? {
        Some(peer::SnapshotChunk { chunk: Some(Chunk::Head(head)) }) => head,
        _ => return Err(Error::NoHead),
    };
    let is_plain = |name: &str| !(name.is_empty() || name.contains(['/', '\\', '\0']) || matches!(name, "." | ".."));
    if let Some(file) = head.files.iter().find(|file| !is_plain(&file.name) || file.name == SOURCE) {
        return Err(Error::Name(file.name.clone()));
    }
    let place = Place::claim(dir, head.source)?;
    let kept = place.keep(&head.files)?;
    Ok(Incoming { pieces, head, place, kept })
}

impl<S> Incoming<S>
where
    S: Stream<Item = Result<peer::SnapshotChunk, Status>> + Unpin,
{
    pub fn kept(&self) -> &[u32] {
        &self.kept
    }

    /// Receives the rest.
    pub async fn finish(mut self) -> Result<Received, Error> {
        let membership = wire::membership_from_wire(&self.head.membership)?;
        let meta = SnapshotMeta {
            last_log_id: wire::log_id_from_wire(self.head.last_log_id.take())?,
            last_membership: StoredMembership::new(
                wire::log_id_from_wire(self.head.membership_log_id.take())?,
                membership,
            ),
        };
        let vote = wire::vote_from_wire(self.head.vote.take())?;
        for (number, file) in (0..).zip(&self.head.files) {
            if !self.kept.contains(&number) {
                write(&mut self.pieces, number, file, &self.place.folder).await?;
            }
        }
        let folder = self.place.complete()?;
        tokio::fs::File::open(&folder).await?.sync_all().await?;
        tracing::info!(
            files = self.head.files.len(),
            kept = self.kept.len(),
            path = %folder.display(),
            "received a raft snapshot"
        );
        Ok(Received { vote, snapshot: Snapshot { meta, snapshot: Folder::owned(folder, 0) } })
    }
}

async fn write(
    pieces: &mut (impl Stream<Item = Result<peer::SnapshotChunk, Status>> + Unpin),
    number: u32,
    file: &peer::SnapshotFile,
    folder: &Path,
) -> Result<(), Error> {
    let part = folder.join(format!("{}{PART}", file.name));
    let mut target = tokio::fs::File::create_new(&part).await?;
    let (mut offset, mut synced) = (0, 0);
    let mut syncing: Option<JoinHandle<io::Result<()>>> = None;
    while offset < file.size {
        let piece = match pieces.next().await.transpose().map_err(Error::Sender)? {
            Some(peer::SnapshotChunk { chunk: Some(Chunk::Data(piece)) }) => piece,
            Some(_) => return Err(Error::Order { file: number, offset }),
            None => return Err(Error::Incomplete),
        };
        let length = piece.data.len() as u64;
        if piece.file != number || piece.offset != offset || length == 0 || length > file.size - offset {
            return Err(Error::Order { file: piece.file, offset: piece.offset });
        }
        if crc32c::crc32c(&piece.data) != piece.crc32c {
            return Err(Error::Checksum { name: file.name.clone(), offset });
        }
        target.write_all(&piece.data).await?;
        offset += length;
        if offset - synced >= SYNC_BYTES {
            // The one before has ended, so that no more than this waits for the disk.
            if let Some(before) = syncing.take() {
                before.await.map_err(io::Error::other)??;
            }
            target.flush().await?;
            let written = target.try_clone().await?;
            syncing = Some(tokio::spawn(async move { written.sync_data().await }));
            synced = offset;
        }
    }
    if let Some(before) = syncing {
        before.await.map_err(io::Error::other)??;
    }
    target.sync_all().await?;
    tokio::fs::rename(&part, folder.join(&file.name)).await?;
    Ok(())
}

impl Place {
    /// A new folder, or the kept one if it is of this source.
    fn claim(dir: &Path, source: u64) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = dir.join(format!("{INCOMING}{}-{number}", std::process::id()));
        let kept = dir.join(KEPT);
        match fs::read_to_string(kept.join(SOURCE)) {
            Ok(known) if known == source.to_string() => fs::rename(&kept, &folder)?,
            _ => {
                remove(&kept)?;
                fs::create_dir(&folder)?;
                fs::write(folder.join(SOURCE), source.to_string())?;
            }
        }
        Ok(Self { dir: dir.to_owned(), folder, is_complete: false })
    }

    /// Positions of the listed files that are here; the others go.
    fn keep(&self, files: &[peer::SnapshotFile]) -> io::Result<Vec<u32>> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let bytes = entry.metadata()?.len();
            let listed = |file: &&peer::SnapshotFile| name == *file.name && file.size == bytes && is_table(&file.name);
            match (0..).zip(files).find(|(_, file)| listed(file)) {
                Some((number, _)) => kept.push(number),
                None if name == SOURCE => {}
                None => fs::remove_file(entry.path())?,
            }
        }
        Ok(kept)
    }

    fn complete(&mut self) -> io::Result<PathBuf> {
        fs::remove_file(self.folder.join(SOURCE))?;
        self.is_complete = true;
        Ok(self.folder.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_complete
            && let Err(error) = put_aside(&self.dir, &self.folder)
        {
            tracing::warn!(path = %self.folder.display(), %error, "failed to put a cut snapshot aside");
        }
    }
}

fn is_table(name: &str) -> bool {
    name.ends_with(TABLE)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Keeps a transfer's folder for the next one if there is anything to keep.
fn put_aside(dir: &Path, folder: &Path) -> io::Result<()> {
    let has_tables = fs::read_dir(folder)?.flatten().any(|entry| is_table(&entry.file_name().to_string_lossy()));
    if !has_tables || !folder.join(SOURCE).exists() {
        return remove(folder);
    }
    remove(&dir.join(KEPT))?;
    fs::rename(folder, dir.join(KEPT))
}

/// At the start of the process: what the one before was receiving is put aside.
pub fn tidy(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == KEPT {
            let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
            if age > KEPT_TIME {
                remove(&entry.path())?;
            }
        } else if name.to_string_lossy().starts_with(INCOMING) {
            put_aside(dir, &entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &[u8] = b"a table's rows";

    fn head(source: u64) -> peer::SnapshotChunk {
        let file = |name: &str| peer::SnapshotFile { name: name.to_owned(), size: CONTENT.len() as u64 };
        let membership = super::super::membership::entry(vec![(1, vec!["http://localhost:2380".to_owned()], false)]);
        let vote = peer::Vote { term: 2, node_id: Some(1), committed: true };
        let files = vec![file("000001.sst"), file("000002.sst"), file("CURRENT")];
        let membership = membership.unwrap();
        let head = peer::SnapshotHead { vote: Some(vote), membership, files, source, ..Default::default() };
        peer::SnapshotChunk { chunk: Some(Chunk::Head(head)) }
    }

    fn data(file: u32) -> peer::SnapshotChunk {
        let data = peer::SnapshotData { file, offset: 0, data: CONTENT.into(), crc32c: crc32c::crc32c(CONTENT) };
        peer::SnapshotChunk { chunk: Some(Chunk::Data(data)) }
    }

    async fn transfer(dir: &Path, chunks: Vec<peer::SnapshotChunk>) -> (Vec<u32>, Result<Received, Error>) {
        let incoming = begin(futures::stream::iter(chunks.into_iter().map(Ok)), dir).await.unwrap();
        (incoming.kept().to_vec(), incoming.finish().await)
    }

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_transfer_that_was_cut_goes_on_with_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, cut) = transfer(dir.path(), vec![head(7), data(0)]).await;
        assert!(kept.is_empty() && matches!(cut, Err(Error::Incomplete)));
        assert_eq!(names(dir.path()), [KEPT]);
        // Whatever is no table is sent again, and whatever is not complete.
        tidy(dir.path()).unwrap();
        let (kept, whole) = transfer(dir.path(), vec![head(7), data(1), data(2)]).await;
        assert_eq!(kept, [0]);
        let folder = whole.unwrap().snapshot.snapshot;
        let mut files = names(&folder.path().unwrap());
        files.sort();
        assert_eq!(files, ["000001.sst", "000002.sst", "CURRENT"]);
        drop(folder);
        assert!(names(dir.path()).is_empty());
    }

    #[tokio::test]
    async fn nothing_is_taken_over_from_another_source() {
        let dir = tempfile::tempdir().unwrap();
        let (_, cut) = transfer(dir.path(), vec![head(7), data(0)]).await;
        assert!(cut.is_err());
        let (kept, whole) = transfer(dir.path(), vec![head(8), data(0), data(1), data(2)]).await;
        assert!(kept.is_empty() && whole.is_ok());
    }

    #[tokio::test]
    async fn a_byte_that_changed_on_the_way_is_noticed_and_nothing_of_its_file_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut altered = data(0);
        if let Some(Chunk::Data(data)) = &mut altered.chunk {
            data.data = b"a table's r0ws".as_slice().into();
        }
        let (_, refused) = transfer(dir.path(), vec![head(7), altered]).await;
        assert!(matches!(refused, Err(Error::Checksum { offset: 0, .. })));
        assert!(names(dir.path()).is_empty());
    }

    #[tokio::test]
    async fn what_a_killed_process_was_receiving_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join("incoming-1-2");
        fs::create_dir(&left).unwrap();
        fs::write(left.join(SOURCE), "7").unwrap();
        fs::write(left.join("000001.sst"), CONTENT).unwrap();
        fs::write(left.join("000002.sst.part"), CONTENT).unwrap();
        fs::create_dir(dir.path().join("incoming-1-3")).unwrap();
        tidy(dir.path()).unwrap();
        assert_eq!(names(dir.path()), [KEPT]);
        let (kept, whole) = transfer(dir.path(), vec![head(7), data(1), data(2)]).await;
        assert!(kept == [0] && whole.is_ok());
    }

    #[tokio::test]
    async fn names_that_leave_the_folder_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["../store", "..", "", "a/b", SOURCE] {
            let mut bad = head(7);
            if let Some(Chunk::Head(head)) = &mut bad.chunk {
                head.files[0].name = name.to_owned();
            }
            let refused = begin(futures::stream::iter([Ok(bad)]), dir.path()).await;
            assert!(matches!(refused, Err(Error::Name(_))), "{name:?}");
        }
        assert!(names(dir.path()).is_empty());
    }
}
