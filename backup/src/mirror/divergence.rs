/// The target can't become what the source is any more: nothing is written to it from then on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Divergence {
    #[error(
        "the source is compacted at {compacted}, and the target lacks revision {revision}: make the target anew, out of a \
         newer copy"
    )]
    Compacted { revision: i64, compacted: i64 },
    #[error(
        "revisions between {before} and {got} are missing at the source, since it was compacted: make the target anew, \
         out of a newer copy"
    )]
    Skipped { before: i64, got: i64 },
    #[error(
        "the target is at revision {target}, the source at {source_revision}: somebody else has written to the target, or \
         the source has gone back; make the target anew"
    )]
    Ahead { target: i64, source_revision: i64 },
    #[error(
        "the target's revision {revision} is not the source's: somebody else has written to it, or it was made of another \
         cluster; make the target anew"
    )]
    Different { revision: i64 },
    #[error(
        "the target has made revision {got} of the source's {wanted}: somebody else writes to it; make the target anew"
    )]
    Misnumbered { wanted: i64, got: i64 },
    #[error(
        "revision {revision} has {operations} operations, more than the target takes in a transaction: start its members \
         with --max-txn-ops={operations} or more, then start the mirror again"
    )]
    TooManyOperations { revision: i64, operations: usize },
    #[error(
        "revision {revision} has {bytes} bytes, more than the target takes in a request: start its members with a larger \
         --max-request-bytes, then start the mirror again"
    )]
    TooLarge { revision: i64, bytes: usize },
    #[error(
        "at revision {revision} the source's keys have the hash {source_hash}, the target's {target_hash}: make the target \
         anew"
    )]
    Hash { revision: i64, source_hash: u32, target_hash: u32 },
}
