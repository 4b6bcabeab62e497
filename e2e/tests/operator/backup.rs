//! A cluster's data outlives the cluster: backups on a schedule to an S3 store, changes between them, and clusters out of both.

use std::time::Duration;

use hyper::Method;
use quorate_e2e::binaries;
use quorate_e2e::kubernetes::operated::LIMIT;
use quorate_e2e::kubernetes::{Operated, bucket};
use quorate_e2e::wait::{self, Look};
use serde_json::{Value, json};

use crate::etcdctl::etcdctl;

const PODS: &str = "/api/v1/namespaces/default/pods";
const API: &str = "/apis/quorate.io/v1alpha1/namespaces/default";

fn cluster(name: &str, more: Value) -> Value {
    let mut spec = json!({"replicas": 1, "image": {"pullPolicy": "Never"}, "storage": {"size": "1Gi"}});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"apiVersion": "quorate.io/v1alpha1", "kind": "EtcdCluster", "metadata": {"name": name}, "spec": spec})
}

async fn apply(site: &Operated, object: &Value) {
    site.kubernetes.apply(&object.to_string()).await.unwrap();
}

async fn until(site: &Operated, what: &str, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    site.kubernetes.api().until(what, LIMIT, &format!("{API}/{path}"), is_wanted).await.unwrap()
}

fn phase(wanted: &'static str) -> impl Fn(&Value) -> bool {
    move |object| object["status"]["phase"] == wanted
}

/// How many backups the store has, and which, as the last one says.
async fn completed(site: &Operated) -> Vec<Value> {
    let list = site.kubernetes.api().expect(Method::GET, &format!("{API}/etcdbackups"), None).await.unwrap();
    let all = list["items"].as_array().unwrap().iter();
    all.filter(|backup| backup["status"]["phase"] == "Completed").cloned().collect()
}

async fn put(site: &Operated, name: &str, key: &str, value: &str) {
    assert_eq!(etcdctl(&site.kubernetes, name, "default", &["put", key, value]).await, "OK\n");
}

async fn get(site: &Operated, name: &str, key: &str) -> String {
    etcdctl(&site.kubernetes, name, "default", &["get", key, "--print-value-only"]).await
}

/// Until a change of this key is in the store.
async fn recorded(site: &Operated, revision: i64) {
    let inside = site.inside().unwrap();
    let pods = "/api/v1/namespaces/default/pods?labelSelector=quorate.io%2Fschedule%3Doften";
    wait::until("the recorder", LIMIT, async || {
        let pods = site.kubernetes.api().expect(Method::GET, pods, None).await?;
        let address = pods["items"][0]["status"]["podIP"].as_str().unwrap_or_default().to_owned();
        let asked = inside.run(async move { text(&address).await }).await?;
        let said: Value = serde_json::from_str(&asked).unwrap_or_default();
        let reached = said["recordedTo"]["revision"].as_i64().unwrap_or_default();
        Ok(if reached >= revision { Look::Yes(()) } else { Look::NotYet(asked) })
    })
    .await
    .unwrap();
}

async fn text(address: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Ok(mut stream) = tokio::net::TcpStream::connect((address, 8081)).await else { return String::new() };
    let request = "GET /status HTTP/1.1\r\nhost: recorder\r\nconnection: close\r\n\r\n";
    let mut answer = String::new();
    let asked = async {
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_string(&mut answer).await
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), asked).await; // What has come is looked at.
    answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned()
}

async fn revision(site: &Operated, name: &str) -> i64 {
    let said = etcdctl(&site.kubernetes, name, "default", &["get", "none", "--write-out=json"]).await;
    serde_json::from_str::<Value>(&said).unwrap()["header"]["revision"].as_i64().unwrap()
}

