//! A PodMonitor of the Prometheus operator, whose kind may not be there.

use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde_json::json;

use super::member::{cluster_labels, owner};
use crate::crd::services::PodMonitor;
use crate::crd::{EtcdCluster, label};

pub fn kind() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("monitoring.coreos.com", "v1", "PodMonitor"))
}

/// Scrapes each member's plain metrics port.
pub fn pod_monitor(cluster: &EtcdCluster, asked: &PodMonitor) -> DynamicObject {
    let name = cluster.name_any();
    let mut labels = asked.labels.clone();
    labels.extend(cluster_labels(&name));
    let mut endpoint = json!({"port": "metrics", "path": "/metrics"});
    if let Some(interval) = &asked.interval {
        endpoint["interval"] = json!(interval);
    }
    let mut monitor = DynamicObject::new(&name, &kind()).data(json!({"spec": {
        "selector": {"matchLabels": {label::CLUSTER: name}},
        "podTargetLabels": [label::MEMBER, label::CLUSTER],
        "podMetricsEndpoints": [endpoint],
    }}));
    monitor.metadata.namespace = cluster.namespace();
    monitor.metadata.labels = Some(labels);
    monitor.metadata.owner_references = Some(owner(cluster).into_iter().collect());
    monitor
}
