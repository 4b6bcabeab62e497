//! What systemd is told.

use std::time::Duration;

use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use tokio::net::UnixDatagram;

#[tokio::test]
async fn systemd_hears_that_a_member_is_ready_when_it_serves() {
    let mut cluster = Cluster::builder(Flavour::under_test(), 1).prepare().unwrap();
    let path = cluster.folder().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    cluster.member(0).environment("NOTIFY_SOCKET", path.to_str().unwrap());
    cluster.launch(0).unwrap();
    let mut message = [0; 128];
    let told = tokio::time::timeout(Duration::from_secs(30), socket.recv(&mut message)).await;
    let length = told.unwrap().unwrap();
    assert_eq!(std::str::from_utf8(&message[..length]).unwrap().trim_end(), "READY=1");
    cluster.client().await.unwrap().put("key", "value", None).await.unwrap();
}
