use jiff::Timestamp;

use crate::changes::Goal;
use crate::manifest::Manifest;

/// What somebody wants back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// This backup and no other.
    pub id: Option<String>,
    /// Of this cluster only, by hexadecimal digits.
    pub cluster_id: Option<String>,
    pub at: Option<Timestamp>,
    pub at_revision: Option<i64>,
}

impl Choice {
    /// Where changes are to lead; without one, none are wanted.
    pub fn goal(&self) -> Option<Goal> {
        let at = self.at.map(|at| Goal::UnixMs(at.as_millisecond()));
        at.or(self.at_revision.map(Goal::Revision))
    }

    pub fn allows(&self, manifest: &Manifest) -> bool {
        let Self { id, cluster_id, at, at_revision } = self;
        id.as_ref().is_none_or(|id| *id == manifest.id)
            && cluster_id.as_ref().is_none_or(|cluster_id| *cluster_id == manifest.cluster_id)
            && at.is_none_or(|at| manifest.taken <= at)
            && at_revision.is_none_or(|revision| manifest.revision <= revision)
    }
}

/// The newest backup that isn't beyond what is wanted. `manifests` come in any order, one at a time.
pub fn choose(choice: &Choice, manifests: impl IntoIterator<Item = Manifest>) -> Option<Manifest> {
    manifests.into_iter().filter(|manifest| choice.allows(manifest)).max_by_key(|manifest| manifest.taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Compression, Encryption, Hash};

    fn manifest(second: i64, revision: i64, cluster_id: &str) -> Manifest {
        let taken = Timestamp::from_second(second).unwrap();
        Manifest {
            format: 1,
            id: format!("{second}"),
            cluster_id: cluster_id.into(),
            member_id: "1".into(),
            etcd_version: "3.7.3".into(),
            started: taken,
            taken,
            finished: taken,
            revision,
            compact_revision: -1,
            raft_term: 2,
            keys: 1,
            hash: Hash { hash: 1, revision, compact_revision: -1 },
            database_bytes: 4096,
            database_sha256: String::new(),
            compression: Compression::None,
            encryption: Encryption::None,
            parts: Vec::new(),
        }
    }

    fn chosen(choice: Choice) -> Option<String> {
        let manifests = [manifest(30, 300, "a"), manifest(10, 100, "a"), manifest(20, 200, "a"), manifest(25, 50, "b")];
        choose(&choice, manifests).map(|manifest| manifest.id)
    }

    #[test]
    fn the_newest_backup_that_is_not_beyond_is_chosen() {
        let any = Choice::default;
        let at = |second| Timestamp::from_second(second).ok();
        for (choice, id) in [
            (any(), Some("30")),
            (Choice { id: Some("10".into()), ..any() }, Some("10")),
            (Choice { id: Some("11".into()), ..any() }, None),
            (Choice { cluster_id: Some("b".into()), ..any() }, Some("25")),
            (Choice { at: at(24), ..any() }, Some("20")),
            (Choice { at: at(25), cluster_id: Some("a".into()), ..any() }, Some("20")),
            (Choice { at: at(9), ..any() }, None),
            (Choice { at_revision: Some(200), cluster_id: Some("a".into()), ..any() }, Some("20")),
            (Choice { at_revision: Some(199), cluster_id: Some("a".into()), ..any() }, Some("10")),
            (Choice { id: Some("30".into()), at_revision: Some(199), ..any() }, None),
        ] {
            assert_eq!(chosen(choice.clone()).as_deref(), id, "{choice:?}");
        }
    }
}
