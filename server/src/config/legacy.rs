//! Flags that 3.4 to 3.6 had and 3.7 removed. Manifests still pass them, so they are read as what became of them.

use super::feature_gate::Gate;
use super::table::Kind;

/// A removed flag.
#[derive(Debug)]
pub struct Removed {
    pub name: &'static str,
    pub kind: Kind,
    pub became: Became,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// The same value under this name.
    Flag(&'static str),
    /// A gate of `--feature-gates`.
    Gate(Gate),
    /// `--log-level=debug` when true.
    DebugLevel,
    /// Nothing; the reason is for the log.
    Nothing(&'static str),
    /// Refused unless it has this value, which was its "off".
    OnlyOff(&'static str),
}

/// The removed flag of that name.
pub fn find(name: &str) -> Option<&'static Removed> {
    REMOVED.iter().find(|removed| removed.name == name)
}

const fn removed(name: &'static str, kind: Kind, became: Became) -> Removed {
    Removed { name, kind, became }
}

use Became::{DebugLevel, Flag, Nothing, OnlyOff};
use Kind::{Bool, Duration, Int, List, Text, Uint};

const NO_V2: &str = "the v2 store was removed in 3.6";

#[rustfmt::skip]
pub static REMOVED: &[Removed] = &[
    removed("experimental-initial-corrupt-check", Bool, Became::Gate(Gate::InitialCorruptCheck)),
    removed("experimental-compact-hash-check-enabled", Bool, Became::Gate(Gate::CompactHashCheck)),
    removed("experimental-enable-lease-checkpoint", Bool, Became::Gate(Gate::LeaseCheckpoint)),
    removed("experimental-enable-lease-checkpoint-persist", Bool, Became::Gate(Gate::LeaseCheckpointPersist)),
    removed("experimental-stop-grpc-service-on-defrag", Bool, Became::Gate(Gate::StopGrpcServiceOnDefrag)),
    removed("experimental-txn-mode-write-with-shared-buffer", Bool, Became::Gate(Gate::TxnModeWriteWithSharedBuffer)),
    removed("experimental-set-member-localaddr", Bool, Became::Gate(Gate::SetMemberLocalAddr)),
    removed("experimental-corrupt-check-time", Duration, Flag("corrupt-check-time")),
    removed("experimental-compact-hash-check-time", Duration, Flag("compact-hash-check-time")),
    removed("experimental-compaction-batch-limit", Int, Flag("compaction-batch-limit")),
    removed("experimental-compaction-sleep-interval", Duration, Flag("compaction-sleep-interval")),
    removed("experimental-peer-skip-client-san-verification", Bool, Flag("peer-skip-client-san-verification")),
    removed("experimental-watch-progress-notify-interval", Duration, Flag("watch-progress-notify-interval")),
    removed("experimental-warning-apply-duration", Duration, Flag("warning-apply-duration")),
    removed("experimental-warning-unary-request-duration", Duration, Flag("warning-unary-request-duration")),
    removed("experimental-bootstrap-defrag-threshold-megabytes", Uint, Flag("bootstrap-defrag-threshold-megabytes")),
    removed("experimental-max-learners", Int, Flag("max-learners")),
    removed("experimental-memory-mlock", Bool, Flag("memory-mlock")),
    removed("experimental-downgrade-check-time", Duration, Flag("downgrade-check-time")),
    removed("experimental-snapshot-catchup-entries", Uint, Flag("snapshot-catchup-entries")),
    removed("experimental-backend-bbolt-freelist-type", Text, Flag("backend-bbolt-freelist-type")),
    removed("experimental-enable-distributed-tracing", Bool, Flag("enable-distributed-tracing")),
    removed("experimental-distributed-tracing-address", Text, Flag("distributed-tracing-address")),
    removed("experimental-distributed-tracing-service-name", Text, Flag("distributed-tracing-service-name")),
    removed("experimental-distributed-tracing-instance-id", Text, Flag("distributed-tracing-instance-id")),
    removed("experimental-distributed-tracing-sampling-rate", Int, Flag("distributed-tracing-sampling-rate")),
    removed("experimental-wait-cluster-ready-timeout", Duration, Nothing("listeners open once the member has joined")),
    removed("experimental-enable-v2v3", Text, Nothing(NO_V2)),
    removed("enable-v2", Bool, Nothing(NO_V2)),
    removed("debug", Bool, DebugLevel),
    removed("log-output", List, Flag("log-outputs")),
    removed("log-package-levels", Text, Nothing("levels by package were removed in 3.5; use --log-level")),
    removed("proxy", Text, OnlyOff("off")),
    removed("proxy-failure-wait", Uint, Nothing("the v2 proxy was removed in 3.6")),
    removed("proxy-refresh-interval", Uint, Nothing("the v2 proxy was removed in 3.6")),
    removed("proxy-dial-timeout", Uint, Nothing("the v2 proxy was removed in 3.6")),
    removed("proxy-write-timeout", Uint, Nothing("the v2 proxy was removed in 3.6")),
    removed("proxy-read-timeout", Uint, Nothing("the v2 proxy was removed in 3.6")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table;

    #[test]
    fn successors_exist_and_have_the_same_kind() {
        for removed in REMOVED {
            assert!(table::find(removed.name).is_none(), "{} is still there", removed.name);
            if let Flag(successor) = removed.became {
                assert_eq!(table::find(successor).map(|flag| flag.kind), Some(removed.kind), "{}", removed.name);
            }
        }
    }
}
