//! Counters of every gRPC method, made before the first call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::families::{Buckets, Builder, HistogramFamily, Labels};

/// How a method streams, in the words of the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Unary,
    ServerStream,
    BidiStream,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::ServerStream => "server_stream",
            Self::BidiStream => "bidi_stream",
        }
    }
}

/// Names of the gRPC codes, by number.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

use Kind::{BidiStream, ServerStream, Unary};

const METHODS: &[(&str, &[(&str, Kind)])] = &[
    (
        "etcdserverpb.KV",
        &[
            ("Range", Unary),
            ("RangeStream", ServerStream),
            ("Put", Unary),
            ("DeleteRange", Unary),
            ("Txn", Unary),
            ("Compact", Unary),
        ],
    ),
    ("etcdserverpb.Watch", &[("Watch", BidiStream)]),
    (
        "etcdserverpb.Lease",
        &[
            ("LeaseGrant", Unary),
            ("LeaseRevoke", Unary),
            ("LeaseKeepAlive", BidiStream),
            ("LeaseTimeToLive", Unary),
            ("LeaseLeases", Unary),
        ],
    ),
    (
        "etcdserverpb.Cluster",
        &[
            ("MemberAdd", Unary),
            ("MemberRemove", Unary),
            ("MemberUpdate", Unary),
            ("MemberList", Unary),
            ("MemberPromote", Unary),
        ],
    ),
    (
        "etcdserverpb.Maintenance",
        &[
            ("Alarm", Unary),
            ("Status", Unary),
            ("Defragment", Unary),
            ("Hash", Unary),
            ("HashKV", Unary),
            ("Snapshot", ServerStream),
            ("MoveLeader", Unary),
            ("Downgrade", Unary),
        ],
    ),
    (
        "etcdserverpb.Auth",
        &[
            ("AuthEnable", Unary),
            ("AuthDisable", Unary),
            ("AuthStatus", Unary),
            ("Authenticate", Unary),
            ("UserAdd", Unary),
            ("UserGet", Unary),
            ("UserList", Unary),
            ("UserDelete", Unary),
            ("UserChangePassword", Unary),
            ("UserGrantRole", Unary),
            ("UserRevokeRole", Unary),
            ("RoleAdd", Unary),
            ("RoleGet", Unary),
            ("RoleList", Unary),
            ("RoleDelete", Unary),
            ("RoleGrantPermission", Unary),
            ("RoleRevokePermission", Unary),
        ],
    ),
    ("v3lockpb.Lock", &[("Lock", Unary), ("Unlock", Unary)]),
    (
        "v3electionpb.Election",
        &[("Campaign", Unary), ("Proclaim", Unary), ("Leader", Unary), ("Observe", ServerStream), ("Resign", Unary)],
    ),
    ("grpc.health.v1.Health", &[("Check", Unary), ("Watch", ServerStream)]),
];

/// Counters of one method. Cheap to share; every call is a few atomic additions.
#[derive(Debug)]
pub struct Rpc {
    /// Its HTTP path, such as `/etcdserverpb.KV/Range`.
    pub path: String,
    /// Whether answers are streams.
    pub streams: bool,
    pub started: Counter,
    pub msg_received: Counter,
    pub msg_sent: Counter,
    handled: [Counter; CODES.len()],
    handling_seconds: Option<Histogram>,
}

impl Rpc {
    /// Counts the end of a call by its gRPC code; unknown codes count as `Unknown`.
    pub fn handled(&self, code: i32, took: Duration) {
        let code = usize::try_from(code).unwrap_or(2);
        if let Some(counter) = self.handled.get(code).or(self.handled.get(2)) {
            counter.inc();
        }
        if let Some(histogram) = &self.handling_seconds {
            histogram.observe(took.as_secs_f64());
        }
    }
}

/// All methods. Look a method up once, when its handler is made, or by path for each call (one hash, no lock).
pub struct Rpcs {
    by_path: HashMap<String, Arc<Rpc>>,
}

impl Rpcs {
    pub(super) fn new(b: &mut Builder, extensive: bool) -> Self {
        let started: Family<Labels<3>, Counter> = b.counters("grpc_server_started_total", "Calls started");
        let handled: Family<Labels<4>, Counter> = b.counters("grpc_server_handled_total", "Calls ended, by code");
        let received: Family<Labels<3>, Counter> =
            b.counters("grpc_server_msg_received_total", "Messages received from clients");
        let sent: Family<Labels<3>, Counter> = b.counters("grpc_server_msg_sent_total", "Messages sent to clients");
        let seconds: Option<HistogramFamily<3>> = extensive.then(|| {
            // Prometheus' default buckets reach 10 s; powers of two keep the same ends within the same count.
            b.histograms("grpc_server_handling_seconds", "Time of a call", Buckets { start: 0.005, count: 12 })
        });
        let mut by_path = HashMap::new();
        for (service, methods) in METHODS {
            for (method, kind) in *methods {
                // Sorted by name, as etcd's exposition has them.
                let labels = [
                    ("grpc_method", (*method).to_owned()),
                    ("grpc_service", (*service).to_owned()),
                    ("grpc_type", kind.as_str().to_owned()),
                ];
                let by_code = CODES.map(|code| {
                    let [method, service, kind] = labels.clone();
                    handled.get_or_create_owned(&[("grpc_code", code.to_owned()), method, service, kind])
                });
                let path = format!("/{service}/{method}");
                let rpc = Rpc {
                    path: path.clone(),
                    streams: *kind != Kind::Unary,
                    started: started.get_or_create_owned(&labels),
                    msg_received: received.get_or_create_owned(&labels),
                    msg_sent: sent.get_or_create_owned(&labels),
                    handled: by_code,
                    handling_seconds: seconds.as_ref().map(|family| family.get_or_create_owned(&labels)),
                };
                by_path.insert(path, Arc::new(rpc));
            }
        }
        Self { by_path }
    }

    /// The counters of a method by its HTTP path, such as `/etcdserverpb.KV/Range`.
    pub fn get(&self, path: &str) -> Option<&Arc<Rpc>> {
        self.by_path.get(path)
    }
}
