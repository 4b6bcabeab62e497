//! docs/compatibility.md says where our programs differ from upstream's: no more, no less, and each with its reason.
//!
//! `make compatibility` writes the page's tables anew; a difference without a reason fails.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use etcd_client::{CompactionOptions, PutOptions, WatchOptions};
use quorate_e2e::binaries::{Flavour, repository};
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;
use quorate_e2e::health;
use quorate_e2e::surface::{self, Surface, UNEXPLAINED, differences};

/// Paths of the client's port.
const CLIENT_PATHS: &[&str] = &[
    "/",
    "/config/local/log",
    "/debug/events",
    "/debug/pprof",
    "/debug/pprof/",
    "/debug/pprof/allocs",
    "/debug/pprof/block",
    "/debug/pprof/cmdline",
    "/debug/pprof/goroutine",
    "/debug/pprof/heap",
    "/debug/pprof/mutex",
    "/debug/pprof/profile?seconds=1",
    "/debug/pprof/symbol",
    "/debug/pprof/threadcreate",
    "/debug/pprof/trace?seconds=1",
    "/debug/requests",
    "/debug/vars",
    "/health",
    "/health?exclude=NOSPACE",
    "/health?serializable=true",
    "/livez",
    "/livez?verbose",
    "/livez/serializable_read",
    "/members",
    "/metrics",
    "/readyz",
    "/readyz?exclude=data_corruption",
    "/readyz/data_corruption",
    "/readyz/linearizable_read",
    "/readyz/serializable_read",
    "/v2/keys",
    "/v2/machines",
    "/v2/members",
    "/v3/kv/range",
    "/version",
];
/// Paths of the members' port.
const PEER_PATHS: &[&str] = &[
    "/",
    "/debug/vars",
    "/downgrade/enabled",
    "/health",
    "/leases",
    "/leases/internal",
    "/members",
    "/members/hashkv",
    "/members/promote/1",
    "/metrics",
    "/raft",
    "/raft/probing",
    "/raft/snapshot",
    "/raft/stream/message/1",
    "/version",
];

async fn single(flavour: Flavour) -> Cluster {
    let cluster = Cluster::builder(flavour, 1).flag("--enable-pprof").flag("--metrics=extensive");
    cluster.start().await.unwrap()
}

async fn flags(flavour: Flavour) -> Surface {
    let help = Ctl::of(flavour.etcd().unwrap()).run(&["--help"]).await.unwrap();
    surface::flags(&format!("{}{}", help.stdout, help.stderr))
}

async fn commands(flavour: Flavour) -> Surface {
    let etcdctl = Ctl::of(flavour.etcdctl().unwrap());
    let mut all = surface::commands(&etcdctl, "etcdctl").await.unwrap();
    all.extend(surface::commands(&Ctl::of(flavour.etcdutl().unwrap()), "etcdutl").await.unwrap());
    // The flags of every command of etcdctl are told by a command of their own.
    let options = etcdctl.run(&["options"]).await.unwrap().stdout;
    all.extend(surface::options(&options, "etcdctl options"));
    all
}

/// A metric with labels is there once something has happened that it counts.
async fn use_it(cluster: &Cluster) {
    let mut client = cluster.members()[0].client().await.unwrap();
    let lease = client.lease_grant(60, None).await.unwrap().id();
    client.put("a", "1", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    let watching = WatchOptions::new().with_start_revision(1);
    let mut stream = client.watch("a", Some(watching)).await.unwrap();
    stream.message().await.unwrap().unwrap();
    client.get("a", None).await.unwrap();
    let deleted = client.delete("a", None).await.unwrap();
    let revision = deleted.header().unwrap().revision();
    client.compact(revision, Some(CompactionOptions::new().with_physical())).await.unwrap();
    let mut snapshot = client.snapshot().await.unwrap();
    while snapshot.message().await.unwrap().is_some() {}
    client.defragment().await.unwrap();
    client.lease_revoke(lease).await.unwrap();
    client.hash_kv(0).await.unwrap();
}

async fn metrics(cluster: &Cluster) -> Surface {
    use_it(cluster).await;
    let address: SocketAddr = cluster.members()[0].endpoint().parse().unwrap();
    for path in ["/health", "/livez", "/readyz"] {
        health::get(address, path).await.unwrap();
    }
    let (code, scraped) = health::get(address, "/metrics").await.unwrap();
    assert_eq!(code, 200);
    let mut metrics = surface::metrics(&scraped);
    metrics.retain(|name, _| !["go_", "promhttp_", "process_"].iter().any(|start| name.starts_with(start)));
    metrics
}

async fn paths(cluster: &Cluster) -> Surface {
    let member = &cluster.members()[0];
    let client: SocketAddr = member.endpoint().parse().unwrap();
    let peer: SocketAddr = member.peer_url().strip_prefix("http://").unwrap().parse().unwrap();
    let mut found = Surface::new();
    for (port, address, paths) in [("client", client, CLIENT_PATHS), ("peer", peer, PEER_PATHS)] {
        for path in paths {
            let (code, _) = health::get(address, path).await.unwrap();
            found.insert(format!("{port} {path}"), code.to_string());
        }
    }
    found
}

/// The tests that the page names are there.
fn check_names(page: &str) {
    let (_, table) = page.split_once("<!-- behaviour -->\n").unwrap();
    let (table, _) = table.split_once("<!-- end -->").unwrap();
    let folders = ["server", "compat", "operator"].map(|program| repository().join("e2e/tests").join(program));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let tests: Vec<String> = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let mut names = 0;
    for row in table.lines().skip(2) {
        let [_, _, _, shown, _] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        for name in shown.split('`').skip(1).step_by(2) {
            let wanted = format!("fn {name}(");
            assert!(tests.iter().any(|text| text.contains(&wanted)), "the page names {name}, which is no test");
            names += 1;
        }
    }
    assert!(names > 0, "the page names no test");
}

#[tokio::test]
async fn the_page_tells_every_difference_and_no_other() {
    let (theirs, ours) = (single(Flavour::Upstream).await, single(Flavour::Quorate).await);
    let tables: [(&str, BTreeMap<String, String>); 4] = [
        ("flags", differences(&flags(Flavour::Upstream).await, &flags(Flavour::Quorate).await)),
        ("commands", differences(&commands(Flavour::Upstream).await, &commands(Flavour::Quorate).await)),
        ("paths", differences(&paths(&theirs).await, &paths(&ours).await)),
        ("metrics", differences(&metrics(&theirs).await, &metrics(&ours).await)),
    ];
    let file = repository().join("docs/compatibility.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let mut now = page.clone();
    for (name, differences) in &tables {
        now = surface::with_table(&now, name, differences).unwrap_or_else(|| panic!("the page has no table {name}"));
    }
    if std::env::var_os("QUORATE_WRITE_PAGE").is_some() {
        std::fs::write(&file, &now).unwrap();
    } else {
        let changed: Vec<&str> = now.lines().filter(|line| !page.contains(line)).collect();
        let gone: Vec<&str> = page.lines().filter(|line| !now.contains(line)).collect();
        assert!(
            now == page,
            "`make compatibility` writes it\nnot on the page: {changed:#?}\nno more so: {gone:#?}\n(neither: a row is there twice)"
        );
    }
    let unexplained: Vec<&str> = now.lines().filter(|line| line.ends_with(&format!("| {UNEXPLAINED} |"))).collect();
    assert!(unexplained.is_empty(), "without a reason: {unexplained:#?}");
    check_names(&now);
}
