//! The WAL codec: what is written reads back, and no damage passes for good.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test, that is the report")]

use bytes::Bytes;
use proptest::prelude::*;
use quorate_format::wal::{ConfState, Decoder, Encoder, Entry, EntryType, Error, Record, Snapshot, State};

fn entry(index: u64, data: &[u8]) -> Record {
    Record::Entry(Entry { entry_type: EntryType::Normal, term: 2, index, data: Bytes::copy_from_slice(data) })
}

fn head() -> Vec<Record> {
    vec![Record::Crc(0), Record::Metadata { node_id: 0x8e9e_05c5_2164_694d, cluster_id: 0xcdf8_1819_4e3a_8c32 }]
}

fn sample() -> Vec<Record> {
    let mut records = head();
    records.extend([
        Record::Snapshot(Snapshot::default()),
        Record::State(State { term: 2, vote: 7, commit: 0, vote_committed: false }),
        entry(1, b""),
        entry(2, b"some request"),
        Record::State(State { term: 2, vote: 7, commit: 2, vote_committed: true }),
        entry(3, &[0x2a; 700]),
        Record::Snapshot(Snapshot {
            index: 3,
            term: 2,
            conf_state: Some(ConfState { voters: vec![7, u64::MAX], learners: vec![9], ..ConfState::default() }),
        }),
    ]);
    records
}

fn encode(records: &[Record]) -> (Vec<u8>, u32) {
    let mut encoder = Encoder::new(0);
    let mut out = Vec::new();
    for record in records {
        encoder.append(record, &mut out);
        assert_eq!(out.len() % 8, 0, "frames are aligned");
    }
    (out, encoder.crc())
}

fn decode(segment: &[u8], last: bool) -> (Vec<Record>, u64, Result<u32, Error>) {
    let mut decoder = Decoder::over(segment, Some(0), last);
    let mut records = Vec::new();
    loop {
        match decoder.next() {
            Ok(Some(record)) => records.push(record),
            Ok(None) => return (records, decoder.offset(), Ok(decoder.crc())),
            Err(error) => return (records, decoder.offset(), Err(error)),
        }
    }
}

fn is_torn(result: &Result<u32, Error>) -> bool {
    matches!(result, Err(Error::Torn { .. }))
}

#[test]
fn what_is_written_reads_back_with_or_without_preallocated_space_behind() {
    let (mut segment, crc) = encode(&sample());
    let end = segment.len() as u64;
    for padding in [0, 8, 4096] {
        segment.resize(end as usize + padding, 0);
        let (records, offset, result) = decode(&segment, true);
        assert_eq!(records, sample());
        assert_eq!(offset, end);
        assert_eq!(result.unwrap(), crc);
    }
}

#[test]
fn the_bytes_are_those_of_etcd() {
    // The first three frames of a segment that etcd 3.7.3 made: crc, metadata, empty snapshot.
    let golden = [
        "04000000000000840804100000000000",
        "2000000000000000080110bb81c7fc051a1608cdd2918bd2b881cf8e0110b298eaf1948386fccd01",
        "0e0000000000008208051094bbc7ed0e1a04080010000000",
    ];
    let mut encoder = Encoder::new(0);
    for (record, golden) in sample().iter().zip(golden) {
        let mut out = Vec::new();
        encoder.append(record, &mut out);
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden, "{record:?}");
    }
}

#[test]
fn a_chain_goes_on_over_segments_and_a_missing_segment_shows() {
    let mut encoder = Encoder::new(0);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for record in sample() {
        encoder.append(&record, &mut first);
    }
    let chain = encoder.crc();
    encoder.append(&Record::Crc(chain), &mut second);
    encoder.append(&head()[1], &mut second);
    encoder.append(&entry(4, b"later"), &mut second);

    let mut decoder = Decoder::over(&second, Some(chain), true);
    assert_eq!(decoder.next().unwrap(), Some(Record::Crc(chain)));
    let mut unknown_start = Decoder::over(&second, None, true);
    for _ in 0..3 {
        assert!(unknown_start.next().unwrap().is_some());
    }
    assert!(unknown_start.next().unwrap().is_none());
    let mut wrong_start = Decoder::over(&second, Some(chain ^ 1), true);
    assert!(matches!(wrong_start.next(), Err(Error::Damaged { offset: 0, .. })));
}

#[test]
fn a_file_cut_anywhere_inside_a_record_is_torn_and_the_records_before_stand() {
    let (segment, _) = encode(&sample());
    let mut ends = vec![0];
    let mut decoder = Decoder::over(&segment, Some(0), true);
    while decoder.next().unwrap().is_some() {
        ends.push(decoder.offset() as usize);
    }
    // From 16 on: the first record is never torn, because a segment is made whole before it gets its name.
    for cut in 16..segment.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        let (records, offset, result) = decode(&segment[..cut], true);
        assert_eq!(records, sample()[..whole], "cut at {cut}");
        assert_eq!(offset as usize, ends[whole]);
        if ends.contains(&cut) {
            assert!(result.is_ok());
        } else if !matches!(&result, Err(Error::Damaged { reason: "its length field is wrong", .. })) {
            assert!(is_torn(&result), "cut at {cut}: {result:?}");
        } else {
            // Only padding is missing.
            assert!(ends.iter().any(|end| *end > cut && end - cut < 8), "cut at {cut}");
        }
        if let (_, _, Err(error)) = decode(&segment[..cut], false) {
            assert!(matches!(error, Error::Damaged { .. }), "only the last segment can be torn");
        }
    }
}

