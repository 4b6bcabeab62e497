//! Times by kind of request and success. A series begins with its first request, as in etcd.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

use super::families::{Buckets, Builder, HistogramFamily};
use crate::operation::Operation;

/// One histogram for each operation and success, found without a lock after its first use.
pub struct Operations<const N: usize> {
    family: HistogramFamily<N>,
    labels: fn(&'static str, bool) -> [(&'static str, String); N],
    series: [[OnceLock<Histogram>; 2]; Operation::COUNT],
}

impl<const N: usize> Operations<N> {
    pub(super) fn new(
        b: &mut Builder,
        name: &'static str,
        help: &str,
        buckets: Buckets,
        labels: fn(&'static str, bool) -> [(&'static str, String); N],
    ) -> Self {
        Self { family: b.histograms(name, help, buckets), labels, series: Default::default() }
    }

    pub fn observe(&self, operation: Operation, success: bool, took: Duration) {
        // Both indices are within their bounds by type.
        let series = &self.series[operation as usize][usize::from(success)];
        let made = || self.family.get_or_create_owned(&(self.labels)(operation.name(), success));
        series.get_or_init(made).observe(took.as_secs_f64());
    }
}
