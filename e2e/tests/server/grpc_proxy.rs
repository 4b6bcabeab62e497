//! Clients that reach a cluster through `etcd grpc-proxy`.

use std::process::Command;
use std::time::Duration;

use etcd_client::{Client, GetOptions, PutOptions, WatchOptions, WatchStream};
use quorate_e2e::binaries::Flavour;
use quorate_e2e::certs::{Authority, Wanted};
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;
use quorate_e2e::health;
use quorate_e2e::member::connect;
use quorate_e2e::port::Port;
use quorate_e2e::process::Process;
use quorate_e2e::wait::{self, Look};

const LIMIT: Duration = Duration::from_secs(30);

/// A running proxy.
struct Proxy {
    port: Port,
    process: Process,
}

impl Proxy {
    fn launch(cluster: &Cluster, arguments: &[&str]) -> Proxy {
        let port = Port::reserve().unwrap();
        let address = port.address().to_string();
        let mut command = Command::new(Flavour::Quorate.etcd().unwrap());
        command.args(["grpc-proxy", "start", "--listen-addr", &address, "--advertise-client-url", &address]);
        command.args(arguments).current_dir(cluster.folder());
        let log = cluster.folder().join(format!("proxy-{}.log", address.replace(':', "-")));
        Proxy { process: Process::start("grpc-proxy", command, &log).unwrap(), port }
    }

    async fn start(cluster: &Cluster, endpoints: &[String], arguments: &[&str]) -> Proxy {
        let endpoints = format!("--endpoints={}", endpoints.join(","));
        let arguments = [&[endpoints.as_str()], arguments].concat();
        let mut proxy = Proxy::launch(cluster, &arguments);
        proxy.process.logs("started gRPC proxy").await.unwrap();
        proxy
    }

    fn address(&self) -> String {
        self.port.address().to_string()
    }

    async fn client(&self) -> Client {
        connect(&[self.address()]).await.unwrap()
    }

    fn ctl(&self, flavour: Flavour) -> Ctl {
        Ctl::etcdctl(flavour, &[self.address()]).unwrap()
    }
}

async fn run(ctl: &Ctl, arguments: &[&str]) -> String {
    ctl.run(arguments).await.unwrap().success().unwrap()
}

/// The puts of the next message that has any, as keys and values.
async fn next_puts(watch: &mut WatchStream) -> Vec<(String, String)> {
    loop {
        let message = tokio::time::timeout(LIMIT, watch.message()).await.unwrap().unwrap().unwrap();
        assert!(!message.canceled(), "{}", message.cancel_reason());
        let pairs = message.events().iter().filter_map(|event| event.kv());
        let puts: Vec<_> =
            pairs.map(|pair| (pair.key_str().unwrap().to_owned(), pair.value_str().unwrap().to_owned())).collect();
        if !puts.is_empty() {
            return puts;
        }
    }
}

/// Values that a watch shows, so many.
async fn values(watch: &mut WatchStream, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    while values.len() < count {
        values.extend(next_puts(watch).await.into_iter().map(|(_, value)| value));
    }
    values
}

/// Watchers on all members together, by their metrics.
async fn watchers(cluster: &Cluster) -> i64 {
    let mut sum = 0;
    for member in cluster.members().iter().filter(|member| member.is_started()) {
        let (_, metrics) = health::get(member.endpoint().parse().unwrap(), "/metrics").await.unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix("etcd_debugging_mvcc_watcher_total "));
        sum += line.unwrap().parse::<i64>().unwrap();
    }
    sum
}

