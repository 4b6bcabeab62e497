//! Numbers about one other member, by its id in hexadecimal.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::families::{Builder, HistogramFamily, Labels, buckets};

pub struct Peers {
    sent_bytes: Family<Labels<1>, Counter>,
    received_bytes: Family<Labels<1>, Counter>,
    sent_failures: Family<Labels<1>, Counter>,
    received_failures: Family<Labels<1>, Counter>,
    round_trip: HistogramFamily<1>,
    active: Family<Labels<2>, Gauge>,
    known: Family<Labels<2>, Gauge>,
    disconnected: Family<Labels<2>, Counter>,
    snapshot_send_success: Family<Labels<1>, Counter>,
    snapshot_send_failures: Family<Labels<1>, Counter>,
    snapshot_send_inflights: Family<Labels<1>, Gauge>,
    snapshot_send_duration: HistogramFamily<1>,
    snapshot_receive_success: Family<Labels<1>, Counter>,
    snapshot_receive_failures: Family<Labels<1>, Counter>,
    snapshot_receive_inflights: Family<Labels<1>, Gauge>,
    snapshot_receive_duration: HistogramFamily<1>,
}

/// Handles for one peer; make them once and keep them.
#[derive(Debug, Clone)]
pub struct Peer {
    pub sent_bytes: Counter,
    pub received_bytes: Counter,
    pub sent_failures: Counter,
    pub received_failures: Counter,
    /// Seconds.
    pub round_trip: Histogram,
    /// 1 while a connection is open.
    pub active: Gauge,
    pub disconnected: Counter,
    pub snapshot_send_success: Counter,
    pub snapshot_send_failures: Counter,
    pub snapshot_send_inflights: Gauge,
    pub snapshot_send_duration: Histogram,
    pub snapshot_receive_success: Counter,
    pub snapshot_receive_failures: Counter,
    pub snapshot_receive_inflights: Gauge,
    pub snapshot_receive_duration: Histogram,
}

impl Peers {
    pub(super) fn new(b: &mut Builder) -> Self {
        Self {
            sent_bytes: b.counters("etcd_network_peer_sent_bytes_total", "Bytes sent to a member"),
            received_bytes: b.counters("etcd_network_peer_received_bytes_total", "Bytes received from a member"),
            sent_failures: b.counters("etcd_network_peer_sent_failures_total", "Messages to a member that failed"),
            received_failures: b
                .counters("etcd_network_peer_received_failures_total", "Messages from a member that failed"),
            round_trip: b.histograms(
                "etcd_network_peer_round_trip_time_seconds",
                "Round trip to a member",
                buckets(0.0001, 16),
            ),
            active: b.gauges("etcd_network_active_peers", "1 while a member is connected"),
            known: b.gauges("etcd_network_known_peers", "1 for each member of the cluster, this one too"),
            disconnected: b.counters("etcd_network_disconnected_peers_total", "Connections to a member that broke"),
            snapshot_send_success: b.counters("etcd_network_snapshot_send_success", "Snapshots sent"),
            snapshot_send_failures: b.counters("etcd_network_snapshot_send_failures", "Snapshots not sent"),
            snapshot_send_inflights: b
                .gauges("etcd_network_snapshot_send_inflights_total", "Snapshots that are being sent"),
            snapshot_send_duration: b.histograms(
                "etcd_network_snapshot_send_total_duration_seconds",
                "Time to send a snapshot",
                buckets(0.1, 10),
            ),
            snapshot_receive_success: b.counters("etcd_network_snapshot_receive_success", "Snapshots received"),
            snapshot_receive_failures: b.counters("etcd_network_snapshot_receive_failures", "Snapshots not received"),
            snapshot_receive_inflights: b
                .gauges("etcd_network_snapshot_receive_inflights_total", "Snapshots that are being received"),
            snapshot_receive_duration: b.histograms(
                "etcd_network_snapshot_receive_total_duration_seconds",
                "Time to receive a snapshot",
                buckets(0.1, 10),
            ),
        }
    }

    /// The handles of one peer.
    pub fn peer(&self, local: u64, remote: u64) -> Peer {
        let id = format!("{remote:x}");
        let to = [("To", id.clone())];
        let from = [("From", id.clone())];
        let pair = [("Local", format!("{local:x}")), ("Remote", id)];
        Peer {
            sent_bytes: self.sent_bytes.get_or_create_owned(&to),
            received_bytes: self.received_bytes.get_or_create_owned(&from),
            sent_failures: self.sent_failures.get_or_create_owned(&to),
            received_failures: self.received_failures.get_or_create_owned(&from),
            round_trip: self.round_trip.get_or_create_owned(&to),
            active: self.active.get_or_create_owned(&pair),
            disconnected: self.disconnected.get_or_create_owned(&pair),
            snapshot_send_success: self.snapshot_send_success.get_or_create_owned(&to),
            snapshot_send_failures: self.snapshot_send_failures.get_or_create_owned(&to),
            snapshot_send_inflights: self.snapshot_send_inflights.get_or_create_owned(&to),
            snapshot_send_duration: self.snapshot_send_duration.get_or_create_owned(&to),
            snapshot_receive_success: self.snapshot_receive_success.get_or_create_owned(&from),
            snapshot_receive_failures: self.snapshot_receive_failures.get_or_create_owned(&from),
            snapshot_receive_inflights: self.snapshot_receive_inflights.get_or_create_owned(&from),
            snapshot_receive_duration: self.snapshot_receive_duration.get_or_create_owned(&from),
        }
    }

    /// Says which members the cluster has now, this one too.
    pub fn set_known(&self, local: u64, members: &[u64]) {
        self.known.clear();
        for remote in members {
            let pair = [("Local", format!("{local:x}")), ("Remote", format!("{remote:x}"))];
            self.known.get_or_create(&pair).set(1);
        }
    }

    /// Forgets a removed member's series.
    pub fn forget(&self, local: u64, remote: u64) {
        let pair = [("Local", format!("{local:x}")), ("Remote", format!("{remote:x}"))];
        self.active.remove(&pair);
        self.known.remove(&pair);
        self.disconnected.remove(&pair);
    }
}
