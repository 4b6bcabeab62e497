//! `etcdctl check` and `etcdctl downgrade` of both flavours.

use std::process::Command;
use std::time::Duration;

use etcd_client::{Client, GetOptions};
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;
use quorate_e2e::process::Process;
use quorate_e2e::transcript::{Step, difference, record, step};
use quorate_e2e::wait::{Look, until};
use rustix::process::{Signal, kill_process};

const LIMIT: Duration = Duration::from_secs(30);
const PERF_PREFIX: &str = "/etcdctl-check-perf/";

/// On whose servers downgrades are compared with upstream's.
const DOWNGRADE_SERVERS: [Flavour; 2] = [Flavour::Upstream, Flavour::Quorate];

/// The last step is the only one that begins a downgrade: the cluster's version follows it whenever it likes.
const DOWNGRADE: &[Step] = &[
    step("downgrade validate"),
    step("downgrade validate 3.6 3.5"),
    step("downgrade validate 3.6"),
    step("downgrade val 3.6.0"),
    step("downgrade validate 3.6 -w json"),
    step("downgrade validate 3.6 -w fields"),
    step("downgrade validate 3.6 -w table"),
    step("downgrade validate 3.5"),
    step("downgrade validate 3.7"),
    step("downgrade validate x"),
    step("downgrade validate 3"),
    step("downgrade enable"),
    step("downgrade enable 3.5"),
    step("downgrade enable x"),
    step("downgrade cancel"),
    step("downgrade cancel it"),
    step("downgrade cancel -w json"),
    step("downgrade cancel -w fields"),
    step("downgrade enable 3.6"),
];

const CHECK: &[Step] = &[
    step("check perf --load=nonsense"),
    step("check datascale --load=nonsense"),
    step("check perf --nonsense"),
    step("put /etcdctl-check-perf/k v"),
    step("check perf"),
    step("check perf --load=medium"),
    step("put /etcdctl-check-datascale/k v"),
    step("check datascale"),
    step("put mine/k v"),
    step("check perf --prefix=mine/"),
    step("check datascale --prefix=mine/ --load=xLarge"),
    step("completion"),
    step("completion csh"),
    step("completion bash zsh"),
];

async fn session(server: Flavour, client: Flavour, steps: &[Step]) -> String {
    let cluster = Cluster::single(server).await.unwrap();
    let ctl = Ctl::etcdctl(client, &cluster.endpoints()).unwrap();
    until("the cluster's version", LIMIT, async || {
        let output = ctl.run(&["downgrade", "validate", "3.6"]).await?;
        Ok(if output.code == 0 { Look::Yes(()) } else { Look::NotYet(output.stderr) })
    })
    .await
    .unwrap();
    record(&ctl, steps).await.unwrap()
}

async fn compare(part: &str, servers: &[Flavour], steps: &[Step]) {
    let expected = session(Flavour::Upstream, Flavour::Upstream, steps).await;
    println!("=== {part}\n{expected}");
    for server in servers {
        let got = session(*server, Flavour::under_test(), steps).await;
        let differences = difference(part, &expected, &got);
        assert!(differences.is_empty(), "on a server of {server}:\n{differences}");
    }
}

#[tokio::test]
async fn downgrades_are_told_as_with_upstream() {
    compare("downgrade", &DOWNGRADE_SERVERS, DOWNGRADE).await;
}

#[tokio::test]
async fn a_check_that_is_not_made_says_why_as_with_upstream() {
    compare("check", &[Flavour::Upstream, Flavour::under_test()], CHECK).await;
}

async fn keys(client: &mut Client, prefix: &str) -> i64 {
    let options = GetOptions::new().with_prefix().with_count_only();
    client.get(prefix, Some(options)).await.unwrap().count()
}

/// Numbers stand for any number: how fast a machine is isn't the point.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' | '.' if out.ends_with('N') => {}
            '0'..='9' => out.push('N'),
            c => out.push(c),
        }
    }
    out
}

#[tokio::test]
async fn datascale_says_how_much_memory_its_keys_take() {
    for server in [Flavour::Upstream, Flavour::under_test()] {
        let cluster = Cluster::single(server).await.unwrap();
        let line = ["check", "datascale", "--auto-compact", "--auto-defrag"];
        let [theirs, ours] = [Flavour::Upstream, Flavour::under_test()].map(async |flavour| {
            Ctl::etcdctl(flavour, &cluster.endpoints()).unwrap().run(&line).await.unwrap().success().unwrap()
        });
        let (theirs, ours) = (theirs.await, ours.await);
        // The memory may have fallen meanwhile.
        let shape = |text: &str| without_numbers(text).replace(": -N", ": N");
        assert_eq!(shape(&ours), shape(&theirs), "on a server of {server}");
        assert_eq!(keys(&mut cluster.client().await.unwrap(), "/etcdctl-check-datascale/").await, 0);
    }
}

#[tokio::test]
async fn an_interrupted_check_judges_what_it_saw_and_leaves_no_key() {
    for server in [Flavour::Upstream, Flavour::under_test()] {
        let cluster = Cluster::single(server).await.unwrap();
        let mut client = cluster.client().await.unwrap();
        let mut command = Command::new(Flavour::under_test().etcdctl().unwrap());
        command.arg(format!("--endpoints={}", cluster.endpoints().join(","))).args(["check", "perf", "--auto-compact"]);
        let mut check = Process::start("check perf", command, &cluster.folder().join("check.log")).unwrap();
        until("300 keys of the check", LIMIT, async || {
            check.must_run()?;
            let count = keys(&mut client, PERF_PREFIX).await;
            Ok(if count >= 300 { Look::Yes(()) } else { Look::NotYet(format!("{count} keys")) })
        })
        .await
        .unwrap();
        kill_process(check.pid(), Signal::INT).unwrap();
        let status = check.end().await.unwrap();
        let log = check.log();
        let judged: Vec<&str> = log.lines().collect();
        let [compacting, compacted, throughput, slowest, deviation, verdict] = judged.as_slice() else {
            panic!("{log}");
        };
        assert!(compacting.starts_with("Compacting with revision "), "{log}");
        assert!(compacted.starts_with("Compacted with revision "), "{log}");
        assert!(throughput.ends_with(" writes/s"), "{log}");
        assert!(slowest.contains("Slowest request took "), "{log}");
        assert!(deviation.contains("Stddev "), "{log}");
        assert_eq!(*verdict == "PASS", status.success(), "{log}");
        assert_eq!(keys(&mut client, PERF_PREFIX).await, 0);
    }
}

#[tokio::test]
async fn shells_take_the_completion_scripts() {
    for program in [Flavour::under_test().etcdctl().unwrap(), Flavour::under_test().etcdutl().unwrap()] {
        for shell in ["bash", "zsh", "fish", "powershell"] {
            let script = Ctl::of(program.clone()).run(&["completion", shell]).await.unwrap().success().unwrap();
            assert!(script.contains("completion") && script.contains("snapshot"), "{shell}");
            if shell == "bash" {
                let read = Ctl::of("/bin/bash".into()).run_with_input(&["-n"], &script).await.unwrap();
                assert_eq!(read.success().unwrap(), "");
            }
        }
    }
}
