//! etcdctl's `lock` and `elect`, ours and upstream's, on both servers: what they print, leave with, and leave behind.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;
use quorate_e2e::process::Process;
use quorate_e2e::transcript::normalise;
use quorate_e2e::wait::{self, Look};
use rustix::process::{Signal, kill_process};

const LIMIT: Duration = Duration::from_secs(30);

/// Calls that end by themselves; `_` stands for a blank within an argument.
const CALLS: &[&str] = &[
    "lock",
    "lock l true",
    "lock l echo held",
    "lock l env",
    "lock l -- sh -c exit_7",
    "lock l false",
    "lock l -- sh -c kill_-9_$$",
    "lock l no-such-program",
    "lock l ./no-such-program",
    "lock l cat",
    "lock l --ttl 5 echo held",
    "lock l --ttl x",
    "lock l --ttl=-1 echo held",
    "get --prefix l/",
    "elect",
    "elect e",
    "elect e v -l",
    "elect e v w",
    "elect -l",
];

/// One cluster, one client, and what was seen of them.
struct Session {
    cluster: Cluster,
    client: Flavour,
    ctl: Ctl,
    started: usize,
    transcript: String,
}

/// A running etcdctl.
struct Running {
    line: String,
    process: Process,
}

impl Session {
    async fn start(server: Flavour, client: Flavour) -> Session {
        let cluster = Cluster::single(server).await.unwrap();
        let ctl = Ctl::etcdctl(client, &cluster.endpoints()).unwrap();
        Session { cluster, client, ctl, started: 0, transcript: String::new() }
    }

    fn run(&mut self, line: &str) -> Running {
        self.started += 1;
        let mut command = Command::new(self.client.etcdctl().unwrap());
        command.env_clear().env("PATH", std::env::var("PATH").unwrap());
        command.arg(format!("--endpoints={}", self.cluster.endpoints().join(",")));
        command.args(line.split(' ').map(|argument| argument.replace('_', " ")));
        let log = self.cluster.folder().join(format!("etcdctl-{}.log", self.started));
        Running { line: line.to_owned(), process: Process::start(line, command, &log).unwrap() }
    }

    /// Starts a command and waits until it has printed this.
    async fn run_until(&mut self, line: &str, text: &str) -> Running {
        let mut running = self.run(line);
        running.process.logs(text).await.unwrap();
        running
    }

    /// Notes what a command printed and how it ended.
    async fn end(&mut self, mut running: Running) {
        let status = running.process.end().await.unwrap();
        let code = status.code().map_or_else(|| format!("signal {:?}", status.signal()), |code| code.to_string());
        let printed = without_json_keys(&normalise(&running.process.log()));
        self.transcript += &format!("$ {}\n{printed}[exit code {code}]\n", running.line);
    }

    async fn signal(&mut self, running: Running, signal: Signal) {
        kill_process(running.process.pid(), signal).unwrap();
        self.end(running).await;
    }

    /// The keys under a name, which are as many as expected.
    async fn keys(&self, name: &str, expected: usize) -> Vec<String> {
        wait::until(&format!("{expected} keys of {name}"), LIMIT, async || {
            let listed = self.ctl.run(&["get", "--prefix", &format!("{name}/"), "--keys-only"]).await?.success()?;
            let keys: Vec<String> = listed.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
            Ok(if keys.len() == expected { Look::Yes(keys) } else { Look::NotYet(listed) })
        })
        .await
        .unwrap()
    }

    /// Takes the lease away from the only key under a name.
    async fn revoke(&self, name: &str) {
        let key = self.keys(name, 1).await.remove(0);
        let lease = key.split_once('/').unwrap().1;
        self.ctl.run(&["lease", "revoke", lease]).await.unwrap().success().unwrap();
    }

    async fn locks(&mut self) {
        let holder = self.run_until("lock a", "a/").await;
        let interrupted = self.run("lock a");
        self.keys("a", 2).await;
        self.signal(interrupted, Signal::INT).await;
        self.keys("a", 1).await;
        let mut next = self.run("lock a");
        self.keys("a", 2).await;
        self.signal(holder, Signal::INT).await;
        next.process.logs("a/").await.unwrap();
        self.keys("a", 1).await;
        self.signal(next, Signal::TERM).await;
        self.keys("a", 0).await;

        for (format, shown) in [("json", "kvs"), ("fields", "b/")] {
            let holder = self.run_until(&format!("lock b -w {format}"), shown).await;
            self.signal(holder, Signal::TERM).await;
        }
        let unknown = self.run("lock b -w table");
        self.end(unknown).await;

        let robbed = self.run_until("lock c", "c/").await;
        self.revoke("c").await;
        self.end(robbed).await;
    }

    /// Signals do not reach the command of a lock; what it prints does not depend on them either.
    async fn locked_commands(&mut self) {
        let flag = self.cluster.folder().join("go-on");
        let script = format!("lock d -- sh -c echo_begun;until_[_-e_{}_];do_sleep_0.05;done;exit_3", flag.display());
        let busy = self.run_until(&script, "begun").await;
        kill_process(busy.process.pid(), Signal::TERM).unwrap();
        let waiting = self.run("lock d echo after");
        self.keys("d", 2).await;
        fs::write(&flag, "").unwrap();
        // The folder's name differs from session to session.
        self.end(Running { line: "lock d (until told)".to_owned(), ..busy }).await;
        self.end(waiting).await;
        self.keys("d", 0).await;
    }

