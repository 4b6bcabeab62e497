//! Members that find each other through the URL of a discovery service.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quorate_e2e::binaries::Flavour;
use quorate_e2e::certs::{Authority, Wanted};
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;
use quorate_e2e::health;
use quorate_e2e::port::Port;
use quorate_e2e::process::Process;
use quorate_e2e::secured::Secured;
use quorate_e2e::wait::{self, Look};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LIMIT: Duration = Duration::from_secs(60);

/// A discovery service, and a folder for it.
struct Service {
    process: Option<Process>,
    port: Port,
    arguments: Vec<String>,
    // Last: the process goes first.
    folder: TempDir,
}

impl Service {
    async fn start(arguments: &[&str]) -> Service {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut service = Service { process: None, port: Port::reserve().unwrap(), arguments, folder };
        service.launch();
        service.process().logs("ready to serve discovery requests").await.unwrap();
        service
    }

    fn launch(&mut self) {
        let mut command = Command::new(Flavour::Quorate.etcd().unwrap());
        command.args(["discovery", "serve", "--listen-addr", &self.port.address().to_string()]).args(&self.arguments);
        command.current_dir(self.folder.path());
        self.process = Some(Process::start("discovery", command, &self.folder.path().join("log")).unwrap());
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    /// A URL for a cluster of this size.
    async fn url(&self, size: usize) -> String {
        let (code, url) = self.put(&format!("/new?size={size}")).await;
        assert_eq!(code, 200, "{url}");
        url
    }

    async fn get(&self, path: &str) -> (u16, String) {
        health::get(self.port.address(), path).await.unwrap()
    }

    async fn put(&self, path: &str) -> (u16, String) {
        health::send("PUT", self.port.address(), path).await.unwrap()
    }
}

/// Members that know nothing but a URL.
fn members(size: usize, url: &str, flags: &[&str]) -> Cluster {
    let builder = Cluster::builder(Flavour::Quorate, size).flag(format!("--discovery={url}"));
    flags.iter().fold(builder, |builder, flag| builder.flag(*flag)).prepare().unwrap()
}

async fn forms(cluster: &mut Cluster, size: usize) {
    for at in 0..size {
        cluster.member(at).start("").unwrap();
    }
    for at in 0..size {
        cluster.member(at).ready().await.unwrap();
    }
    let mut client = cluster.members()[0].client().await.unwrap();
    client.put("key", "value", None).await.unwrap();
    assert_eq!(client.member_list().await.unwrap().members().len(), size);
}

/// What a member says that does not start.
async fn refusal(cluster: &mut Cluster, at: usize) -> String {
    cluster.member(at).start("").unwrap();
    let process = cluster.member(at).running().unwrap();
    assert!(!process.end().await.unwrap().success());
    process.log()
}

#[tokio::test]
async fn the_first_three_form_a_cluster_and_a_fourth_ends_or_becomes_their_proxy() {
    let mut service = Service::start(&[]).await;
    let url = service.url(3).await;
    let mut cluster = members(4, &url, &[]);
    forms(&mut cluster, 3).await;
    let log = refusal(&mut cluster, 3).await;
    assert!(log.contains("discovery: cluster is full: 3 members have registered at"), "{log}");
    let token = url.rsplit('/').next().unwrap();
    let (_, list) = service.get(&format!("/{token}")).await;
    assert_eq!(list.matches("createdIndex").count(), 4, "whoever is refused leaves nothing behind: {list}");

    // The same member, told to fall back, and again without the service.
    cluster.member(3).flag("--discovery-fallback=proxy");
    let proxy = Ctl::etcdctl(Flavour::Upstream, &[cluster.members()[3].endpoint()]).unwrap();
    for _ in 0..2 {
        cluster.member(3).start("").unwrap();
        cluster.member(3).running().unwrap().logs("started gRPC proxy").await.unwrap();
        assert_eq!(proxy.run(&["get", "key"]).await.unwrap().success().unwrap(), "key\nvalue\n");
        let list = proxy.run(&["member", "list"]).await.unwrap().success().unwrap();
        assert_eq!(list.lines().count(), 3, "{list}");
        cluster.member(3).terminate().await.unwrap();
        if let Some(process) = service.process.take() {
            process.terminate().await.unwrap();
        }
        std::fs::write(cluster.folder().join("m3.log"), "").unwrap();
    }
    // A member that has data doesn't ask again.
    cluster.member(1).kill().unwrap();
    cluster.member(1).start("").unwrap();
    cluster.member(1).ready().await.unwrap();
}

#[tokio::test]
async fn registrations_outlive_the_service_and_a_member_that_was_interrupted_comes_again() {
    let mut service = Service::start(&[]).await;
    let url = service.url(3).await;
    let mut cluster = members(3, &url, &[]);
    for at in 0..2 {
        cluster.member(at).start("").unwrap();
        cluster.member(at).running().unwrap().logs("registered with the discovery service").await.unwrap();
    }
    service.process.take().unwrap().kill().unwrap();
    cluster.member(0).kill().unwrap();
    service.launch();
    for at in [0, 2] {
        cluster.member(at).start("").unwrap();
    }
    for at in 0..3 {
        cluster.member(at).ready().await.unwrap();
    }
}

#[tokio::test]
async fn a_member_that_waits_for_others_ends_when_it_is_told_to() {
    let service = Service::start(&[]).await;
    let url = service.url(3).await;
    let nobody = Port::reserve().unwrap();
    for (url, waiting) in [
        (url, "registered with the discovery service"),
        (format!("http://{}/token", nobody.address()), "the discovery service"),
    ] {
        let mut cluster = members(1, &url, &[]);
        cluster.member(0).start("").unwrap();
        cluster.member(0).running().unwrap().logs(waiting).await.unwrap();
        cluster.member(0).terminate().await.unwrap();
    }
}

#[tokio::test]
async fn any_cluster_keeps_the_registrations_and_etcds_own_members_find_each_other_by_keys() {
    for keeper in [Flavour::Quorate, Flavour::Upstream] {
        let keeper = Cluster::builder(keeper, 3).start().await.unwrap();
        let endpoints = format!("--endpoints={}", keeper.endpoints().join(","));
        let service = Service::start(&[&endpoints]).await;
        let mut cluster = members(3, &service.url(3).await, &[]);
        forms(&mut cluster, 3).await;

        let url = service.url(3).await;
        let token = url.rsplit('/').next().unwrap();
        for flavour in [Flavour::Upstream, Flavour::Quorate] {
            let (code, made) = service.put(&format!("/{token}-{flavour}/_config/size?value=3")).await;
            assert_eq!(code, 201, "{made}");
            let mut cluster = Cluster::builder(flavour, 3)
                .flag(format!("--discovery-endpoints=http://{}", service.port.address()))
                .flag(format!("--discovery-token={token}-{flavour}"))
                .prepare()
                .unwrap();
            forms(&mut cluster, 3).await;
        }
    }
}

#[tokio::test]
async fn members_with_tls_use_a_service_with_tls_through_a_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = Authority::new(folder.path(), "discovery-ca").unwrap();
    let signed = authority.sign("discovery", &Wanted::local("discovery")).unwrap();
    let (cert, key) = (signed.cert.display().to_string(), signed.key.display().to_string());
    let ca = authority.certificate().display().to_string();
    let flags = [format!("--cert-file={cert}"), format!("--key-file={key}"), format!("--trusted-ca-file={ca}")];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let service = Service::start(&flags).await;
    let address = service.port.address();
    let curl = |path: &str| {
        let path = format!("https://{address}{path}");
        let arguments = ["-sS", "-X", "PUT", "--cacert", &ca, "--cert", &cert, "--key", &key, &path];
        let output = Command::new("curl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (proxy, through) = http_proxy().await;
    for by_url in [true, false] {
        let url = curl("/new?size=3");
        assert!(url.starts_with("https://"), "{url}");
        let mut flags = vec![format!("--discovery-cert={cert}"), format!("--discovery-key={key}")];
        match by_url {
            true => flags.extend([format!("--discovery={url}"), format!("--discovery-proxy=http://{proxy}")]),
            false => flags.extend([
                format!("--discovery-endpoints=https://{address}"),
                format!("--discovery-token={}", url.rsplit('/').next().unwrap()),
                format!("--discovery-cacert={ca}"),
            ]),
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let mut secured = Secured::prepare(Flavour::Quorate, 3, &flags).unwrap();
        for at in 0..3 {
            // Without a file, the system's authorities are asked.
            secured.cluster.member(at).environment("SSL_CERT_FILE", &ca);
            secured.cluster.member(at).start("").unwrap();
        }
        for at in 0..3 {
            secured.cluster.member(at).ready().await.unwrap();
        }
        for flavour in [Flavour::Quorate, Flavour::Upstream] {
            let ctl = secured.ctl(flavour, Some(&secured.client)).unwrap();
            ctl.run(&["put", "key", "value"]).await.unwrap().success().unwrap();
        }
    }
    assert!(through.load(Ordering::Relaxed) >= 3, "the proxy was used");

    // An authority that is nobody's.
    let mut cluster = members(1, &curl("/new?size=1"), &[]);
    let stranger = Authority::new(folder.path(), "stranger").unwrap().certificate();
    cluster.member(0).environment("SSL_CERT_FILE", &stranger.display().to_string());
    cluster.member(0).start("").unwrap();
    cluster.member(0).running().unwrap().logs("UnknownIssuer").await.unwrap();
}

/// A proxy that forwards requests with whole addresses and opens tunnels, and counts.
async fn http_proxy() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(forward(client));
        }
    });
    (address, count)
}

