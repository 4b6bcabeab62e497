//! What a discovery service of the v2 protocol says, and what follows from it. The protocol is etcd's former keys API, of which it
//! needs three keys: `URL/_config/size`, `URL` as a list, and `URL/ID` of each member.

use std::collections::BTreeSet;

use serde::Deserialize;

/// "Key not found" and "Key already exists".
pub const NOT_FOUND: u32 = 100;
pub const EXISTS: u32 = 105;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reply {
    pub node: Node,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Node {
    pub key: String,
    pub value: String,
    pub nodes: Vec<Node>,
    pub created_index: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    pub error_code: u32,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub cause: String,
}

impl Node {
    /// The last part of the key.
    pub fn name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or_default()
    }
}

/// Where a cluster in the making stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// So many are registered.
    Waiting(usize),
    /// Others have taken all places. Their peer URLs, as they are registered.
    Full(Vec<String>),
    /// The members as `--initial-cluster` would list them.
    Complete(String),
    /// Two of the members have the same name.
    DuplicateName(String),
}

/// The first to register are the cluster.
pub fn standing(mut nodes: Vec<Node>, size: usize, own: &str) -> Standing {
    nodes.retain(|node| !node.name().starts_with('_'));
    nodes.sort_by_key(|node| node.created_index);
    let (count, is_own) = (nodes.len(), |node: &Node| node.name() == own);
    nodes.truncate(size);
    if count < size {
        return Standing::Waiting(count);
    }
    let values: Vec<String> = nodes.iter().map(|node| node.value.clone()).collect();
    if !nodes.iter().any(is_own) {
        return Standing::Full(values);
    }
    let name_of = |value: &String| value.split('=').next().unwrap_or_default().to_owned();
    let mut names = BTreeSet::new();
    match values.iter().map(name_of).find(|name| !names.insert(name.clone())) {
        Some(name) => Standing::DuplicateName(name),
        None => Standing::Complete(values.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, value: &str, created_index: u64) -> Node {
        Node { key: format!("/_etcd/registry/t/{name}"), value: value.to_owned(), created_index, nodes: Vec::new() }
    }

    #[test]
    fn the_first_to_register_are_the_cluster() {
        let nodes = vec![node("c", "c=3", 9), node("_config", "", 1), node("a", "a=1", 5), node("b", "b=2", 7)];
        assert_eq!(standing(nodes.clone(), 4, "a"), Standing::Waiting(3));
        assert_eq!(standing(nodes.clone(), 3, "c"), Standing::Complete("a=1,b=2,c=3".to_owned()));
        assert_eq!(standing(nodes.clone(), 2, "b"), Standing::Complete("a=1,b=2".to_owned()));
        assert_eq!(standing(nodes, 2, "c"), Standing::Full(vec!["a=1".to_owned(), "b=2".to_owned()]));
    }

    #[test]
    fn names_must_differ() {
        let nodes = vec![node("a", "same=1,same=2", 1), node("b", "same=3", 2)];
        assert_eq!(standing(nodes, 2, "a"), Standing::DuplicateName("same".to_owned()));
    }

    #[test]
    fn replies_are_read_as_etcd_wrote_them() {
        let text = r#"{"action":"get","node":{"key":"/_etcd/registry/t","dir":true,"nodes":[
            {"key":"/_etcd/registry/t/1","value":"a=http://x:1","modifiedIndex":4,"createdIndex":4}],"createdIndex":2}}"#;
        let reply: Reply = serde_json::from_str(text).unwrap();
        assert_eq!((reply.node.nodes[0].name(), reply.node.nodes[0].created_index), ("1", 4));
        let text = r#"{"errorCode":100,"message":"Key not found","cause":"/_etcd/registry/t","index":7}"#;
        assert_eq!(serde_json::from_str::<Failure>(text).unwrap().error_code, NOT_FOUND);
    }
}
