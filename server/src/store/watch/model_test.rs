//! Watchers under random writes, compactions, snapshots and slow clients, compared with a plain replay of everything.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const STREAMS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<(u8, Option<u8>)>),
    /// Publishes this many of the frames that were written and not published yet.
    Publish(usize),
    /// Replaces the store: what was not published is history at once.
    Snapshot,
    /// In percent of the revisions that there are.
    Compact(u8),
    /// The same, while the next reader of history is at it.
    CompactInRead(u8),
    Watch {
        stream: usize,
        id: i64,
        range: (u8, u8),
        start: Start,
        filters: Filters,
        prev_kv: bool,
    },
    Cancel {
        stream: usize,
        nth: usize,
    },
    Advance {
        stream: usize,
        times: usize,
    },
    Progress {
        stream: usize,
    },
}

#[derive(Debug, Clone, Copy)]
enum Start {
    Now,
    /// In percent of the revisions that there are.
    Past(u8),
    Future(u8),
}

fn key(number: u8) -> Bytes {
    Bytes::from(vec![b'k', b'0' + number])
}

/// Kinds of ranges by the second number: one key, everything from the key on, or up to another key.
fn range((from, to): (u8, u8)) -> Range {
    match to {
        0 => Range::Key(key(from)),
        1 => Range::Span { start: key(from), end: None },
        _ => Range::Span { start: key(from), end: Some(key(from + to)) },
    }
}

fn step() -> impl Strategy<Value = Step> {
    let change = (0u8..6, prop::option::weighted(0.7, any::<u8>()));
    let start = prop_oneof![Just(Start::Now), (0u8..=100).prop_map(Start::Past), (0u8..8).prop_map(Start::Future),];
    let filters =
        (any::<bool>(), any::<bool>()).prop_map(|(no_put, more)| Filters { no_put, no_delete: more && !no_put });
    prop_oneof![
        6 => prop::collection::vec(change, 1..4).prop_map(Step::Write),
        4 => (1usize..4).prop_map(Step::Publish),
        1 => Just(Step::Snapshot),
        1 => (0u8..=100).prop_map(Step::Compact),
        1 => (0u8..=100).prop_map(Step::CompactInRead),
        3 => (0..STREAMS, prop_oneof![Just(0i64), 1i64..4], (0u8..6, 0u8..4), start, filters, any::<bool>()).prop_map(
            |(stream, id, range, start, filters, prev_kv)| Step::Watch { stream, id, range, start, filters, prev_kv }
        ),
        1 => (0..STREAMS, 0usize..4).prop_map(|(stream, nth)| Step::Cancel { stream, nth }),
        4 => (0..STREAMS, 1usize..4).prop_map(|(stream, times)| Step::Advance { stream, times }),
        2 => (0..STREAMS).prop_map(|stream| Step::Progress { stream }),
    ]
}

/// What one watcher asked for and has got.
struct Seen {
    interest: Interest,
    from: i64,
    events: Vec<(i64, Event)>,
    /// The last revision of the batch before.
    last_revision: i64,
}

struct World {
    store: Arc<MemoryHistory>,
    hub: Hub,
    unpublished: Vec<Arc<Frame>>,
    streams: Vec<(Cursor, HashMap<i64, Seen>)>,
}

