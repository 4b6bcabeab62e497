//! Clients say who they are, and each gets what is declared for it: while members come and go, passwords change, and data comes back
//! from a backup.

use std::path::PathBuf;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use quorate_e2e::ctl::Output;
use quorate_e2e::kubernetes::operated::LIMIT;
use quorate_e2e::kubernetes::{Operated, bucket};
use quorate_e2e::wait::{self, Look};
use serde_json::{Value, json};

use crate::etcdctl;

const API: &str = "/apis/quorate.io/v1alpha1/namespaces/default";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const PODS: &str = "/api/v1/namespaces/default/pods";

fn cluster(name: &str, more: Value) -> Value {
    let mut spec = json!({"replicas": 1, "image": {"pullPolicy": "Never"}, "storage": {"size": "1Gi"}});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"apiVersion": "quorate.io/v1alpha1", "kind": "EtcdCluster", "metadata": {"name": name}, "spec": spec})
}

fn role(prefix: &str) -> Value {
    json!([{"name": "app", "permissions": [{"access": "ReadWrite", "prefix": prefix}, {"access": "Read", "key": "shared"}]}])
}

async fn apply(site: &Operated, object: &Value) {
    site.kubernetes.apply(&object.to_string()).await.unwrap();
}

async fn set_password(site: &Operated, secret: &str, password: &str) {
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "stringData": {"password": password}});
    apply(site, &object).await;
}

async fn secret(site: &Operated, name: &str, key: &str) -> Vec<u8> {
    let secret = site.kubernetes.api().expect(Method::GET, &format!("{SECRETS}/{name}"), None).await.unwrap();
    STANDARD.decode(secret["data"][key].as_str().unwrap()).unwrap()
}