#[tokio::test]
async fn backups_appear_and_old_ones_go_and_a_deleted_cluster_comes_back() {
    let mut site = Operated::with_images(1, &bucket::IMAGES).await.unwrap();
    site.kubernetes.apply(bucket::MANIFEST).await.unwrap();
    apply(&site, &cluster("sample", json!({}))).await;
    site.running("sample", 1).await.unwrap();
    for number in 0..20 {
        put(&site, "sample", &format!("kept/{number}"), "before").await;
    }
    let lease = etcdctl(&site.kubernetes, "sample", "default", &["lease", "grant", "4000"]).await;
    let lease = lease.split(' ').nth(1).unwrap().to_owned();
    etcdctl(&site.kubernetes, "sample", "default", &["put", "leased", "x", &format!("--lease={lease}")]).await;

    // What can't be followed is said, with what to do.
    let mut schedule = json!({
        "apiVersion": "quorate.io/v1alpha1", "kind": "EtcdBackupSchedule", "metadata": {"name": "often"},
        "spec": {"clusterName": "sample", "schedule": "61 * * * *", "immediate": true, "store": bucket::store(),
            "retention": {"keepLast": 2}, "recorder": {"intervalMs": 500}, "rehearsal": {"schedule": "* * * * *"}},
    });
    apply(&site, &schedule).await;
    let wrong = until(&site, "a wrong line", "etcdbackupschedules/often", phase("Invalid")).await;
    assert!(wrong["status"]["message"].as_str().unwrap().contains("is no cron line of five fields"), "{wrong:#}");
    schedule["spec"]["schedule"] = json!("* * * * *");
    apply(&site, &schedule).await;
    let is_first = |schedule: &Value| schedule["status"]["successes"].as_i64() >= Some(1);
    let first = until(&site, "the first backup", "etcdbackupschedules/often", is_first).await;
    assert!(first["status"]["lastSuccess"]["revision"].as_i64() >= Some(22), "{first:#}");

    // The second before keys were deleted by mistake.
    put(&site, "sample", "kept/late", "after the backup").await;
    let good = revision(&site, "sample").await;
    recorded(&site, good).await;
    tokio::time::sleep(Duration::from_millis(1100)).await; // Times are told apart by the clock, and there is nothing to wait for.
    let before = jiff_now();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let gone = etcdctl(&site.kubernetes, "sample", "default", &["del", "--prefix", "kept/"]).await;
    assert_eq!(gone, "21\n");
    recorded(&site, good + 1).await;
    let past = json!({"bootstrap": {"restore": {"store": json!({"prefix": "default/sample", "s3": bucket::store()["s3"]}), "select": {"time": before}}}});
    apply(&site, &cluster("past", past)).await;
    let past = site.running("past", 1).await.unwrap();
    assert_eq!(get(&site, "past", "kept/late").await, "after the backup\n");
    let restored = &past["status"]["restored"];
    assert_eq!(restored["revision"], good, "{restored:#}");
    assert!(revision(&site, "past").await >= 1_000_000_000, "watchers begin anew");

    // A minute later there is another backup, and of all only two are kept.
    put(&site, "sample", "last", "word").await;
    let wanted = revision(&site, "sample").await;
    let newest = |schedule: &Value| {
        let success = &schedule["status"]["lastSuccess"];
        success["revision"].as_i64() >= Some(wanted) && schedule["status"]["successes"].as_i64() >= Some(3)
    };
    let what = "three backups";
    let last = site
        .kubernetes
        .api()
        .until(what, 2 * LIMIT, &format!("{API}/etcdbackupschedules/often"), newest)
        .await
        .unwrap();
    assert_eq!(last["status"]["backups"], 2, "{last:#}");
    let is_rehearsed = |schedule: &Value| schedule["status"]["rehearsal"]["lastPassed"].is_string();
    let rehearsed = until(&site, "a rehearsal", "etcdbackupschedules/often", is_rehearsed).await;
    let conditions = rehearsed["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|one| one["type"] == "Rehearsed" && one["status"] == "True"), "{rehearsed:#}");
    let name = last["status"]["lastSuccess"]["name"].as_str().unwrap().to_owned();
    let backup = site.kubernetes.api().expect(Method::GET, &format!("{API}/etcdbackups/{name}"), None).await.unwrap();
    assert!(completed(&site).await.len() <= 3);
    site.kubernetes.api().expect(Method::DELETE, &format!("{API}/etcdbackupschedules/often"), None).await.unwrap();
    // With the cluster of a rehearsal that may be under way, and its volume.
    let only_ours = |list: &Value| {
        let names = list["items"].as_array().unwrap().iter().map(|object| object["metadata"]["name"].as_str().unwrap());
        names.clone().count() > 0 && names.into_iter().all(|name| !name.contains("rehearsal-"))
    };
    until(&site, "the end of rehearsals", "etcdclusters", only_ours).await;
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    site.kubernetes.api().until("the end of their volumes", LIMIT, claims, only_ours).await.unwrap();

    // Everything is lost; one manifest brings it back.
    site.kubernetes.api().expect(Method::DELETE, &format!("{API}/etcdclusters/sample"), None).await.unwrap();
    site.gone(&format!("{API}/etcdclusters/sample")).await.unwrap();
    let delete = ["delete", "persistentvolumeclaims", "--selector=quorate.io/cluster=sample", "--wait=true"];
    site.kubernetes.kubectl(&delete).await.unwrap().success().unwrap();
    let again = json!({"replicas": 3, "bootstrap": {"restore": {"backupName": name, "bumpRevision": 0}}});
    apply(&site, &cluster("sample", again)).await;
    site.running("sample", 3).await.unwrap();
    assert_eq!(get(&site, "sample", "last").await, "word\n");
    assert_eq!(Some(revision(&site, "sample").await), backup["status"]["revision"].as_i64());
    let leased = etcdctl(&site.kubernetes, "sample", "default", &["lease", "timetolive", &lease, "--keys"]).await;
    assert!(leased.contains("granted with TTL(4000s)") && leased.contains("attached keys([leased])"), "{leased}");
}

#[tokio::test]
async fn a_running_cluster_gets_a_backups_data_after_its_id_was_quoted() {
    let mut site = Operated::with_images(1, &bucket::IMAGES).await.unwrap();
    site.kubernetes.apply(bucket::MANIFEST).await.unwrap();
    apply(&site, &cluster("sample", json!({}))).await;
    let running = site.running("sample", 1).await.unwrap();
    put(&site, "sample", "a", "old").await;
    let backup = |name: &str, more: Value| {
        let mut spec = json!({"clusterName": "sample", "store": bucket::store(), "retries": 0});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"apiVersion": "quorate.io/v1alpha1", "kind": "EtcdBackup", "metadata": {"name": name}, "spec": spec})
    };
    // What is missing is named, and begins as soon as it is there.
    let nowhere = json!({"s3": {"bucket": "backups", "endpoint": "http://store.default.svc:7070", "credentialsSecret": "absent"}});
    apply(&site, &backup("lost", json!({"store": nowhere}))).await;
    let lost = until(&site, "a missing Secret", "etcdbackups/lost", phase("Pending")).await;
    assert!(lost["status"]["message"].as_str().unwrap().contains("there is no Secret absent"), "{lost:#}");
    site.kubernetes.api().expect(Method::DELETE, &format!("{API}/etcdbackups/lost"), None).await.unwrap();
    let bucket = json!({"s3": {"bucket": "none-such", "endpoint": "http://store.default.svc:7070", "credentialsSecret": "store"}});
    apply(&site, &backup("nowhere", json!({"store": bucket}))).await;
    let failed = until(&site, "a missing bucket", "etcdbackups/nowhere", phase("Failed")).await;
    assert_eq!(failed["status"]["conditions"][0]["reason"], "StoreMissing", "{failed:#}");

    apply(&site, &backup("good", json!({"deletionPolicy": "Delete"}))).await;
    let good = until(&site, "a backup", "etcdbackups/good", phase("Completed")).await;
    assert_eq!(good["status"]["clusterId"], running["status"]["clusterId"], "{good:#}");
    put(&site, "sample", "a", "new").await;

    let restore = |confirm: Value| {
        json!({"apiVersion": "quorate.io/v1alpha1", "kind": "EtcdRestore", "metadata": {"name": "back"},
            "spec": {"clusterName": "sample", "origin": {"backupName": "good"}, "confirm": confirm}})
    };
    apply(&site, &restore(json!("beef"))).await;
    let id = running["status"]["clusterId"].as_str().unwrap();
    let asks = until(&site, "a question", "etcdrestores/back", phase("Pending")).await;
    assert!(asks["status"]["message"].as_str().unwrap().contains(&format!("set spec.confirm to {id:?}")), "{asks:#}");
    assert_eq!(get(&site, "sample", "a").await, "new\n");
    apply(&site, &restore(json!(id))).await;
    site.kill().await.unwrap();
    site.launch().unwrap();
    until(&site, "the old data", "etcdrestores/back", phase("Completed")).await;
    let replaced = site.running("sample", 1).await.unwrap();
    assert_ne!(replaced["status"]["clusterId"], running["status"]["clusterId"]);
    assert_eq!(get(&site, "sample", "a").await, "old\n");
    // The new data is in the old member's volume.
    let claims = site
        .kubernetes
        .kubectl(&["get", "pvc", "--selector=quorate.io/cluster=sample", "--output=name"])
        .await
        .unwrap();
    assert_eq!(claims.success().unwrap().lines().count(), 2);

    // With its resource a backup goes, if that was asked for.
    site.kubernetes.api().expect(Method::DELETE, &format!("{API}/etcdbackups/good"), None).await.unwrap();
    site.gone(&format!("{API}/etcdbackups/good")).await.unwrap();
    let gone = json!({"bootstrap": {"restore": {"store": {"prefix": "default/sample", "s3": bucket::store()["s3"]}}}});
    apply(&site, &cluster("none", gone)).await;
    let waits = until(&site, "a missing backup", "etcdclusters/none", |cluster| {
        cluster["status"]["message"].as_str().is_some_and(|message| message.contains("this store has no backup"))
    })
    .await;
    assert_eq!(waits["status"]["phase"], "Forming", "{waits:#}");
}

