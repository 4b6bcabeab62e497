//! The JSON gateway answers as upstream's: the same requests to both, the same status, content type and body.

use quorate_e2e::gateway::{Step, both, of, post};

/// Every method of KV, with names and numbers in all the ways they may be written.
const KV: &[Step] = &[
    post("/v3/kv/put", r#"{"key":"Zm9v","value":"YmFy"}"#),
    post("/v3/kv/put", r#"{"key":"Zm9v","value":"YmF6","prev_kv":true}"#),
    post("/v3/kv/put", r#"{"key":"Zm9v","value":"YmF6","prevKv":true}"#),
    post("/v3beta/kv/put", r#"{"key":"YS8x","value":"-_8"}"#),
    post("/v3/kv/put", r#"{"key":"//79","value":"+/8="}"#),
    post("/v3/kv/put", r#"{"key":"YS8y"}"#),
    post("/v3/kv/put", r#"{"key":"Zm9v","lease":"7"}"#),
    post("/v3/kv/put", r#"{"key":"bWlzc2luZw==","ignore_value":true}"#),
    post("/v3/kv/put", ""),
    post("/v3/kv/range", r#"{"key":"Zm9v"}"#),
    post("/v3/kv/range", r#"{"key":"//79"}"#),
    post("/v3/kv/range", r#"{"key":"AA==","range_end":"AA==","limit":2}"#),
    post("/v3/kv/range", r#"{"key":"AA==","rangeEnd":"AA==","limit":"2","sortOrder":"DESCEND","sort_target":"MOD"}"#),
    post("/v3/kv/range", r#"{"key":"AA==","range_end":"AA==","sort_order":2,"sort_target":3,"keys_only":true}"#),
    post("/v3/kv/range", r#"{"key":"AA==","range_end":"AA==","count_only":true}"#),
    post("/v3/kv/range", r#"{"key":"Zm9v","revision":"2","serializable":true}"#),
    post("/v3/kv/range", r#"{"key":"Zm9v","revision":2e0}"#),
    post("/v3/kv/range", r#"{"key":"Zm9v","revision":1000}"#),
    post("/v3/kv/range", r#"{"key":"Zm9v","revision":null,"limit":null}"#),
    post("/v3/kv/range", r#"{"key":"Zm9v","sort_order":"SIDEWAYS"}"#),
    post("/v3/kv/range", r#"{"key":"Zm9v","sort_order":9}"#),
    post("/v3/kv/range", r#"{"key":"Zm9v","later":{"a":["b"]}}"#),
    post("/v3/kv/range", r#"{"key":"bWlzc2luZw=="}"#),
    post(
        "/v3/kv/txn",
        r#"{"compare":[{"target":"VALUE","key":"Zm9v","value":"YmF6"}],
            "success":[{"request_range":{"key":"Zm9v"}},{"requestPut":{"key":"Zm9v","value":"YQ=="}}],
            "failure":[{"request_delete_range":{"key":"Zm9v"}}]}"#,
    ),
    post(
        "/v3/kv/txn",
        r#"{"compare":[{"result":"EQUAL","target":"VERSION","key":"bmV3","version":"1"}],
            "success":[{"request_put":{"key":"bmV3"}}],
            "failure":[{"request_delete_range":{"key":"YS8x","prev_kv":true}},
                       {"request_txn":{"success":[{"request_range":{"key":"bmV3"}}]}}]}"#,
    ),
    post("/v3/kv/txn", r#"{"success":[{}]}"#),
    post("/v3/kv/txn", r#"{"success":[{"request_put":{"key":"YQ=="},"request_range":{"key":"YQ=="}}]}"#),
    post("/v3/kv/txn", r#"{"success":[{"request_put":{"key":"YQ=="}},{"request_put":{"key":"YQ=="}}]}"#),
    post("/v3/kv/txn", ""),
    post("/v3/kv/deleterange", r#"{"key":"YS8y","prev_kv":true}"#),
    post("/v3/kv/deleterange", r#"{"key":"YS8y"}"#),
    post("/v3/kv/deleterange", r#"{"key":"YS8","range_end":"YTA"}"#),
    post("/v3/kv/compaction", r#"{"revision":"4"}"#),
    post("/v3/kv/compaction", r#"{"revision":4,"physical":true}"#),
    post("/v3/kv/compaction", r#"{"revision":"1000"}"#),
    post("/v3/kv/range", r#"{"key":"Zm9v","revision":"2"}"#),
];

const LEASE: &[Step] = &[
    post("/v3/lease/grant", r#"{"TTL":"600","ID":7}"#),
    post("/v3/lease/grant", r#"{"TTL":600,"ID":"7"}"#),
    post("/v3/lease/grant", r#"{"TTL":600,"ID":8}"#),
    post("/v3/lease/grant", r#"{"TTL":9999999999}"#),
    post("/v3/kv/put", r#"{"key":"bGVhc2Vk","lease":"7"}"#),
    post("/v3/lease/timetolive", r#"{"ID":"7","keys":true}"#),
    post("/v3/kv/lease/timetolive", r#"{"ID":7}"#),
    post("/v3/lease/timetolive", r#"{"ID":1}"#),
    post("/v3/lease/leases", ""),
    post("/v3/kv/lease/leases", "{}"),
    post("/v3/lease/keepalive", r#"{"ID":7}"#),
    post("/v3/lease/keepalive", "{\"ID\":7}{\"ID\":\"8\"}\n{\"ID\":1}\n"),
    post("/v3/lease/keepalive", r#"{"ID":7} {"ID":"#),
    post("/v3/lease/keepalive", r#"{"ID":"seven"}"#),
    post("/v3/lease/keepalive", ""),
    post("/v3/lease/revoke", r#"{"ID":7}"#),
    post("/v3/kv/lease/revoke", r#"{"ID":8}"#),
    post("/v3/lease/revoke", r#"{"ID":8}"#),
];

/// `LEADER` stands for what the last campaign was answered with.
const CONCURRENCY: &[Step] = &[
    post("/v3/lease/grant", r#"{"ID":9,"TTL":600}"#),
    post("/v3/lock/lock", r#"{"name":"bA==","lease":"9"}"#),
    post("/v3/kv/range", r#"{"key":"bC85"}"#),
    post("/v3/lock/lock", r#"{"name":"bA==","lease":1000}"#),
    post("/v3/lock/unlock", r#"{"key":"bC85"}"#),
    post("/v3/lock/unlock", r#"{"key":"bC85"}"#),
    post("/v3/lock/unlock", ""),
    post("/v3/election/leader", r#"{"name":"ZQ=="}"#),
    post("/v3/election/campaign", r#"{"name":"ZQ==","lease":9,"value":"YQ=="}"#),
    post("/v3/election/leader", r#"{"name":"ZQ=="}"#),
    post("/v3/election/proclaim", r#"{"leader":LEADER,"value":"Yg=="}"#),
    post("/v3/election/leader", r#"{"name":"ZQ=="}"#),
    post("/v3/election/resign", r#"{"leader":LEADER}"#),
    post("/v3/election/proclaim", r#"{"leader":LEADER,"value":"Yg=="}"#),
    post("/v3/election/proclaim", "{}"),
    post("/v3/election/resign", "{}"),
    post("/v3/lease/revoke", r#"{"ID":9}"#),
];

/// A token that a request is answered with goes with all later ones.
const AUTH: &[Step] = &[
    post("/v3/auth/status", ""),
    post("/v3/auth/enable", ""),
    post("/v3/auth/user/add", r#"{"name":"root","password":"r"}"#),
    post("/v3/auth/user/add", r#"{"name":"root","password":"r"}"#),
    post("/v3/auth/user/add", r#"{"name":"user","password":"u"}"#),
    post("/v3/auth/user/add", r#"{"name":"certified","options":{"no_password":true}}"#),
    post("/v3/auth/user/add", ""),
    post("/v3/auth/role/add", r#"{"name":"role"}"#),
    post("/v3/auth/role/add", ""),
    post("/v3/auth/role/grant", r#"{"name":"role","perm":{"permType":"READWRITE","key":"YQ==","range_end":"eg=="}}"#),
    post("/v3/auth/role/grant", r#"{"name":"role","perm":{"permType":1,"key":"Zm9v"}}"#),
    post("/v3/auth/role/grant", r#"{"name":"role","perm":{"key":"eg==","range_end":"YQ=="}}"#),
    post("/v3/auth/role/get", r#"{"role":"role"}"#),
    post("/v3/auth/role/get", r#"{"role":"root"}"#),
    post("/v3/auth/role/list", ""),
    post("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#),
    post("/v3/auth/user/grant", r#"{"user":"user","role":"role"}"#),
    post("/v3/auth/user/grant", r#"{"user":"nobody","role":"role"}"#),
    post("/v3/auth/user/get", r#"{"name":"user"}"#),
    post("/v3/auth/user/list", ""),
    post("/v3/auth/enable", ""),
    post("/v3/kv/range", r#"{"key":"Zm9v"}"#),
    post("/v3/auth/user/list", ""),
    post("/v3/watch", r#"{"create_request":{"key":"Zm9v"}}"#).first_line(),
    post("/v3/auth/authenticate", r#"{"name":"user","password":"r"}"#),
    post("/v3/auth/authenticate", r#"{"name":"user","password":"u"}"#),
    post("/v3/kv/range", r#"{"key":"Zm9v","count_only":true}"#),
    post("/v3/kv/range", r#"{"key":"AA=="}"#),
    post("/v3/watch", r#"{"create_request":{"key":"AA=="}}"#).first_line(),
    post("/v3/auth/user/list", ""),
    post("/v3/auth/authenticate", r#"{"name":"root","password":"r"}"#),
    post("/v3/auth/status", ""),
    post("/v3/auth/user/changepw", r#"{"name":"user","password":"v"}"#),
    post("/v3/auth/role/revoke", r#"{"role":"role","key":"Zm9v"}"#),
    post("/v3/auth/role/revoke", r#"{"role":"role","key":"Zm9v"}"#),
    post("/v3/auth/user/revoke", r#"{"name":"user","role":"role"}"#),
    post("/v3/auth/user/revoke", r#"{"name":"user","role":"role"}"#),
    post("/v3/auth/role/delete", r#"{"role":"role"}"#),
    post("/v3/auth/user/delete", r#"{"name":"user"}"#),
    post("/v3/auth/user/delete", r#"{"name":"root"}"#),
    post("/v3/auth/disable", ""),
    post("/v3/kv/range", r#"{"key":"AA=="}"#),
];

/// `ADDED` stands for the id of the member that was added.
const CLUSTER: &[Step] = &[
    post("/v3/cluster/member/list", ""),
    post("/v3/cluster/member/list", r#"{"linearizable":true}"#),
    post("/v3/cluster/member/add", r#"{"peerURLs":["http://127.0.0.1:1"],"isLearner":true}"#),
    post("/v3/cluster/member/add", r#"{"peerURLs":["http://127.0.0.1:3","http://127.0.0.1:1"],"isLearner":true}"#),
    post("/v3/cluster/member/add", r#"{"peerURLs":["nowhere"],"isLearner":true}"#),
    post("/v3/cluster/member/update", r#"{"ID":"ADDED","peerURLs":["http://127.0.0.1:2"]}"#),
    post("/v3/cluster/member/promote", r#"{"ID":"ADDED"}"#),
    post("/v3/cluster/member/promote", r#"{"ID":1}"#),
    post("/v3/cluster/member/list", "{}"),
    post("/v3/cluster/member/remove", r#"{"ID":"ADDED"}"#),
    post("/v3/cluster/member/remove", r#"{"ID":"ADDED"}"#),
    post("/v3/cluster/member/list", "{}"),
];

const MAINTENANCE: &[Step] = &[
    post("/v3/maintenance/status", ""),
    post("/v3/maintenance/hashkv", ""),
    post("/v3/maintenance/hashkv", r#"{"revision":1}"#),
    post("/v3/maintenance/hash", ""),
    post("/v3/maintenance/alarm", ""),
    post("/v3/maintenance/alarm", r#"{"action":"ACTIVATE","alarm":"NOSPACE"}"#),
    post("/v3/maintenance/alarm", r#"{"action":0}"#),
    post("/v3/kv/put", r#"{"key":"Zm9v","value":"YmFy"}"#),
    post("/v3/maintenance/alarm", r#"{"action":2,"alarm":1}"#),
    post("/v3/maintenance/downgrade", r#"{"action":"VALIDATE","version":"3.6.0"}"#),
    post("/v3/maintenance/downgrade", r#"{"action":"CANCEL"}"#),
    post("/v3/maintenance/defragment", ""),
    post("/v3/maintenance/transfer-leadership", r#"{"targetID":"1"}"#),
];

/// What is no call, or no JSON.
const WRONG: &[Step] = &[
    of("GET", "/v3/kv/range", ""),
    of("HEAD", "/v3/kv/range", ""),
    of("PUT", "/v3/kv/put", r#"{"key":"Zm9v"}"#),
    of("DELETE", "/v3/kv/deleterange", ""),
    of("PATCH", "/v3/watch", ""),
    of("OPTIONS", "/v3/kv/put", ""),
    of("OPTIONS", "/v3/nowhere", ""),
    post("/v3/nowhere", "{}"),
    of("GET", "/v3/nowhere", ""),
    post("/v3/kv/rangestream", "{}"),
    post("/v3/kv/range/", "{}"),
    post("/v3/kv/range?key=Zm9v", "{}"),
    post("/v3/KV/range", "{}"),
    post("/v3/", ""),
    post("/v3alpha/kv/range", "{}"),
    post("/v3beta/nowhere", "{}"),
    post("/v3/kv/range", "{"),
    post("/v3/kv/range", "}"),
    post("/v3/kv/range", "[]"),
    post("/v3/kv/range", "null"),
    post("/v3/kv/range", "1"),
    post("/v3/kv/range", r#""Zm9v""#),
    post("/v3/kv/range", "key=Zm9v"),
    post("/v3/kv/range", r#"{"key":"Zm9v"} and so on"#),
    post("/v3/kv/range", r#"{"key":"Zm9v",}"#),
    post("/v3/kv/range", r#"{"key":Zm9v}"#),
    post("/v3/kv/range", r#"{'key':'Zm9v'}"#),
    post("/v3/kv/range", r#"{"key":1}"#),
    post("/v3/kv/range", r#"{"key":["Zm9v"]}"#),
    post("/v3/kv/range", r#"{"key":"%%%"}"#),
    post("/v3/kv/range", r#"{"key":"Zm9v","limit":"many"}"#),
    post("/v3/kv/range", r#"{"key":"Zm9v","limit":1.5}"#),
    post("/v3/kv/range", r#"{"key":"Zm9v","limit":9223372036854775808}"#),
    post("/v3/kv/range", r#"{"key":"Zm9v","serializable":"true"}"#),
    post("/v3/kv/range", r#"{"key":"Zm9v","serializable":1}"#),
    post("/v3/kv/txn", r#"{"compare":{}}"#),
    post("/v3/kv/txn", r#"{"compare":[null]}"#),
    post("/v3/cluster/member/add", r#"{"peerURLs":"http://127.0.0.1:1"}"#),
];

#[tokio::test]
async fn every_request_has_upstreams_answer() {
    let [(_theirs, upstream), (_ours, own)] = both().await.unwrap();
    let mut differences = String::new();
    for part in [KV, LEASE, CONCURRENCY, CLUSTER, MAINTENANCE, WRONG, AUTH] {
        let expected = upstream.record(part).await.unwrap();
        let got = own.record(part).await.unwrap();
        for (expected, got) in expected.iter().zip(&got) {
            println!("{expected}");
            if expected != got {
                differences += &format!("--- expected:\n{expected}\n--- got:\n{got}\n");
            }
        }
    }
    assert!(differences.is_empty(), "{differences}");
}
