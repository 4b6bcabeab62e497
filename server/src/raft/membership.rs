//! Membership entries: on disk they are etcd's `ConfChangeV2`, so that etcd's tools can print them.
//!
//! openraft's memberships are whole configurations (one voter set, or two while a change is joint) and not single
//! changes. The whole configuration rides in the `context` field; the listed changes name every member of it, which is
//! what a reader of the log wants to know and is idempotent for anyone who replays them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message;
use quorate_proto::{peer, raftpb};

use super::types::{Membership, Peer};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a membership entry of the log can't be decoded")]
    Decode(#[from] prost::DecodeError),
    #[error("a membership entry of the log has no configuration in its context: it was not written by this server")]
    Foreign,
    #[error("a membership entry of the log is not a valid configuration: {0}")]
    Invalid(String),
}

/// The entry data of a membership: `raftpb.ConfChangeV2` with the configuration in its context.
pub fn encode(membership: &Membership) -> Bytes {
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let changes = membership
        .nodes()
        .map(|(id, _)| raftpb::ConfChangeSingle {
            r#type: Some(if voters.contains(id) {
                raftpb::ConfChangeType::ConfChangeAddNode as i32
            } else {
                raftpb::ConfChangeType::ConfChangeAddLearnerNode as i32
            }),
            node_id: Some(*id),
        })
        .collect();
    let change = raftpb::ConfChangeV2 {
        transition: Some(raftpb::ConfChangeTransition::Auto as i32),
        changes,
        context: Some(to_peer(membership).encode_to_vec().into()),
    };
    change.encode_to_vec().into()
}

pub fn decode(data: &[u8]) -> Result<Membership, Error> {
    let change = raftpb::ConfChangeV2::decode(data)?;
    let context = change.context.filter(|context| !context.is_empty()).ok_or(Error::Foreign)?;
    from_peer(peer::Membership::decode(context)?)
}

/// The entry data of the membership that a restored cluster begins with: id, peer URLs and whether it is a learner.
pub fn entry(members: Vec<(u64, Vec<String>, bool)>) -> Result<Bytes, Error> {
    let voters: BTreeSet<u64> = members.iter().filter(|(_, _, learner)| !learner).map(|(id, _, _)| *id).collect();
    let nodes: BTreeMap<u64, Peer> =
        members.into_iter().map(|(id, peer_urls, learner)| (id, Peer { peer_urls, wants_vote: !learner })).collect();
    let membership = Membership::new(vec![voters], nodes).map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(encode(&membership))
}

/// Who is in an encoded membership, for the file that `snapshot save` gives out.
pub fn members(data: &[u8]) -> Result<Vec<super::Member>, Error> {
    let membership = decode(data)?;
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let members = membership.nodes().map(|(id, node)| super::Member {
        id: *id,
        peer_urls: node.peer_urls.clone(),
        is_learner: !voters.contains(id) && !node.wants_vote,
    });
    Ok(members.collect())
}

fn to_peer(membership: &Membership) -> peer::Membership {
    peer::Membership {
        configs: membership
            .get_joint_config()
            .iter()
            .map(|voters| peer::VoterSet { ids: voters.iter().copied().collect() })
            .collect(),
        members: membership
            .nodes()
            .map(|(id, node)| peer::Member { id: *id, peer_urls: node.peer_urls.clone(), wants_vote: node.wants_vote })
            .collect(),
    }
}

fn from_peer(stored: peer::Membership) -> Result<Membership, Error> {
    let configs: Vec<BTreeSet<u64>> = stored.configs.into_iter().map(|set| set.ids.into_iter().collect()).collect();
    let nodes: BTreeMap<u64, Peer> = stored
        .members
        .into_iter()
        .map(|member| (member.id, Peer { peer_urls: member.peer_urls, wants_vote: member.wants_vote }))
        .collect();
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, nodes).map_err(|error| Error::Invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ids: &[u64]) -> BTreeMap<u64, Peer> {
        ids.iter()
            .map(|id| (*id, Peer { peer_urls: vec![format!("http://127.0.0.1:{id}")], wants_vote: false }))
            .collect()
    }

    #[test]
    fn a_joint_configuration_with_a_learner_survives_the_log() {
        let membership =
            Membership::new(vec![BTreeSet::from([1, 2]), BTreeSet::from([2, 3])], nodes(&[1, 2, 3, 4])).unwrap();
        assert_eq!(decode(&encode(&membership)).unwrap(), membership);
    }

    #[test]
    fn a_conf_change_of_another_program_is_refused() {
        let foreign = raftpb::ConfChangeV2::default().encode_to_vec();
        assert!(matches!(decode(&foreign), Err(Error::Foreign)));
    }
}
