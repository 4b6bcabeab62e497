//! What members say about themselves, and what the cluster agreed about versions.

use std::collections::BTreeMap;

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
    pub(super) version: Option<String>,
    pub(super) downgrade: Option<Downgrade>,
}

pub(super) fn member_row(id: u64, attributes: &Attributes) -> (Bytes, Bytes) {
    (Bytes::copy_from_slice(&id.to_be_bytes()), attributes.encode_to_vec().into())
}
