use bytes::Bytes;

use super::Error;
use super::reader::{DEPTH_MAX, LeafElement, Page, Reader, Root};

/// One key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub key: Bytes,
    pub value: Bytes,
}

/// Walks a bucket's rows in key order. Memory: one page a level.
///
/// Checks on the way that keys ascend and that no more pages are read than the file has, so that a tree that runs in a
/// circle ends in an error.
#[derive(Debug)]
pub struct Rows<'a> {
    reader: &'a Reader,
    start: Option<Root>,
    /// From the root down: each page and its next element.
    path: Vec<(Page, usize)>,
    last_key: Option<Bytes>,
    pages_left: u64,
}

impl<'a> Rows<'a> {
    pub(super) fn new(reader: &'a Reader, root: Root) -> Self {
        Self { reader, start: Some(root), path: Vec::new(), last_key: None, pages_left: reader.pages() }
    }

    /// The next row, or `None` behind the last. After an error, only `None`.
    #[allow(clippy::should_implement_trait, reason = "an iterator of results would go on behind an error")]
    pub fn next(&mut self) -> Result<Option<Row>, Error> {
        match self.next_element()? {
            None => Ok(None),
            Some(LeafElement { is_bucket: false, key, value }) => Ok(Some(Row { key, value })),
            Some(_) => Err(self.stop("a bucket where a row should be")),
        }
    }

    pub(super) fn next_element(&mut self) -> Result<Option<LeafElement>, Error> {
        let result = self.advance();
        if result.is_err() {
            self.path.clear();
        }
        result
    }

    fn advance(&mut self) -> Result<Option<LeafElement>, Error> {
        if let Some(root) = self.start.take() {
            self.descend(root.page(self.reader)?)?;
        }
        loop {
            let Some((page, at)) = self.path.last_mut() else { return Ok(None) };
            if *at == page.len() {
                self.path.pop();
                continue;
            }
            let element = *at;
            *at += 1;
            if !page.is_leaf() {
                let (_, child) = page.child(element)?;
                let child = self.reader.page(child)?;
                self.descend(child)?;
                continue;
            }
            let row = page.row(element)?;
            if self.last_key.as_ref().is_some_and(|last| *last >= row.key) {
                return Err(page.damaged("keys out of order"));
            }
            self.last_key = Some(row.key.clone());
            return Ok(Some(row));
        }
    }

    fn descend(&mut self, page: Page) -> Result<(), Error> {
        let pages = u64::from(page.header.overflow) + 1;
        if self.path.len() == DEPTH_MAX || pages > self.pages_left {
            return Err(page.damaged("the tree is too deep or runs in a circle"));
        }
        self.pages_left -= pages;
        self.path.push((page, 0));
        Ok(())
    }

    fn stop(&mut self, reason: &'static str) -> Error {
        let page = self.path.last().map_or(0, |(page, _)| page.header.id);
        self.path.clear();
        Error::Damaged { page, reason }
    }
}
