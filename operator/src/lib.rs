//! The operator: brings `EtcdCluster` resources to what they say.

pub mod crd;
