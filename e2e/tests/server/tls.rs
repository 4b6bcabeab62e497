//! TLS between clients, members and each other, with certificates that are right, wrong, revoked, and replaced under load.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quorate_e2e::binaries::Flavour;
use quorate_e2e::certs::{Authority, Wanted};
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;
use quorate_e2e::secured::{Secured, ctl};
use quorate_e2e::wait::{self, Look};

const LIMIT: Duration = Duration::from_secs(30);

async fn is_let_in(ctl: &Ctl) -> bool {
    ctl.run(&["get", "anything"]).await.unwrap().code == 0
}

#[tokio::test]
async fn members_and_clients_speak_tls_and_nobody_else_is_let_in() {
    let mut secured = Secured::prepare(Flavour::Quorate, 3, &[]).unwrap();
    secured.start().await.unwrap();
    for flavour in [Flavour::Quorate, Flavour::Upstream] {
        let ctl = secured.ctl(flavour, Some(&secured.client)).unwrap();
        ctl.run(&["put", "key", "value"]).await.unwrap().success().unwrap();
        assert_eq!(ctl.run(&["get", "key"]).await.unwrap().success().unwrap(), "key\nvalue\n");
        ctl.run(&["endpoint", "health", "--cluster"]).await.unwrap().success().unwrap();
        let list = ctl.run(&["member", "list"]).await.unwrap().success().unwrap();
        assert_eq!(list.matches("https://").count(), 6, "{list}");

        assert!(!is_let_in(&secured.ctl(flavour, None).unwrap()).await, "a client without a certificate");
        let stranger = Authority::new(secured.folder.path(), "stranger").unwrap();
        let foreign = Authority::sign(&mut { stranger }, "foreign", &Wanted::local("x")).unwrap();
        assert!(!is_let_in(&secured.ctl(flavour, Some(&foreign)).unwrap()).await, "a certificate of another authority");
        let expired = Wanted { expired: true, ..Wanted::local("x") };
        let expired = secured.authority.sign("expired", &expired).unwrap();
        assert!(!is_let_in(&secured.ctl(flavour, Some(&expired)).unwrap()).await, "an expired certificate");
        let other_ca = secured.folder.path().join("stranger.crt");
        let distrustful = ctl_with_ca(flavour, &secured, &other_ca);
        assert!(!is_let_in(&distrustful).await, "a server that the client does not trust");
        let plain: Vec<String> =
            secured.cluster.endpoints().iter().map(|address| format!("http://{address}")).collect();
        let plain = Ctl::etcdctl(flavour, &plain).unwrap().argument("--command-timeout=3s");
        assert!(!is_let_in(&plain).await, "plain text");
    }
    let log = secured.cluster.member(0).running().unwrap().log();
    assert!(log.contains("rejected connection on client endpoint"), "{log}");
}

fn ctl_with_ca(flavour: Flavour, secured: &Secured, ca: &Path) -> Ctl {
    ctl(flavour, &secured.cluster, Some(ca), Some(&secured.client)).unwrap()
}

#[tokio::test]
async fn a_revoked_certificate_and_one_without_the_name_are_refused_as_soon_as_the_files_say_so() {
    let mut secured =
        Secured::prepare(Flavour::Quorate, 1, &["--client-cert-allowed-hostname=friend.example"]).unwrap();
    let list = secured.authority.revoke("revoked.pem", &[]).unwrap();
    secured.cluster.member(0).flag(format!("--client-crl-file={}", list.display()));
    secured.start().await.unwrap();
    let named = Wanted { names: vec!["friend.example".to_owned()], ..Wanted::local("a friend") };
    let friend = secured.authority.sign("friend", &named).unwrap();
    let other = secured.authority.sign("other", &named).unwrap();
    let ctl = |certificate| secured.ctl(Flavour::Quorate, Some(certificate)).unwrap();
    assert!(is_let_in(&ctl(&friend)).await && is_let_in(&ctl(&other)).await);
    assert!(!is_let_in(&ctl(&secured.client)).await, "a certificate without the name");

    secured.authority.revoke("revoked.pem", &[other.serial]).unwrap();
    assert!(is_let_in(&ctl(&friend)).await);
    assert!(!is_let_in(&ctl(&other)).await, "a revoked certificate");
    let log = secured.cluster.member(0).running().unwrap().log();
    assert!(log.contains("client certificate authentication failed"), "{log}");
}

#[tokio::test]
async fn a_member_with_a_certificate_of_another_authority_or_address_is_kept_out() {
    let mut secured = Secured::prepare(Flavour::Quorate, 3, &[]).unwrap();
    let mut stranger = Authority::new(secured.folder.path(), "stranger").unwrap();
    let foreign = stranger.sign("foreign", &Wanted::local("x")).unwrap();
    let elsewhere = Wanted { names: vec!["192.0.2.1".to_owned()], ..Wanted::local("x") };
    let elsewhere = secured.authority.sign("elsewhere", &elsewhere).unwrap();
    for at in 0..2 {
        secured.cluster.launch(at).unwrap();
    }
    for at in 0..2 {
        secured.cluster.member(at).ready().await.unwrap();
    }
    for (wrong, reason) in [(&foreign, "UnknownIssuer"), (&elsewhere, "certificate is valid for [192.0.2.1]")] {
        secured.cluster.member(2).flag(format!("--peer-client-cert-file={}", wrong.cert.display()));
        secured.cluster.member(2).flag(format!("--peer-client-key-file={}", wrong.key.display()));
        secured.cluster.launch(2).unwrap();
        wait::until("a refused member in the log", LIMIT, async || {
            let log = secured.cluster.member(0).running()?.log() + &secured.cluster.member(1).running()?.log();
            let mut refused = log.lines().filter(|line| line.contains("rejected connection on peer endpoint"));
            Ok(if refused.any(|line| line.contains(reason)) { Look::Yes(()) } else { Look::NotYet(log) })
        })
        .await
        .unwrap();
        secured.cluster.member(2).kill().unwrap();
    }
}