    async fn elections(&mut self) {
        let mut listener = self.run("elect e -l");
        let leader = self.run_until("elect e one", "one").await;
        listener.process.logs("one").await.unwrap();
        let interrupted = self.run("elect e two");
        self.keys("e", 2).await;
        self.signal(interrupted, Signal::TERM).await;
        self.keys("e", 1).await;
        let mut next = self.run("elect e three");
        self.keys("e", 2).await;
        self.signal(leader, Signal::INT).await;
        next.process.logs("three").await.unwrap();
        listener.process.logs("three").await.unwrap();
        self.revoke("e").await;
        self.end(next).await;
        let last = self.run_until("elect e four -w json", "kvs").await;
        listener.process.logs("four").await.unwrap();
        self.signal(last, Signal::TERM).await;
        self.signal(listener, Signal::INT).await;
        self.keys("e", 0).await;
    }
}

/// A lease's id is a part of the key, which JSON has in base64.
fn without_json_keys(text: &str) -> String {
    let mut parts = text.split("\"key\":\"");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| format!("{out}\"key\":\"KEY{}", part.trim_start_matches(|c| c != '"')))
}

async fn transcript(server: Flavour, client: Flavour) -> String {
    let mut session = Session::start(server, client).await;
    for line in CALLS {
        let call = session.run(line);
        session.end(call).await;
    }
    session.locks().await;
    session.locked_commands().await;
    session.elections().await;
    session.transcript
}

/// Without help texts, which are made of our own words.
fn comparable(transcript: &str) -> Vec<String> {
    let step = |step: &str| {
        let mut in_usage = false;
        let lines = step.lines().filter(|line| {
            in_usage = (in_usage || line.ends_with("Usage:")) && !line.starts_with("[exit code");
            !in_usage
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    transcript.split("$ ").map(step).collect()
}

async fn check(server: Flavour, client: Flavour) {
    let expected = transcript(Flavour::Upstream, Flavour::Upstream).await;
    let got = transcript(server, client).await;
    // Shown when the test fails: what was compared.
    println!("{expected}");
    for (expected, got) in comparable(&expected).iter().zip(comparable(&got)) {
        assert_eq!(*expected, got, "etcdctl of {client} on a server of {server}");
    }
}

#[tokio::test]
async fn upstreams_locks_and_elections_see_no_difference_between_the_servers() {
    check(Flavour::under_test(), Flavour::Upstream).await;
}

#[tokio::test]
async fn our_locks_and_elections_print_what_upstreams_print_on_their_server() {
    check(Flavour::Upstream, Flavour::under_test()).await;
}

#[tokio::test]
async fn our_locks_and_elections_on_our_server_print_what_upstreams_print() {
    check(Flavour::under_test(), Flavour::under_test()).await;
}

/// A lock is kept while the server is away for less than its time.
#[tokio::test]
async fn a_lock_outlives_a_restart_of_its_server() {
    for client in [Flavour::under_test(), Flavour::Upstream] {
        let mut session = Session::start(Flavour::under_test(), client).await;
        let holder = session.run_until("lock a --ttl 20", "a/").await;
        let mut waiting = session.run("lock a --ttl 20");
        session.keys("a", 2).await;
        session.cluster.member(0).kill().unwrap();
        session.cluster.launch(0).unwrap();
        session.cluster.member(0).ready().await.unwrap();
        assert_eq!(session.keys("a", 2).await.len(), 2);
        session.signal(holder, Signal::TERM).await;
        waiting.process.logs("a/").await.unwrap();
        session.signal(waiting, Signal::TERM).await;
        session.keys("a", 0).await;
        assert_eq!(session.transcript.matches("[exit code 0]").count(), 2, "{}", session.transcript);
    }
}

#[tokio::test]
async fn a_lock_whose_server_is_gone_for_its_time_ends_with_its_session() {
    for client in [Flavour::under_test(), Flavour::Upstream] {
        let mut session = Session::start(Flavour::under_test(), client).await;
        let holder = session.run_until("lock a --ttl 2", "a/").await;
        session.cluster.member(0).kill().unwrap();
        session.end(holder).await;
        assert!(session.transcript.ends_with("Error: session expired\n[exit code 1]\n"), "{}", session.transcript);
    }
}

/// `kill -9` leaves the key to its lease, and the lock passes on within its time.
#[tokio::test]
async fn the_lock_of_a_killed_etcdctl_passes_on() {
    let mut session = Session::start(Flavour::under_test(), Flavour::under_test()).await;
    let holder = session.run_until("lock a --ttl 2", "a/").await;
    let waiting = session.run("lock a echo passed");
    session.keys("a", 2).await;
    holder.process.kill().unwrap();
    session.end(waiting).await;
    assert_eq!(session.transcript, "$ lock a echo passed\npassed\n[exit code 0]\n");
}
