#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use super::material::{Material, Pair, Trust, read};
use super::wanted::{Kind, Leaf, Wanted, foreign, is_rotation_due, kinds, names, secret, source};
use super::{issue, keep};
use crate::client_tls;
use crate::crd::EtcdCluster;

pub(super) fn cluster(tls: serde_json::Value) -> EtcdCluster {
    let mut cluster = EtcdCluster::new("a", serde_json::from_value(json!({"tls": tls})).unwrap());
    cluster.metadata.namespace = Some("ns".to_owned());
    cluster
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub(super) fn authority() -> Trust {
    Trust::read(&issue::authority("a", now()).unwrap().certificate).unwrap()
}

pub(super) fn as_secret(pair: &Pair, trust: &Trust) -> Secret {
    let data = [("tls.crt", pair.certificate.clone()), ("tls.key", pair.key.clone()), ("ca.crt", trust.pem())];
    Secret {
        data: Some(data.map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes()))).into()),
        ..Secret::default()
    }
}

pub(super) fn made(cluster: &EtcdCluster, kind: Kind, authority: &Pair) -> Material {
    let pair = issue::leaf(kind, "a", &names(cluster, kind), authority, now()).unwrap();
    read(&as_secret(&pair, &Trust::read(&authority.certificate).unwrap())).unwrap()
}

fn own(cluster: &EtcdCluster, kind: Kind, authority: &Pair) -> Wanted {
    let leaf = Leaf::Own { authority: authority.clone(), names: names(cluster, kind) };
    let trust = Trust::read(&authority.certificate).unwrap();
    Wanted { secret: secret(cluster, kind), kind, leaf, trust }
}

fn is_wanted(wanted: &Wanted, found: &Material, now: Timestamp) -> bool {
    wanted.place(Some(found), now).has.unwrap().is_wanted
}

#[test]
fn certificates_are_renewed_a_month_before_their_end_and_when_names_or_the_authority_change() {
    let plain = cluster(json!({}));
    let first = issue::authority("a", now()).unwrap();
    let found = made(&plain, Kind::Server, &first);
    let day = SignedDuration::from_hours(24);
    let wanted = own(&plain, Kind::Server, &first);
    assert!(is_wanted(&wanted, &found, now()) && is_wanted(&wanted, &found, now() + day * 59));
    assert!(!is_wanted(&wanted, &found, now() + day * 61));
    let renamed = cluster(json!({"client": {"extraNames": ["etcd.example.test", "10.1.2.3"]}}));
    assert!(!is_wanted(&own(&renamed, Kind::Server, &first), &found, now()));
    let named = made(&renamed, Kind::Server, &first).names;
    assert!(named.contains(&"etcd.example.test".to_owned()) && named.contains(&"10.1.2.3".to_owned()), "{named:?}");
    let second = issue::authority("a", now()).unwrap();
    assert!(!is_wanted(&own(&plain, Kind::Server, &second), &found, now()));
}

#[test]
fn another_authority_is_due_once_for_each_value_of_the_annotation_and_a_year_before_its_end() {
    let mut plain = cluster(json!({}));
    let authority = issue::authority("a", now()).unwrap();
    assert!(!is_rotation_due(&plain, &authority, None, now()));
    plain.metadata.annotations = Some([(keep::ROTATE.to_owned(), "1".to_owned())].into());
    assert!(is_rotation_due(&plain, &authority, Some(""), now()));
    assert!(!is_rotation_due(&plain, &authority, Some("1"), now()));
    let years = |years: i64| now() + SignedDuration::from_hours(24 * 365 * years);
    assert!(!is_rotation_due(&plain, &authority, Some("1"), years(8)));
    assert!(is_rotation_due(&plain, &authority, Some("1"), years(10)));
}

#[test]
fn secrets_have_their_sources() {
    let mixed = cluster(json!({
        "client": {"mode": "Secret", "serverSecret": "s", "clientSecret": "c"},
        "peer": {"mode": "CertManager", "issuerRef": {"name": "i"}},
    }));
    let found: Vec<_> =
        kinds(&mixed).into_iter().map(|(kind, _)| (secret(&mixed, kind), source(&mixed, kind))).collect();
    let pairs = [("a-server-tls", "s"), ("a-client-tls", "c"), ("a-peer-tls", "a-peer-tls-issued")];
    assert_eq!(found, pairs.map(|(secret, source)| (secret.to_owned(), Some(source.to_owned()))));
    assert_eq!(kinds(&cluster(json!({"client": {"mode": "Disabled"}, "peer": {"mode": "Disabled"}}))), []);
}

#[test]
fn a_client_of_the_cluster_can_be_made_of_what_was_issued() {
    let authority = issue::authority("a", now()).unwrap();
    let pair = issue::leaf(Kind::Client, "a", &[], &authority, now()).unwrap();
    let of =
        |authority: &str| client_tls::config(authority.as_bytes(), pair.certificate.as_bytes(), pair.key.as_bytes());
    assert!(of(&authority.certificate).is_ok());
    assert!(of("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n").is_err());
}

#[test]
fn a_secret_of_somebody_else_is_not_taken() {
    let mut cluster = cluster(json!({}));
    cluster.metadata.uid = Some("uid".to_owned());
    let authority = issue::authority("a", now()).unwrap();
    let mut found = as_secret(&authority, &Trust::read(&authority.certificate).unwrap());
    found.metadata.name = Some("elsewhere".to_owned());
    assert_eq!(foreign(&cluster, &[found.clone()]), None);
    found.metadata.name = Some("a-ca".to_owned());
    assert_eq!(foreign(&cluster, &[found.clone()]).as_deref(), Some("a-ca"));
    found.metadata.owner_references = Some(crate::desired::member::owner(&cluster).into_iter().collect());
    assert_eq!(foreign(&cluster, &[found]), None);
}
