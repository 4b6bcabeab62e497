//! Every call by six callers, plain, in transactions and nested in them: the answers are upstream's.

use std::fmt::Write as _;

use futures::StreamExt;
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_proto::authpb::permission::Type;
use quorate_proto::authpb::{Permission, UserAddOptions};
use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::auth_client::AuthClient;
use quorate_proto::etcdserverpb::cluster_client::ClusterClient;
use quorate_proto::etcdserverpb::kv_client::KvClient;
use quorate_proto::etcdserverpb::lease_client::LeaseClient;
use quorate_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use quorate_proto::etcdserverpb::request_op::Request as Op;
use quorate_proto::etcdserverpb::watch_client::WatchClient;
use quorate_proto::etcdserverpb::{self as pb, compare, watch_request::RequestUnion};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Keys below `k` are the reader's and the writer's; `z` is nobody's.
const CALLERS: [&str; 6] = ["nobody", "forger", "stranger", "reader", "writer", "root"];
/// Holds `z1`.
const LEASE_OF_Z: i64 = 100;
/// Holds `k9`.
const LEASE_OF_K: i64 = 200;

struct Caller {
    channel: Channel,
    token: Option<String>,
}

impl Caller {
    fn of<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.parse().unwrap());
        }
        request
    }
}

/// A call's answer in a line: what was found, or code and text.
macro_rules! ask {
    ($caller:expr, $client:ident.$method:ident, $message:expr) => {
        ask!($caller, $client.$method, $message, |_| String::new())
    };
    ($caller:expr, $client:ident.$method:ident, $message:expr, $shown:expr) => {
        line(
            $client::new($caller.channel.clone()).$method($caller.of($message)).await.map(tonic::Response::into_inner),
            $shown,
        )
    };
}

