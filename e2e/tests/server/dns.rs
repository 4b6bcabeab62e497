//! Members and clients that find the cluster by service records, from a real name server.

use std::path::Path;
use std::time::Duration;

use quorate_e2e::binaries::Flavour;
use quorate_e2e::certs::{Authority, Wanted};
use quorate_e2e::network::Network;
use quorate_e2e::process::Process;
use quorate_e2e::wait::{self, Look};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);
/// Longer than a resolver waits before it asks again.
const LATE: Duration = Duration::from_secs(3);

/// Records for members m0, m1, ... at 127.0.0.11, 127.0.0.12, ..., as far as `listed` has them.
fn zone(serial: u32, services: &[&str], listed: &[usize]) -> String {
    let mut zone = format!(
        "$ORIGIN example.test.\n$TTL 1\n@ IN SOA ns.example.test. admin.example.test. {serial} 60 60 600 1\n\
         @ IN NS ns.example.test.\nns IN A 127.0.0.1\n"
    );
    for at in 0..3 {
        zone += &format!("m{at} IN A 127.0.0.1{}\n", at + 1);
    }
    for (service, at) in services.iter().flat_map(|service| listed.iter().map(move |at| (service, at))) {
        let port = if service.contains("client") { 2379 } else { 2380 };
        zone += &format!("_{service}._tcp IN SRV 0 0 {port} m{at}.example.test.\n");
    }
    zone
}

const PLAIN: &[&str] = &["etcd-server", "etcd-client"];
const SECURED: &[&str] = &["etcd-server-ssl", "etcd-client-ssl"];

/// Members in a network of their own.
struct Site {
    members: Vec<Option<Process>>,
    network: Network,
    scheme: &'static str,
    flags: Vec<String>,
    folder: TempDir,
}

impl Site {
    async fn new(zone: &str) -> Self {
        Self::with_scheme(zone, "http").await
    }

    async fn with_scheme(zone: &str, scheme: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let network = Network::start(folder.path(), zone).await.unwrap();
        Self { members: vec![None, None, None], network, scheme, flags: Vec::new(), folder }
    }

    fn start(&mut self, at: usize) {
        let (host, scheme) = (format!("m{at}.example.test"), self.scheme);
        let ip = format!("127.0.0.1{}", at + 1);
        let mut command = self.network.command(&Flavour::Quorate.etcd().unwrap());
        command
            .args(["--name", &format!("m{at}"), "--discovery-srv", "example.test"])
            .arg("--data-dir")
            .arg(self.folder.path().join(format!("m{at}.etcd")))
            .args(["--initial-advertise-peer-urls", &format!("{scheme}://{host}:2380")])
            .args(["--listen-peer-urls", &format!("{scheme}://{ip}:2380")])
            .args(["--advertise-client-urls", &format!("{scheme}://{host}:2379")])
            .args(["--listen-client-urls", &format!("{scheme}://{ip}:2379")])
            .args(&self.flags);
        let log = self.folder.path().join(format!("m{at}.log"));
        self.members[at] = Some(Process::start(&format!("m{at}"), command, &log).unwrap());
    }

    /// The log of a member that ended by itself.
    async fn refusal(&mut self, at: usize) -> String {
        let member = self.members[at].as_mut().unwrap();
        assert!(!member.end().await.unwrap().success());
        member.log()
    }

    /// By etcdctls that know the domain and nothing else; upstream's looks for `endpoint health` at --endpoints all the same.
    async fn healthy(&mut self, arguments: &[&str]) {
        let ctl = self.network.ctl(&Flavour::Quorate.etcdctl().unwrap());
        let members = &mut self.members;
        let health = [&["-d", "example.test"], arguments, &["endpoint", "health"]].concat();
        wait::until("health of all endpoints in DNS", LIMIT, async || {
            for member in members.iter_mut().flatten() {
                member.must_run()?;
            }
            let output = ctl.run(&health).await?;
            let all = format!("{}{}", output.stdout, output.stderr);
            Ok(match output.code == 0 && all.matches("is healthy").count() == 3 {
                true => Look::Yes(()),
                false => Look::NotYet(all),
            })
        })
        .await
        .unwrap();
        for flavour in [Flavour::Quorate, Flavour::Upstream] {
            let ctl = self.network.ctl(&flavour.etcdctl().unwrap());
            let put = [&["-d", "example.test"], arguments, &["put", "key", "value"]].concat();
            ctl.run(&put).await.unwrap().success().unwrap();
        }
    }
}

