//! `etcdctl make-mirror` of either flavour makes the same of the same.

use std::process::Command;
use std::time::Duration;

use etcd_client::{Client, GetOptions, Txn, TxnOp};
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::process::Process;
use quorate_e2e::wait::{Look, until};

const LIMIT: Duration = Duration::from_secs(20);

/// Key, value, version and revision of everything.
type Contents = Vec<(String, String, i64, i64)>;

async fn contents(client: &mut Client) -> Contents {
    let all = client.get("", Some(GetOptions::new().with_all_keys())).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    all.kvs().iter().map(|kv| (text(kv.key()), text(kv.value()), kv.version(), kv.mod_revision())).collect()
}

async fn wait_for(client: &mut Client, key: &str) {
    until(key, LIMIT, async || {
        let found = client.get(key, None).await.unwrap().kvs().len();
        Ok(if found == 1 { Look::Yes(()) } else { Look::NotYet("no such key".to_owned()) })
    })
    .await
    .unwrap();
}

async fn mirrored(tool: Flavour) -> Contents {
    let source = Cluster::single(Flavour::under_test()).await.unwrap();
    let target = Cluster::single(Flavour::Upstream).await.unwrap();
    let (mut from, mut to) = (source.client().await.unwrap(), target.client().await.unwrap());
    for key in ["a/1", "a/a/2", "b/1"] {
        from.put(key, "before", None).await.unwrap();
    }
    let mut command = Command::new(tool.etcdctl().unwrap());
    command.arg(format!("--endpoints={}", source.endpoints().join(",")));
    command.args(["make-mirror", "--prefix=a/", "--dest-prefix=z/"]).arg(&target.endpoints()[0]);
    let _mirror = Process::start("make-mirror", command, &source.folder().join("mirror.log")).unwrap();
    wait_for(&mut to, "z/a/2").await;
    let operations = [TxnOp::put("a/3", "x", None), TxnOp::put("b/3", "x", None), TxnOp::delete("a/1", None)];
    from.txn(Txn::new().and_then(operations)).await.unwrap();
    from.put("a/last", "x", None).await.unwrap();
    wait_for(&mut to, "z/last").await;
    contents(&mut to).await
}

#[tokio::test]
async fn both_flavours_mirror_the_same() {
    let ours = mirrored(Flavour::Quorate).await;
    assert_eq!(ours, mirrored(Flavour::Upstream).await);
    let keys: Vec<&str> = ours.iter().map(|(key, ..)| key.as_str()).collect();
    assert_eq!(keys, ["z/3", "z/a/2", "z/last"]);
}
