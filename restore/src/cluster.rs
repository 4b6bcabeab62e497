//! The new cluster's members and ids.

use std::collections::BTreeMap;

use quorate_format::go_quote::quote;
use serde::Serialize;
use sha1::{Digest, Sha1};

use crate::Error;

/// Members in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub id: u64,
    pub local_id: u64,
    pub members: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: u64,
    pub name: String,
    pub peer_urls: Vec<String>,
}

impl Cluster {
    /// `members`: each one's sorted peer URLs, `local_name` among them.
    pub(crate) fn new(members: BTreeMap<String, Vec<String>>, token: &str, local_name: &str) -> Result<Self, Error> {
        let mut by_id = BTreeMap::new();
        let mut local_id = None;
        for (name, peer_urls) in members {
            let id = member_id(&peer_urls, token);
            if id == 0 {
                return Err(Error::Members("cannot use 0 as member id".into()));
            }
            if name == local_name {
                local_id = Some(id);
            }
            if by_id.insert(id, Member { id, name, peer_urls }).is_some() {
                return Err(Error::Members(format!("member exists with identical ID {id:x}")));
            }
        }
        let local_id = local_id.ok_or_else(|| missing_local(local_name))?;
        let id = cluster_id(by_id.keys());
        Ok(Self { id, local_id, members: by_id.into_values().collect() })
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.members.iter().map(|member| member.id).collect()
    }
}

pub(crate) fn missing_local(name: &str) -> Error {
    let name = quote(name.as_bytes());
    Error::Members(format!("couldn't find local name {name} in the initial cluster configuration"))
}

/// A member's fields as etcd stores them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stored<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(rename = "peerURLs")]
    peer_urls: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
}

impl Member {
    /// As etcd keeps it in the database and in the log.
    pub(crate) fn json(&self) -> Result<String, Error> {
        Stored { id: Some(self.id), peer_urls: &self.peer_urls, name: &self.name }.json()
    }

    /// As etcd's older store kept it, without id and name.
    pub(crate) fn raft_attributes_json(&self) -> Result<String, Error> {
        Stored { id: None, peer_urls: &self.peer_urls, name: "" }.json()
    }
}

impl Stored<'_> {
    /// With the escapes of Go's `encoding/json`. These characters are nowhere but in texts.
    fn json(&self) -> Result<String, Error> {
        let mut json = serde_json::to_string(self).map_err(|error| Error::Members(error.to_string()))?;
        for c in ['&', '<', '>', '\u{2028}', '\u{2029}'] {
            if json.contains(c) {
                json = json.replace(c, &format!("\\u{:04x}", c as u32));
            }
        }
        Ok(json)
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
        assert_eq!(member.json().unwrap(), r#"{"id":7,"peerURLs":["http://h:1"],"name":"a\u0026b"}"#);
        assert_eq!(member.raft_attributes_json().unwrap(), r#"{"peerURLs":["http://h:1"]}"#);
    }
}
