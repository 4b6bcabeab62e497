//! Client libraries of other languages on a cluster of three with TLS and authentication; `e2e/clients/` has the programs.

use std::path::Path;
use std::time::Duration;

use quorate_e2e::binaries::{Flavour, clients_dir};
use quorate_e2e::certs::{Authority, Wanted};
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;

const LIMIT: Duration = Duration::from_secs(120);
/// A role of its own, as an application has it; etcd3's locks are below a prefix of the library's.
const ROLE: &[&[&str]] = &[
    &["user", "add", "root:secret"],
    &["user", "grant-role", "root", "root"],
    &["role", "add", "app"],
    &["role", "grant-permission", "app", "readwrite", "app/", "--prefix"],
    &["role", "grant-permission", "app", "readwrite", "/locks/app/", "--prefix"],
    &["user", "add", "alice:wonder"],
    &["user", "grant-role", "alice", "app"],
    &["auth", "enable"],
];

/// How a built program is started.
fn program(language: &str, built: &Path) -> tokio::process::Command {
    let mut command = match language {
        "go" => tokio::process::Command::new(built.join("client")),
        "python" => {
            let mut command = tokio::process::Command::new(built.join("environment/bin/python"));
            command.arg(built.join("client.py"));
            command
        }
        "javascript" => {
            let mut command = tokio::process::Command::new("node");
            command.arg(built.join("client.js"));
            command
        }
        "java" => {
            let mut command = tokio::process::Command::new("java");
            let classes = format!("{0}/target/client.jar:{0}/target/lib/*", built.display());
            command.args(["-cp", &classes, "Client"]);
            command
        }
        other => panic!("nobody knows how to start a program in {other}"),
    };
    command.kill_on_drop(true);
    command
}

#[tokio::test]
async fn programs_in_every_language_do_their_work() {
    let flavour = Flavour::under_test();
    let folder = tempfile::tempdir().unwrap();
    let mut authority = Authority::new(folder.path(), "ca").unwrap();
    let mut cluster = Cluster::builder(flavour, 3).prepare_secured().unwrap();
    for at in 0..3 {
        let server = authority.sign(&format!("server{at}"), &Wanted::local("a server")).unwrap();
        for prefix in ["", "peer-"] {
            for (flag, file) in [("cert-file", &server.cert), ("key-file", &server.key)] {
                cluster.member(at).flag(format!("--{prefix}{flag}={}", file.display()));
            }
        }
        cluster.member(at).flag(format!("--peer-trusted-ca-file={}", authority.certificate().display()));
        cluster.member(at).flag("--peer-client-cert-auth");
    }
    cluster.launch_all().await.unwrap();
    let endpoints: Vec<String> = cluster.members().iter().map(|member| member.client_url()).collect();
    let certificate = format!("--cacert={}", authority.certificate().display());
    let ctl = Ctl::etcdctl(Flavour::Upstream, &endpoints).unwrap().argument(certificate);
    for step in ROLE {
        ctl.run(step).await.unwrap().success().unwrap();
    }

    let mut tried = Vec::new();
    for entry in std::fs::read_dir(clients_dir()).unwrap() {
        let entry = entry.unwrap();
        let language = entry.file_name().into_string().unwrap();
        let mut command = program(&language, &entry.path());
        command.env("ETCD_ENDPOINTS", endpoints.join(",")).env("ETCD_CACERT", authority.certificate());
        command.env("ETCD_USER", "alice").env("ETCD_PASSWORD", "wonder");
        let output = tokio::time::timeout(LIMIT, command.output()).await.unwrap().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        println!("--- {language}\n{printed}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{language}: {}\n{printed}\n{told}", output.status);
        assert!(printed.lines().filter(|line| line.starts_with("ok ")).count() >= 7, "{language}: {printed}");
        tried.push(language);
    }
    // Of the others it depends on the machine's toolchains.
    assert!(tried.iter().any(|language| language == "go"), "`cargo xtask clients` builds them");
}
