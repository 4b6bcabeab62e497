use std::ops::RangeInclusive;

use proptest::prelude::*;
use prost::Message;
use quorate_proto::leasepb::Lease;

use super::*;

/// Rows of the bucket `key`.
type Rows = Vec<(Vec<u8>, Vec<u8>)>;

struct List(std::vec::IntoIter<Change>);

impl Changes for List {
    fn next(&mut self) -> Result<Option<Change>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.next())
    }
}

fn list(rows: &Rows, leases: &[(i64, i64)]) -> List {
    let rows = rows.iter().map(|(key, value)| Change::Row { key: key.clone().into(), value: value.clone().into() });
    let leases = leases.iter().map(|(id, ttl_s)| Change::Lease { id: *id, ttl_s: *ttl_s });
    List(leases.chain(rows).collect::<Vec<_>>().into_iter())
}

fn rows(mains: RangeInclusive<i64>) -> Rows {
    mains.map(|main| (Revision::new(main, 0).to_bytes().to_vec(), format!("value {main}").into_bytes())).collect()
}

fn snapshot(rows: &Rows, compacted: i64, leases: &[Lease]) -> Reader {
    let mut writer = Writer::create(tempfile::tempfile().unwrap()).unwrap();
    put_all(&mut writer, "key", rows.iter().cloned().collect()).unwrap();
    let compacted = Revision::new(compacted, 0).to_bytes().to_vec();
    put_all(&mut writer, "meta", BTreeMap::from([(b"scheduledCompactRev".to_vec(), compacted)])).unwrap();
    let leases = leases.iter().map(|lease| (lease.id.to_be_bytes().to_vec(), lease.encode_to_vec()));
    put_all(&mut writer, "lease", leases.collect()).unwrap();
    put_all(&mut writer, "members", BTreeMap::from([(b"1".to_vec(), b"{}".to_vec())])).unwrap();
    Reader::new(writer.finish().unwrap().0).unwrap()
}

fn written(snapshot: &Reader, contents: Contents<'_>) -> Result<(Reader, Written), Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let written = write(snapshot, &path, None, contents, &mut |_| {})?;
    let reader = Reader::open(&path).unwrap();
    reader.check().unwrap();
    Ok((reader, written))
}

fn key_rows(reader: &Reader) -> Rows {
    all_rows(reader, "key").unwrap().into_iter().collect()
}

