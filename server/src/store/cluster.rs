//! What members say about themselves, and what the cluster agreed about versions.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message;
use quorate_proto::membershippb::Attributes;

/// A downgrade in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downgrade {
    pub target_version: String,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Cluster {
    /// By member id.
    pub(super) attributes: BTreeMap<u64, Attributes>,
    /// Ids of members that were removed.
    pub(super) removed: BTreeSet<u64>,
    pub(super) version: Option<String>,
    pub(super) downgrade: Option<Downgrade>,
}

pub(super) fn member_key(id: u64) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

pub(super) fn member_row(id: u64, attributes: &Attributes) -> (Bytes, Bytes) {
    (member_key(id), attributes.encode_to_vec().into())
}
