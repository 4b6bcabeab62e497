//! `etcdctl snapshot`

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use quorate_proto::etcdserverpb::{SnapshotRequest, maintenance_client::MaintenanceClient};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use super::Session;
use crate::{
    client::{Client, Error},
    failure::{Exit, Failure},
    go::{format_duration, format_size},
    log,
    output::{Json, write_line},
};

const SHA256_BYTES: usize = 32;
/// A database is a whole number of sectors of this size, so the checksum behind it shows in the file's length.
const SECTOR_BYTES: u64 = 512;
/// Stands for "no limit"; the sum with the present must fit the clock.
const UNLIMITED: Duration = Duration::from_secs(365 * 24 * 3600);

#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum Snapshot {
    /// Stores an etcd node backend snapshot to a given file
    Save {
        #[arg(value_name = "FILE")]
        args: Vec<String>,
    },
}

impl Snapshot {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        let Snapshot::Save { args } = self;
        let [path] = args.as_slice() else {
            return Err(Failure::bad_args("snapshot save expects one argument <filename>"));
        };
        let interrupted = |text: String| Failure::new(Exit::Interrupted, text);
        let endpoints = session.globals.endpoint_list();
        let [endpoint] = endpoints.as_slice() else {
            let list = endpoints.join(" ");
            return Err(interrupted(format!("snapshot must be requested to one selected node, not multiple [{list}]")));
        };
        // A database may be large: there is a limit only if the user sets one.
        let given = session.globals.command_timeout_given;
        let limit = if given { session.globals.command_timeout } else { UNLIMITED };
        let deadline = Instant::now() + limit;
        let mut client = Client::open(&session.globals).await.map_err(|error| error.into_failure(Exit::Interrupted))?;
        let version = save(&mut client, endpoint, Path::new(path), deadline).await.map_err(interrupted)?;
        write_line(&format!("Snapshot saved at {path}"))?;
        if version.is_empty() { Ok(()) } else { write_line(&format!("Server version {version}")) }
    }
}

/// Fetches the snapshot beside its destination and moves it there when it is whole and on the disk.
async fn save(client: &mut Client, endpoint: &str, path: &Path, deadline: Instant) -> Result<String, String> {
    let part = Part::create(path)?;
    log::info("created temporary db file", vec![("path", Json::from(part.path.display().to_string()))]);
    log::info("fetching snapshot", vec![("endpoint", Json::from(endpoint))]);
    let start = Instant::now();
    let fetched = fetch(client, &part.file, deadline).await?;
    if fetched.bytes % SECTOR_BYTES != SHA256_BYTES as u64 {
        return Err(format!("sha256 checksum not found [bytes: {}]", fetched.bytes));
    }
    if fetched.computed != fetched.received {
        let (received, computed) = (hex(&fetched.received), hex(&fetched.computed));
        return Err(format!("sha256 checksum of the received snapshot is {computed}, the server sent {received}"));
    }
    part.file.sync_all().map_err(|error| format!("could not fsync snapshot: {error}"))?;
    let fields = vec![
        ("endpoint", Json::from(endpoint)),
        ("size", Json::from(format_size(fetched.bytes))),
        ("took", Json::from(format_duration(start.elapsed()))),
        ("etcd-version", Json::from(fetched.version.as_str())),
    ];
    log::info("fetched snapshot", fields);
    part.finish(path)?;
    log::info("saved", vec![("path", Json::from(path.display().to_string()))]);
    Ok(fetched.version)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file while it is not whole; it disappears unless it is finished.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn create(destination: &Path) -> Result<Self, String> {
        let mut path = destination.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        // A snapshot has every key and secret: nobody else may read it.
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let file = file.map_err(|error| format!("could not open {} ({error})", path.display()))?;
        Ok(Self { path, file })
    }

    fn finish(&self, destination: &Path) -> Result<(), String> {
        fs::rename(&self.path, destination)
            .and_then(|()| sync_folder(destination))
            .map_err(|error| format!("could not rename {} to {} ({error})", self.path.display(), destination.display()))
    }
}

