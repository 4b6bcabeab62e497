use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::Serialize;

use super::cut::Cut;

/// Revisions behind which a target that has followed is copying again.
const LAG_MAX: i64 = 10_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Phase {
    /// For one of the clusters.
    #[default]
    Waiting,
    /// The target has not been at the source's revision yet.
    Copying,
    Following,
    /// The target is what the source was, and nothing more is written to it.
    Cut,
    /// The target can't become what the source is, and nothing more is written to it.
    Diverged,
}

/// How far the mirror is, for programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub phase: Phase,
    /// As far as is known.
    pub source_revision: i64,
    pub target_revision: i64,
    pub lag_revisions: i64,
    /// When the last revision was written to the target.
    pub last_applied: Option<Timestamp>,
    pub cut: Option<Cut>,
    /// Revisions of the source that the target won't get.
    pub writes_after_cut: i64,
    pub trouble: Option<String>,
}

/// Where the mirror writes its status, for those who ask. Clones are the same board.
#[derive(Clone)]
pub struct Board {
    status: Arc<Mutex<Status>>,
    metrics: Arc<Metrics>,
}

struct Metrics {
    registry: Registry,
    source_revision: Gauge,
    target_revision: Gauge,
    leases: Gauge,
    has_trouble: Gauge,
    is_diverged: Gauge,
    is_cut: Gauge,
    revisions: Counter,
    bytes: Counter,
    failures: Counter,
}

impl Default for Board {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("quorate_backup_mirror");
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let source_revision = gauge("source_revision", "The source's revision, as far as is known");
        let target_revision = gauge("target_revision", "The target's revision");
        let leases = gauge("leases", "Leases of the target that are kept alive");
        let has_trouble = gauge("trouble", "1 while something keeps it from mirroring");
        let is_diverged = gauge("diverged", "1 if the target can't become what the source is");
        let is_cut = gauge("cut", "1 if the target is cut off from the source");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let metrics = Metrics {
            source_revision,
            target_revision,
            leases,
            has_trouble,
            is_diverged,
            is_cut,
            revisions: counter("revisions", "Revisions written to the target"),
            bytes: counter("bytes", "Bytes of keys and values in these"),
            failures: counter("failures", "Times that the mirror had to connect anew"),
            registry,
        };
        Self { status: Arc::default(), metrics: Arc::new(metrics) }
    }
}

impl Board {
    pub fn status(&self) -> Status {
        self.status.lock().clone()
    }

    /// In the OpenMetrics text format.
    pub fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.metrics.registry)?;
        Ok(text)
    }

    pub(super) fn source_at(&self, revision: i64) {
        self.change(|status| status.source_revision = status.source_revision.max(revision));
    }

    /// Both are there, and the target is here.
    pub(super) fn begun(&self, target_revision: i64) {
        self.change(|status| {
            status.target_revision = target_revision;
            status.trouble = None;
            if status.phase == Phase::Waiting {
                status.phase = Phase::Copying;
            }
        });
    }

    pub(super) fn applied(&self, revision: i64, bytes: usize) {
        self.metrics.revisions.inc();
        self.metrics.bytes.inc_by(bytes as u64);
        self.change(|status| {
            status.target_revision = revision;
            status.last_applied = Some(Timestamp::now());
        });
    }

    pub(super) fn leases(&self, count: usize) {
        self.metrics.leases.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(super) fn waits(&self, trouble: String) {
        self.metrics.failures.inc();
        self.change(|status| {
            status.trouble = Some(trouble);
            if matches!(status.phase, Phase::Copying | Phase::Following) {
                status.phase = Phase::Waiting;
            }
        });
    }

    pub(super) fn cut(&self, cut: Cut) {
        self.change(|status| {
            status.target_revision = cut.revision;
            status.cut = Some(cut);
            status.phase = Phase::Cut;
            status.trouble = None;
        });
    }

    pub(super) fn diverged(&self, trouble: String) {
        self.change(|status| {
            status.phase = Phase::Diverged;
            status.trouble = Some(trouble);
        });
    }

    /// Whether it does its work, or has done it.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.status.lock().phase, Phase::Copying | Phase::Following | Phase::Cut)
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        let mut status = self.status.lock();
        change(&mut status);
        let lag = (status.source_revision - status.target_revision).max(0);
        status.lag_revisions = lag;
        match (status.phase, &status.cut) {
            (Phase::Cut, Some(cut)) => {
                status.writes_after_cut = (status.source_revision - cut.revision).max(0);
                status.lag_revisions = 0;
            }
            (Phase::Copying, _) if lag == 0 => status.phase = Phase::Following,
            (Phase::Following, _) if lag > LAG_MAX => status.phase = Phase::Copying,
            _ => {}
        }
        self.metrics.source_revision.set(status.source_revision);
        self.metrics.target_revision.set(status.target_revision);
        self.metrics.has_trouble.set(status.trouble.is_some().into());
        self.metrics.is_diverged.set((status.phase == Phase::Diverged).into());
        self.metrics.is_cut.set((status.phase == Phase::Cut).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_was_at_the_sources_revision_follows() {
        let board = Board::default();
        assert!(!board.is_ready());
        board.source_at(20);
        board.begun(10);
        assert_eq!((board.status().phase, board.status().lag_revisions), (Phase::Copying, 10));
        board.applied(20, 1);
        assert_eq!(board.status().phase, Phase::Following);
        board.source_at(25);
        assert_eq!((board.status().phase, board.status().lag_revisions), (Phase::Following, 5));
        board.waits("away".into());
        assert_eq!(board.status().phase, Phase::Waiting);
        assert!(!board.is_ready());
    }

    #[test]
    fn writes_after_the_cut_are_told() {
        let board = Board::default();
        board.source_at(20);
        board.begun(20);
        board.cut(Cut { revision: 20, hash: Some(7), compact_revision: 3, leases: 1, took_ms: 9 });
        board.source_at(22);
        board.waits("away".into());
        let status = serde_json::to_value(board.status()).unwrap();
        let wanted = serde_json::json!({
            "phase": "Cut", "sourceRevision": 22, "targetRevision": 20, "lagRevisions": 0, "lastApplied": null,
            "cut": {"revision": 20, "hash": 7, "compactRevision": 3, "leases": 1, "tookMs": 9},
            "writesAfterCut": 2, "trouble": "away",
        });
        assert_eq!(status, wanted);
        assert!(board.metrics().unwrap().contains("quorate_backup_mirror_cut 1\n"));
    }
}
