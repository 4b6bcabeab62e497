use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, File};

/// Files in memory that behave as the worst disk allowed: until a sync, any sector of any write may or may not survive a
/// [`crash`](Self::crash), and any change of a folder doesn't. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

/// An operation that is to fail.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub operation: Operation,
    /// So many of them still succeed.
    pub after: u64,
    pub error: io::ErrorKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Write,
    /// Of a file. A failed one loses the writes it was for, as Linux does: a later sync succeeds without them.
    Sync,
    Allocate,
    SyncDir,
    Remove,
}

#[derive(Default)]
struct State {
    root: Folder,
    fault: Option<Fault>,
}

#[derive(Default, Clone)]
struct Folder {
    names: BTreeMap<String, Node>,
    durable_names: BTreeMap<String, Node>,
}

#[derive(Clone)]
enum Node {
    File(Arc<MemoryFile>),
    Folder(Arc<Mutex<Folder>>),
}

struct MemoryFile {
    content: Mutex<Content>,
    disk: Arc<Mutex<State>>,
}

#[derive(Default, Clone)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync: offset and bytes.
    unsynced: Vec<(usize, Vec<u8>)>,
}

/// What survives or not as a whole.
const SECTOR_BYTES: usize = 512;

impl MemoryDisk {
    /// Makes an operation fail, once or, for a full disk, until it is taken back with `None`.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.state.lock().fault = fault;
    }

    /// The disk as it is found after a power loss now. `survives` is asked for each sector that wasn't synced.
    pub fn crash(&self, mut survives: impl FnMut() -> bool) -> Self {
        let after = Self::default();
        let root = self.state.lock().root.clone();
        let root = root.crashed(&after.state, &mut survives);
        after.state.lock().root = root;
        after
    }

    /// The content of a file, synced or not.
    pub fn content(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.file(path)?.content.lock().bytes.clone())
    }

    /// Replaces the content of a file, durably: damage, as a test does it.
    pub fn overwrite(&self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        *self.file(path)?.content.lock() = Content { bytes: bytes.clone(), durable: bytes, unsynced: Vec::new() };
        Ok(())
    }

    fn file(&self, path: &Path) -> io::Result<Arc<MemoryFile>> {
        match self.in_folder_of(path, |folder, name| folder.names.get(name).cloned())? {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Folder(_)) | None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn in_folder_of<T>(&self, path: &Path, act: impl FnOnce(&mut Folder, &str) -> T) -> io::Result<T> {
        let mut parts = parts(path);
        let name = parts.pop().ok_or(io::ErrorKind::InvalidInput)?;
        self.in_folder(&parts, |folder| act(folder, &name))
    }

    fn in_folder<T>(&self, parts: &[String], act: impl FnOnce(&mut Folder) -> T) -> io::Result<T> {
        let mut state = self.state.lock();
        let Some((first, rest)) = parts.split_first() else { return Ok(act(&mut state.root)) };
        let mut folder = state.root.folder(first)?;
        for part in rest {
            let inner = folder.lock().folder(part)?;
            folder = inner;
        }
        let mut folder = folder.lock();
        Ok(act(&mut folder))
    }
}

impl State {
    fn check(&mut self, operation: Operation) -> io::Result<()> {
        let Some(fault) = &mut self.fault else { return Ok(()) };
        if fault.operation != operation {
            return Ok(());
        }
        if fault.after > 0 {
            fault.after -= 1;
            return Ok(());
        }
        let error = fault.error;
        if error != io::ErrorKind::StorageFull {
            self.fault = None;
        }
        Err(error.into())
    }
}

impl Folder {
    fn folder(&self, name: &str) -> io::Result<Arc<Mutex<Self>>> {
        match self.names.get(name) {
            Some(Node::Folder(folder)) => Ok(folder.clone()),
            Some(Node::File(_)) | None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn crashed(&self, disk: &Arc<Mutex<State>>, survives: &mut dyn FnMut() -> bool) -> Self {
        let names: BTreeMap<String, Node> = self
            .durable_names
            .iter()
            .map(|(name, node)| {
                let node = match node {
                    Node::File(file) => {
                        let content = Mutex::new(file.content.lock().crashed(survives));
                        Node::File(Arc::new(MemoryFile { content, disk: disk.clone() }))
                    }
                    Node::Folder(folder) => Node::Folder(Arc::new(Mutex::new(folder.lock().crashed(disk, survives)))),
                };
                (name.clone(), node)
            })
            .collect();
        Self { durable_names: names.clone(), names }
    }
}

impl Content {
    fn crashed(&self, survives: &mut dyn FnMut() -> bool) -> Self {
        let mut bytes = self.durable.clone();
        for (offset, written) in &self.unsynced {
            let mut at = 0;
            while at < written.len() {
                let place = offset + at;
                let count = (SECTOR_BYTES - place % SECTOR_BYTES).min(written.len() - at);
                if survives() {
                    put(&mut bytes, place, &written[at..at + count]);
                }
                at += count;
            }
        }
        Self { durable: bytes.clone(), bytes, unsynced: Vec::new() }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}

fn parts(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect()
}

impl Disk for MemoryDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = Arc::new(MemoryFile { content: Mutex::default(), disk: self.state.clone() });
        self.in_folder_of(path, |folder, name| folder.names.insert(name.to_owned(), Node::File(file.clone())))?;
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.file(path)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.in_folder_of(from, |folder, name| folder.names.remove(name))?.ok_or(io::ErrorKind::NotFound)?;
        self.in_folder_of(to, |folder, name| folder.names.insert(name.to_owned(), node))?;
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.state.lock().check(Operation::Remove)?;
        self.in_folder_of(path, |folder, name| folder.names.remove(name))?
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.in_folder_of(path, |folder, name| folder.names.remove(name)).map(drop)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut above = Vec::new();
        for part in parts(path) {
            self.in_folder(&above, |folder| {
                folder.names.entry(part.clone()).or_insert_with(|| Node::Folder(Arc::default()));
            })?;
            above.push(part);
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.in_folder(&parts(dir), |folder| folder.names.keys().cloned().collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.state.lock().check(Operation::SyncDir)?;
        self.in_folder(&parts(dir), |folder| folder.durable_names = folder.names.clone())
    }
}

impl File for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.content.lock().bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.content.lock();
        let rest = content.bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let result = self.disk.lock().check(Operation::Write);
        let mut content = self.content.lock();
        // A failed write may have done a part of its work.
        let done = if result.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        put(&mut content.bytes, offset as usize, done);
        content.unsynced.push((offset as usize, done.to_vec()));
        result
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.disk.lock().check(Operation::Allocate)?;
        let mut content = self.content.lock();
        let size = content.bytes.len().max(size as usize);
        content.bytes.resize(size, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let result = self.disk.lock().check(Operation::Sync);
        let mut content = self.content.lock();
        let unsynced = std::mem::take(&mut content.unsynced);
        if result.is_ok() {
            let size = content.bytes.len();
            content.durable.resize(size, 0);
            for (offset, bytes) in unsynced {
                put(&mut content.durable, offset, &bytes);
            }
        }
        result
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}
