//! Ids of members and clusters, bit for bit as etcd computes them: every member must come to the same ids without asking,
//! and tools compare them.

use sha1::{Digest, Sha1};

use crate::config::Url;

/// The id of a member: SHA-1 over its sorted peer addresses and the cluster's token.
///
/// A member added to a running cluster has an empty token and the time of the call in Unix seconds, so that the same
/// addresses get a new id each time.
pub fn member_id(peer_urls: &[Url], token: &str, added_at_seconds: Option<i64>) -> u64 {
    let mut urls: Vec<&str> = peer_urls.iter().map(Url::as_str).collect();
    urls.sort_unstable();
    let mut text = urls.concat();
    text.push_str(token);
    if let Some(seconds) = added_at_seconds {
        text.push_str(&seconds.to_string());
    }
    first_eight(text.as_bytes())
}

/// The id of a cluster: SHA-1 over its first members' ids in ascending order.
pub fn cluster_id(member_ids: &[u64]) -> u64 {
    let mut ids = member_ids.to_vec();
    ids.sort_unstable();
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_be_bytes()).collect();
    first_eight(&bytes)
}

fn first_eight(bytes: &[u8]) -> u64 {
    let digest = Sha1::digest(bytes);
    digest.iter().take(8).fold(0, |id, byte| (id << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_etcds() {
        for (url, token, member, cluster) in [
            ("http://localhost:2380", "etcd-cluster", 0x8e9e_05c5_2164_694d, 0xcdf8_1819_4e3a_8c32),
            ("https://localhost:20001", "new", 0x00a8_f345_8387_986d, 0x34c2_1a2d_427d_b393),
        ] {
            let id = member_id(&Url::parse_list(url).unwrap(), token, None);
            assert_eq!((id, cluster_id(&[id])), (member, cluster));
        }
    }

    #[test]
    fn the_order_of_addresses_and_members_does_not_matter() {
        let [a, b] = ["http://a:1", "http://b:2"].map(|text| Url::parse(text).unwrap());
        assert_eq!(member_id(&[a.clone(), b.clone()], "t", None), member_id(&[b, a], "t", None));
        assert_eq!(cluster_id(&[1, 2]), cluster_id(&[2, 1]));
    }

    #[test]
    fn a_member_added_later_has_another_id() {
        let urls = Url::parse_list("http://localhost:2380").unwrap();
        assert_ne!(member_id(&urls, "", Some(1)), member_id(&urls, "", Some(2)));
    }
}
