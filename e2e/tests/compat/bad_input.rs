//! Calls that are wrong in themselves, over gRPC: upstream's code and text, and nothing is changed by what is refused.

use std::fmt::Write as _;

use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_proto::etcdserverpb::auth_client::AuthClient;
use quorate_proto::etcdserverpb::kv_client::KvClient;
use quorate_proto::etcdserverpb::lease_client::LeaseClient;
use quorate_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use quorate_proto::etcdserverpb::request_op::Request as Op;
use quorate_proto::etcdserverpb::{self as pb};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// More than `--max-request-bytes` allows, and less than gRPC's own limit for the call.
const TOO_LARGE_BYTES: usize = 1_600_000;
const OPERATIONS_BEYOND_LIMIT: usize = 129;
const UNKNOWN: i32 = 99;

fn line<T>(answer: Result<T, Status>) -> String {
    match answer {
        Ok(_) => "ok".to_owned(),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

fn range(key: &'static str) -> pb::RangeRequest {
    pb::RangeRequest { key: key.into(), ..Default::default() }
}

fn ranges() -> Vec<(&'static str, pb::RangeRequest)> {
    vec![
        ("no key", range("")),
        ("no key with an end", pb::RangeRequest { range_end: "z".into(), ..range("") }),
        ("an end before the key", pb::RangeRequest { range_end: "a".into(), ..range("k") }),
        ("a negative limit", pb::RangeRequest { limit: -1, ..range("k") }),
        ("the least limit", pb::RangeRequest { limit: i64::MIN, ..range("k") }),
        ("a negative revision", pb::RangeRequest { revision: -1, ..range("k") }),
        ("a revision to come", pb::RangeRequest { revision: i64::MAX, ..range("k") }),
        ("an unknown order", pb::RangeRequest { sort_order: UNKNOWN, ..range("k") }),
        ("an unknown target", pb::RangeRequest { sort_target: UNKNOWN, ..range("k") }),
        ("a negative order", pb::RangeRequest { sort_order: -1, ..range("k") }),
        ("keys and count alone", pb::RangeRequest { keys_only: true, count_only: true, ..range("k") }),
        ("bounds that contradict", pb::RangeRequest { min_mod_revision: 9, max_mod_revision: 1, ..range("k") }),
        ("negative bounds", pb::RangeRequest { min_mod_revision: -1, max_create_revision: -1, ..range("k") }),
    ]
}

fn put(key: &'static str) -> pb::PutRequest {
    pb::PutRequest { key: key.into(), ..Default::default() }
}

fn puts() -> Vec<(&'static str, pb::PutRequest)> {
    vec![
        ("no key", put("")),
        ("a lease that isn't", pb::PutRequest { lease: 1000, ..put("k") }),
        ("a negative lease", pb::PutRequest { lease: -1, ..put("k") }),
        ("a value to be ignored", pb::PutRequest { value: "v".into(), ignore_value: true, ..put("k") }),
        ("a lease to be ignored", pb::PutRequest { lease: 1, ignore_lease: true, ..put("k") }),
        ("ignored value of nothing", pb::PutRequest { ignore_value: true, ..put("missing") }),
        ("too large", pb::PutRequest { value: vec![0; TOO_LARGE_BYTES].into(), ..put("k") }),
    ]
}

fn transactions() -> Vec<(&'static str, pb::TxnRequest)> {
    let op = |request: Op| pb::RequestOp { request: Some(request) };
    let success = |success: Vec<pb::RequestOp>| pb::TxnRequest { success, ..Default::default() };
    let compare = |compare: pb::Compare| pb::TxnRequest { compare: vec![compare], ..Default::default() };
    let of_k = || pb::Compare { key: "k".into(), ..Default::default() };
    vec![
        ("an operation without content", success(vec![pb::RequestOp { request: None }])),
        ("the same key twice", success(vec![op(Op::RequestPut(put("k"))), op(Op::RequestPut(put("k")))])),
        ("too many operations", success(vec![op(Op::RequestRange(range("k"))); OPERATIONS_BEYOND_LIMIT])),
        ("an operation without key", success(vec![op(Op::RequestPut(put("")))])),
        ("an unknown result", compare(pb::Compare { result: UNKNOWN, ..of_k() })),
        ("an unknown target", compare(pb::Compare { target: UNKNOWN, ..of_k() })),
        ("a comparison without key", compare(pb::Compare::default())),
        ("a comparison without value", compare(of_k())),
        ("a comparison's end before its key", compare(pb::Compare { range_end: "a".into(), ..of_k() })),
        ("a revision to come", success(vec![op(Op::RequestRange(pb::RangeRequest { revision: 999, ..range("k") }))])),
    ]
}

struct Report {
    channel: Channel,
    lines: Vec<(String, String)>,
}

impl Report {
    /// Asks for the state before and after: what is refused has changed nothing.
    async fn add<T>(&mut self, name: String, call: impl Future<Output = Result<T, Status>>) {
        let before = self.state().await;
        let answer = line(call.await);
        if answer != "ok" {
            assert_eq!(self.state().await, before, "{name}: {answer}");
        }
        self.lines.push((name, answer));
    }

    async fn state(&self) -> (u32, i64, u64) {
        let mut maintenance = MaintenanceClient::new(self.channel.clone());
        let hash = maintenance.hash_kv(pb::HashKvRequest { revision: 0 }).await.unwrap().into_inner();
        let auth = AuthClient::new(self.channel.clone()).auth_status(pb::AuthStatusRequest {}).await.unwrap();
        (hash.hash, hash.header.unwrap().revision, auth.into_inner().auth_revision)
    }
}

async fn table(flavour: Flavour) -> Vec<(String, String)> {
    let mut server = Cluster::single(flavour).await.unwrap();
    let channel = Endpoint::from_shared(format!("http://{}", server.endpoints()[0])).unwrap().connect().await.unwrap();
    let mut kv = KvClient::new(channel.clone());
    kv.put(put("k")).await.unwrap();
    let mut report = Report { channel: channel.clone(), lines: Vec::new() };
    for (name, request) in ranges() {
        report.add(format!("range: {name}"), kv.range(request)).await;
    }
    for (name, request) in puts() {
        report.add(format!("put: {name}"), kv.put(request)).await;
    }
    for (key, end) in [("", ""), ("", "z"), ("k", "a"), ("missing", "missing")] {
        let request = pb::DeleteRangeRequest { key: key.into(), range_end: end.into(), ..Default::default() };
        report.add(format!("delete {key:?} to {end:?}"), kv.delete_range(request)).await;
    }
    for (name, request) in transactions() {
        report.add(format!("txn: {name}"), kv.txn(request)).await;
    }
    for revision in [-1, i64::MIN, i64::MAX] {
        report
            .add(format!("compact {revision}"), kv.compact(pb::CompactionRequest { revision, physical: false }))
            .await;
    }
    let mut leases = LeaseClient::new(channel.clone());
    for (id, ttl) in [(1, 0), (2, -1), (3, i64::MAX), (4, i64::MIN), (-5, 60), (i64::MIN, 60), (-5, 60)] {
        report.add(format!("grant {id} for {ttl}"), leases.lease_grant(pb::LeaseGrantRequest { id, ttl })).await;
    }
    for id in [0, -1, 999] {
        report.add(format!("revoke {id}"), leases.lease_revoke(pb::LeaseRevokeRequest { id })).await;
        let request = pb::LeaseTimeToLiveRequest { id, keys: true };
        report.add(format!("time to live {id}"), leases.lease_time_to_live(request)).await;
    }
    let mut maintenance = MaintenanceClient::new(channel.clone());
    for revision in [-1, 999] {
        report.add(format!("hash at {revision}"), maintenance.hash_kv(pb::HashKvRequest { revision })).await;
    }
    let request = pb::AlarmRequest { alarm: UNKNOWN, ..Default::default() };
    report.add("an unknown alarm".to_owned(), maintenance.alarm(request)).await;
    // Alone: etcd's server panics on an action that it doesn't know, and ends.
    if flavour == Flavour::Quorate {
        let request = pb::AlarmRequest { action: UNKNOWN, ..Default::default() };
        assert_eq!(line(maintenance.alarm(request).await), "ok");
    }
    let request = pb::DowngradeRequest { action: UNKNOWN, version: "3.6.0".to_owned() };
    report.add("an unknown downgrade".to_owned(), maintenance.downgrade(request)).await;
    let process = server.member(0).running().unwrap();
    process.must_run().unwrap();
    assert!(!process.log().contains("panic"), "{}", process.log());
    report.lines
}

#[tokio::test]
async fn bad_calls_are_answered_as_by_upstream_and_change_nothing() {
    let expected = table(Flavour::Upstream).await;
    let got = table(Flavour::under_test()).await;
    assert!(expected.iter().filter(|(_, answer)| answer != "ok").count() >= 25, "{expected:?}");
    assert_eq!(expected.len(), got.len());
    let mut differences = String::new();
    for ((name, expected), (_, got)) in expected.iter().zip(&got).filter(|(one, other)| one != other) {
        let _ = writeln!(differences, "{name}\n  expected {expected}\n  got      {got}");
    }
    assert!(differences.is_empty(), "{differences}");
}