/// What `quorate-backup` says of the bucket: a line of JSON each.
async fn ask(site: &Operated, arguments: &[&str]) -> Vec<Value> {
    let service = "/api/v1/namespaces/default/services/store";
    let service = site.kubernetes.api().expect(Method::GET, service, None).await.unwrap();
    let address = service["spec"]["clusterIP"].as_str().unwrap().to_owned();
    let mut command = site.kubernetes.command(&binaries::backup().unwrap());
    command.args(arguments).arg("--store=s3://backups/default/sample");
    for option in [format!("aws_endpoint=http://{address}:7070"), "aws_allow_http=true".to_owned()] {
        command.arg(format!("--store-option={option}"));
    }
    command.env("AWS_ACCESS_KEY_ID", "quorate").env("AWS_SECRET_ACCESS_KEY", "not-a-secret");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn whoever_is_killed_the_bucket_has_whole_backups_only() {
    const ROUNDS: usize = 20;
    const AT_ONCE: usize = 4;
    let mut site = Operated::with_images(1, &bucket::IMAGES).await.unwrap();
    site.kubernetes.apply(bucket::MANIFEST).await.unwrap();
    apply(&site, &cluster("sample", json!({}))).await;
    site.running("sample", 1).await.unwrap();
    for number in 0..40 {
        put(&site, "sample", &format!("key/{number}"), &"v".repeat(10_000)).await;
    }
    let name = |number: usize| format!("backup-{number:02}");
    for first in (0..ROUNDS).step_by(AT_ONCE) {
        for number in first..first + AT_ONCE {
            let spec = json!({"clusterName": "sample", "store": bucket::store(), "retries": 20});
            let name = name(number);
            apply(&site, &json!({"apiVersion": "quorate.io/v1alpha1", "kind": "EtcdBackup", "metadata": {"name": name}, "spec": spec}))
                .await;
            tokio::time::sleep(Duration::from_millis(rand::random_range(0..1500))).await;
            if number % 2 == 0 {
                site.kill().await.unwrap();
                site.launch().unwrap();
            } else {
                let kill =
                    ["delete", "pods", "--selector=quorate.io/backup", "--grace-period=0", "--force", "--wait=false"];
                site.kubernetes.kubectl(&kill).await.unwrap().success().unwrap();
            }
        }
        for number in first..first + AT_ONCE {
            let path = format!("etcdbackups/{}", name(number));
            until(&site, "a backup whose makers were killed", &path, phase("Completed")).await;
        }
    }
    // Each is there once, and whole; what those who were killed had begun is gone.
    let listed = ask(&site, &["list"]).await;
    let ids: Vec<&str> = listed.iter().filter_map(|line| line["id"].as_str()).collect();
    assert_eq!(ids.len(), ROUNDS, "{listed:#?}");
    for id in ids {
        let verified = ask(&site, &["verify", "--id", id]).await;
        assert_eq!(verified.last().unwrap()["verified"]["id"], id, "{verified:#?}");
    }
    let pods = format!("{PODS}?labelSelector=quorate.io%2Fbackup");
    let ended = |list: &Value| {
        let all = list["items"].as_array().unwrap();
        all.iter().all(|pod| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")))
    };
    site.kubernetes.api().until("no pod that still carries", LIMIT, &pods, ended).await.unwrap();

    // A file that somebody has put there is no backup, and becomes a cluster all the same.
    let file = site.kubernetes.folder().join("monday.db").display().to_string();
    etcdctl(&site.kubernetes, "sample", "default", &["snapshot", "save", &file]).await;
    let copy = ["cp", &file, "store:/data/backups/monday.db", "--container=shell"];
    site.kubernetes.kubectl(&copy).await.unwrap().success().unwrap();
    let monday = json!({"bootstrap": {"restore": {"snapshot": "monday.db", "store": {"prefix": "", "s3": bucket::store()["s3"]}}}});
    apply(&site, &cluster("monday", monday)).await;
    let restored = site.running("monday", 1).await.unwrap();
    assert_eq!(restored["status"]["restored"]["id"], "monday.db", "{restored:#}");
    assert_eq!(get(&site, "monday", "key/39").await, get(&site, "sample", "key/39").await);
}

/// As the API has times.
fn jiff_now() -> String {
    let now = time::OffsetDateTime::now_utc();
    let date = format!("{:04}-{:02}-{:02}", now.year(), u8::from(now.month()), now.day());
    format!("{date}T{:02}:{:02}:{:02}Z", now.hour(), now.minute(), now.second())
}