#[tokio::test]
async fn three_members_and_their_clients_find_each_other_in_dns_though_it_answers_late() {
    let mut site = Site::new(&zone(1, PLAIN, &[0, 1, 2])).await;
    site.network.server().pause().unwrap();
    for at in 0..3 {
        site.start(at);
    }
    // This is the fault, not a wait for something.
    tokio::time::sleep(LATE).await;
    site.network.server().resume().unwrap();
    site.healthy(&[]).await;
}

#[tokio::test]
async fn members_that_dns_names_for_tls_verify_each_other_by_the_authority_or_by_the_domain() {
    let mut site = Site::with_scheme(&zone(1, SECURED, &[0, 1, 2]), "https").await;
    let mut authority = Authority::new(site.folder.path(), "ca").unwrap();
    let names: Vec<_> = (0..3).map(|at| format!("m{at}.example.test")).chain(["127.0.0.1".to_owned()]).collect();
    let peer_names = names.iter().cloned().chain(["example.test".to_owned()]).collect();
    // Clients that aren't told otherwise look for the host's name alone.
    let certificate = authority.sign("member", &Wanted { names, ..Wanted::local("a member") }).unwrap();
    let peer = authority.sign("peer", &Wanted { names: peer_names, ..Wanted::local("a member") }).unwrap();
    let ca = authority.certificate();
    let file = |path: &Path| path.display().to_string();
    for (prefix, certificate) in [("", &certificate), ("peer-", &peer)] {
        site.flags.push(format!("--{prefix}cert-file={}", file(&certificate.cert)));
        site.flags.push(format!("--{prefix}key-file={}", file(&certificate.key)));
        site.flags.push(format!("--{prefix}trusted-ca-file={}", file(&ca)));
    }
    for at in 0..3 {
        site.start(at);
    }
    let [cert, key, cacert] = [("cert", &certificate.cert), ("key", &certificate.key), ("cacert", &ca)]
        .map(|(flag, path)| format!("--{flag}={}", file(path)));
    site.healthy(&[&cert, &key, &cacert]).await;
}

#[tokio::test]
async fn records_that_are_missing_wrong_or_of_the_other_scheme_are_named_and_right_ones_are_taken_up() {
    let mut site = Site::new(&zone(1, &[], &[])).await;
    site.start(0);
    let log = site.refusal(0).await;
    assert!(log.contains("error querying DNS SRV records for _etcd-server"), "{log}");

    let changed = |site: &Site, serial, services: &[&str], listed: &[usize]| {
        site.network.replace_zone(&zone(serial, services, listed)).unwrap();
    };
    changed(&site, 2, PLAIN, &[1, 2]);
    loop_until(&mut site, "cannot find local etcd member").await;
    changed(&site, 3, SECURED, &[0, 1, 2]);
    loop_until(&mut site, "scheme mismatch with expected peer").await;

    changed(&site, 4, PLAIN, &[0, 1, 2]);
    wait::until("the right records", LIMIT, async || {
        site.start(0);
        let member = site.members[0].as_mut().unwrap();
        wait::until("a decision", LIMIT, async || {
            let decided = member.ended()?.is_some() || member.log().contains("starting local member");
            Ok(if decided { Look::Yes(()) } else { Look::NotYet(member.log()) })
        })
        .await?;
        Ok(if member.ended()?.is_none() { Look::Yes(()) } else { Look::NotYet(member.log()) })
    })
    .await
    .unwrap();
    for at in 1..3 {
        site.start(at);
    }
    site.healthy(&[]).await;
}

/// Starts a member until it is refused for this reason: the name server takes up changed records after a while.
async fn loop_until(site: &mut Site, reason: &str) {
    let started = std::time::Instant::now();
    loop {
        site.start(0);
        let log = site.refusal(0).await;
        if log.contains(reason) {
            return;
        }
        assert!(started.elapsed() < LIMIT, "{log}");
    }
}
