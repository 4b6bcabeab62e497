use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;

use super::Error;
use super::layout::{
    BRANCH, BUCKET_BYTES, BUCKET_ELEMENT, ELEMENT_BYTES, HEADER_BYTES, Header, LEAF, META_BYTES, Meta,
    PAGE_BYTES_LARGEST, PAGE_BYTES_MIN, u32_at, u64_at,
};
use super::rows::{Row, Rows};

/// A tree of 3-byte-keyed pages this deep would hold more rows than a disk.
pub(super) const DEPTH_MAX: usize = 32;

/// A page with its overflow: far above two of the largest values, which is what bbolt puts on one page at the most.
const SPAN_BYTES_MAX: usize = 8 << 30;

/// Reads a database file page by page.
///
/// Nothing is mapped, so a file that shrinks meanwhile is an error, not a signal. No lock is taken.
#[derive(Debug)]
pub struct Reader {
    file: File,
    pub(super) meta: Meta,
}

/// One bucket of a [`Reader`].
#[derive(Debug)]
pub struct Bucket<'a> {
    pub(super) reader: &'a Reader,
    pub(super) root: Root,
}

/// Where a bucket's tree begins.
#[derive(Debug, Clone)]
pub(super) enum Root {
    Page(u64),
    Inline(Page),
}

/// A branch or leaf page whose element table fits into it.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) header: Header,
    bytes: Bytes,
}

#[derive(Debug, Clone)]
pub(super) struct LeafElement {
    pub(super) is_bucket: bool,
    pub(super) key: Bytes,
    pub(super) value: Bytes,
}

impl Reader {
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::new(File::open(path).map_err(Error::Read)?)
    }

    /// Any bytes behind the database, such as a snapshot's checksum, are left alone.
    pub fn new(file: File) -> Result<Self, Error> {
        let have_bytes = file.metadata().map_err(Error::Read)?.len();
        let meta = newest_meta(&file)?;
        let want_bytes = meta.file_bytes()?;
        if have_bytes < want_bytes {
            return Err(Error::CutShort { want_bytes, have_bytes });
        }
        Ok(Self { file, meta })
    }

    /// Bytes of the file in use by the database.
    pub fn size_bytes(&self) -> u64 {
        self.meta.pages * u64::from(self.meta.page_bytes)
    }

    /// Names of the buckets, in order.
    pub fn buckets(&self) -> Result<Vec<Bytes>, Error> {
        let mut rows = Rows::new(self, Root::Page(self.meta.root));
        let mut names = Vec::new();
        while let Some(element) = rows.next_element()? {
            if element.is_bucket {
                names.push(element.key);
            }
        }
        Ok(names)
    }

    pub fn bucket(&self, name: &[u8]) -> Result<Option<Bucket<'_>>, Error> {
        let root = Bucket { reader: self, root: Root::Page(self.meta.root) };
        match root.find(name)? {
            Some(element) if element.is_bucket => {
                Ok(Some(Bucket { reader: self, root: Root::parse(element.value, self.meta.root)? }))
            }
            _ => Ok(None),
        }
    }

    /// Pages of the file, as a bound on what a walk may read.
    pub(super) fn pages(&self) -> u64 {
        self.meta.pages
    }

    /// Reads page `id` with what overflows from it.
    pub(super) fn page(&self, id: u64) -> Result<Page, Error> {
        let bytes = self.page_bytes(id)?;
        Page::parse(bytes, id).map_err(|reason| Error::Damaged { page: id, reason })
    }

    /// Any kind of page.
    pub(super) fn page_bytes(&self, id: u64) -> Result<Bytes, Error> {
        let damaged = |reason| Error::Damaged { page: id, reason };
        if id < 2 || id >= self.meta.pages {
            return Err(damaged("a reference to it leads outside of the file"));
        }
        let page_bytes = self.meta.page_bytes as usize;
        let offset = id * page_bytes as u64;
        let mut bytes = vec![0; page_bytes];
        self.file.read_exact_at(&mut bytes, offset).map_err(Error::Read)?;
        let header = Header::parse(&bytes).ok_or_else(|| damaged("too short"))?;
        if header.id != id {
            return Err(damaged("its header has another page's number"));
        }
        if u64::from(header.overflow) >= self.meta.pages - id {
            return Err(damaged("it reaches beyond the end of the file"));
        }
        if header.overflow > 0 {
            let overflow_bytes = page_bytes * header.overflow as usize;
            if page_bytes + overflow_bytes > SPAN_BYTES_MAX || bytes.try_reserve_exact(overflow_bytes).is_err() {
                return Err(damaged("larger than memory"));
            }
            bytes.resize(page_bytes + overflow_bytes, 0);
            self.file.read_exact_at(&mut bytes[page_bytes..], offset + page_bytes as u64).map_err(Error::Read)?;
        }
        Ok(Bytes::from(bytes))
    }
}