impl World {
    fn new() -> Self {
        let options = Options { ring_bytes: 1500, chunk_bytes: 700, batch_bytes: 300, ..Options::default() };
        let store = Arc::new(MemoryHistory::default());
        let hub = Hub::new(options, store.revision());
        let streams = (0..STREAMS).map(|_| (Cursor::new(&hub, Arc::clone(&store) as _), HashMap::new())).collect();
        Self { store, hub, unpublished: Vec::new(), streams }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Write(changes) => {
                let changes: Vec<_> =
                    changes.into_iter().map(|(number, value)| (key(number), value.map(|v| [v]))).collect();
                let mut distinct: Vec<(&[u8], Option<&[u8]>)> = Vec::new();
                for (key, value) in &changes {
                    if distinct.iter().all(|(known, _)| known != key) {
                        distinct.push((key, value.as_ref().map(|value| &value[..])));
                    }
                }
                self.unpublished.extend(self.store.write(&distinct));
            }
            Step::Publish(count) => {
                let count = count.min(self.unpublished.len());
                self.hub.publish(self.unpublished.drain(..count).collect());
            }
            Step::Snapshot => {
                self.unpublished.clear();
                self.hub.reset(self.store.revision());
            }
            Step::Compact(percent) => self.store.compact(self.store.revision() * i64::from(percent) / 100),
            Step::CompactInRead(percent) => {
                self.store.compact_in_read(self.store.revision() * i64::from(percent) / 100)
            }
            Step::Watch { stream, id, range: keys, start, filters, prev_kv } => {
                let start_revision = match start {
                    Start::Now => 0,
                    Start::Past(percent) => 1 + self.store.revision() * i64::from(percent) / 100,
                    Start::Future(ahead) => self.store.revision() + i64::from(ahead),
                };
                let range = range(keys);
                let interest =
                    Interest { range, start_revision, filters, prev_kv, fragment: false, progress_notify: true };
                let (cursor, seen) = &mut self.streams[stream];
                match cursor.watch(id, interest.clone()) {
                    Ok(created) => {
                        let from = if start_revision == 0 { created.revision + 1 } else { start_revision };
                        let new = Seen { interest, from, events: Vec::new(), last_revision: 0 };
                        assert!(seen.insert(created.watch_id, new).is_none(), "an id was given twice");
                    }
                    Err(refusal) => assert!(refusal == Refusal::DuplicateId && seen.contains_key(&id)),
                }
            }
            Step::Cancel { stream, nth } => {
                let (cursor, seen) = &mut self.streams[stream];
                let mut ids: Vec<i64> = seen.keys().copied().collect();
                ids.sort_unstable();
                if let Some(id) = ids.get(nth) {
                    assert!(cursor.cancel(*id));
                    seen.remove(id);
                }
            }
            Step::Advance { stream, times } => {
                for _ in 0..times {
                    self.advance(stream).await;
                }
            }
            Step::Progress { stream } => {
                let log = self.store.log();
                let (cursor, seen) = &mut self.streams[stream];
                if let Some(revision) = cursor.progress() {
                    for seen in seen.values() {
                        assert!(seen.interest.start_revision <= revision);
                        assert_eq!(seen.events, seen.expected(&log, revision), "progress was ahead of events");
                    }
                }
                let due = cursor.tick();
                let revision = cursor.position();
                for id in due {
                    assert_eq!(seen[&id].events, seen[&id].expected(&log, revision), "a tick was ahead of events");
                }
            }
        }
    }

    async fn advance(&mut self, stream: usize) {
        let compact_before = self.store.compact_revision();
        let log = self.store.log();
        let rows: HashMap<_, _> = log
            .iter()
            .flat_map(|frame| frame.events.iter().enumerate().map(|(sub, event)| ((frame.revision, sub as i64), event)))
            .collect();
        let (cursor, seen) = &mut self.streams[stream];
        let batches = cursor.advance().await.unwrap();
        let compact_after = self.store.compact_revision();
        for batch in batches {
            match batch {
                Batch::Events { watch_id, revision, events, .. } => {
                    let seen = seen.get_mut(&watch_id).expect("events only for a watcher that exists");
                    let (first, last) = (events[0].revision(), events[events.len() - 1].revision());
                    assert!(first > seen.last_revision, "a revision was split or repeated");
                    assert!(revision >= last && revision <= self.hub.revision());
                    seen.last_revision = last;
                    for delivery in &events {
                        let event = delivery.event();
                        let wanted = seen.interest.prev_kv && !event.create && delivery.revision() > compact_before;
                        let expected = event.prev.filter(|_| wanted).map(|at| &rows[&(at.main, at.sub)].kv);
                        let compacted_meanwhile = delivery.previous().is_none() && delivery.revision() <= compact_after;
                        assert!(delivery.previous() == expected || compacted_meanwhile);
                        seen.events.push((delivery.revision(), event.clone()));
                    }
                }
                Batch::Compacted { watch_id, compact_revision } => {
                    let seen = seen.remove(&watch_id).expect("a cancel only for a watcher that exists");
                    assert_eq!(compact_revision, compact_after);
                    assert!(seen.from < compact_revision);
                    assert!(seen.last_revision < compact_revision, "nothing was missing");
                    let all = seen.expected(&log, i64::MAX);
                    assert!(all.starts_with(&seen.events), "a gap before the cancel");
                    let complete = seen.expected(&log, seen.last_revision);
                    assert_eq!(seen.events, complete, "a revision was split before the cancel");
                }
            }
        }
    }

    async fn finish(&mut self) {
        self.hub.publish(std::mem::take(&mut self.unpublished));
        for stream in 0..STREAMS {
            let mut steps = 0;
            while self.streams[stream].0.has_work() {
                self.advance(stream).await;
                steps += 1;
                assert!(steps < 10_000, "the stream never comes to rest");
            }
            assert_eq!(self.streams[stream].0.position(), self.hub.revision());
        }
        let log = self.store.log();
        for (_, seen) in &self.streams {
            for seen in seen.values() {
                assert_eq!(seen.events, seen.expected(&log, i64::MAX));
            }
        }
        let watchers: usize = self.streams.iter().map(|(_, seen)| seen.len()).sum();
        assert_eq!(self.hub.counters().watchers(), watchers as i64);
        assert_eq!(self.hub.counters().slow_watchers(), 0);
        self.streams.clear();
        assert_eq!((self.hub.counters().watchers(), self.hub.counters().streams()), (0, 0));
    }
}

