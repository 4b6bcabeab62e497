use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::Serialize;

/// How far the record is, for programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The cluster's, as far as is known.
    pub revision: i64,
    pub recorded_to: Option<RecordedTo>,
    pub lag_revisions: i64,
    /// The last since the start. It doesn't matter to whoever has a backup of `resumed_at` or later.
    pub gap: Option<Gap>,
    pub trouble: Option<String>,
}

/// What is in the store, up to here and without a gap since the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RecordedTo {
    pub revision: i64,
    /// Nothing else had been received until then. Absent until something is written.
    pub time: Option<Timestamp>,
}

/// Changes that nobody has recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    pub after: i64,
    pub resumed_at: i64,
    pub why: String,
}

/// What keeps the recorder from recording, or the record from being of use. They come and go by themselves.
#[derive(Clone, Debug, Default)]
struct Troubles {
    cluster: Option<String>,
    store: Option<String>,
    backup: Option<String>,
}

/// Whose trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Cluster,
    Store,
    /// Nothing is wrong with the record, but there is no backup from which it leads on.
    Backup,
}

/// Where the recorder writes its status, for those who ask. Clones are the same board.
#[derive(Clone)]
pub struct Board {
    status: Arc<Mutex<(Status, Troubles)>>,
    metrics: Arc<Metrics>,
}

struct Metrics {
    registry: Registry,
    revision: Gauge,
    recorded_revision: Gauge,
    recorded_time_seconds: Gauge,
    has_trouble: Gauge,
    chunks: Counter,
    bytes: Counter,
    gaps: Counter,
    watch_failures: Counter,
    store_failures: Counter,
}

impl Default for Board {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("quorate_backup_recorder");
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let revision = gauge("revision", "The cluster's revision, as far as is known");
        let recorded_revision = gauge("recorded_revision", "The last revision in the store");
        let recorded_time_seconds = gauge("recorded_time_seconds", "Until when everything received is in the store");
        let has_trouble = gauge("trouble", "1 while something keeps it from recording");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let metrics = Metrics {
            revision,
            recorded_revision,
            recorded_time_seconds,
            has_trouble,
            chunks: counter("chunks", "Chunks written"),
            bytes: counter("bytes", "Bytes of the chunks written"),
            gaps: counter("gaps", "Times that changes were lost"),
            watch_failures: counter("watch_failures", "Watches that ended"),
            store_failures: counter("store_failures", "Writes to the store that failed"),
            registry,
        };
        Self { status: Arc::default(), metrics: Arc::new(metrics) }
    }
}

impl Board {
    pub fn status(&self) -> Status {
        self.status.lock().0.clone()
    }

    /// In the OpenMetrics text format.
    pub fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.metrics.registry)?;
        Ok(text)
    }

    pub(super) fn received(&self, revision: i64) {
        self.change(|status| status.revision = status.revision.max(revision));
    }

    /// Without a chunk written: what is known from before.
    pub(super) fn begun(&self, now: i64, recorded: RecordedTo) {
        self.change(|status| {
            status.revision = now;
            status.recorded_to = Some(recorded);
        });
    }

    pub(super) fn written(&self, recorded: RecordedTo, bytes: usize) {
        self.metrics.chunks.inc();
        self.metrics.bytes.inc_by(bytes as u64);
        self.change(|status| status.recorded_to = Some(recorded));
    }

    pub(super) fn gap(&self, gap: Gap) {
        self.metrics.gaps.inc();
        self.change(|status| status.gap = Some(gap));
    }

    pub(super) fn watch_failed(&self) {
        self.metrics.watch_failures.inc();
    }

    pub(super) fn store_failed(&self) {
        self.metrics.store_failures.inc();
    }

    pub(super) fn trouble(&self, source: Source, trouble: Option<String>) {
        let mut both = self.status.lock();
        let troubles = &mut both.1;
        match source {
            Source::Cluster => troubles.cluster = trouble,
            Source::Store => troubles.store = trouble,
            Source::Backup => troubles.backup = trouble,
        }
        let all = [&troubles.cluster, &troubles.store, &troubles.backup].map(Option::as_deref);
        let all: Vec<&str> = all.into_iter().flatten().collect();
        let is_any = !all.is_empty();
        both.0.trouble = is_any.then(|| all.join("; "));
        self.metrics.has_trouble.set(is_any.into());
    }

    /// Whether it records.
    pub(super) fn is_ready(&self) -> bool {
        let both = self.status.lock();
        let (status, Troubles { cluster, store, .. }) = &*both;
        status.recorded_to.is_some() && cluster.is_none() && store.is_none()
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        let mut both = self.status.lock();
        let status = &mut both.0;
        change(status);
        let recorded = status.recorded_to.map_or(0, |recorded| recorded.revision);
        status.lag_revisions = (status.revision - recorded).max(0);
        self.metrics.revision.set(status.revision);
        self.metrics.recorded_revision.set(recorded);
        let time = status.recorded_to.and_then(|recorded| recorded.time);
        self.metrics.recorded_time_seconds.set(time.map_or(0, Timestamp::as_second));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_how_far_the_record_is() {
        let board = Board::default();
        let status = |board: &Board| serde_json::to_string(&board.status()).unwrap();
        assert_eq!(status(&board), r#"{"revision":0,"recordedTo":null,"lagRevisions":0,"gap":null,"trouble":null}"#);
        board.received(12);
        board.written(RecordedTo { revision: 10, time: Some(Timestamp::UNIX_EPOCH) }, 100);
        board.gap(Gap { after: 3, resumed_at: 5, why: "compacted".into() });
        assert!(board.is_ready());
        board.trouble(Source::Backup, Some("x".into()));
        assert!(board.is_ready());
        board.trouble(Source::Store, Some("y".into()));
        assert!(!board.is_ready());
        assert_eq!(
            status(&board),
            r#"{"revision":12,"recordedTo":{"revision":10,"time":"1970-01-01T00:00:00Z"},"lagRevisions":2,"#.to_owned()
                + r#""gap":{"after":3,"resumedAt":5,"why":"compacted"},"trouble":"y; x"}"#
        );
        let metrics = board.metrics().unwrap();
        for line in ["quorate_backup_recorder_recorded_revision 10\n", "quorate_backup_recorder_chunks_total 1\n"] {
            assert!(metrics.contains(line), "{metrics}");
        }
    }
}
