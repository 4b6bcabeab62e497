use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::{Disk, File};

/// The file system of the machine. Files are for their owner only, as etcd's.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk {
    /// Syncs return at once: what was written is lost when the machine fails, not when the process does.
    pub skips_syncs: bool,
}

const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file =
            fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
        Ok(Arc::new(RealFile { file, skips_syncs: self.skips_syncs }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(RealFile { file, skips_syncs: self.skips_syncs }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.skips_syncs {
            return Ok(());
        }
        fs::File::open(dir)?.sync_all()
    }
}

struct RealFile {
    file: fs::File,
    skips_syncs: bool,
}

impl File for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&self.file, buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(&self.file, bytes, offset)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        if self.file.metadata()?.len() >= size {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, size) {
            // Some file systems cannot reserve; then syncs also write the block map, which is slower and as safe.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.file.set_len(size),
            other => Ok(other?),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.skips_syncs { Ok(()) } else { self.file.sync_data() }
    }

    fn sync_all(&self) -> io::Result<()> {
        if self.skips_syncs { Ok(()) } else { self.file.sync_all() }
    }
}