impl<'a> Bucket<'a> {
    /// The value of one key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.find(key)?.filter(|element| !element.is_bucket).map(|element| element.value))
    }

    /// All rows in key order.
    pub fn rows(&self) -> Rows<'a> {
        Rows::new(self.reader, self.root.clone())
    }

    /// The row with the highest key.
    pub fn last(&self) -> Result<Option<Row>, Error> {
        let mut page = self.root.page(self.reader)?;
        for _ in 0..DEPTH_MAX {
            let Some(last) = page.len().checked_sub(1) else { return Ok(None) };
            if page.is_leaf() {
                let LeafElement { is_bucket: _, key, value } = page.row(last)?;
                return Ok(Some(Row { key, value }));
            }
            let (_, child) = page.child(last)?;
            page = self.reader.page(child)?;
        }
        Err(page.damaged("the tree is too deep or runs in a circle"))
    }

    fn find(&self, key: &[u8]) -> Result<Option<LeafElement>, Error> {
        let mut page = self.root.page(self.reader)?;
        for _ in 0..DEPTH_MAX {
            if page.is_leaf() {
                let at = page.partition(|element_key| element_key < key)?;
                return Ok(if at < page.len() {
                    Some(page.row(at)?).filter(|element| element.key == key)
                } else {
                    None
                });
            }
            let behind = page.partition(|element_key| element_key <= key)?;
            let (_, child) = page.child(behind.saturating_sub(1))?;
            page = self.reader.page(child)?;
        }
        Err(page.damaged("the tree is too deep or runs in a circle"))
    }
}

impl Root {
    /// A bucket's header and, if its root page is 0, the page behind it. `holder`: the page to blame.
    pub(super) fn parse(value: Bytes, holder: u64) -> Result<Self, Error> {
        let damaged = |reason| Error::Damaged { page: holder, reason };
        match u64_at(&value, 0) {
            _ if value.len() < BUCKET_BYTES => Err(damaged("a bucket's header is too short")),
            None => Err(damaged("a bucket's header is too short")),
            Some(0) => {
                let page = Page::parse(value.slice(BUCKET_BYTES..), 0).map_err(damaged)?;
                match page.is_leaf() {
                    true => Ok(Self::Inline(page)),
                    false => Err(damaged("an inline bucket is not a leaf")),
                }
            }
            Some(root) => Ok(Self::Page(root)),
        }
    }

    pub(super) fn page(&self, reader: &Reader) -> Result<Page, Error> {
        match self {
            Self::Page(id) => reader.page(*id),
            Self::Inline(page) => Ok(page.clone()),
        }
    }
}

impl Page {
    fn parse(bytes: Bytes, id: u64) -> Result<Self, &'static str> {
        let header = Header::parse(&bytes).ok_or("too short")?;
        let table_bytes = HEADER_BYTES + usize::from(header.count) * ELEMENT_BYTES;
        if header.flags != BRANCH && header.flags != LEAF {
            return Err("neither a branch nor a leaf");
        }
        if header.flags == BRANCH && header.count == 0 {
            return Err("a branch without children");
        }
        if table_bytes > bytes.len() {
            return Err("its element count is too high");
        }
        Ok(Self { header: Header { id, ..header }, bytes })
    }

    pub(super) fn is_leaf(&self) -> bool {
        self.header.flags == LEAF
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.header.count)
    }

    pub(super) fn damaged(&self, reason: &'static str) -> Error {
        Error::Damaged { page: self.header.id, reason }
    }

    pub(super) fn row(&self, at: usize) -> Result<LeafElement, Error> {
        let (flags, key, value) =
            self.row_ranges(at).ok_or_else(|| self.damaged("an element lies outside of its page"))?;
        Ok(LeafElement {
            is_bucket: flags & BUCKET_ELEMENT != 0,
            key: self.bytes.slice(key),
            value: self.bytes.slice(value),
        })
    }

    pub(super) fn child(&self, at: usize) -> Result<(Bytes, u64), Error> {
        let (key, page) = self.child_range(at).ok_or_else(|| self.damaged("an element lies outside of its page"))?;
        Ok((self.bytes.slice(key), page))
    }

    /// How many elements come before the first whose key isn't `before`.
    fn partition(&self, before: impl Fn(&[u8]) -> bool) -> Result<usize, Error> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            let key = match self.is_leaf() {
                true => self.row_ranges(middle).map(|(_, key, _)| key),
                false => self.child_range(middle).map(|(key, _)| key),
            };
            let key = key.ok_or_else(|| self.damaged("an element lies outside of its page"))?;
            match before(&self.bytes[key]) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(low)
    }

    fn row_ranges(&self, at: usize) -> Option<(u32, std::ops::Range<usize>, std::ops::Range<usize>)> {
        let element = HEADER_BYTES + at * ELEMENT_BYTES;
        let number = |field: usize| u32_at(&self.bytes, element + 4 * field).map(|number| number as usize);
        let start = element.checked_add(number(1)?)?;
        let middle = start.checked_add(number(2)?)?;
        let end = middle.checked_add(number(3)?)?;
        (end <= self.bytes.len()).then_some((number(0)? as u32, start..middle, middle..end))
    }

    fn child_range(&self, at: usize) -> Option<(std::ops::Range<usize>, u64)> {
        let element = HEADER_BYTES + at * ELEMENT_BYTES;
        let start = element.checked_add(u32_at(&self.bytes, element)? as usize)?;
        let end = start.checked_add(u32_at(&self.bytes, element + 4)? as usize)?;
        (end <= self.bytes.len()).then_some((start..end, u64_at(&self.bytes, element + 8)?))
    }
}

