use std::collections::BTreeMap;
use std::io::{BufWriter, Seek, SeekFrom, Write};

use super::Error;
use super::layout::{
    BUCKET_BYTES, BUCKET_ELEMENT, FREELIST, HEADER_BYTES, Header, KEY_BYTES_MAX, LEAF, Meta, PAGE_BYTES,
    VALUE_BYTES_MAX,
};
use super::tree::{Pages, Tree};

const FREELIST_PAGE: u64 = 2;
const FIRST_PAGE: u64 = 3;
const BUFFER_BYTES: usize = 1 << 20;

/// Writes a database from its first byte to its last; memory doesn't grow with the number of rows.
///
/// The caller syncs the file: until [`Writer::finish`] returns, no reader takes it for a database.
pub struct Writer<W: Write + Seek> {
    pages: Pages<BufWriter<W>>,
    /// Each bucket's header, by name.
    buckets: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Takes the rows of one bucket; [`BucketWriter::finish`] it before the next.
#[must_use = "a bucket that isn't finished is missing from the file"]
pub struct BucketWriter<'a, W: Write + Seek> {
    writer: &'a mut Writer<W>,
    bucket: OpenBucket,
}

/// Takes rows that come bucket by bucket and say to which they belong.
pub struct RowWriter<W: Write + Seek> {
    writer: Writer<W>,
    bucket: Option<OpenBucket>,
}

/// A bucket that still takes rows.
struct OpenBucket {
    name: Vec<u8>,
    tree: Tree,
    last_key: Vec<u8>,
    rows: u64,
}

impl<W: Write + Seek> Writer<W> {
    /// `out` is an empty file positioned at its start.
    pub fn create(out: W) -> Result<Self, Error> {
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
        let mut front = vec![0; FIRST_PAGE as usize * PAGE_BYTES];
        // Written front to back, the file has no free page.
        let freelist = Header { id: FREELIST_PAGE, flags: FREELIST, count: 0, overflow: 0 };
        let at = FREELIST_PAGE as usize * PAGE_BYTES;
        front[at..at + HEADER_BYTES].copy_from_slice(&freelist.to_bytes());
        out.write_all(&front).map_err(Error::Write)?;
        Ok(Self { pages: Pages { out, next: FIRST_PAGE }, buckets: BTreeMap::new() })
    }

    /// Begins a bucket. Buckets come in any order.
    pub fn bucket(&mut self, name: impl Into<Vec<u8>>) -> Result<BucketWriter<'_, W>, Error> {
        let bucket = self.open(name.into())?;
        Ok(BucketWriter { writer: self, bucket })
    }

    fn open(&self, name: Vec<u8>) -> Result<OpenBucket, Error> {
        if name.is_empty() || name.len() > KEY_BYTES_MAX {
            return Err(Error::KeySize { bucket: String::new(), key_bytes: name.len() });
        }
        if self.buckets.contains_key(&name) {
            return Err(Error::BucketTwice { bucket: String::from_utf8_lossy(&name).into_owned() });
        }
        Ok(OpenBucket { name, tree: Tree::default(), last_key: Vec::new(), rows: 0 })
    }

    /// Writes the root bucket and the meta pages. Returns the file, not yet synced, and its size in bytes.
    pub fn finish(mut self) -> Result<(W, u64), Error> {
        let mut root = Tree::default();
        for (name, bucket) in &self.buckets {
            root.put(&mut self.pages, BUCKET_ELEMENT, name, bucket).map_err(Error::Write)?;
        }
        let root = root.finish(&mut self.pages).map_err(Error::Write)?;
        let pages = self.pages.next;

        let mut out = self.pages.out.into_inner().map_err(|error| Error::Write(error.into_error()))?;
        out.seek(SeekFrom::Start(0)).map_err(Error::Write)?;
        for transaction in 0..2 {
            let meta = Meta { page_bytes: PAGE_BYTES as u32, root, freelist: FREELIST_PAGE, pages, transaction };
            out.write_all(&meta.to_page()).map_err(Error::Write)?;
        }
        let size_bytes = pages * PAGE_BYTES as u64;
        out.seek(SeekFrom::Start(size_bytes)).map_err(Error::Write)?;
        Ok((out, size_bytes))
    }

    /// Bytes written so far.
    pub fn size_bytes(&self) -> u64 {
        self.pages.next * PAGE_BYTES as u64
    }
}

impl<W: Write + Seek> BucketWriter<'_, W> {
    /// Keys come in strictly ascending order.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.bucket.put(self.writer, key, value)
    }

    /// Ends the bucket; one without rows exists too.
    pub fn finish(self) -> Result<(), Error> {
        self.bucket.finish(self.writer)
    }
}

impl<W: Write + Seek> RowWriter<W> {
    /// `out` is an empty file positioned at its start.
    pub fn create(out: W) -> Result<Self, Error> {
        Ok(Self { writer: Writer::create(out)?, bucket: None })
    }

    /// Rows of a bucket come together, with keys in strictly ascending order.
    pub fn put(&mut self, bucket: &str, key: &[u8], value: &[u8]) -> Result<(), Error> {
        if self.bucket.as_ref().is_none_or(|open| open.name != bucket.as_bytes()) {
            self.begin(bucket)?;
        }
        match &mut self.bucket {
            Some(open) => open.put(&mut self.writer, key, value),
            None => Ok(()),
        }
    }

    /// Begins a bucket, which exists from then on even without rows.
    pub fn begin(&mut self, bucket: &str) -> Result<(), Error> {
        if let Some(before) = self.bucket.take() {
            before.finish(&mut self.writer)?;
        }
        self.bucket = Some(self.writer.open(bucket.into())?);
        Ok(())
    }

    /// As [`Writer::finish`].
    pub fn finish(mut self) -> Result<(W, u64), Error> {
        if let Some(last) = self.bucket.take() {
            last.finish(&mut self.writer)?;
        }
        self.writer.finish()
    }
}

impl OpenBucket {
    fn put<W: Write + Seek>(&mut self, writer: &mut Writer<W>, key: &[u8], value: &[u8]) -> Result<(), Error> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(Error::KeySize { bucket: self.name(), key_bytes: key.len() });
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(Error::ValueSize { bucket: self.name(), value_bytes: value.len() });
        }
        if self.rows > 0 && self.last_key.as_slice() >= key {
            return Err(Error::KeyOrder { bucket: self.name() });
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.rows += 1;
        self.tree.put(&mut writer.pages, 0, key, value).map_err(Error::Write)
    }

    fn finish<W: Write + Seek>(self, writer: &mut Writer<W>) -> Result<(), Error> {
        let mut bucket = vec![0; BUCKET_BYTES];
        if self.rows == 0 {
            // As bbolt has it: root page 0 says that the page is here, and it is an empty leaf.
            bucket.extend_from_slice(&Header { id: 0, flags: LEAF, count: 0, overflow: 0 }.to_bytes());
        } else {
            let root = self.tree.finish(&mut writer.pages).map_err(Error::Write)?;
            bucket[..8].copy_from_slice(&root.to_le_bytes());
        }
        writer.buckets.insert(self.name, bucket);
        Ok(())
    }

    fn name(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}