async fn forward(mut client: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let (method, rest) = head.split_once(' ').unwrap_or_default();
    let (target, rest) = rest.split_once(' ').unwrap_or_default();
    let mut server;
    if method == "CONNECT" {
        server = TcpStream::connect(target).await?;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    } else {
        let (authority, path) = target.trim_start_matches("http://").split_once('/').unwrap_or_default();
        server = TcpStream::connect(authority).await?;
        server.write_all(format!("{method} /{path} {rest}").as_bytes()).await?;
    }
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

#[tokio::test]
async fn plain_requests_go_through_a_proxy_too() {
    let service = Service::start(&[]).await;
    let (proxy, through) = http_proxy().await;
    let mut cluster = members(1, &service.url(1).await, &[&format!("--discovery-proxy=http://{proxy}")]);
    forms(&mut cluster, 1).await;
    assert!(through.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn the_service_has_limits_and_forgets() {
    let service = Service::start(&["--max-size=5", "--max-tokens=2", "--token-ttl=2s"]).await;
    for path in ["/new?size=6", "/new?size=0", "/new?size=three"] {
        let (code, text) = service.put(path).await;
        assert!(code == 400 && text.contains("from 1 to 5 (--max-size)"), "{code} {text}");
    }
    let url = service.url(5).await;
    let token = url.rsplit('/').next().unwrap();
    service.url(5).await;
    let (code, text) = service.put("/new").await;
    assert!(code == 503 && text.contains("--max-tokens"), "{code} {text}");
    for (path, wanted) in [
        (format!("/{token}/xyz?value=a=http://a:1"), 400),
        (format!("/{token}/1?value="), 400),
        (format!("/{token}/1?prevExist=false&value=a=http://a:1"), 201),
        (format!("/{token}/1?prevExist=false&value=a=http://a:1"), 412),
        ("/unknown/1?prevExist=false&value=a=http://a:1".to_owned(), 404),
        (format!("/{token}/_config/size?value=3"), 503),
    ] {
        let (code, text) = service.put(&path).await;
        assert_eq!(code, wanted, "{path}: {text}");
    }
    let (_, waited) = service.get(&format!("/{token}?wait=true&waitIndex=1&recursive=true")).await;
    assert!(waited.contains(r#""action":"create""#) && waited.contains("/1\""), "{waited}");
    wait::until("the token's end", LIMIT, async || {
        let (code, text) = service.get(&format!("/{token}")).await;
        Ok(if code == 404 && text.contains(r#""errorCode":100"#) { Look::Yes(()) } else { Look::NotYet(text) })
    })
    .await
    .unwrap();
    let mut late = members(1, &url, &[]);
    let log = refusal(&mut late, 0).await;
    assert!(log.contains("discovery: size key not found") && log.contains(token), "{log}");
    service.url(1).await;
}

/// A service that says one thing to everybody.
async fn saying(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = client.read(&mut request).await;
                let _ = client.write_all(answer.as_bytes()).await;
                // Without an end, where none is announced.
                while !answer.contains("Content-Length") && client.write_all(&[b' '; 65536]).await.is_ok() {}
            });
        }
    });
    format!("http://{address}/token")
}

#[tokio::test]
async fn strangers_in_the_place_of_a_service_are_told_apart() {
    const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n<html>hi</html>";
    const ENDLESS: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    const WORD: &str =
        "HTTP/1.1 200 OK\r\nContent-Length: 32\r\nConnection: close\r\n\r\n{\"node\":{\"key\":\"k\",\"value\":\"x\"}}";
    const CIRCLE: &str = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for (answer, text) in [
        (PAGE, "discovery: bad discovery endpoint"),
        (ENDLESS, "longer than 1048576 bytes"),
        (WORD, "discovery: size key is bad"),
        (CIRCLE, "more than 10 redirections"),
    ] {
        let mut cluster = members(1, &saying(answer).await, &[]);
        let log = refusal(&mut cluster, 0).await;
        assert!(log.contains(text), "{text}: {log}");
        assert!(!Path::new(&cluster.members()[0].data_dir().join("member/wal")).exists());
    }
    // Nobody is there: the member waits, and says for whom.
    let port = Port::reserve().unwrap();
    let mut cluster = members(1, &format!("http://{}/token", port.address()), &[]);
    cluster.member(0).start("").unwrap();
    cluster.member(0).running().unwrap().logs("the discovery service failed").await.unwrap();
}