impl Seen {
    fn expected(&self, log: &[Arc<Frame>], to: i64) -> Vec<(i64, Event)> {
        log.iter()
            .filter(|frame| frame.revision >= self.from && frame.revision <= to)
            .flat_map(|frame| frame.events.iter().map(|event| (frame.revision, event.clone())))
            .filter(|(_, event)| self.interest.range.contains(&event.key) && !self.interest.filters.drop(event.kind))
            .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn every_watcher_sees_every_event_once_and_in_order(steps in prop::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for step in steps {
                world.step(step).await;
            }
            world.finish().await;
        });
    }
}

/// Everything a cursor gives until it has handed out `revision`.
async fn drain(cursor: &mut Cursor, revision: i64) -> Vec<(i64, i64)> {
    let mut seen = Vec::new();
    while cursor.has_work() || cursor.position() < revision {
        // Looking all the time, instead of waiting to be woken, meets the writer in the middle of its work.
        for batch in cursor.advance().await.unwrap() {
            let Batch::Events { watch_id, events, .. } = batch else { panic!("nothing was compacted") };
            seen.extend(events.iter().map(|delivery| (watch_id, delivery.revision())));
        }
        tokio::task::yield_now().await;
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn watchers_that_come_while_the_writer_publishes_miss_and_repeat_nothing() {
    const REVISIONS: i64 = 20_000;
    let store = Arc::new(MemoryHistory::default());
    let hub = Hub::new(Options { ring_bytes: 20_000, chunk_bytes: 2000, ..Options::default() }, 1);
    let writer = {
        let (store, hub) = (Arc::clone(&store), hub.clone());
        std::thread::spawn(move || {
            let frames: Vec<_> = (2..=REVISIONS).map(|_| store.write(&[(b"k", Some(b"v"))]).unwrap()).collect();
            let mut frames = frames.into_iter().peekable();
            for batch in (1..20).cycle() {
                hub.publish(frames.by_ref().take(batch).collect());
                if frames.peek().is_none() {
                    break;
                }
                std::thread::yield_now();
            }
        })
    };
    let streams: Vec<_> = (0..4)
        .map(|_| {
            let (store, hub) = (Arc::clone(&store), hub.clone());
            tokio::spawn(async move {
                let mut cursor = Cursor::new(&hub, store);
                let mut starts = HashMap::new();
                let mut seen = Vec::new();
                for round in 0..40i64 {
                    let now = hub.revision();
                    let start_revision = [0, (now / 2).max(1), now, now + 3, (now - 1).max(1)][round as usize % 5];
                    let interest = Interest {
                        range: Range::Key(Bytes::from_static(b"k")),
                        start_revision,
                        filters: Filters::default(),
                        prev_kv: false,
                        fragment: false,
                        progress_notify: false,
                    };
                    let created = cursor.watch(0, interest).unwrap();
                    starts.insert(
                        created.watch_id,
                        if start_revision == 0 { created.revision + 1 } else { start_revision },
                    );
                    seen.extend(drain(&mut cursor, (now + 5).min(REVISIONS)).await);
                }
                seen.extend(drain(&mut cursor, REVISIONS).await);
                for (id, start) in starts {
                    let revisions: Vec<i64> =
                        seen.iter().filter(|(watch_id, _)| *watch_id == id).map(|(_, r)| *r).collect();
                    assert_eq!(revisions, (start.max(2)..=REVISIONS).collect::<Vec<_>>());
                }
            })
        })
        .collect();
    for stream in streams {
        stream.await.unwrap();
    }
    writer.join().unwrap();
}