/// A rename survives a power loss only when the folder is on the disk too.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

impl Drop for Part {
    fn drop(&mut self) {
        // After a rename there is nothing to remove.
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn("failed to clean up .part file", vec![("error", Json::from(error.to_string()))]);
            }
            _ => {}
        }
    }
}

/// What came over the wire.
struct Fetched {
    /// Size with the checksum.
    bytes: u64,
    version: String,
    received: Vec<u8>,
    computed: Vec<u8>,
}

async fn fetch(client: &mut Client, file: &File, deadline: Instant) -> Result<Fetched, String> {
    let say = |error: Error| error.to_string();
    let late = |_| Error::Deadline(None).to_string();
    let dial_deadline = client.deadline().min(deadline);
    let channel = client.channel_until(dial_deadline).await.map_err(say)?;
    let mut maintenance = MaintenanceClient::new(channel).max_decoding_message_size(client.max_recv_bytes());
    let opened = timeout_at(deadline, maintenance.snapshot(SnapshotRequest {})).await.map_err(late)?;
    let mut stream = opened.map_err(|status| say(status.into()))?.into_inner();

    let mut out = BufWriter::new(file);
    let mut hasher = TrailingSha256::default();
    let mut bytes = 0;
    let mut version = String::new();
    let mut progress = None;
    while let Some(message) =
        timeout_at(deadline, stream.message()).await.map_err(late)?.map_err(|status| say(status.into()))?
    {
        let length = message.blob.len() as u64;
        if version.is_empty() {
            version = message.version;
        }
        out.write_all(&message.blob).map_err(|error| format!("could not write snapshot: {error}"))?;
        hasher.update(&message.blob);
        bytes += length;
        progress.get_or_insert_with(|| progress_bar(message.remaining_bytes + length)).set_position(bytes);
    }
    if let Some(progress) = progress {
        progress.finish_and_clear();
    }
    out.flush().map_err(|error| format!("could not write snapshot: {error}"))?;
    let (received, computed) = hasher.finish();
    Ok(Fetched { bytes, version, received, computed })
}

/// On a terminal only.
fn progress_bar(total_bytes: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total_bytes);
    let template = "{bar:40} {decimal_bytes}/{decimal_total_bytes} ({decimal_bytes_per_sec}, {eta} left)";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Hashes everything except the last 32 bytes, which are the hash that came along.
#[derive(Default)]
struct TrailingSha256 {
    hasher: Sha256,
    /// At most 32 bytes that may be the hash.
    tail: Vec<u8>,
}

impl TrailingSha256 {
    fn update(&mut self, bytes: &[u8]) {
        if bytes.len() >= SHA256_BYTES {
            let (data, tail) = bytes.split_at(bytes.len() - SHA256_BYTES);
            self.hasher.update(&self.tail);
            self.hasher.update(data);
            self.tail = tail.to_vec();
            return;
        }
        self.tail.extend_from_slice(bytes);
        let surplus = self.tail.len().saturating_sub(SHA256_BYTES);
        self.hasher.update(&self.tail[..surplus]);
        self.tail.drain(..surplus);
    }

    /// The hash that came along and the one of what came before it.
    fn finish(self) -> (Vec<u8>, Vec<u8>) {
        (self.tail, self.hasher.finalize().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trailing_hash_is_found_however_the_stream_is_cut() {
        let data: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let mut file = data.clone();
        file.extend_from_slice(&Sha256::digest(&data));
        for piece in [1, 7, 31, 32, 33, 500, 2000] {
            let mut hasher = TrailingSha256::default();
            file.chunks(piece).for_each(|chunk| hasher.update(chunk));
            let (received, computed) = hasher.finish();
            assert_eq!(received, computed, "{piece}");
        }
    }

    #[test]
    fn an_unfinished_part_disappears() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        drop(Part::create(&path).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let part = Part::create(&path).unwrap();
        part.finish(&path).unwrap();
        drop(part);
        assert!(path.exists());
    }
}