fn line<T>(answer: Result<T, Status>, shown: impl FnOnce(T) -> String) -> String {
    match answer {
        Ok(answer) => format!("ok {}", shown(answer)),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

fn put(key: &str, prev_kv: bool, lease: i64) -> Op {
    Op::RequestPut(pb::PutRequest {
        key: key.to_owned().into(),
        value: "v".into(),
        prev_kv,
        lease,
        ..Default::default()
    })
}

fn range(key: &str, end: &str) -> Op {
    let (key, range_end) = (key.to_owned().into(), end.to_owned().into());
    Op::RequestRange(pb::RangeRequest { key, range_end, ..Default::default() })
}

fn delete(key: &str, end: &str, prev_kv: bool) -> Op {
    let (key, range_end) = (key.to_owned().into(), end.to_owned().into());
    Op::RequestDeleteRange(pb::DeleteRangeRequest { key, range_end, prev_kv })
}

fn operations() -> Vec<(&'static str, Op)> {
    vec![
        ("range k1", range("k1", "")),
        ("range z1", range("z1", "")),
        ("range k", range("k", "l")),
        ("range part of k", range("k1", "k3")),
        ("range more than k", range("a", "l")),
        ("range all", range("\0", "\0")),
        ("range nothing", range("k3", "k1")),
        (
            "range serializable",
            Op::RequestRange(pb::RangeRequest { key: "z1".into(), serializable: true, ..Default::default() }),
        ),
        (
            "count z",
            Op::RequestRange(pb::RangeRequest {
                key: "z".into(),
                range_end: "zz".into(),
                count_only: true,
                ..Default::default()
            }),
        ),
        ("put k1", put("k1", false, 0)),
        ("put z1", put("z2", false, 0)),
        ("put k1, previous", put("k1", true, 0)),
        ("put k1 on a lease of k", put("k1", false, LEASE_OF_K)),
        ("put k1 on a lease of z", put("k1", false, LEASE_OF_Z)),
        ("put k1 on no lease that is", put("k1", false, 999)),
        ("delete k1", delete("k1", "", false)),
        ("delete k1, previous", delete("k1", "", true)),
        ("delete z2", delete("z2", "", false)),
        ("delete part of k", delete("k2", "k5", false)),
        ("delete more than k", delete("k2", "z", false)),
    ]
}

fn txn(compare: Vec<pb::Compare>, success: Vec<Op>, failure: Vec<Op>) -> pb::TxnRequest {
    let ops = |ops: Vec<Op>| ops.into_iter().map(|request| pb::RequestOp { request: Some(request) }).collect();
    pb::TxnRequest { compare, success: ops(success), failure: ops(failure) }
}

fn compares(key: &str, end: &str) -> pb::Compare {
    pb::Compare {
        result: compare::CompareResult::Greater as i32,
        target: compare::CompareTarget::Version as i32,
        key: key.to_owned().into(),
        range_end: end.to_owned().into(),
        target_union: Some(compare::TargetUnion::Version(-1)),
    }
}

async fn plain(caller: &Caller, op: Op) -> String {
    match op {
        Op::RequestRange(request) => {
            ask!(caller, KvClient.range, request, |found: pb::RangeResponse| format!(
                "{} of {}",
                found.kvs.len(),
                found.count
            ))
        }
        Op::RequestPut(request) => {
            ask!(caller, KvClient.put, request, |put: pb::PutResponse| format!("{:?}", put.prev_kv.is_some()))
        }
        Op::RequestDeleteRange(request) => {
            ask!(caller, KvClient.delete_range, request, |deleted: pb::DeleteRangeResponse| {
                format!("{} {}", deleted.deleted, deleted.prev_kvs.len())
            })
        }
        Op::RequestTxn(request) => {
            ask!(caller, KvClient.txn, request, |txn: pb::TxnResponse| format!(
                "{} {}",
                txn.succeeded,
                txn.responses.len()
            ))
        }
    }
}

async fn keys(caller: &Caller, report: &mut Report) {
    for (name, op) in operations() {
        report.add(name, plain(caller, op.clone()).await);
        let one = txn(vec![], vec![op.clone()], vec![]);
        report.add(&format!("{name}, in a transaction"), plain(caller, Op::RequestTxn(one.clone())).await);
        let other = txn(vec![], vec![], vec![op]);
        report.add(&format!("{name}, on the other branch"), plain(caller, Op::RequestTxn(other.clone())).await);
        let nested = txn(vec![], vec![Op::RequestTxn(one)], vec![Op::RequestTxn(other)]);
        report.add(&format!("{name}, nested"), plain(caller, Op::RequestTxn(nested)).await);
    }
    for (name, key, end) in [("k1", "k1", ""), ("z1", "z1", ""), ("k", "k", "l"), ("all", "\0", "\0")] {
        let compared = txn(vec![compares(key, end)], vec![], vec![]);
        report.add(&format!("compare {name}"), plain(caller, Op::RequestTxn(compared.clone())).await);
        let nested = txn(vec![], vec![Op::RequestTxn(compared)], vec![]);
        report.add(&format!("compare {name}, nested"), plain(caller, Op::RequestTxn(nested)).await);
    }
    let compaction = pb::CompactionRequest { revision: 2, physical: false };
    report.add("compact", ask!(caller, KvClient.compact, compaction));
}

async fn leases(caller: &Caller, report: &mut Report) {
    let grant = pb::LeaseGrantRequest { id: 0, ttl: 600 };
    report.add("lease grant", ask!(caller, LeaseClient.lease_grant, grant));
    for (name, id) in [("k", LEASE_OF_K), ("z", LEASE_OF_Z), ("nothing", 999)] {
        for keys in [false, true] {
            let request = pb::LeaseTimeToLiveRequest { id, keys };
            let shown = |lease: pb::LeaseTimeToLiveResponse| format!("{} {}", lease.granted_ttl, lease.keys.len());
            report.add(
                &format!("lease of {name}, keys {keys}"),
                ask!(caller, LeaseClient.lease_time_to_live, request, shown),
            );
        }
        report.add(&format!("keep alive lease of {name}"), keep_alive(caller, id).await);
    }
    let shown = |leases: pb::LeaseLeasesResponse| format!("{}", leases.leases.len() > 1);
    report.add("leases", ask!(caller, LeaseClient.lease_leases, pb::LeaseLeasesRequest {}, shown));
}

async fn keep_alive(caller: &Caller, id: i64) -> String {
    let requests = futures::stream::iter([pb::LeaseKeepAliveRequest { id }]);
    let answered = async {
        let answers = LeaseClient::new(caller.channel.clone()).lease_keep_alive(caller.of(requests)).await?;
        answers.into_inner().message().await
    };
    line(answered.await, |answer| format!("{}", answer.map_or(-1, |answer| answer.ttl)))
}

async fn watches(caller: &Caller, report: &mut Report) {
    for (name, key, end) in [("k1", "k1", ""), ("k", "k", "l"), ("z1", "z1", ""), ("all", "", "\0"), ("more", "a", "l")]
    {
        let create = pb::WatchCreateRequest { key: key.into(), range_end: end.into(), ..Default::default() };
        let create = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let requests = futures::stream::iter([create]).chain(futures::stream::pending());
        let answered = async {
            let answers = WatchClient::new(caller.channel.clone()).watch(caller.of(requests)).await?;
            answers.into_inner().message().await
        };
        let shown = |answer: Option<pb::WatchResponse>| {
            let answer = answer.unwrap_or_default();
            format!("{} {} {} {}", answer.created, answer.canceled, answer.watch_id, answer.cancel_reason)
        };
        report.add(&format!("watch {name}"), line(answered.await, shown));
    }
}

async fn maintenance(caller: &Caller, report: &mut Report) {
    let alarm = |action: AlarmAction| pb::AlarmRequest { action: action as i32, ..Default::default() };
    report.add("alarms", ask!(caller, MaintenanceClient.alarm, alarm(AlarmAction::Get)));
    report.add("disarm", ask!(caller, MaintenanceClient.alarm, alarm(AlarmAction::Deactivate)));
    report.add("arm nothing", ask!(caller, MaintenanceClient.alarm, alarm(AlarmAction::Activate)));
    report.add("status", ask!(caller, MaintenanceClient.status, pb::StatusRequest {}));
    report.add("defragment", ask!(caller, MaintenanceClient.defragment, pb::DefragmentRequest {}));
    report.add("hash", ask!(caller, MaintenanceClient.hash, pb::HashRequest {}));
    report.add("hash of keys", ask!(caller, MaintenanceClient.hash_kv, pb::HashKvRequest { revision: 0 }));
    report.add("move leader", ask!(caller, MaintenanceClient.move_leader, pb::MoveLeaderRequest { target_id: 1 }));
    let snapshot = async {
        let pieces = MaintenanceClient::new(caller.channel.clone()).snapshot(caller.of(pb::SnapshotRequest {})).await?;
        pieces.into_inner().message().await
    };
    report.add("snapshot", line(snapshot.await, |piece| format!("{}", piece.is_some())));
}

async fn cluster(caller: &Caller, report: &mut Report) {
    for linearizable in [false, true] {
        let request = pb::MemberListRequest { linearizable };
        report.add("member list", ask!(caller, ClusterClient.member_list, request));
    }
    let peer_ur_ls = vec!["http://127.0.0.1:1".to_owned()];
    let update = pb::MemberUpdateRequest { id: 1, peer_ur_ls: peer_ur_ls.clone() };
    report.add("member update", ask!(caller, ClusterClient.member_update, update));
    report.add("member remove", ask!(caller, ClusterClient.member_remove, pb::MemberRemoveRequest { id: 1 }));
    report.add("member promote", ask!(caller, ClusterClient.member_promote, pb::MemberPromoteRequest { id: 1 }));
    let add = pb::MemberAddRequest { peer_ur_ls, is_learner: true };
    report.add("member add", ask!(caller, ClusterClient.member_add, add));
}

async fn accounts(name: &str, caller: &Caller, report: &mut Report) {
    let text = str::to_owned;
    report.add(
        "auth status",
        ask!(caller, AuthClient.auth_status, pb::AuthStatusRequest {}, |status: pb::AuthStatusResponse| {
            format!("{} {}", status.enabled, status.auth_revision)
        }),
    );
    report.add("auth enable", ask!(caller, AuthClient.auth_enable, pb::AuthEnableRequest {}));
    let add = pb::AuthUserAddRequest { name: format!("made-by-{name}"), password: text("p"), ..Default::default() };
    report.add("user add", ask!(caller, AuthClient.user_add, add));
    for other in [name, "stranger", "root", "missing"] {
        let get = pb::AuthUserGetRequest { name: text(other) };
        let shown = |user: pb::AuthUserGetResponse| user.roles.join(" ");
        report.add(&format!("user get {other}"), ask!(caller, AuthClient.user_get, get, shown));
    }
    let shown = |users: pb::AuthUserListResponse| users.users.join(" ");
    report.add("user list", ask!(caller, AuthClient.user_list, pb::AuthUserListRequest {}, shown));
    let delete = pb::AuthUserDeleteRequest { name: text("missing") };
    report.add("user delete", ask!(caller, AuthClient.user_delete, delete));
    let password =
        pb::AuthUserChangePasswordRequest { name: text("missing"), password: text("p"), ..Default::default() };
    report.add("user passwd", ask!(caller, AuthClient.user_change_password, password));
    let own = pb::AuthUserChangePasswordRequest { name: text(name), password: text("p"), ..Default::default() };
    if name != "root" {
        report.add("user passwd of its own", ask!(caller, AuthClient.user_change_password, own));
    }
    let grant = pb::AuthUserGrantRoleRequest { user: text("stranger"), role: text("missing") };
    report.add("grant role", ask!(caller, AuthClient.user_grant_role, grant));
    let revoke = pb::AuthUserRevokeRoleRequest { name: text("stranger"), role: text("missing") };
    report.add("revoke role", ask!(caller, AuthClient.user_revoke_role, revoke));
    report
        .add("role add", ask!(caller, AuthClient.role_add, pb::AuthRoleAddRequest { name: format!("made-by-{name}") }));
    for role in ["reads-k", "writes-k", "root", "missing"] {
        let shown = |role: pb::AuthRoleGetResponse| format!("{:?}", role.perm);
        let get = pb::AuthRoleGetRequest { role: text(role) };
        report.add(&format!("role get {role}"), ask!(caller, AuthClient.role_get, get, shown));
    }
    let shown = |roles: pb::AuthRoleListResponse| roles.roles.join(" ");
    report.add("role list", ask!(caller, AuthClient.role_list, pb::AuthRoleListRequest {}, shown));
    report
        .add("role delete", ask!(caller, AuthClient.role_delete, pb::AuthRoleDeleteRequest { role: text("missing") }));
    let perm = Some(Permission { perm_type: Type::Read as i32, key: "a".into(), range_end: "b".into() });
    let grant = pb::AuthRoleGrantPermissionRequest { name: text("missing"), perm };
    report.add("grant permission", ask!(caller, AuthClient.role_grant_permission, grant));
    let revoke = pb::AuthRoleRevokePermissionRequest { role: text("missing"), key: "a".into(), range_end: "b".into() };
    report.add("revoke permission", ask!(caller, AuthClient.role_revoke_permission, revoke));
    for (user, password) in [("stranger", "wrong"), ("missing", "p"), ("locked", "p"), ("", "")] {
        let request = pb::AuthenticateRequest { name: text(user), password: text(password) };
        report.add(&format!("authenticate {user}"), ask!(caller, AuthClient.authenticate, request));
    }
}

/// What each call came to, by its caller and name.
#[derive(Default)]
struct Report {
    caller: &'static str,
    lines: Vec<(String, String)>,
}

impl Report {
    fn add(&mut self, name: &str, answer: String) {
        self.lines.push((format!("{}: {name}", self.caller), answer));
    }
}

async fn prepare(root: &Caller) {
    let text = str::to_owned;
    let mut client = AuthClient::new(root.channel.clone());
    for user in ["root", "stranger", "reader", "writer"] {
        let add = pb::AuthUserAddRequest { name: text(user), password: format!("{user}!"), ..Default::default() };
        client.user_add(add).await.unwrap();
    }
    let options = Some(UserAddOptions { no_password: true });
    client.user_add(pb::AuthUserAddRequest { name: text("locked"), options, ..Default::default() }).await.unwrap();
    for (role, kind, user) in [("reads-k", Type::Read, "reader"), ("writes-k", Type::Write, "writer")] {
        client.role_add(pb::AuthRoleAddRequest { name: text(role) }).await.unwrap();
        let perm = Some(Permission { perm_type: kind as i32, key: "k".into(), range_end: "l".into() });
        client.role_grant_permission(pb::AuthRoleGrantPermissionRequest { name: text(role), perm }).await.unwrap();
        client.user_grant_role(pb::AuthUserGrantRoleRequest { user: text(user), role: text(role) }).await.unwrap();
    }
    client.user_grant_role(pb::AuthUserGrantRoleRequest { user: text("root"), role: text("root") }).await.unwrap();
    let mut leases = LeaseClient::new(root.channel.clone());
    for id in [LEASE_OF_Z, LEASE_OF_K] {
        leases.lease_grant(pb::LeaseGrantRequest { id, ttl: 600 }).await.unwrap();
    }
    for (key, lease) in [("z1", LEASE_OF_Z), ("k9", LEASE_OF_K), ("k1", 0), ("k2", 0)] {
        plain(root, put(key, false, lease)).await;
    }
    client.auth_enable(pb::AuthEnableRequest {}).await.unwrap();
}

async fn token_of(channel: &Channel, name: &str) -> Option<String> {
    match name {
        "nobody" => None,
        "forger" => Some("AAAAAAAAAAAAAAAA.3".to_owned()),
        name => {
            let request = pb::AuthenticateRequest { name: name.to_owned(), password: format!("{name}!") };
            Some(AuthClient::new(channel.clone()).authenticate(request).await.unwrap().into_inner().token)
        }
    }
}

async fn table(flavour: Flavour) -> Vec<(String, String)> {
    let server = Cluster::single(flavour).await.unwrap();
    let channel = Endpoint::from_shared(format!("http://{}", server.endpoints()[0])).unwrap().connect().await.unwrap();
    prepare(&Caller { channel: channel.clone(), token: None }).await;
    let mut report = Report::default();
    for name in CALLERS {
        report.caller = name;
        let caller = Caller { channel: channel.clone(), token: token_of(&channel, name).await };
        keys(&caller, &mut report).await;
        leases(&caller, &mut report).await;
        watches(&caller, &mut report).await;
        maintenance(&caller, &mut report).await;
        accounts(name, &caller, &mut report).await;
        cluster(&caller, &mut report).await;
        for id in [LEASE_OF_Z, 999] {
            let revoke = pb::LeaseRevokeRequest { id };
            report.add(&format!("revoke lease {id}"), ask!(caller, LeaseClient.lease_revoke, revoke));
        }
        if name != "root" {
            report.add("auth disable", ask!(caller, AuthClient.auth_disable, pb::AuthDisableRequest {}));
        }
    }
    report.lines
}

#[tokio::test]
async fn every_call_of_every_caller_is_answered_as_by_upstream() {
    let expected = table(Flavour::Upstream).await;
    let got = table(Flavour::under_test()).await;
    assert!(expected.len() > 6 * 140, "{} calls", expected.len());
    assert_eq!(expected.len(), got.len());
    let mut differences = String::new();
    for ((name, expected), (_, got)) in expected.iter().zip(&got).filter(|(one, other)| one != other) {
        let _ = writeln!(differences, "{name}\n  expected {expected}\n  got      {got}");
    }
    assert!(differences.is_empty(), "{differences}");
}
