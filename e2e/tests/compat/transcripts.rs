//! The same session typed into upstream's etcdctl and ours, on upstream's server and ours, prints the same.

use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;
use quorate_e2e::transcript::{Step, difference, record, step, typed};

/// Keys, values and revisions in every output format.
const KV: &[Step] = &[
    step("put foo bar"),
    step("put foo baz --prev-kv"),
    step("get foo"),
    step("get foo -w json"),
    step("get foo -w fields"),
    step("get foo -w simple --print-value-only"),
    step("get foo --hex"),
    step("get missing"),
    step("get missing -w json"),
    step("put a/1 one"),
    step("put a/2 two"),
    step("put a/3 three"),
    typed("put a/4", "from standard input"),
    step("get a/ --prefix"),
    step("get a/ --prefix --keys-only"),
    step("get a/ --prefix --count-only -w fields"),
    step("get a/ --prefix --limit 2 -w json"),
    step("get a/ --prefix --sort-by MODIFY --order DESCEND"),
    step("get a/1 a/3"),
    step("get a/2 --from-key --keys-only"),
    step("get foo --rev 2"),
    step("get foo --rev 1000"),
    step("put foo --ignore-value --lease=1"),
    step("put missing --ignore-value"),
    step("del a/1 a/3 --prev-kv"),
    step("del a/ --prefix -w json"),
    step("del missing"),
    step("compaction 5"),
    step("compaction 5"),
    step("compaction 1000"),
    step("get foo --rev 2"),
    step("watch foo --rev 2"),
];

/// Transactions, typed.
const TXN: &[Step] = &[
    step("put k 1"),
    typed("txn", "value(\"k\") = \"1\"\n\nput k 2\nget k\n\nget k\n\n"),
    typed("txn -w json", "mod(\"k\") > \"100\"\n\nput k 3\n\nget k\ndel k\n\n"),
    typed("txn -w fields", "version(\"k\") = \"0\"\n\nput k 4\n\n\n"),
    typed("txn", "create(\"k\") = \"x\"\n\n\n\n"),
    typed("txn", "\nput k 1\nput k 2\n\n\n"),
];

/// Leases, except for what depends on the clock.
const LEASE: &[Step] = &[
    step("lease grant 600"),
    step("lease grant 600 -w json"),
    step("lease grant 0"),
    step("lease revoke 1"),
    step("lease timetolive 1"),
    step("put leased v --lease=1"),
    step("lease keep-alive --once 1"),
];

/// Members, status, alarms, maintenance.
const CLUSTER: &[Step] = &[
    step("member list"),
    step("member list -w json"),
    step("member list -w fields"),
    step("member list -w table"),
    step("endpoint health"),
    step("endpoint hashkv -w fields"),
    step("alarm list"),
    step("alarm disarm"),
    step("defrag"),
    step("move-leader 1"),
    step("version"),
];

/// Wrong command lines.
const USAGE: &[Step] = &[
    step("put"),
    step("put a b c"),
    step("get"),
    step("del"),
    step("lease grant"),
    step("lease grant x"),
    step("lease revoke zz"),
    step("member add"),
    step("member remove"),
    step("compaction"),
    step("compaction x"),
    step("get a b --prefix"),
    step("get a --prefix --from-key"),
    step("get a --order UP"),
    step("nonsense"),
    step("put a b --nonsense"),
];

async fn session(server: Flavour, client: Flavour, steps: &[Step]) -> String {
    let cluster = Cluster::single(server).await.unwrap();
    let ctl = Ctl::etcdctl(client, &cluster.endpoints()).unwrap();
    record(&ctl, steps).await.unwrap()
}

async fn check(server: Flavour, client: Flavour) {
    let parts = [("kv", KV), ("txn", TXN), ("lease", LEASE), ("cluster", CLUSTER), ("usage", USAGE)];
    let mut differences = String::new();
    for (name, steps) in parts {
        let expected = session(Flavour::Upstream, Flavour::Upstream, steps).await;
        let got = session(server, client, steps).await;
        // Shown when the test fails: what was compared.
        println!("=== {name}\n{expected}");
        differences += &difference(name, &expected, &got);
    }
    assert!(
        differences.is_empty(),
        "etcdctl of {client} on a server of {server} differs from upstream:\n{differences}"
    );
}

#[tokio::test]
async fn upstream_etcdctl_sees_no_difference_between_the_servers() {
    check(Flavour::under_test(), Flavour::Upstream).await;
}

#[tokio::test]
async fn our_etcdctl_prints_what_upstream_prints_on_its_own_server() {
    check(Flavour::Upstream, Flavour::under_test()).await;
}

#[tokio::test]
async fn our_etcdctl_on_our_server_prints_what_upstream_prints() {
    check(Flavour::under_test(), Flavour::under_test()).await;
}