fn leases(reader: &Reader) -> Vec<(i64, i64, i64)> {
    let leases = all_rows(reader, "lease").unwrap().into_values();
    leases.map(|lease| Lease::decode(lease.as_slice()).unwrap()).map(|l| (l.id, l.ttl, l.remaining_ttl)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_snapshot_and_changes_are_the_rows_of_a_later_snapshot(
        writes in prop::collection::vec((1_usize..4, any::<bool>(), prop::collection::vec(any::<u8>(), 0..2000)), 1..40),
        at in 0_usize..40,
        until in 0_usize..40,
    ) {
        let mut all = Vec::new();
        for (main, (subs, tombstone, value)) in (2..).zip(&writes) {
            for sub in 0..*subs {
                let key = RevisionKey { revision: Revision::new(main, sub as i64), tombstone: *tombstone };
                let (bytes, len) = key.to_bytes();
                all.push((bytes[..len].to_vec(), value.clone()));
            }
        }
        let main = |row: &(Vec<u8>, Vec<u8>)| RevisionKey::parse(&row.0).unwrap().revision.main;
        let (at, until) = (2 + (at % writes.len()) as i64, 2 + (until % writes.len()) as i64);
        let before: Rows = all.iter().filter(|row| main(row) <= at).cloned().collect();
        let after: Rows = all.iter().filter(|row| main(row) > at).cloned().collect();
        let wanted: Rows = all.iter().filter(|row| main(row) <= until).cloned().collect();
        let mut changes = list(&after, &[]);
        let contents = Contents { last_revision: Some(until), changes: Some(&mut changes), ..Contents::default() };
        let (reader, written) = written(&snapshot(&before, 0, &[]), contents).unwrap();
        prop_assert_eq!(key_rows(&reader), wanted.clone());
        prop_assert_eq!((written.rows, written.latest), (wanted.len() as u64, until));
    }
}

#[test]
fn a_bump_counts_from_the_last_row_that_was_written() {
    let mut changes = list(&rows(5..=9), &[]);
    let contents = Contents {
        last_revision: Some(7),
        changes: Some(&mut changes),
        bump_revision: Some(100),
        ..Contents::default()
    };
    let (reader, written) = written(&snapshot(&rows(2..=4), 0, &[]), contents).unwrap();
    assert_eq!(written, Written { rows: 6, changes: 3, latest: 7, compacted: -1, bumped: Some(107) });
    let bumped = Revision::new(107, 0).to_bytes().to_vec();
    assert_eq!(key_rows(&reader).last(), Some(&(bumped.clone(), Vec::new())));
    assert_eq!(all_rows(&reader, "meta").unwrap()[&b"scheduledCompactRev".to_vec()], bumped);
}

#[test]
fn a_compacted_revision_is_refused() {
    let snapshot = snapshot(&rows(5..=9), 6, &[]);
    let until = |revision| written(&snapshot, Contents { last_revision: Some(revision), ..Contents::default() });
    assert!(matches!(until(5), Err(Error::Compacted { wanted: 5, compacted: 6 })));
    assert_eq!(until(6).unwrap().1.latest, 6);
}

#[test]
fn changes_must_be_later_than_the_snapshot() {
    let mut changes = list(&rows(4..=5), &[]);
    let contents = Contents { changes: Some(&mut changes), ..Contents::default() };
    let error = written(&snapshot(&rows(2..=4), 0, &[]), contents).unwrap_err();
    assert!(matches!(error, Error::Database(bbolt::Error::KeyOrder { .. })), "{error}");
}

#[test]
fn leases_of_changes_join_those_of_the_snapshot() {
    let old = [(3, 30, 7), (5, 50, 9), (8, 80, 2)].map(|(id, ttl, remaining_ttl)| Lease { id, ttl, remaining_ttl });
    let snapshot = snapshot(&rows(2..=4), 0, &old);
    let mut changes = list(&rows(5..=5), &[(9, 90), (5, 55), (4, 40), (3, 30)]);
    let (reader, _) = written(&snapshot, Contents { changes: Some(&mut changes), ..Contents::default() }).unwrap();
    assert_eq!(leases(&reader), [(3, 30, 7), (4, 40, 0), (5, 55, 0), (8, 80, 2), (9, 90, 0)]);

    let lost = |id| Change::LostLease { id, ttl_s: 60 };
    let known = Change::Lease { id: 9, ttl_s: 90 };
    let mut changes = List(vec![known, lost(9), lost(8), lost(2)].into_iter());
    let (reader, _) = written(&snapshot, Contents { changes: Some(&mut changes), ..Contents::default() }).unwrap();
    assert_eq!(leases(&reader), [(2, 60, 0), (3, 30, 7), (5, 50, 9), (8, 80, 2), (9, 90, 0)]);

    let (reader, _) = written(&snapshot, Contents { remaining_ttl_s: Some(86_400), ..Contents::default() }).unwrap();
    assert_eq!(leases(&reader), [(3, 30, 86_400), (5, 50, 86_400), (8, 80, 86_400)]);
}

#[test]
fn without_new_members_the_old_ones_stay() {
    let (reader, _) = written(&snapshot(&rows(2..=4), 0, &[]), Contents::default()).unwrap();
    assert_eq!(all_rows(&reader, "members").unwrap().len(), 1);
    assert_eq!(all_rows(&reader, "meta").unwrap().len(), 1);
}
