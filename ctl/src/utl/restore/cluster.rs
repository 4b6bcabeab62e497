//! The new cluster's members and ids.

use std::collections::BTreeMap;

use quorate_ctl::output::{Json, Object};
use sha1::{Digest, Sha1};

/// Members in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cluster {
    pub(super) id: u64,
    pub(super) local_id: u64,
    pub(super) members: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) peer_urls: Vec<String>,
}

impl Cluster {
    /// `members`: each one's sorted peer URLs, `local_name` among them.
    pub(super) fn new(members: BTreeMap<String, Vec<String>>, token: &str, local_name: &str) -> Result<Self, String> {
        let mut by_id = BTreeMap::new();
        let mut local_id = None;
        for (name, peer_urls) in members {
            let id = member_id(&peer_urls, token);
            if id == 0 {
                return Err("cannot use 0 as member id".into());
            }
            if name == local_name {
                local_id = Some(id);
            }
            if by_id.insert(id, Member { id, name, peer_urls }).is_some() {
                return Err(format!("member exists with identical ID {id:x}"));
            }
        }
        let local_id = local_id.ok_or_else(|| missing_local(local_name))?;
        let id = cluster_id(by_id.keys());
        Ok(Self { id, local_id, members: by_id.into_values().collect() })
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        self.members.iter().map(|member| member.id).collect()
    }
}

pub(super) fn missing_local(name: &str) -> String {
    let name = quorate_ctl::go::quote(name.as_bytes());
    format!("couldn't find local name {name} in the initial cluster configuration")
}

impl Member {
    /// As etcd keeps it in the database and in the log.
    pub(super) fn json(&self) -> String {
        let object = Object::new()
            .always("id", self.id)
            .always("peerURLs", self.peer_urls.as_slice())
            .nonzero("name", self.name.as_str());
        Json::from(object).to_string()
    }

    /// As etcd's older store kept it, without id and name.
    pub(super) fn raft_attributes_json(&self) -> String {
        Json::from(Object::new().always("peerURLs", self.peer_urls.as_slice())).to_string()
    }

    pub(super) fn log_fields(&self, cluster: &Cluster) -> Vec<(&'static str, Json)> {
        vec![
            ("cluster-id", Json::from(format!("{:x}", cluster.id))),
            ("local-member-id", Json::from(format!("{:x}", cluster.local_id))),
            ("added-peer-id", Json::from(format!("{:x}", self.id))),
            ("added-peer-peer-urls", Json::from(self.peer_urls.as_slice())),
            ("added-peer-is-learner", Json::from(false)),
        ]
    }
}

/// The first 8 bytes of SHA-1 over the sorted URLs and the token.
fn member_id(sorted_peer_urls: &[String], token: &str) -> u64 {
    first_8_bytes(Sha1::new().chain_update(sorted_peer_urls.concat()).chain_update(token))
}

/// The first 8 bytes of SHA-1 over the members' ids in ascending order.
fn cluster_id<'a>(ids: impl Iterator<Item = &'a u64>) -> u64 {
    first_8_bytes(ids.fold(Sha1::new(), |hash, id| hash.chain_update(id.to_be_bytes())))
}

fn first_8_bytes(hash: Sha1) -> u64 {
    let hash: [u8; 20] = hash.finalize().into();
    hash.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, token: &str, member: u64, cluster: u64) {
        let members = BTreeMap::from([("default".to_owned(), vec![url.to_owned()])]);
        let Cluster { id, local_id, members } = Cluster::new(members, token, "default").unwrap();
        assert_eq!((local_id, id), (member, cluster));
        assert_eq!(members[0].id, member);
    }

    #[test]
    fn ids_are_those_of_etcd() {
        check("http://localhost:2380", "etcd-cluster", 0x8e9e_05c5_2164_694d, 0xcdf8_1819_4e3a_8c32);
        check("https://localhost:20001", "new", 0x00a8_f345_8387_986d, 0x34c2_1a2d_427d_b393);
    }

    #[test]
    fn a_member_is_stored_as_etcd_stores_it() {
        let member = Member { id: 7, name: "a&b".into(), peer_urls: vec!["http://h:1".into()] };
        assert_eq!(member.json(), r#"{"id":7,"peerURLs":["http://h:1"],"name":"a\u0026b"}"#);
    }
}
