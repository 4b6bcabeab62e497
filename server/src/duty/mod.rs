//! What a leader does by the clock. Duties only propose: what comes of them is decided by the log, like anything else.

mod compaction;
mod corruption;
mod lease;
mod publish;
mod releases;
mod version;

pub use compaction::compact_periodically;
pub use corruption::{Members, compare_before_serving, compare_compactions, compare_periodically};
pub use lease::Lessor;
pub use publish::publish_attributes;
pub use version::{end_downgrade, settle_cluster_version};
