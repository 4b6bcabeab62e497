//! Listeners beyond one TCP port: files of the file system, and plain text beside TLS on one port.

use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::ctl::Ctl;

#[tokio::test]
async fn clients_come_by_a_socket_of_the_file_system_which_goes_with_the_member() {
    let mut cluster = Cluster::builder(Flavour::Quorate, 1).prepare().unwrap();
    let socket = cluster.folder().join("client.sock");
    // A file that an earlier process left behind is in nobody's way.
    std::fs::write(&socket, "").unwrap();
    let member = cluster.members()[0].client_url();
    cluster.member(0).flag(format!("--listen-client-urls={member},unix://{}", socket.display()));
    cluster.launch(0).unwrap();
    cluster.member(0).ready().await.unwrap();
    for flavour in [Flavour::Quorate, Flavour::Upstream] {
        let ctl = Ctl::etcdctl(flavour, &[format!("unix://{}", socket.display())]).unwrap();
        ctl.run(&["put", "key", "value"]).await.unwrap().success().unwrap();
        assert_eq!(ctl.run(&["get", "key"]).await.unwrap().success().unwrap(), "key\nvalue\n");
    }
    cluster.member(0).terminate().await.unwrap();
    assert!(!socket.exists());
}

#[tokio::test]
async fn one_port_serves_plain_text_and_tls_if_it_is_listed_with_both() {
    let mut cluster = Cluster::builder(Flavour::Quorate, 1).flag("--auto-tls").prepare().unwrap();
    let address = cluster.endpoints()[0].clone();
    cluster.member(0).flag(format!("--listen-client-urls=http://{address},https://{address}"));
    cluster.launch(0).unwrap();
    cluster.member(0).ready().await.unwrap();
    for flavour in [Flavour::Quorate, Flavour::Upstream] {
        let plain = Ctl::etcdctl(flavour, &[format!("http://{address}")]).unwrap();
        plain.run(&["put", "key", "value"]).await.unwrap().success().unwrap();
        let secured = Ctl::etcdctl(flavour, &[format!("https://{address}")]).unwrap();
        let secured = secured.argument("--insecure-skip-tls-verify").argument("--insecure-transport=false");
        assert_eq!(secured.run(&["get", "key"]).await.unwrap().success().unwrap(), "key\nvalue\n");
    }
}
