//! Proves that a file is whole: every page is in one tree or free, and every key is in its place.

use bytes::Bytes;

use super::Error;
use super::layout::{COUNT_OVERFLOW, FREELIST, HEADER_BYTES, Header, NO_FREELIST, u64_at};
use super::reader::{DEPTH_MAX, Page, Reader, Root};

/// Pages seen so far. Memory: a byte a page.
struct Seen(Vec<bool>);

/// A page still to be walked, and the keys it may hold.
struct Pending {
    page: u64,
    depth: usize,
    /// The first key allowed.
    from: Option<Bytes>,
    /// The first key not allowed.
    to: Option<Bytes>,
}

impl Reader {
    /// Reads the whole file and reports the first thing that is wrong.
    pub fn check(&self) -> Result<(), Error> {
        let pages = usize::try_from(self.pages()).map_err(|_| Error::Invalid)?;
        let mut seen = Seen(vec![false; pages]);
        seen.mark(0, 1)?;
        seen.mark(1, 1)?;
        self.check_freelist(&mut seen)?;

        let mut pending = vec![Pending { page: self.meta.root, depth: 0, from: None, to: None }];
        while let Some(next) = pending.pop() {
            let page = self.page(next.page)?;
            if next.depth == DEPTH_MAX {
                return Err(page.damaged("the tree is too deep"));
            }
            seen.mark(next.page, u64::from(page.header.overflow) + 1)?;
            check_page(&page, &next, &mut pending)?;
        }
        match seen.0.iter().position(|seen| !seen) {
            Some(page) if self.meta.freelist != NO_FREELIST => {
                Err(Error::Damaged { page: page as u64, reason: "neither reachable nor free" })
            }
            _ => Ok(()),
        }
    }

    fn check_freelist(&self, seen: &mut Seen) -> Result<(), Error> {
        if self.meta.freelist == NO_FREELIST {
            return Ok(());
        }
        let id = self.meta.freelist;
        let damaged = |reason| Error::Damaged { page: id, reason };
        let bytes = self.page_bytes(id)?;
        let header = Header::parse(&bytes)
            .filter(|header| header.flags == FREELIST)
            .ok_or_else(|| damaged("not a list of free pages"))?;
        seen.mark(id, u64::from(header.overflow) + 1)?;
        let (start, count) = match header.count {
            COUNT_OVERFLOW => (HEADER_BYTES + 8, u64_at(&bytes, HEADER_BYTES).ok_or_else(|| damaged("too short"))?),
            count => (HEADER_BYTES, u64::from(count)),
        };
        let room = (bytes.len() - start) as u64 / 8;
        if count > room {
            return Err(damaged("its count is too high"));
        }
        for at in 0..count as usize {
            let free = u64_at(&bytes, start + 8 * at).ok_or_else(|| damaged("too short"))?;
            seen.mark(free, 1)?;
        }
        Ok(())
    }
}

fn check_page(page: &Page, place: &Pending, pending: &mut Vec<Pending>) -> Result<(), Error> {
    let outside = |key: &Bytes| {
        place.from.as_ref().is_some_and(|from| key < from) || place.to.as_ref().is_some_and(|to| key >= to)
    };
    let mut last: Option<Bytes> = None;
    for at in 0..page.len() {
        let (key, children) = match page.is_leaf() {
            false => {
                let (key, child) = page.child(at)?;
                let to = if at + 1 < page.len() { Some(page.child(at + 1)?.0) } else { place.to.clone() };
                let child = Pending { page: child, depth: place.depth + 1, from: Some(key.clone()), to };
                (key, Some(child))
            }
            true => {
                let row = page.row(at)?;
                let child = match row.is_bucket {
                    true => match Root::parse(row.value, page.header.id)? {
                        Root::Page(root) => Some(Pending { page: root, depth: place.depth + 1, from: None, to: None }),
                        Root::Inline(inline) => {
                            check_page(
                                &inline,
                                &Pending { page: 0, depth: DEPTH_MAX, from: None, to: None },
                                &mut Vec::new(),
                            )?;
                            None
                        }
                    },
                    false => None,
                };
                (row.key, child)
            }
        };
        if last.as_ref().is_some_and(|last| *last >= key) || outside(&key) {
            return Err(page.damaged("keys out of order"));
        }
        last = Some(key);
        pending.extend(children);
    }
    Ok(())
}

impl Seen {
    fn mark(&mut self, page: u64, pages: u64) -> Result<(), Error> {
        for page in page..page.saturating_add(pages) {
            match usize::try_from(page).ok().and_then(|page| self.0.get_mut(page)) {
                None => return Err(Error::Damaged { page, reason: "outside of the file" }),
                Some(true) => return Err(Error::Damaged { page, reason: "used twice" }),
                Some(seen) => *seen = true,
            }
        }
        Ok(())
    }
}