#[test]
fn a_sector_that_never_reached_the_disk_is_torn() {
    let mut records = sample();
    records.extend([entry(4, &[7; 3000]), entry(5, b"behind")]);
    let (segment, _) = encode(&records);
    let (before, _) = encode(&sample());
    let mut torn_any = false;
    for sector in (before.len() / 512 + 1)..(segment.len() / 512) {
        let mut hole = segment.clone();
        hole.resize(8192, 0);
        hole[sector * 512..(sector + 1) * 512].fill(0);
        let (read, offset, result) = decode(&hole, true);
        assert_eq!(read, sample());
        assert_eq!(offset as usize, before.len());
        assert!(is_torn(&result), "{result:?}");
        torn_any = true;
    }
    assert!(torn_any);
}

#[test]
fn a_lost_first_sector_of_a_write_ends_the_log_although_later_sectors_arrived() {
    let mut records = head();
    records.push(entry(1, &[1; 512 - 16 - 48 - 8 - 32]));
    let (aligned, _) = encode(&records);
    let spare = (512 - aligned.len() % 512) % 512;
    let mut records = head();
    records.push(entry(1, &vec![1; 512 - 16 - 48 - 8 - 32 + spare]));
    let (aligned, _) = encode(&records);
    assert_eq!(aligned.len() % 512, 0);
    let kept = records.clone();
    records.extend([entry(2, &[9; 400]), entry(3, &[9; 900])]);
    let (mut segment, _) = encode(&records);
    segment[aligned.len()..aligned.len() + 512].fill(0);
    let (read, offset, result) = decode(&segment, true);
    assert_eq!((read, offset as usize), (kept, aligned.len()));
    assert!(result.is_ok());
}

#[test]
fn every_flipped_bit_is_an_error_or_changes_nothing() {
    let (mut segment, crc) = encode(&sample());
    segment.resize(segment.len() + 1024, 0);
    let data_bytes = encode(&sample()).0.len();
    for bit in 0..data_bytes * 8 {
        segment[bit / 8] ^= 1 << (bit % 8);
        let (records, _, result) = decode(&segment, false);
        if let Ok(end_crc) = result {
            assert_eq!((records, end_crc), (sample(), crc), "bit {bit}");
        }
        // As the last segment, a flipped bit in a record without zero sectors is damage, never a tail to cut.
        let (records, _, result) = decode(&segment, true);
        match result {
            Ok(_) => assert_eq!(records, sample(), "bit {bit}"),
            Err(error) => assert!(matches!(error, Error::Damaged { .. }), "bit {bit}: {error}"),
        }
        segment[bit / 8] ^= 1 << (bit % 8);
    }
}

fn any_record() -> impl Strategy<Value = Record> {
    let ids = || proptest::collection::vec(any::<u64>(), 0..4);
    let conf_state = (ids(), ids(), ids(), ids(), any::<bool>()).prop_map(
        |(voters, learners, voters_outgoing, learners_next, auto_leave)| ConfState {
            voters,
            learners,
            voters_outgoing,
            learners_next,
            auto_leave,
        },
    );
    let entry_type = prop_oneof![Just(EntryType::Normal), Just(EntryType::ConfChange), Just(EntryType::ConfChangeV2)];
    prop_oneof![
        (entry_type, any::<u64>(), 1..=u64::MAX, proptest::collection::vec(any::<u8>(), 0..2000)).prop_map(
            |(entry_type, term, index, data)| { Record::Entry(Entry { entry_type, term, index, data: data.into() }) }
        ),
        (1..=u64::MAX, any::<u64>(), any::<u64>(), any::<bool>()).prop_map(|(term, vote, commit, vote_committed)| {
            Record::State(State { term, vote, commit, vote_committed })
        }),
        (any::<u64>(), any::<u64>(), proptest::option::of(conf_state))
            .prop_map(|(index, term, conf_state)| Record::Snapshot(Snapshot { index, term, conf_state })),
    ]
}

proptest! {
    #[test]
    fn any_records_read_back(tail in proptest::collection::vec(any_record(), 0..20)) {
        let mut records = head();
        records.extend(tail);
        let (segment, crc) = encode(&records);
        let (read, offset, result) = decode(&segment, true);
        prop_assert_eq!(read, records);
        prop_assert_eq!(offset as usize, segment.len());
        prop_assert_eq!(result.unwrap(), crc);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode(&bytes, true);
        // Behind a good head, too.
        let (mut segment, _) = encode(&head());
        segment.extend(bytes);
        let (read, _, _) = decode(&segment, true);
        prop_assert!(read.starts_with(&head()));
    }

    #[test]
    fn overwritten_bytes_never_pass_for_other_records(at in 16_usize..1000, junk in proptest::collection::vec(any::<u8>(), 1..40)) {
        let (mut segment, _) = encode(&sample());
        let at = at.min(segment.len() - junk.len());
        segment[at..at + junk.len()].copy_from_slice(&junk);
        let (read, _, _) = decode(&segment, true);
        prop_assert!(sample().starts_with(&read));
    }
}