#[tokio::test]
async fn members_that_were_given_no_certificates_make_their_own() {
    let mut cluster =
        Cluster::builder(Flavour::Quorate, 3).flag("--auto-tls").flag("--peer-auto-tls").prepare_secured().unwrap();
    cluster.launch_all().await.unwrap();
    for flavour in [Flavour::Quorate, Flavour::Upstream] {
        let trusting = ctl(flavour, &cluster, None, None).unwrap();
        assert!(!is_let_in(&trusting).await, "a certificate that nobody signed");
        let trusting = trusting.argument("--insecure-skip-tls-verify").argument("--insecure-transport=false");
        trusting.run(&["put", "key", "value"]).await.unwrap().success().unwrap();
    }
    let cert = cluster.members()[0].data_dir().join("fixtures/client/cert.pem");
    let before = fs::read(&cert).unwrap();
    cluster.member(0).terminate().await.unwrap();
    cluster.launch(0).unwrap();
    cluster.member(0).ready().await.unwrap();
    assert_eq!(fs::read(&cert).unwrap(), before);
}

/// Clients that connect anew for each call.
struct Calls {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Calls {
    fn start(ctls: Vec<Ctl>) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let tasks = ctls
            .into_iter()
            .enumerate()
            .map(|(number, ctl)| {
                let (stop, done) = (stop.clone(), done.clone());
                tokio::spawn(async move {
                    let mut failures = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let count = done.fetch_add(1, Ordering::Relaxed).to_string();
                        let output = ctl.run(&["put", &format!("key {number}"), &count]).await.unwrap();
                        if output.code != 0 {
                            failures.push(output.stderr);
                        }
                    }
                    failures
                })
            })
            .collect();
        Self { stop, done, tasks }
    }

    async fn more(&self, calls: u64) {
        let goal = self.done.load(Ordering::Relaxed) + calls;
        wait::until("more calls", LIMIT, async || {
            let now = self.done.load(Ordering::Relaxed);
            Ok(if now >= goal { Look::Yes(()) } else { Look::NotYet(format!("{} to go", goal - now)) })
        })
        .await
        .unwrap();
    }

    async fn failures(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for task in self.tasks {
            failures.extend(task.await.unwrap());
        }
        failures
    }
}

#[tokio::test]
async fn certificates_and_then_the_authority_are_replaced_on_all_members_and_no_request_fails() {
    let mut secured = Secured::prepare(Flavour::Quorate, 3, &[]).unwrap();
    secured.start().await.unwrap();
    // What clients trust and show is theirs to change: they trust both authorities from the beginning.
    let folder = secured.folder.path().to_owned();
    let mut next = Authority::new(&folder, "next").unwrap();
    let both = folder.join("both.crt");
    let texts = [secured.authority.certificate(), next.certificate()].map(|path| fs::read_to_string(path).unwrap());
    fs::write(&both, texts.concat()).unwrap();
    let new_client = next.sign("new client", &Wanted::local("a client")).unwrap();
    let ctls = [Flavour::Quorate, Flavour::Upstream, Flavour::Quorate]
        .map(|flavour| ctl(flavour, &secured.cluster, Some(&both), Some(&secured.client)).unwrap());
    let calls = Calls::start(ctls.into());
    calls.more(20).await;

    for at in 0..3 {
        secured.authority.sign(&format!("server{at}"), &Wanted::local("renewed")).unwrap();
    }
    calls.more(20).await;

    // Both are trusted, then the new one signs, then the old one goes.
    let trusted = secured.authority.certificate();
    replace(&trusted, &texts.concat());
    calls.more(20).await;
    for at in 0..3 {
        next.sign(&format!("server{at}"), &Wanted::local("of the next authority")).unwrap();
    }
    calls.more(20).await;
    let failures = calls.failures().await;
    assert!(failures.is_empty(), "{failures:?}");

    let newcomers =
        Calls::start(vec![ctl(Flavour::Upstream, &secured.cluster, Some(&both), Some(&new_client)).unwrap()]);
    newcomers.more(5).await;
    replace(&trusted, &texts[1]);
    newcomers.more(10).await;
    let failures = newcomers.failures().await;
    assert!(failures.is_empty(), "{failures:?}");
    let old = ctl(Flavour::Quorate, &secured.cluster, Some(&both), Some(&secured.client)).unwrap();
    assert!(!is_let_in(&old).await, "a certificate of the authority that is gone");

    // Members find each other again by what the files say now.
    let leader = ctl(Flavour::Upstream, &secured.cluster, Some(&both), Some(&new_client)).unwrap();
    for at in 0..3 {
        secured.cluster.member(at).terminate().await.unwrap();
        secured.cluster.launch(at).unwrap();
        secured.cluster.member(at).ready().await.unwrap();
    }
    leader.run(&["put", "the", "end"]).await.unwrap().success().unwrap();
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}
