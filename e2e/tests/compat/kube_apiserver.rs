//! A real kube-apiserver on three members: it starts, holds thousands of objects, lists and watches them, and does not
//! notice more of a leader's death than a pause.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use hyper::Method;
use quorate_e2e::Error;
use quorate_e2e::binaries::Flavour;
use quorate_e2e::cluster::Cluster;
use quorate_e2e::kubernetes::{ApiServer, Watch};
use quorate_e2e::wait::{self, Look};
use serde_json::{Value, json};

const OBJECTS: usize = 5000;
const PAGE: usize = 500;
/// Objects that are written while the leader dies.
const MORE_OBJECTS: usize = 500;
const CONCURRENT_CALLS: usize = 16;
/// Until a watch has told everything.
const WATCH_LIMIT: Duration = Duration::from_secs(60);
/// Until a call succeeds again after a leader's death.
const RECOVERY_LIMIT: Duration = Duration::from_secs(60);

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const WIDGETS: &str = "/apis/e2e.quorate.test/v1/namespaces/default/widgets";

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"set": "e2e"}},
        "data": {"name": name, "filler": "x".repeat(600)}})
}

fn widget_definition() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.e2e.quorate.test"},
        "spec": {"group": "e2e.quorate.test", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "properties": {"size": {"type": "integer"}}}}}]}})
}

fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

/// Creates objects, each once: after an unknown outcome it may exist already, which is as good.
async fn create(api: &ApiServer, names: &[String]) {
    let one = |name: &String| {
        let object = map(name);
        async move {
            wait::until("the creation of an object", RECOVERY_LIMIT, async || {
                Ok(match api.call(Method::POST, MAPS, Some(&object)).await {
                    Ok((201 | 409, _)) => Look::Yes(()),
                    Ok((code, answer)) => Look::NotYet(format!("{code} {answer}")),
                    Err(error) => Look::NotYet(error.to_string()),
                })
            })
            .await
        }
    };
    let calls: Vec<_> = names.iter().map(one).collect();
    stream::iter(calls).buffer_unordered(CONCURRENT_CALLS).try_collect::<()>().await.unwrap();
}

/// Lists in pages and checks what each page says about the rest. Returns the names in the order listed.
async fn list(api: &ApiServer, expected: usize) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut token = String::new();
    let mut version = None;
    loop {
        let path = format!("{MAPS}?limit={PAGE}&continue={token}");
        let page = api.expect(Method::GET, &path, None).await.unwrap();
        names.extend(page["items"].as_array().unwrap().iter().map(name_of));
        let metadata = &page["metadata"];
        assert_eq!(*version.get_or_insert_with(|| metadata["resourceVersion"].clone()), metadata["resourceVersion"]);
        let left = expected - names.len();
        assert_eq!(metadata["remainingItemCount"].as_u64().unwrap_or(0) as usize, left, "after {} items", names.len());
        match metadata["continue"].as_str() {
            Some(next) if !next.is_empty() => token = next.to_owned(),
            _ => break,
        }
    }
    assert_eq!(names.len(), expected);
    assert!(names.is_sorted(), "a list is in the order of names");
    names
}

/// Reads a watch until each of the names was added once.
async fn added(watch: &mut Watch, names: &[String]) {
    let mut missing: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let read = async {
        while !missing.is_empty() {
            let event = watch.next().await?.ok_or(Error::Answer {
                what: "the watch ended".into(),
                answer: format!("{} objects missing", missing.len()),
            })?;
            let name = name_of(&event["object"]);
            if event["type"] == "ADDED" {
                missing.remove(name.as_str());
                *seen.entry(name).or_default() += 1;
            }
        }
        Ok::<(), Error>(())
    };
    tokio::time::timeout(WATCH_LIMIT, read).await.unwrap().unwrap();
    assert!(seen.values().all(|times| *times == 1), "an object was added twice: {seen:?}");
}

async fn use_a_custom_resource(api: &ApiServer) {
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    api.expect(Method::POST, definitions, Some(&widget_definition())).await.unwrap();
    let widget = json!({"apiVersion": "e2e.quorate.test/v1", "kind": "Widget", "metadata": {"name": "one"}, "size": 7});
    wait::until("the new kind to be served", RECOVERY_LIMIT, async || {
        Ok(match api.call(Method::POST, WIDGETS, Some(&widget)).await {
            Ok((201, _)) => Look::Yes(()),
            other => Look::NotYet(format!("{other:?}")),
        })
    })
    .await
    .unwrap();
    let read = api.expect(Method::GET, &format!("{WIDGETS}/one"), None).await.unwrap();
    assert_eq!(read["size"], 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubernetes_runs_on_three_members_and_through_the_death_of_the_leader() {
    let mut cluster = Cluster::builder(Flavour::under_test(), 3).start().await.unwrap();
    let folder = cluster.folder().to_owned();
    let mut api = ApiServer::start(&cluster.endpoints(), &folder, "kube-apiserver", &[]).await.unwrap();
    use_a_custom_resource(&api).await;

    // The namespace holds objects of the API server's own, which count too.
    let names: Vec<String> = (0..OBJECTS).map(|n| format!("object-{n:05}")).collect();
    let start = api.expect(Method::GET, &format!("{MAPS}?limit=1"), None).await.unwrap();
    let others = start["items"].as_array().unwrap().len()
        + start["metadata"]["remainingItemCount"].as_u64().unwrap_or(0) as usize;
    let from = start["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = api.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await.unwrap();
    create(&api, &names).await;
    added(&mut watch, &names).await;
    list(&api, OBJECTS + others).await;

    // Without its cache every page and count is a range of ours.
    let flags = ["--watch-cache=false"];
    let mut uncached =
        ApiServer::start(&cluster.endpoints(), &folder, "kube-apiserver-uncached", &flags).await.unwrap();
    let listed = list(&uncached, OBJECTS + others).await;
    uncached.must_run().unwrap();
    drop(uncached);

    // The leader dies under writes and an open watch.
    let more: Vec<String> = (0..MORE_OBJECTS).map(|n| format!("survivor-{n:05}")).collect();
    let leader = cluster.leader().await.unwrap();
    let (first, second) = more.split_at(MORE_OBJECTS / 4);
    create(&api, first).await;
    let ((), ()) = tokio::join!(create(&api, second), async { cluster.member(leader).kill().unwrap() });
    added(&mut watch, &more).await;
    api.ready().await.unwrap();
    let after = list(&api, OBJECTS + MORE_OBJECTS + others).await;
    assert!(listed.iter().chain(&more).all(|name| after.binary_search(name).is_ok()), "an object is lost");

    // The dead member comes back and agrees with the others.
    cluster.launch(leader).unwrap();
    cluster.member(leader).ready().await.unwrap();
    api.must_run().unwrap();
    drop(api);
    let hashes = cluster.hashes().await.unwrap();
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "HashKV differs: {hashes:?}");
}
