//! Sorted keys in one buffer.

use std::cmp::Ordering;
use std::ops::Range;

use super::growth;

/// Sorted byte strings, packed: what all of them start with is stored once, then the rest of each, in order.
///
/// Kubernetes' keys share long prefixes (`/registry/pods/<namespace>/…`), so a leaf's keys cost little more than their
/// distinct ends. Searching compares slices in place and allocates nothing.
#[derive(Debug, Default)]
pub struct PackedKeys {
    bytes: Vec<u8>,
    rests: Vec<Rest>,
    shared: u32,
}

/// Where the rest of a key is: from the end of the one before, or of the prefix, to `end`.
#[derive(Debug, Clone, Copy)]
struct Rest {
    /// Its first bytes, so that most of a search stays within this small array.
    head: u32,
    /// 32 bits: a node holds at most `leaf::MAX_BYTES` and a few longer keys, and a key is bounded by the size of a request.
    end: u32,
}

impl PackedKeys {
    pub fn len(&self) -> usize {
        self.rests.len()
    }

    /// Bytes in the buffer.
    pub fn packed_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of all keys if each were stored whole: an upper bound for any packing of them.
    pub fn plain_bytes(&self) -> usize {
        self.bytes.len() + self.shared().len() * self.len()
    }

    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.rests.capacity() * size_of::<Rest>()
    }

    /// What every key starts with.
    pub fn shared(&self) -> &[u8] {
        &self.bytes[..self.shared as usize]
    }

    /// What follows the shared prefix in key `i`.
    pub fn rest(&self, i: usize) -> &[u8] {
        &self.bytes[self.start(i)..self.rests[i].end as usize]
    }

    pub fn key(&self, i: usize) -> Vec<u8> {
        [self.shared(), self.rest(i)].concat()
    }

    /// `Ok` where the key is, `Err` where it would have to be.
    pub fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let shared = self.shared();
        let Some(rest) = key.strip_prefix(shared) else {
            return Err(if key < shared { 0 } else { self.len() });
        };
        // Halving without an exit in the loop compiles to conditional moves: a mispredicted branch costs more than a probe.
        let head = head(rest);
        let (mut low, mut len) = (0, self.len());
        while len > 0 {
            let half = len / 2;
            let middle = low + half;
            let below = match self.rests[middle].head.cmp(&head) {
                Ordering::Equal => self.rest(middle) < rest,
                order => order.is_lt(),
            };
            low = if below { middle + 1 } else { low };
            len = if below { len - half - 1 } else { half };
        }
        if low < self.len() && self.rest(low) == rest { Ok(low) } else { Err(low) }
    }

    /// How many keys are below `bound`.
    pub fn below(&self, bound: &[u8]) -> usize {
        self.search(bound).unwrap_or_else(|at| at)
    }

    /// Puts `key` in place `i`, where `search` said it belongs.
    pub fn insert(&mut self, i: usize, key: &[u8]) {
        if self.rests.is_empty() {
            // A lone key is all prefix; the next ones shorten it to what they have in common.
            let end = key.len() as u32;
            *self = Self { bytes: key.to_vec(), rests: vec![Rest { head: 0, end }], shared: end };
            return;
        }
        let common = common_prefix(key, self.shared());
        if common < self.shared().len() {
            *self = Self::gather(&[(self, 0..self.len())], common);
        }
        let rest = &key[common..];
        let (start, old_len) = (self.start(i), self.bytes.len());
        growth::reserve(&mut self.bytes, rest.len());
        self.bytes.resize(old_len + rest.len(), 0);
        self.bytes.copy_within(start..old_len, start + rest.len());
        self.bytes[start..start + rest.len()].copy_from_slice(rest);
        growth::reserve(&mut self.rests, 1);
        self.rests.insert(i, Rest { head: head(rest), end: start as u32 });
        for later in &mut self.rests[i..] {
            later.end += rest.len() as u32;
        }
    }

    pub fn remove(&mut self, i: usize) {
        let (start, end) = (self.start(i), self.rests[i].end);
        self.bytes.drain(start..end as usize);
        self.rests.remove(i);
        for later in &mut self.rests[i..] {
            later.end -= end - start as u32;
        }
    }

    /// The keys of `range`, packed anew to their exact size under the longest prefix they share.
    pub fn part(&self, range: Range<usize>) -> Self {
        if range.is_empty() {
            return Self::default();
        }
        let (first, last) = (self.rest(range.start), self.rest(range.end - 1));
        Self::gather(&[(self, range)], self.shared().len() + common_prefix(first, last))
    }

    /// Takes in the keys of `next`, all of which are above these.
    pub fn append(&mut self, next: &Self) {
        if next.len() == 0 {
            return;
        }
        if self.len() == 0 {
            *self = next.part(0..next.len());
            return;
        }
        let common = common_prefix(&self.key(0), &next.key(next.len() - 1));
        *self = Self::gather(&[(self, 0..self.len()), (next, 0..next.len())], common);
    }

    /// Where to cut so that both sides have about the same bytes: keys that go left, at least one on each side.
    pub fn middle_by_bytes(&self) -> usize {
        let half = (self.bytes.len() + self.shared().len()) / 2;
        self.rests.partition_point(|rest| rest.end as usize <= half).clamp(1, self.len() - 1)
    }

    fn start(&self, i: usize) -> usize {
        match i {
            0 => self.shared as usize,
            _ => self.rests[i - 1].end as usize,
        }
    }

    /// Packs some keys under a prefix of `shared` bytes, which all of them must have in common. The first part isn't empty.
    fn gather(parts: &[(&Self, Range<usize>)], shared: usize) -> Self {
        let keys = || parts.iter().flat_map(|(from, range)| range.clone().map(|i| [from.shared(), from.rest(i)]));
        let plain: usize = keys().map(|[prefix, rest]| prefix.len() + rest.len() - shared).sum();
        let mut packed = Self {
            bytes: Vec::with_capacity(shared + plain),
            rests: Vec::with_capacity(parts.iter().map(|(_, range)| range.len()).sum()),
            shared: shared as u32,
        };
        for [prefix, rest] in keys() {
            let skip = if packed.bytes.is_empty() { 0 } else { shared };
            packed.bytes.extend_from_slice(prefix.get(skip..).unwrap_or_default());
            packed.bytes.extend_from_slice(&rest[skip.saturating_sub(prefix.len())..]);
            let start = packed.rests.last().map_or(shared, |before| before.end as usize);
            packed.rests.push(Rest { head: head(&packed.bytes[start..]), end: packed.bytes.len() as u32 });
        }
        packed
    }
}

/// The shortest string above `left` and not above `right`, given `left < right`.
pub fn separator(left: &[u8], right: &[u8]) -> Vec<u8> {
    right[..common_prefix(left, right) + 1].to_vec()
}

/// The first four bytes as a number that orders as they do; two of them may be equal where the strings are not.
fn head(bytes: &[u8]) -> u32 {
    match bytes.first_chunk() {
        Some(chunk) => u32::from_be_bytes(*chunk),
        None => (0..4).fold(0, |head, i| head << 8 | u32::from(bytes.get(i).copied().unwrap_or(0))),
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
