//! Builds one B+tree from rows in key order, bottom up.

use std::io::{self, Write};

use super::layout::{BRANCH, ELEMENT_BYTES, HEADER_BYTES, Header, LEAF, PAGE_BYTES};

/// The file's end: pages are written one behind the other.
pub(super) struct Pages<W> {
    pub(super) out: W,
    pub(super) next: u64,
}

/// A tree being built. Memory: one page a level.
#[derive(Default)]
pub(super) struct Tree {
    leaf: Page,
    /// Parents of leaves first.
    branches: Vec<Page>,
}

/// A page that is being filled.
#[derive(Default)]
struct Page {
    first_key: Vec<u8>,
    elements: Vec<Element>,
    data: Vec<u8>,
}

enum Element {
    Row { flags: u32, key_bytes: u32, value_bytes: u32 },
    Child { page: u64, key_bytes: u32 },
}

impl Tree {
    /// The caller has checked the order and the sizes.
    pub(super) fn put<W: Write>(
        &mut self,
        pages: &mut Pages<W>,
        flags: u32,
        key: &[u8],
        value: &[u8],
    ) -> io::Result<()> {
        if !self.leaf.elements.is_empty() && !self.leaf.has_room(key.len() + value.len()) {
            self.close_leaf(pages)?;
        }
        let element = Element::Row { flags, key_bytes: key.len() as u32, value_bytes: value.len() as u32 };
        self.leaf.push(element, key, value);
        Ok(())
    }

    /// Writes what is left and returns the root's page. An empty tree is an empty leaf.
    pub(super) fn finish<W: Write>(mut self, pages: &mut Pages<W>) -> io::Result<u64> {
        if self.branches.is_empty() {
            return self.leaf.write(pages, LEAF);
        }
        self.close_leaf(pages)?;
        // A level exists because a page below it was full, so that the top one has two children at least.
        let mut level = 0;
        loop {
            let page = self.branches[level].write(pages, BRANCH)?;
            let first_key = std::mem::take(&mut self.branches[level].first_key);
            level += 1;
            if level == self.branches.len() {
                return Ok(page);
            }
            self.add_child(pages, level, &first_key, page)?;
        }
    }

    fn close_leaf<W: Write>(&mut self, pages: &mut Pages<W>) -> io::Result<()> {
        let page = self.leaf.write(pages, LEAF)?;
        let first_key = std::mem::take(&mut self.leaf.first_key);
        self.add_child(pages, 0, &first_key, page)
    }

    fn add_child<W: Write>(&mut self, pages: &mut Pages<W>, level: usize, key: &[u8], child: u64) -> io::Result<()> {
        if level == self.branches.len() {
            self.branches.push(Page::default());
        }
        // bbolt wants two children a branch at least, however long their keys are.
        if self.branches[level].elements.len() >= 2 && !self.branches[level].has_room(key.len()) {
            let page = self.branches[level].write(pages, BRANCH)?;
            let first_key = std::mem::take(&mut self.branches[level].first_key);
            self.add_child(pages, level + 1, &first_key, page)?;
        }
        self.branches[level].push(Element::Child { page: child, key_bytes: key.len() as u32 }, key, &[]);
        Ok(())
    }
}

impl Page {
    fn bytes(&self) -> usize {
        HEADER_BYTES + self.elements.len() * ELEMENT_BYTES + self.data.len()
    }

    fn has_room(&self, data_bytes: usize) -> bool {
        self.bytes() + ELEMENT_BYTES + data_bytes <= PAGE_BYTES
    }

    fn push(&mut self, element: Element, key: &[u8], value: &[u8]) {
        if self.elements.is_empty() {
            self.first_key.clear();
            self.first_key.extend_from_slice(key);
        }
        self.elements.push(element);
        self.data.extend_from_slice(key);
        self.data.extend_from_slice(value);
    }

    /// Writes the page behind the last one, returns its id and empties the buffer, but for its first key.
    fn write<W: Write>(&mut self, pages: &mut Pages<W>, flags: u16) -> io::Result<u64> {
        let id = pages.next;
        let used_bytes = self.bytes();
        let page_count = used_bytes.div_ceil(PAGE_BYTES);
        let header = Header { id, flags, count: self.elements.len() as u16, overflow: (page_count - 1) as u32 };
        pages.out.write_all(&header.to_bytes())?;

        // An element's data is found by its distance from the element itself.
        let mut position = (self.elements.len() * ELEMENT_BYTES) as u32;
        for element in &self.elements {
            let mut bytes = [0; ELEMENT_BYTES];
            let data_bytes = match *element {
                Element::Row { flags, key_bytes, value_bytes } => {
                    bytes[0..4].copy_from_slice(&flags.to_le_bytes());
                    bytes[4..8].copy_from_slice(&position.to_le_bytes());
                    bytes[8..12].copy_from_slice(&key_bytes.to_le_bytes());
                    bytes[12..16].copy_from_slice(&value_bytes.to_le_bytes());
                    key_bytes + value_bytes
                }
                Element::Child { page, key_bytes } => {
                    bytes[0..4].copy_from_slice(&position.to_le_bytes());
                    bytes[4..8].copy_from_slice(&key_bytes.to_le_bytes());
                    bytes[8..16].copy_from_slice(&page.to_le_bytes());
                    key_bytes
                }
            };
            pages.out.write_all(&bytes)?;
            position = position + data_bytes - ELEMENT_BYTES as u32;
        }
        pages.out.write_all(&self.data)?;
        pages.out.write_all(&[0; PAGE_BYTES][..page_count * PAGE_BYTES - used_bytes])?;

        pages.next += page_count as u64;
        self.elements.clear();
        self.data.clear();
        Ok(id)
    }
}