/// As `AuthReady` says it: whether, why, and in words.
fn auth(status: &Value) -> (String, String, String) {
    let all = status["conditions"].as_array().into_iter().flatten();
    let found = all.clone().find(|condition| condition["type"] == "AuthReady").cloned().unwrap_or_default();
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

async fn until_auth(site: &mut Operated, name: &str, reason: &str) -> Value {
    site.until(name, reason, |status| auth(status).1 == reason).await.unwrap()
}

/// A certificate of the cluster's own authority for this common name, as docs/operator/auth.md has it made.
async fn certificate(site: &Operated, cluster: &str, user: &str) -> (PathBuf, PathBuf) {
    let file = |kind: &str| site.kubernetes.folder().join(format!("{cluster}-{user}.{kind}"));
    for (key, kind) in [("tls.crt", "ca.crt"), ("tls.key", "ca.key")] {
        std::fs::write(file(kind), secret(site, &format!("{cluster}-ca"), key).await).unwrap();
    }
    std::fs::write(file("ext"), "extendedKeyUsage=clientAuth").unwrap();
    let openssl = |arguments: &str| {
        let names = ["ca.crt", "ca.key", "ext", "csr", "crt", "key"];
        let arguments = arguments.split(' ').map(|word| match names.iter().find(|name| **name == word) {
            Some(name) => file(name).display().to_string(),
            None => word.to_owned(),
        });
        let said = Command::new("openssl").args(arguments).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    };
    openssl(&format!(
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={user} -keyout key -out csr"
    ));
    openssl("x509 -req -in csr -CA ca.crt -CAkey ca.key -days 30 -extfile ext -out crt");
    (file("crt"), file("key"))
}

/// etcdctl with the certificate of this user.
async fn as_user(site: &Operated, cluster: &str, user: &str, arguments: &[&str]) -> Output {
    let (cert, key) = certificate(site, cluster, user).await;
    let authority = site.kubernetes.folder().join(format!("{cluster}-{user}.ca.crt"));
    let mut etcdctl = site.kubernetes.tool("etcdctl").unwrap();
    etcdctl = etcdctl.argument(format!("--endpoints=https://{cluster}-client.default.svc:2379"));
    for (flag, file) in [("cacert", authority), ("cert", cert), ("key", key)] {
        etcdctl = etcdctl.argument(format!("--{flag}={}", file.display()));
    }
    etcdctl.run(arguments).await.unwrap()
}

async fn allowed(site: &Operated, cluster: &str, user: &str, arguments: &[&str]) -> String {
    as_user(site, cluster, user, arguments)
        .await
        .success()
        .unwrap_or_else(|error| panic!("{user} {arguments:?}: {error:?}"))
}

async fn refused(site: &Operated, cluster: &str, user: &str, arguments: &[&str], words: &str) {
    let Output { stdout, stderr, code } = as_user(site, cluster, user, arguments).await;
    assert!(code != 0 && stderr.contains(words), "{user} {arguments:?}: {code} {stdout}{stderr}");
}

/// Until a call does what it does later, or is refused later.
async fn until(site: &Operated, cluster: &str, user: &str, arguments: &[&str], is_wanted: impl Fn(&Output) -> bool) {
    wait::until(&format!("{user} {arguments:?}"), LIMIT, async || {
        let output = as_user(site, cluster, user, arguments).await;
        Ok(if is_wanted(&output) { Look::Yes(()) } else { Look::NotYet(format!("{output:?}")) })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn each_client_gets_what_is_declared_for_it_and_nothing_else() {
    let mut site = Operated::start(1).await.unwrap();
    set_password(&site, "app-password", "one").await;
    let by_password = json!({"name": "app", "passwordSecret": {"name": "app-password"}, "roles": ["app"]});
    let by_certificate = json!({"name": "robot", "roles": ["app"]});
    let late = json!({"name": "late", "passwordSecret": {"name": "late-password"}, "roles": ["app"]});
    let users = json!([by_password, by_certificate, late]);
    apply(&site, &cluster("sample", json!({"auth": {"enabled": true, "roles": role("app/"), "users": users}}))).await;

    // One password is missing: its user waits, and nobody else does.
    site.running("sample", 1).await.unwrap();
    let waits = until_auth(&mut site, "sample", "PasswordMissing").await;
    let (holds, _, words) = auth(&waits["status"]);
    assert!(holds == "False" && words.contains("there is no Secret late-password"), "{words}");
    allowed(&site, "sample", "robot", &["put", "app/a", "1"]).await;
    refused(&site, "sample", "late", &["get", "app/a"], "permission denied").await;
    set_password(&site, "late-password", "later").await;
    let ready = until_auth(&mut site, "sample", "AuthAsDeclared").await;

    // Who is who, and may do what.
    refused(&site, "sample", "stranger", &["get", "app/a"], "permission denied").await;
    refused(&site, "sample", "robot", &["put", "other", "1"], "permission denied").await;
    refused(&site, "sample", "robot", &["put", "shared", "1"], "permission denied").await;
    allowed(&site, "sample", "robot", &["get", "shared"]).await;
    allowed(&site, "sample", "stranger", &["--user=app:one", "put", "app/b", "2"]).await;
    refused(&site, "sample", "stranger", &["--user=app:two", "get", "app/b"], "authentication failed").await;
    allowed(&site, "sample", "stranger", &["--user=late:later", "get", "app/a"]).await;
    assert_eq!(ready["status"]["auth"]["rootSecret"], "sample-root", "{ready:#}");
    let root = String::from_utf8(secret(&site, "sample-root", "password").await).unwrap();
    allowed(&site, "sample", "stranger", &[&format!("--user=root:{root}"), "put", "other", "1"]).await;

    // Members come and go as ever.
    site.change("sample", json!({"replicas": 3})).await.unwrap();
    let grown = site.running("sample", 3).await.unwrap();
    let leader = grown["status"]["leader"].as_str().unwrap();
    site.kubernetes.api().expect(Method::DELETE, &format!("{PODS}/{leader}"), None).await.unwrap();
    let is_led = |status: &Value| status["leader"].as_str().is_some_and(|name| name != leader);
    site.until("sample", "another leader", is_led).await.unwrap();
    site.running("sample", 3).await.unwrap();
    assert!(allowed(&site, "sample", "robot", &["get", "app/", "--prefix"]).await.contains("app/b"));

    // What is declared otherwise, is otherwise.
    set_password(&site, "app-password", "two").await;
    until(&site, "sample", "stranger", &["--user=app:two", "get", "app/b"], |output| output.code == 0).await;
    refused(&site, "sample", "stranger", &["--user=app:one", "get", "app/b"], "authentication failed").await;
    site.change("sample", json!({"auth": {"roles": role("app/a"), "users": [by_password, by_certificate]}}))
        .await
        .unwrap();
    let denied = |output: &Output| output.stderr.contains("permission denied");
    until(&site, "sample", "robot", &["get", "app/b"], denied).await;
    allowed(&site, "sample", "robot", &["put", "app/a", "3"]).await;
    until_auth(&mut site, "sample", "AuthAsDeclared").await;
    refused(&site, "sample", "late", &["get", "app/a"], "permission denied").await;

    // What is changed by hand comes back, and what is made by hand stays.
    let by_hand = async |arguments: &[&str]| etcdctl::etcdctl(&site.kubernetes, "sample", "default", arguments).await;
    by_hand(&["user", "add", "mine", "--no-password"]).await;
    by_hand(&["auth", "disable"]).await;
    until(&site, "sample", "stranger", &["get", "app/a"], |output| output.stderr.contains("permission denied")).await;
    assert!(by_hand(&["user", "list"]).await.contains("mine"));

    // Off, as it was asked for.
    site.change("sample", json!({"auth": {"enabled": false}})).await.unwrap();
    until_auth(&mut site, "sample", "AuthOff").await;
    allowed(&site, "sample", "stranger", &["get", "app/b"]).await;
}

#[tokio::test]
async fn users_come_back_with_a_backup_and_passwords_are_those_of_the_secrets() {
    let mut site = Operated::with_images(1, &bucket::IMAGES).await.unwrap();
    site.kubernetes.apply(bucket::MANIFEST).await.unwrap();
    set_password(&site, "app-password", "one").await;
    let user = json!({"name": "app", "passwordSecret": {"name": "app-password"}, "roles": ["app"]});
    let declared = json!({"enabled": true, "roles": role("app/"), "users": [user]});
    apply(&site, &cluster("sample", json!({"auth": declared}))).await;
    site.running("sample", 1).await.unwrap();
    until_auth(&mut site, "sample", "AuthAsDeclared").await;
    allowed(&site, "sample", "stranger", &["--user=app:one", "put", "app/a", "1"]).await;
    let backup = json!({"apiVersion": "quorate.io/v1alpha1", "kind": "EtcdBackup", "metadata": {"name": "good"},
        "spec": {"clusterName": "sample", "store": bucket::store(), "retries": 0}});
    apply(&site, &backup).await;
    let path = format!("{API}/etcdbackups/good");
    let is_over = |backup: &Value| ["Completed", "Failed"].map(Value::from).contains(&backup["status"]["phase"]);
    let good = site.kubernetes.api().until("a backup", LIMIT, &path, is_over).await.unwrap();
    assert_eq!(good["status"]["phase"], "Completed", "{good:#}");

    // Authentication that nobody declares is on with the data, and members are looked after all the same.
    let restored = cluster("again", json!({"bootstrap": {"restore": {"backupName": "good"}}}));
    apply(&site, &restored).await;
    site.running("again", 1).await.unwrap();
    refused(&site, "again", "stranger", &["get", "app/a"], "permission denied").await;
    assert!(allowed(&site, "again", "stranger", &["--user=app:one", "get", "app/a"]).await.contains('1'));

    // Declared, it is the Secrets' passwords that count.
    set_password(&site, "app-password", "two").await;
    site.change("again", json!({"auth": declared})).await.unwrap();
    until_auth(&mut site, "again", "AuthAsDeclared").await;
    assert!(allowed(&site, "again", "stranger", &["--user=app:two", "get", "app/a"]).await.contains('1'));
    refused(&site, "again", "stranger", &["--user=app:one", "get", "app/a"], "authentication failed").await;
    let root = String::from_utf8(secret(&site, "again-root", "password").await).unwrap();
    allowed(&site, "again", "stranger", &[&format!("--user=root:{root}"), "user", "list"]).await;
}
