use proptest::prelude::*;

use super::super::chunk::tests::{chunk, row};
use super::*;

fn name(chunk: &Chunk, number: u8) -> Name {
    let Chunk { after, last, unfinished, .. } = *chunk;
    Name { after, first_sub: chunk.first_sub(), last, unfinished, sha256: [number; 8] }
}

/// From revision 4 on, as a restoration does it.
fn follow(mut chunks: Vec<Chunk>, goal: Goal) -> (Chain, Vec<Row>) {
    chunks.sort_by_key(|chunk| name(chunk, 0));
    let mut chain = Chain::new(7, 4, Some(row(4, 0, "v").link()), goal);
    let mut rows = Vec::new();
    for (chunk, number) in chunks.into_iter().zip(0..) {
        match chain.wants(&name(&chunk, number)) {
            Wanted::No => {}
            Wanted::Yes => rows.extend(chain.take(chunk).1),
            Wanted::Beyond => break,
        }
    }
    (chain, rows)
}

fn rows(mains: std::ops::RangeInclusive<i64>) -> Vec<Row> {
    mains.map(|main| row(main, 0, "v")).collect()
}

fn check(chunks: Vec<Chunk>, goal: Goal, is_complete: bool, wanted: Vec<Row>) {
    let (chain, rows) = follow(chunks, goal);
    assert_eq!((chain.is_complete(), chain.reached().revision), (is_complete, wanted.len() as i64 + 4), "{chain:?}");
    assert_eq!(rows, wanted);
}

/// Of another history: the same revisions with other values.
fn other(after: i64, last: i64) -> Chunk {
    let mut chunk = chunk(after, last);
    chunk.link = Some(row(after, 0, "w").link());
    chunk.rows = (after + 1..=last).map(|main| row(main, 0, "w")).collect();
    chunk
}

#[test]
fn a_chain_leads_to_any_revision_in_it() {
    for until in 5..=12 {
        let chunks = vec![chunk(4, 6), chunk(6, 6), chunk(6, 9), chunk(9, 12)];
        check(chunks, Goal::Revision(until), true, rows(5..=until));
    }
    check(Vec::new(), Goal::Revision(4), true, Vec::new());
}

#[test]
fn a_gap_ends_at_the_last_revision_before_it() {
    let (chain, _) = follow(vec![chunk(4, 6), chunk(7, 9)], Goal::Revision(8));
    assert_eq!((chain.is_complete(), chain.reached()), (false, Reached { revision: 6, unix_ms: Some(6000) }));
    check(vec![chunk(5, 9)], Goal::Revision(8), false, Vec::new());
    check(vec![chunk(4, 9)], Goal::Revision(10), false, rows(5..=9));
}

#[test]
fn overlapping_chunks_give_each_row_once() {
    check(vec![chunk(2, 6), chunk(3, 8), chunk(4, 7), chunk(7, 12)], Goal::Revision(11), true, rows(5..=11));
}

#[test]
fn a_time_leads_to_the_last_revision_that_had_been_received() {
    for (ms, until) in [(4000, 4), (5999, 5), (6000, 6), (6001, 6), (9000, 9)] {
        check(vec![chunk(4, 6), chunk(6, 9)], Goal::UnixMs(ms), true, rows(5..=until));
    }
    // Nobody knows what came after the last moment.
    check(vec![chunk(4, 6), chunk(6, 9)], Goal::UnixMs(9001), false, rows(5..=9));
    let mut idle = chunk(9, 9);
    idle.moments = vec![Moment { revision: 9, unix_ms: 60_000 }];
    check(vec![chunk(4, 9), idle], Goal::UnixMs(59_000), true, rows(5..=9));
}

#[test]
fn chunks_of_another_history_are_passed_by() {
    check(vec![other(4, 9), chunk(4, 7)], Goal::Revision(6), true, rows(5..=6));
    check(vec![chunk(4, 7), other(7, 9)], Goal::Revision(8), false, rows(5..=7));
    check(vec![chunk(4, 7), other(6, 9), chunk(7, 9)], Goal::Revision(8), true, rows(5..=8));
    let mut more_writes = chunk(6, 9);
    more_writes.rows.insert(1, row(7, 1, "v"));
    check(vec![chunk(4, 7), more_writes], Goal::Revision(8), false, rows(5..=7));
    let foreign = Chunk { cluster_id: 8, ..chunk(4, 9) };
    check(vec![foreign], Goal::Revision(6), false, Vec::new());
}

/// Revision 6 has five rows in three chunks, the last of which goes on with revision 7.
fn pieces() -> Vec<Chunk> {
    let piece = |rows: Vec<Row>, link: Row, unfinished, moments: &[(i64, i64)]| {
        let last = rows.last().unwrap().revision().unwrap().main;
        let moments =
            moments.iter().map(|(revision, unix_ms)| Moment { revision: *revision, unix_ms: *unix_ms }).collect();
        Chunk { after: 5, last, unfinished, link: Some(link.link()), moments, rows, ..chunk(5, 6) }
    };
    vec![
        chunk(4, 5),
        piece(vec![row(6, 0, "v"), row(6, 1, "v")], row(5, 0, "v"), true, &[(6, 6000)]),
        piece(vec![row(6, 2, "v"), row(6, 3, "v")], row(6, 1, "v"), true, &[(6, 6500)]),
        piece(vec![row(6, 4, "v"), row(7, 0, "v")], row(6, 3, "v"), false, &[(6, 6900), (7, 7000)]),
    ]
}

#[test]
fn a_revision_in_pieces_is_there_when_all_are() {
    for goal in [Goal::Revision(6), Goal::UnixMs(6100), Goal::UnixMs(6950)] {
        let (chain, rows) = follow(pieces(), goal);
        assert_eq!((chain.is_complete(), chain.done, rows.len()), (true, 6, 6), "{goal:?}");
        for missing in 1..4 {
            let mut pieces = pieces();
            pieces.remove(missing);
            let (chain, _) = follow(pieces, goal);
            assert_eq!((chain.is_complete(), chain.reached().revision), (false, 5), "{goal:?} without {missing}");
        }
    }
    let (chain, rows) = follow(pieces(), Goal::UnixMs(5500));
    assert_eq!((chain.is_complete(), rows), (true, self::rows(5..=5)));
}

proptest! {
    #[test]
    fn however_chunks_are_cut_and_overlap_the_rows_are_the_same(
        cuts in prop::collection::vec((0_i64..20, 1_i64..8), 1..20),
        until in 5_i64..24,
    ) {
        let mut chunks: Vec<Chunk> = cuts.iter().map(|(after, more)| chunk(4 + after, 4 + after + more)).collect();
        // What an honest search would find.
        let mut reachable = 4;
        while let Some(further) = chunks.iter().filter(|c| c.after <= reachable).map(|c| c.last).max().filter(|l| *l > reachable) {
            reachable = further;
        }
        chunks.extend(cuts.iter().map(|(after, more)| other(4 + after, 4 + after + more)));
        let (chain, rows) = follow(chunks, Goal::Revision(until));
        prop_assert_eq!(chain.is_complete(), reachable >= until);
        prop_assert_eq!(rows, self::rows(5..=until.min(reachable)));
    }
}