async fn until_watchers(cluster: &Cluster, wanted: i64) {
    wait::until("watches on the members", LIMIT, async || {
        let found = watchers(cluster).await;
        Ok(if found == wanted { Look::Yes(()) } else { Look::NotYet(format!("{found}, not {wanted}")) })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn both_etcdctls_work_through_the_proxy() {
    for members in [Flavour::Quorate, Flavour::Upstream] {
        let cluster = Cluster::builder(members, 3).start().await.unwrap();
        let proxy = Proxy::start(&cluster, &cluster.endpoints(), &[]).await;
        for flavour in [Flavour::Quorate, Flavour::Upstream] {
            let ctl = proxy.ctl(flavour);
            run(&ctl, &["put", "key", "value"]).await;
            assert_eq!(run(&ctl, &["get", "key"]).await, "key\nvalue\n");
            let txn = ctl.run_with_input(&["txn"], "value(\"key\") = \"value\"\n\nput key other\n\n\n").await.unwrap();
            assert!(txn.success().unwrap().starts_with("SUCCESS"));
            assert_eq!(run(&ctl, &["get", "key", "--consistency=s", "--print-value-only"]).await.trim(), "other");
            assert_eq!(run(&ctl, &["del", "key"]).await, "1\n");

            let granted = run(&ctl, &["lease", "grant", "60"]).await;
            let lease = granted.split(' ').nth(1).unwrap();
            run(&ctl, &["put", "leased", "value", "--lease", lease]).await;
            assert!(run(&ctl, &["lease", "keep-alive", "--once", lease]).await.contains("keepalived with TTL(60)"));
            assert!(run(&ctl, &["lease", "timetolive", "--keys", lease]).await.contains("leased"));
            run(&ctl, &["lease", "revoke", lease]).await;
            assert_eq!(run(&ctl, &["get", "leased"]).await, "");

            let list = run(&ctl, &["member", "list"]).await;
            assert!(list.lines().count() == 1 && list.contains(&proxy.address()), "{list}");
            let status = run(&ctl, &["endpoint", "status"]).await;
            assert!(status.contains("3.7."), "{status}");
            run(&ctl, &["endpoint", "health"]).await;
            let file = cluster.folder().join("snapshot.db");
            run(&ctl, &["snapshot", "save", &file.display().to_string()]).await;
            std::fs::remove_file(file).unwrap();
            let refused = ctl.run(&["put", "key", "value", "--lease=7"]).await.unwrap();
            assert!(refused.stderr.contains("requested lease not found"), "{}", refused.stderr);
        }
        let (code, health) = health::get(proxy.port.address(), "/health").await.unwrap();
        assert_eq!((code, health.as_str()), (200, r#"{"health":"true","reason":""}"#));
        assert_eq!(health::get(proxy.port.address(), "/proxy/health").await.unwrap().0, 200);
        let (_, metrics) = health::get(proxy.port.address(), "/metrics").await.unwrap();
        assert!(metrics.contains("etcd_server_has_leader 1"), "a member's metrics");
        let (_, metrics) = health::get(proxy.port.address(), "/proxy/metrics").await.unwrap();
        assert!(metrics.contains("etcd_grpc_proxy_watchers_coalescing_total 0"), "{metrics}");
    }
}

#[tokio::test]
async fn watchers_of_the_same_share_one_watch_whenever_they_started() {
    let cluster = Cluster::builder(Flavour::Quorate, 3).start().await.unwrap();
    let proxy = Proxy::start(&cluster, &cluster.endpoints(), &[]).await;
    let mut writer = cluster.client().await.unwrap();
    let first = writer.put("key", "0", None).await.unwrap().header().unwrap().revision();
    writer.put("key", "1", None).await.unwrap();

    let mut clients = Vec::new();
    let mut new = Vec::new();
    for _ in 0..5 {
        let mut client = proxy.client().await;
        new.push(client.watch("key", None).await.unwrap());
        clients.push(client);
    }
    until_watchers(&cluster, 1).await;
    // One from the beginning, which then is where the others are.
    let mut client = proxy.client().await;
    let mut old = client.watch("key", Some(WatchOptions::new().with_start_revision(first))).await.unwrap();
    assert_eq!(values(&mut old, 2).await, ["0", "1"]);
    until_watchers(&cluster, 1).await;
    // And one from the next revision on, as lists are followed.
    let next = Some(WatchOptions::new().with_start_revision(first + 2));
    let mut following = client.watch("key", next).await.unwrap();
    until_watchers(&cluster, 1).await;

    writer.put("key", "2", None).await.unwrap();
    for watch in new.iter_mut().chain([&mut old, &mut following]) {
        assert_eq!(values(watch, 1).await, ["2"]);
    }
    let (_, metrics) = health::get(proxy.port.address(), "/proxy/metrics").await.unwrap();
    assert!(metrics.contains("etcd_grpc_proxy_watchers_coalescing_total 6\n"), "{metrics}");
    assert!(metrics.contains("etcd_grpc_proxy_events_coalescing_total 6\n"), "{metrics}");

    // Other wishes are another watch, and whoever leaves ends it.
    let mut client = proxy.client().await;
    let mut other = client.watch("key", Some(WatchOptions::new().with_prev_key())).await.unwrap();
    until_watchers(&cluster, 2).await;
    other.cancel(0).await.unwrap();
    until_watchers(&cluster, 1).await;
    drop((new, old, following, other, clients, client));
    until_watchers(&cluster, 0).await;
}

#[tokio::test]
async fn a_watch_misses_nothing_and_repeats_nothing_when_members_are_killed() {
    let mut cluster = Cluster::builder(Flavour::Quorate, 3).start().await.unwrap();
    let proxy = Proxy::start(&cluster, &cluster.endpoints(), &[]).await;
    let mut client = proxy.client().await;
    let mut watch = client.watch("key", None).await.unwrap();
    let mut written = 0;
    for killed in 0..3 {
        for turn in 0..20 {
            if turn == 10 {
                cluster.member(killed).kill().unwrap();
            }
            let value = written.to_string();
            // A write whose outcome is unknown is written again: the watch may show it twice then, and never less.
            wait::until("a write", LIMIT, async || {
                let found = client.put("key", value.as_str(), None).await;
                Ok(found.map_or_else(|error| Look::NotYet(error.to_string()), |_| Look::Yes(())))
            })
            .await
            .unwrap();
            written += 1;
        }
        cluster.launch(killed).unwrap();
        cluster.member(killed).ready().await.unwrap();
    }
    let mut seen = Vec::new();
    while seen.last() != Some(&(written - 1)) {
        seen.extend(values(&mut watch, 1).await.iter().map(|value| value.parse::<i32>().unwrap()));
    }
    let mut history = client.get("key", None).await.unwrap();
    let versions = history.take_kvs().pop().unwrap().version();
    assert_eq!(seen.len() as i64, versions, "every version once: {seen:?}");
    seen.dedup();
    assert_eq!(seen, (0..written).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_watcher_of_the_future_keeps_nobody_from_hearing() {
    let cluster = Cluster::single(Flavour::Quorate).await.unwrap();
    let proxy = Proxy::start(&cluster, &cluster.endpoints(), &[]).await;
    let mut client = proxy.client().await;
    let mut future = client.watch("key", Some(WatchOptions::new().with_start_revision(5))).await.unwrap();
    let mut present = client.watch("key", None).await.unwrap();
    for value in ["2", "3", "4", "5"] {
        client.put("key", value, None).await.unwrap();
    }
    assert_eq!(values(&mut present, 4).await, ["2", "3", "4", "5"]);
    assert_eq!(values(&mut future, 1).await, ["5"]);
}

#[tokio::test]
async fn a_slow_watcher_keeps_nobody_from_hearing() {
    let cluster = Cluster::single(Flavour::Quorate).await.unwrap();
    let proxy = Proxy::start(&cluster, &cluster.endpoints(), &[]).await;
    let mut slow_client = proxy.client().await;
    let mut slow = slow_client.watch("key", None).await.unwrap();
    let mut quick_client = proxy.client().await;
    let mut quick = quick_client.watch("key", None).await.unwrap();
    let mut writer = cluster.client().await.unwrap();
    // More than all buffers on the way hold together.
    let large = "x".repeat(256 << 10);
    let count = 200;
    for number in 0..count {
        writer.put("key", format!("{number} {large}"), None).await.unwrap();
        assert!(values(&mut quick, 1).await[0].starts_with(&format!("{number} ")));
    }
    for (number, value) in values(&mut slow, count).await.iter().enumerate() {
        assert!(value.starts_with(&format!("{number} ")));
    }
    until_watchers(&cluster, 1).await;
}

#[tokio::test]
async fn progress_is_told_when_asked_for_and_compacted_revisions_are_refused() {
    let cluster = Cluster::single(Flavour::Quorate).await.unwrap();
    let proxy = Proxy::start(&cluster, &cluster.endpoints(), &[]).await;
    let mut client = proxy.client().await;
    let mut watch = client.watch("key", None).await.unwrap();
    let revision = client.put("other", "value", None).await.unwrap().header().unwrap().revision();
    watch.request_progress().await.unwrap();
    let mut message = tokio::time::timeout(LIMIT, watch.message()).await.unwrap().unwrap().unwrap();
    if message.created() {
        message = tokio::time::timeout(LIMIT, watch.message()).await.unwrap().unwrap().unwrap();
    }
    assert!(message.events().is_empty() && message.header().unwrap().revision() >= revision, "{message:?}");

    client.put("key", "value", None).await.unwrap();
    client.compact(revision, None).await.unwrap();
    let mut old_client = proxy.client().await;
    let old = old_client.watch("key", Some(WatchOptions::new().with_start_revision(1))).await;
    let mut old = old.unwrap();
    let mut message = tokio::time::timeout(LIMIT, old.message()).await.unwrap().unwrap().unwrap();
    if !message.canceled() {
        message = tokio::time::timeout(LIMIT, old.message()).await.unwrap().unwrap().unwrap();
    }
    assert!(message.canceled() && message.compact_revision() == revision, "{message:?}");
    assert_eq!(values(&mut watch, 1).await, ["value"]);
}

#[tokio::test]
async fn a_lease_lives_as_long_as_clients_keep_it_alive_through_the_proxy() {
    let mut cluster = Cluster::builder(Flavour::Quorate, 3).start().await.unwrap();
    let proxy = Proxy::start(&cluster, &cluster.endpoints(), &[]).await;
    let mut client = proxy.client().await;
    let lease = client.lease_grant(2, None).await.unwrap().id();
    client.put("leased", "value", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    let mut keepers = Vec::new();
    for _ in 0..3 {
        let mut client = proxy.client().await;
        keepers.push(client.lease_keep_alive(lease).await.unwrap());
    }
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_secs(4) {
        for (keeper, answers) in &mut keepers {
            keeper.keep_alive().await.unwrap();
            assert_eq!(answers.message().await.unwrap().unwrap().ttl(), 2);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(client.get("leased", None).await.unwrap().count(), 1);
    wait::until("the lease's end", LIMIT, async || {
        let count = client.get("leased", None).await.map_or(1, |found| found.count());
        Ok(if count == 0 { Look::Yes(()) } else { Look::NotYet("it is there".into()) })
    })
    .await
    .unwrap();
    keepers[0].0.keep_alive().await.unwrap();
    assert_eq!(keepers[0].1.message().await.unwrap().unwrap().ttl(), 0, "it is gone");
    cluster.member(0).terminate().await.unwrap();
}

#[tokio::test]
async fn a_namespace_is_all_that_its_clients_see() {
    let cluster = Cluster::single(Flavour::Quorate).await.unwrap();
    let proxy = Proxy::start(&cluster, &cluster.endpoints(), &["--namespace=tenant/"]).await;
    let mut outside = cluster.client().await.unwrap();
    outside.put("key", "outside", None).await.unwrap();
    outside.put("tenanu", "behind", None).await.unwrap();
    let mut inside = proxy.client().await;
    let mut watch = inside.watch("", Some(WatchOptions::new().with_all_keys())).await.unwrap();
    inside.put("key", "inside", None).await.unwrap();
    assert_eq!(next_puts(&mut watch).await, [("key".into(), "inside".into())]);
    assert_eq!(outside.get("tenant/key", None).await.unwrap().kvs()[0].value_str().unwrap(), "inside");
    let all = inside.get("", Some(GetOptions::new().with_all_keys())).await.unwrap();
    assert_eq!((all.count(), all.kvs()[0].key_str().unwrap()), (1, "key"));

    for flavour in [Flavour::Quorate, Flavour::Upstream] {
        let ctl = proxy.ctl(flavour);
        let txn = "value(\"key\") = \"inside\"\n\nget key\nput other value --prev-kv\n\n\n";
        let txn = ctl.run_with_input(&["txn"], txn).await.unwrap().success().unwrap();
        assert!(txn.starts_with("SUCCESS") && txn.contains("\nkey\ninside\n"), "{txn}");
        assert_eq!(run(&ctl, &["get", "--prefix", "", "--keys-only"]).await, "key\n\nother\n\n");
        assert_eq!(run(&ctl, &["del", "--prefix", "o", "--prev-kv"]).await, "1\nother\nvalue\n");
    }
    assert_eq!(outside.get("key", None).await.unwrap().kvs()[0].value_str().unwrap(), "outside");
    assert_eq!(outside.get("", Some(GetOptions::new().with_all_keys())).await.unwrap().count(), 3);
}

#[tokio::test]
async fn the_proxy_follows_the_members_and_lists_its_likes() {
    let mut cluster = Cluster::builder(Flavour::Quorate, 3).start().await.unwrap();
    let arguments = ["--endpoints-auto-sync-interval=200ms", "--resolver-prefix=/proxies", "--resolver-ttl=5"];
    let one = cluster.endpoints()[..1].to_vec();
    let mut first = Proxy::start(&cluster, &one, &arguments).await;
    let second = Proxy::start(&cluster, &one, &arguments).await;
    wait::until("both proxies as members", LIMIT, async || {
        let list =
            first.client().await.member_list().await.map_err(|error| quorate_e2e::Error::client("list")(error))?;
        let listed = |proxy: &Proxy| list.members().iter().any(|member| member.client_urls() == [proxy.address()]);
        let both = list.members().len() == 2 && listed(&first) && listed(&second);
        Ok(if both { Look::Yes(()) } else { Look::NotYet(format!("{list:?}")) })
    })
    .await
    .unwrap();
    first.process.logs("refreshed the endpoints").await.unwrap();
    // The only member that it was told of.
    cluster.member(0).kill().unwrap();
    wait::until("a write by way of another member", LIMIT, async || {
        let written = first.client().await.put("key", "value", None).await;
        Ok(written.map_or_else(|error| Look::NotYet(error.to_string()), |_| Look::Yes(())))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn both_sides_of_the_proxy_speak_tls() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = Authority::new(folder.path(), "ca").unwrap();
    let server = authority.sign("server", &Wanted::local("a server")).unwrap();
    let nobody = authority.sign("nobody", &Wanted::local("")).unwrap();
    let user = authority.sign("user", &Wanted::local("a user")).unwrap();
    let ca = authority.certificate().display().to_string();
    let file = |flag: &str, path: &std::path::Path| format!("--{flag}={}", path.display());

    let mut cluster = Cluster::builder(Flavour::Quorate, 1).prepare_secured().unwrap();
    for prefix in ["", "peer-"] {
        for (flag, path) in [("cert-file", &server.cert), ("key-file", &server.key)] {
            cluster.member(0).flag(file(&format!("{prefix}{flag}"), path));
        }
        cluster.member(0).flag(format!("--{prefix}trusted-ca-file={ca}"));
    }
    cluster.launch(0).unwrap();
    cluster.member(0).ready().await.unwrap();
    let endpoints = [cluster.members()[0].client_url()];
    let to_members = |pair: &quorate_e2e::certs::Signed| {
        vec![file("cert", &pair.cert), file("key", &pair.key), format!("--cacert={ca}")]
    };
    let to_clients =
        [file("cert-file", &server.cert), file("key-file", &server.key), format!("--trusted-ca-file={ca}")];
    let arguments: Vec<String> = to_members(&nobody).into_iter().chain(to_clients).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut proxy = Proxy::start(&cluster, &endpoints, &arguments).await;
    for flavour in [Flavour::Quorate, Flavour::Upstream] {
        let address = format!("https://{}", proxy.address());
        let bare = Ctl::etcdctl(flavour, &[address]).unwrap().argument(format!("--cacert={ca}"));
        let known = bare.clone().argument(file("cert", &user.cert)).argument(file("key", &user.key));
        run(&known, &["put", "key", "value"]).await;
        assert_eq!(run(&known, &["get", "key"]).await, "key\nvalue\n");
        let refused = bare.argument("--command-timeout=2s").run(&["get", "key"]).await.unwrap();
        assert_ne!(refused.code, 0, "without a certificate");
    }
    proxy.process.must_run().unwrap();

    let named: Vec<String> = to_members(&user);
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let mut refused = Proxy::launch(&cluster, &named);
    assert!(!refused.process.end().await.unwrap().success());
    let log = refused.process.log();
    assert!(log.contains("cert has non empty Common Name (a user)"), "{log}");
}

#[tokio::test]
async fn what_a_proxy_cannot_do_is_said() {
    let cluster = Cluster::builder(Flavour::Quorate, 1).prepare().unwrap();
    for (argument, text) in [
        ("--endpoints=ftp://127.0.0.1:1", "ftp://127.0.0.1:1"),
        ("--cert-file=missing.crt", "--cert-file and --key-file must both be given"),
        ("--resolver-prefix=/p", "--resolver-ttl=0"),
        ("--tls-min-version=TLS1.1", "TLS1.2 and TLS1.3"),
        ("--cacert=missing.crt", "missing.crt"),
    ] {
        let mut proxy = Proxy::launch(&cluster, &[argument, "--cert-file=a", "--key-file=b"][..1]);
        if argument.starts_with("--tls-min") {
            proxy = Proxy::launch(&cluster, &[argument, "--auto-tls"]);
        }
        assert!(!proxy.process.end().await.unwrap().success(), "{argument}");
        assert!(proxy.process.log().contains(text), "{argument}: {}", proxy.process.log());
    }
    // Nobody is there yet: the proxy waits for the members, and says so to its clients.
    let proxy = Proxy::start(&cluster, &cluster.endpoints(), &[]).await;
    let refused = proxy.ctl(Flavour::Upstream).run(&["endpoint", "health", "--command-timeout=2s"]).await.unwrap();
    assert_ne!(refused.code, 0);
    assert_eq!(health::get(proxy.port.address(), "/health").await.unwrap().0, 503);
    let mut cluster = cluster;
    cluster.launch(0).unwrap();
    cluster.member(0).ready().await.unwrap();
    wait::until("the proxy's way to the member", LIMIT, async || {
        let put = proxy.ctl(Flavour::Upstream).run(&["put", "key", "value"]).await?;
        Ok(if put.code == 0 { Look::Yes(()) } else { Look::NotYet(put.stderr) })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn locks_and_elections_go_through() {
    let cluster = Cluster::builder(Flavour::Quorate, 3).start().await.unwrap();
    let proxy = Proxy::start(&cluster, &cluster.endpoints(), &[]).await;
    let mut direct = cluster.client().await.unwrap();
    let mut client = Client::connect([proxy.address()], None).await.unwrap();
    let held = client.lock("job", None).await.unwrap();
    let mut leaders = client.observe("president").await.unwrap();
    let elected = client.campaign("president", "a", direct.lease_grant(600, None).await.unwrap().id()).await.unwrap();
    let told = tokio::time::timeout(LIMIT, leaders.message()).await.unwrap().unwrap().unwrap();
    assert_eq!(told.kv().unwrap().key(), elected.leader().unwrap().key());

    // Who leaves the proxy while it waits leaves the member too.
    let mut waiting = client.clone();
    let call = tokio::spawn(async move { waiting.lock("job", None).await });
    for (expected, ends) in [(2, true), (1, false)] {
        wait::until("the contenders", LIMIT, async || {
            let count = direct.get("job/", Some(GetOptions::new().with_prefix())).await.unwrap().count();
            Ok(if count == expected { Look::Yes(()) } else { Look::NotYet(format!("{count}")) })
        })
        .await
        .unwrap();
        if ends {
            call.abort();
        }
    }
    client.unlock(held.key()).await.unwrap();
    for flavour in [Flavour::Quorate, Flavour::Upstream] {
        assert_eq!(run(&proxy.ctl(flavour), &["lock", "job", "echo", "held"]).await, "held\n");
    }
}
