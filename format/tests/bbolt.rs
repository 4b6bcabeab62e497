//! Database files: what is written reads back and checks out, and no file makes the reader panic or hang.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test, that is the report")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Write};

use proptest::prelude::*;
use quorate_format::bbolt::{Error, PAGE_BYTES, Reader, Writer};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn write(buckets: &BTreeMap<String, Rows>) -> Vec<u8> {
    let mut writer = Writer::create(Cursor::new(Vec::new())).unwrap();
    for (name, rows) in buckets {
        let mut bucket = writer.bucket(name.as_str()).unwrap();
        for (key, value) in rows {
            bucket.put(key, value).unwrap();
        }
        bucket.finish().unwrap();
    }
    let (out, size_bytes) = writer.finish().unwrap();
    let bytes = out.into_inner();
    assert_eq!(bytes.len() as u64, size_bytes);
    assert_eq!(bytes.len() % PAGE_BYTES, 0);
    bytes
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn read(reader: &Reader) -> Result<BTreeMap<String, Rows>, Error> {
    let mut buckets = BTreeMap::new();
    for name in reader.buckets()? {
        let bucket = reader.bucket(&name)?.expect("a listed bucket is there");
        let mut rows = Rows::new();
        let mut walk = bucket.rows();
        while let Some(row) = walk.next()? {
            rows.insert(row.key.to_vec(), row.value.to_vec());
        }
        buckets.insert(String::from_utf8_lossy(&name).into_owned(), rows);
    }
    Ok(buckets)
}

fn numbered(rows: u64, value_bytes: usize) -> Rows {
    (0..rows).map(|row| (row.to_be_bytes().to_vec(), vec![row as u8; value_bytes])).collect()
}

#[test]
fn a_tree_of_several_levels_reads_back_and_checks_out() {
    let buckets = BTreeMap::from([("key".to_owned(), numbered(100_000, 10)), ("lease".to_owned(), Rows::new())]);
    let reader = Reader::new(file(&write(&buckets))).unwrap();
    reader.check().unwrap();
    assert!(read(&reader).unwrap() == buckets);
    let bucket = reader.bucket(b"key").unwrap().unwrap();
    for row in [0_u64, 1, 77_777, 99_999] {
        assert_eq!(bucket.get(&row.to_be_bytes()).unwrap().unwrap(), vec![row as u8; 10]);
    }
    assert_eq!(bucket.get(&100_000_u64.to_be_bytes()).unwrap(), None);
    assert_eq!(bucket.get(b"").unwrap(), None);
    assert_eq!(bucket.last().unwrap().unwrap().key, 99_999_u64.to_be_bytes().as_slice());
    assert!(reader.bucket(b"lease").unwrap().unwrap().last().unwrap().is_none());
    assert!(reader.bucket(b"absent").unwrap().is_none());
    assert_eq!(reader.bucket(b"lease").unwrap().unwrap().get(b"x").unwrap(), None);
}

#[test]
fn keys_at_the_bound_and_values_of_many_pages_fit() {
    let mut rows: Rows = (0..20_u8).map(|key| (vec![key + 1; 32768], vec![key; usize::from(key) * 5000])).collect();
    rows.insert(vec![0], vec![9; 3_000_000]);
    let buckets = BTreeMap::from([("key".to_owned(), rows)]);
    let reader = Reader::new(file(&write(&buckets))).unwrap();
    reader.check().unwrap();
    assert!(read(&reader).unwrap() == buckets);
}

#[test]
fn a_file_without_buckets_is_a_database() {
    let reader = Reader::new(file(&write(&BTreeMap::new()))).unwrap();
    reader.check().unwrap();
    assert!(reader.buckets().unwrap().is_empty());
}

#[test]
fn the_writer_refuses_what_bbolt_cannot_hold() {
    let mut writer = Writer::create(Cursor::new(Vec::new())).unwrap();
    assert!(matches!(writer.bucket(""), Err(Error::KeySize { key_bytes: 0, .. })));
    let mut bucket = writer.bucket("key").unwrap();
    assert!(matches!(bucket.put(b"", b"v"), Err(Error::KeySize { key_bytes: 0, .. })));
    assert!(matches!(bucket.put(&[1; 32769], b"v"), Err(Error::KeySize { key_bytes: 32769, .. })));
    bucket.put(b"b", b"v").unwrap();
    assert!(matches!(bucket.put(b"b", b"v"), Err(Error::KeyOrder { .. })));
    assert!(matches!(bucket.put(b"a", b"v"), Err(Error::KeyOrder { .. })));
    bucket.finish().unwrap();
    assert!(matches!(writer.bucket("key"), Err(Error::BucketTwice { .. })));
}

#[test]
fn a_file_that_was_not_finished_or_was_cut_short_is_refused() {
    let bytes = write(&BTreeMap::from([("key".to_owned(), numbered(1000, 100))]));
    assert!(matches!(Reader::new(file(&bytes[..bytes.len() - 1])), Err(Error::CutShort { .. })));
    for cut in [0, 10, 4096] {
        assert!(Reader::new(file(&bytes[..cut])).is_err());
    }
    let mut unfinished = bytes;
    unfinished[..2 * PAGE_BYTES].fill(0);
    assert!(matches!(Reader::new(file(&unfinished)), Err(Error::Invalid)));
}

#[test]
fn one_damaged_meta_page_is_not_missed() {
    let buckets = BTreeMap::from([("key".to_owned(), numbered(10, 10))]);
    let bytes = write(&buckets);
    for meta in 0..2 {
        let mut damaged = bytes.clone();
        damaged[meta * PAGE_BYTES + 20] ^= 1;
        assert_eq!(read(&Reader::new(file(&damaged)).unwrap()).unwrap(), buckets);
    }
}

#[test]
fn a_tree_that_runs_in_a_circle_or_shares_pages_ends_in_an_error() {
    let bytes = write(&BTreeMap::from([("key".to_owned(), numbered(20_000, 100))]));
    let branches: Vec<usize> = (2..bytes.len() / PAGE_BYTES).filter(|page| bytes[page * PAGE_BYTES + 8] == 1).collect();
    assert!(branches.len() > 1);
    for target in [branches[0], 3] {
        let mut damaged = bytes.clone();
        for page in &branches {
            let start = page * PAGE_BYTES;
            let count = usize::from(u16::from_le_bytes([damaged[start + 10], damaged[start + 11]]));
            for child in 0..count {
                let at = start + 16 + 16 * child + 8;
                damaged[at..at + 8].copy_from_slice(&(target as u64).to_le_bytes());
            }
        }
        let reader = Reader::new(file(&damaged)).unwrap();
        assert!(matches!(read(&reader), Err(Error::Damaged { .. })));
        assert!(matches!(reader.check(), Err(Error::Damaged { .. })));
        let _ = reader.bucket(b"key").unwrap().unwrap().get(b"12345678");
    }
}

#[test]
fn every_flipped_bit_of_the_structure_shows_in_the_check() {
    let bytes = write(&BTreeMap::from([("key".to_owned(), numbered(300, 10)), ("meta".to_owned(), numbered(1, 1))]));
    let good = read(&Reader::new(file(&bytes)).unwrap()).unwrap();
    let scratch = file(&bytes);
    use std::os::unix::fs::FileExt;
    for page in 2..bytes.len() / PAGE_BYTES {
        // Header and the first elements.
        for bit in 0..8 * 64 {
            let at = page * PAGE_BYTES + bit / 8;
            scratch.write_all_at(&[bytes[at] ^ 1 << (bit % 8)], at as u64).unwrap();
            let reader = Reader::new(scratch.try_clone().unwrap()).unwrap();
            let content = read(&reader);
            // What passes the check is whole, though not always the same: rows carry no checksum.
            if reader.check().is_ok() {
                assert_eq!(content.unwrap().len(), good.len());
            }
            scratch.write_all_at(&[bytes[at]], at as u64).unwrap();
        }
    }
}

fn any_rows() -> impl Strategy<Value = Rows> {
    let value = prop_oneof![4 => proptest::collection::vec(any::<u8>(), 0..200), 1 => (0_usize..20_000).prop_map(|len| vec![5; len])];
    proptest::collection::btree_map(proptest::collection::vec(any::<u8>(), 1..60), value, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_buckets_read_back(buckets in proptest::collection::btree_map("[a-z]{1,9}", any_rows(), 0..6)) {
        let reader = Reader::new(file(&write(&buckets))).unwrap();
        reader.check().unwrap();
        prop_assert_eq!(read(&reader).unwrap(), buckets.clone());
        for (name, rows) in &buckets {
            let bucket = reader.bucket(name.as_bytes()).unwrap().unwrap();
            for (key, value) in rows.iter().take(20) {
                let found = bucket.get(key).unwrap();
                prop_assert_eq!(found.as_deref(), Some(value.as_slice()));
            }
        }
    }

    #[test]
    fn a_damaged_file_never_panics_or_hangs(
        damage in proptest::collection::vec((0.0..1.0_f64, any::<u8>()), 1..30),
        rows in 1_u64..3000,
    ) {
        let mut bytes = write(&BTreeMap::from([("key".to_owned(), numbered(rows, 20))]));
        for (place, byte) in damage {
            // Half of it into the first bytes of a page, where the structure is.
            let at = (place * bytes.len() as f64) as usize;
            let at = if byte % 2 == 0 { at / PAGE_BYTES * PAGE_BYTES + at % 64 } else { at };
            bytes[at.max(2 * PAGE_BYTES)] = byte;
        }
        if let Ok(reader) = Reader::new(file(&bytes)) {
            let _ = reader.check();
            let _ = read(&reader);
            let _ = reader.bucket(b"key").map(|bucket| bucket.map(|bucket| bucket.get(&5_u64.to_be_bytes())));
        }
    }

    #[test]
    fn random_bytes_are_not_a_database(bytes in proptest::collection::vec(any::<u8>(), 0..20_000)) {
        prop_assert!(Reader::new(file(&bytes)).is_err());
    }
}