/// The valid meta page with the highest transaction. The second one's place depends on the page size, which only the
/// first one tells; if that is damaged, every size is tried, as bbolt does.
fn newest_meta(file: &File) -> Result<Meta, Error> {
    let first = meta_at(file, 0)?;
    let sizes = match first {
        Some(meta) => u64::from(meta.page_bytes)..=u64::from(meta.page_bytes),
        None => PAGE_BYTES_MIN..=PAGE_BYTES_LARGEST,
    };
    let mut size = *sizes.start();
    let mut second = None;
    while second.is_none() && size <= *sizes.end() {
        second = meta_at(file, size)?.filter(|meta| u64::from(meta.page_bytes) == size);
        size *= 2;
    }
    match (first, second) {
        (Some(first), Some(second)) if second.transaction > first.transaction => Ok(second),
        (Some(first), _) => Ok(first),
        (None, Some(second)) => Ok(second),
        (None, None) => Err(Error::Invalid),
    }
}

fn meta_at(file: &File, offset: u64) -> Result<Option<Meta>, Error> {
    let mut bytes = [0; HEADER_BYTES + META_BYTES];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(Meta::parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(Error::Read(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::layout::{BUCKET_ELEMENT, NO_FREELIST, PAGE_BYTES};
    use super::super::tree::{Pages, Tree};
    use super::*;

    /// One leaf element whose data follows it, as in an inline bucket.
    fn inline_bucket(key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; BUCKET_BYTES];
        bytes.extend(Header { id: 0, flags: LEAF, count: 1, overflow: 0 }.to_bytes());
        for number in [0, ELEMENT_BYTES, key.len(), value.len()] {
            bytes.extend((number as u32).to_le_bytes());
        }
        bytes.extend([key, value].concat());
        bytes
    }

    #[test]
    fn a_bucket_inside_its_parents_page_reads_like_any_other() {
        let mut pages = Pages { out: vec![0; 2 * PAGE_BYTES], next: 2 };
        let mut root = Tree::default();
        root.put(&mut pages, BUCKET_ELEMENT, b"meta", &inline_bucket(b"term", b"7")).unwrap();
        let root = root.finish(&mut pages).unwrap();
        let meta = |transaction| Meta {
            page_bytes: PAGE_BYTES as u32,
            root,
            freelist: NO_FREELIST,
            pages: pages.next,
            transaction,
        };
        let mut bytes = pages.out;
        // The older meta page points nowhere.
        bytes[..PAGE_BYTES].copy_from_slice(&Meta { root: 999, ..meta(4) }.to_page());
        bytes[PAGE_BYTES..2 * PAGE_BYTES].copy_from_slice(&meta(5).to_page());
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();

        let reader = Reader::new(file.try_clone().unwrap()).unwrap();
        reader.check().unwrap();
        let bucket = reader.bucket(b"meta").unwrap().unwrap();
        assert_eq!(bucket.get(b"term").unwrap().unwrap(), "7");
        assert_eq!(bucket.rows().next().unwrap().unwrap().key, "term");
        assert_eq!(reader.buckets().unwrap(), ["meta"]);

        // Without the newer meta page, the older counts; without both, the file is no database.
        file.write_all_at(&[0xff; 100], PAGE_BYTES as u64).unwrap();
        assert!(matches!(
            Reader::new(file.try_clone().unwrap()).unwrap().check(),
            Err(Error::Damaged { page: 999, .. })
        ));
        file.write_all_at(&[0xff; 100], 0).unwrap();
        assert!(matches!(Reader::new(file), Err(Error::Invalid)));
    }
}
