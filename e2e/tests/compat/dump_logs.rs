//! Upstream's WAL dump tool reads the data folder of a stopped member.

use quorate_e2e::binaries::{Flavour, tool};
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;

async fn dump(cluster: &mut Cluster) -> String {
    let data_dir = cluster.member(0).data_dir();
    let ctl = Ctl::of(tool("etcd-dump-logs").unwrap());
    ctl.run(&[data_dir.to_str().unwrap()]).await.unwrap().success().unwrap()
}

/// The `index` column of the listing's rows: `term index type data`.
fn indexes(dump: &str) -> Vec<u64> {
    let number = |column: Option<&str>| column?.parse::<u64>().ok();
    dump.lines()
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            number(columns.next())?;
            number(columns.next())
        })
        .collect()
}

#[tokio::test]
async fn the_log_of_a_member_is_readable_from_index_1_without_holes() {
    let mut cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    let mut client = cluster.client().await.unwrap();
    for n in 0..20 {
        client.put(format!("dumped-{n}"), "v", None).await.unwrap();
    }
    client.delete("dumped-3", None).await.unwrap();
    let lease = client.lease_grant(600, None).await.unwrap().id();
    client.lease_revoke(lease).await.unwrap();
    client.compact(5, None).await.unwrap();
    cluster.member(0).terminate().await.unwrap();

    let dump = dump(&mut cluster).await;
    for n in 0..20 {
        assert!(dump.contains(&format!("dumped-{n}")), "put {n} is not listed:\n{dump}");
    }
    for kind in ["put:<key", "delete_range:<key", "lease_grant:<", "lease_revoke:<", "compaction:<revision:5"] {
        assert!(dump.contains(kind), "{kind} is not listed:\n{dump}");
    }
    let indexes = indexes(&dump);
    assert!(indexes.len() > 24, "{dump}");
    // The first entry is the membership, a ConfChangeV2: the tool counts it and has no line for its kind.
    let last = indexes.len() as u64 + 1;
    assert_eq!(indexes, (2..=last).collect::<Vec<_>>(), "{dump}");
    assert!(dump.contains(&format!("WAL entries: {last}")), "{dump}");
}

#[tokio::test]
async fn the_log_after_kill_9_and_a_restart_is_readable() {
    let mut cluster = Cluster::single(Flavour::under_test()).await.unwrap();
    for round in 0..3 {
        let mut client = cluster.client().await.unwrap();
        for n in 0..10 {
            client.put(format!("round-{round}-{n}"), "v", None).await.unwrap();
        }
        cluster.member(0).kill().unwrap();
        cluster.launch(0).unwrap();
        cluster.member(0).ready().await.unwrap();
    }
    cluster.member(0).terminate().await.unwrap();
    let dump = dump(&mut cluster).await;
    for round in 0..3 {
        for n in 0..10 {
            assert!(dump.contains(&format!("round-{round}-{n}")), "{dump}");
        }
    }
}
