//! `/v2/members`, as scripts of etcd 3.4 and before use it.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use serde_json::Value;

async fn ask(method: Method, url: &str, body: &'static str) -> (u16, Value) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::builder().method(method).uri(url).header("content-type", "application/json");
    let response = client.request(request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    assert!(response.headers().contains_key("x-etcd-cluster-id"));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_member_is_listed_added_moved_and_removed_over_v2() {
    let cluster = Cluster::single(Flavour::Quorate).await.unwrap();
    let members = format!("http://{}/v2/members", cluster.endpoints()[0]);

    let (status, list) = ask(Method::GET, &members, "").await;
    assert_eq!(status, 200);
    assert_eq!(list["members"][0]["clientURLs"][0], Value::from(format!("http://{}", cluster.endpoints()[0])));
    let (status, leader) = ask(Method::GET, &format!("{members}/leader"), "").await;
    assert_eq!((status, &leader["id"]), (200, &list["members"][0]["id"]));

    let (status, added) = ask(Method::POST, &members, r#"{"peerURLs":["http://127.0.0.1:1"]}"#).await;
    assert_eq!(status, 201, "{added}");
    assert_eq!((&added["name"], &added["peerURLs"][0]), (&Value::from(""), &Value::from("http://127.0.0.1:1")));
    let (status, refused) = ask(Method::POST, &members, r#"{"peerURLs":["http://127.0.0.1:1"]}"#).await;
    assert_eq!((status, &refused["message"]), (409, &Value::from("membership: peerURL exists")));
    assert_eq!(ask(Method::POST, &members, "{").await.0, 400);

    let one = format!("{members}/{}", added["id"].as_str().unwrap());
    assert_eq!(ask(Method::PUT, &one, r#"{"peerURLs":["http://127.0.0.1:2"]}"#).await.0, 204);
    let (_, list) = ask(Method::GET, &members, "").await;
    assert!(list.to_string().contains("http://127.0.0.1:2"), "{list}");
    assert_eq!(ask(Method::DELETE, &one, "").await.0, 204);
    let (status, refused) = ask(Method::DELETE, &one, "").await;
    assert_eq!((status, refused["message"].as_str().unwrap().starts_with("Member permanently removed: ")), (410, true));
    assert_eq!(ask(Method::DELETE, &format!("{members}/1"), "").await.0, 404);
    assert_eq!(ask(Method::GET, &members, "").await.1["members"].as_array().unwrap().len(), 1);
}
