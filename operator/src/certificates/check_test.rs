#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap in a test is its report")]

use jiff::SignedDuration;
use k8s_openapi::ByteString;
use serde_json::json;

use super::material::{Pair, Trust, read};
use super::wanted::Kind;
use super::wanted_test::{as_secret, authority, cluster, made, now};
use super::{check, issue};

#[test]
fn what_the_operator_makes_can_serve() {
    let (cluster, authority) = (cluster(json!({})), issue::authority("a", now()).unwrap());
    for kind in [Kind::Server, Kind::Client, Kind::Peer] {
        let material = made(&cluster, kind, &authority);
        assert_eq!(check::leaf(&cluster, kind, &material, &material.trust, now()), Ok(()), "{kind:?}");
    }
}

#[test]
fn what_cannot_serve_is_told_with_its_cure() {
    let (cluster, own) = (cluster(json!({})), issue::authority("a", now()).unwrap());
    let good = made(&cluster, Kind::Server, &own);
    let says = |kind, names: &[&str], trust: &Trust, days: i64| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let pair = issue::leaf(kind, "a", &names, &own, now()).unwrap();
        let material = read(&as_secret(&pair, &good.trust)).unwrap();
        check::leaf(&cluster, kind, &material, trust, now() + SignedDuration::from_hours(24 * days)).unwrap_err()
    };
    let elsewhere = says(Kind::Server, &["elsewhere.test"], &good.trust, 0);
    assert!(elsewhere.contains("issue it for *.a-peers.ns.svc and a-client.ns.svc"), "{elsewhere}");
    let members_only = says(Kind::Server, &["*.a-peers.ns.svc"], &good.trust, 0);
    assert!(members_only.contains("can't be shown as a-client.ns.svc"), "{members_only}");
    let members_only = says(Kind::Peer, &["*.a-peers.ns.svc"], &good.trust, 0);
    assert!(members_only.contains("issue it for *.a-peers.ns.svc and a-peers.ns.svc"), "{members_only}");
    let over = says(Kind::Peer, &["*.a-peers.ns.svc", "a-peers.ns.svc"], &good.trust, 91);
    assert!(over.contains("expired"), "{over}");
    let foreign = says(Kind::Client, &[], &authority(), 0);
    assert!(foreign.contains("can't be shown by a client"), "{foreign}");
    let usage = {
        let pair = issue::leaf(Kind::Client, "a", &["*.a-peers.ns.svc".to_owned()], &own, now()).unwrap();
        let material = read(&as_secret(&pair, &good.trust)).unwrap();
        check::leaf(&cluster, Kind::Peer, &material, &good.trust, now()).unwrap_err()
    };
    assert!(usage.contains("any-member.a-peers.ns.svc"), "{usage}");
}

#[test]
fn with_authentication_the_operator_shows_itself_as_root() {
    let own = issue::authority("a", now()).unwrap();
    let root = made(&cluster(json!({})), Kind::Client, &own);
    let pair = issue::leaf(Kind::Peer, "a", &[], &own, now()).unwrap();
    let other = read(&as_secret(&pair, &root.trust)).unwrap();
    let says = |is_enabled, material| {
        let mut cluster = cluster(json!({}));
        cluster.spec.auth.enabled = is_enabled;
        check::leaf(&cluster, Kind::Client, material, &root.trust, now())
    };
    assert_eq!((says(true, &root), says(false, &other)), (Ok(()), Ok(())));
    let refusal = says(true, &other).unwrap_err();
    assert!(refusal.contains("has the common name \"a peer\"") && refusal.contains("issue it with"), "{refusal}");
}

#[test]
fn a_secret_that_lacks_something_names_the_key() {
    let (plain, own) = (cluster(json!({})), issue::authority("a", now()).unwrap());
    let good = made(&plain, Kind::Client, &own);
    let of = |pair: &Pair, without: Option<&str>, with: Option<(&str, &str)>| {
        let mut secret = as_secret(pair, &good.trust);
        let data = secret.data.as_mut().unwrap();
        without.map(|key| data.remove(key));
        with.map(|(key, text)| data.insert(key.to_owned(), ByteString(text.as_bytes().to_vec())));
        read(&secret).unwrap_err()
    };
    for key in ["tls.crt", "tls.key", "ca.crt"] {
        assert_eq!(of(&good.pair, Some(key), None), format!("there is no key {key}"));
        let garbage = of(&good.pair, None, Some((key, "garbage")));
        assert!(garbage.starts_with(&format!("{key}: ")), "{garbage}");
    }
    let other = made(&plain, Kind::Client, &own).pair;
    let mixed = Pair { certificate: good.pair.certificate.clone(), key: other.key };
    let unfit = of(&mixed, None, None);
    assert!(unfit.starts_with("tls.key is not that of the certificate in tls.crt"), "{unfit}");
}
