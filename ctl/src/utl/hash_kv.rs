//! `etcdutl hashkv`

use quorate_ctl::{
    failure::Failure,
    go,
    output::{Json, Object, Reply, Style, Table, Text},
};
use quorate_format::{
    bbolt::{Bucket, Reader, Row},
    contents::{self, Contents},
    hash_kv::{Hasher, KeepSet},
    revision::RevisionKey,
};

use super::{Session, failed, progress::Progress, source};

/// Prints the KV history hash of a given file
#[derive(clap::Args, Clone, Debug)]
pub(super) struct HashKv {
    #[arg(value_name = "FILE")]
    args: Vec<String>,

    /// Last revision to hash, 0 for the latest
    #[arg(long, default_value = "0", value_name = "REVISION", allow_hyphen_values = true, value_parser = go::parse_flag_int)]
    rev: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hash {
    hash: u32,
    hash_revision: i64,
    /// -1 if nothing was ever compacted.
    compact_revision: i64,
}

impl HashKv {
    pub(super) fn run(self, session: &Session) -> Result<(), Failure> {
        let [path] = self.args.as_slice() else {
            return Err(failed(format!("accepts 1 arg(s), received {}", self.args.len())));
        };
        let reader = source::open_database(path, session.lock_timeout)?;
        session.output.print(&hash(&reader, self.rev).map_err(failed)?)
    }
}

fn hash(reader: &Reader, revision: i64) -> Result<Hash, String> {
    let say = |error| source::describe(&error);
    let keys = reader.bucket(b"key").map_err(say)?;
    let Contents { revision: current_revision, compact_revision } =
        contents::of(reader).map_err(|error| match error {
            contents::Error::Database(error) => say(error),
            contents::Error::Row(_) => error.to_string(),
        })?;

    if revision > 0 && revision < compact_revision {
        return Err("mvcc: required revision has been compacted".into());
    }
    if revision > current_revision {
        return Err("mvcc: required revision is a future revision".into());
    }
    let hash_revision = if revision == 0 { current_revision } else { revision };

    let mut hasher = Hasher::new(compact_revision, hash_revision);
    if let Some(keys) = keys {
        let mut keep = KeepSet::new(hash_revision);
        // Nothing is asked of the set if nothing was compacted.
        if compact_revision > 0 {
            let mut progress = Progress::new("indexing", reader.size_bytes());
            each_row(&keys, &mut progress, |key, row| keep.row(key, &row.value).map_err(|error| error.to_string()))?;
        }
        let kept = keep.finish();
        let mut progress = Progress::new("hashing", reader.size_bytes());
        each_row(&keys, &mut progress, |key, row| {
            hasher.row(key, &row.key, &row.value, &kept);
            Ok(())
        })?;
    }
    Ok(Hash { hash: hasher.finish(), hash_revision, compact_revision })
}

fn each_row(
    bucket: &Bucket<'_>,
    progress: &mut Progress,
    mut each: impl FnMut(RevisionKey, &Row) -> Result<(), String>,
) -> Result<(), String> {
    let mut rows = bucket.rows();
    while let Some(row) = rows.next().map_err(|error| source::describe(&error))? {
        progress.add(row.key.len() + row.value.len());
        each(parse(&row.key)?, &row)?;
    }
    Ok(())
}

fn parse(bytes: &[u8]) -> Result<RevisionKey, String> {
    RevisionKey::parse(bytes).map_err(|error| format!("cannot parse revision key: {error}"))
}

impl Reply for Hash {
    fn simple(&self, _style: Style) -> Text {
        self.rows().lines()
    }

    fn fields(&self, _style: Style) -> Option<Text> {
        let mut text = Text::new();
        text.field("Hash", self.hash);
        text.field("Hash revision", self.hash_revision);
        text.field("Compact revision", self.compact_revision);
        Some(text)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let object = Object::new()
            .always("hash", self.hash)
            .always("hashRevision", self.hash_revision)
            .always("compactRevision", self.compact_revision);
        Some(object.into())
    }

    fn table(&self) -> Option<Table> {
        Some(self.rows())
    }
}

impl Hash {
    fn rows(&self) -> Table {
        let row = vec![self.hash.to_string(), self.hash_revision.to_string(), self.compact_revision.to_string()];
        Table { header: &["hash", "hash revision", "compact revision"], rows: vec![row] }
    }
}

#[cfg(test)]
mod tests {
    use quorate_format::{bbolt::Writer, revision::Revision};

    use super::*;

    /// (main, key, is a deletion)
    fn database(rows: &[(i64, u8, bool)], scheduled: Option<i64>) -> Reader {
        let mut writer = Writer::create(tempfile::tempfile().unwrap()).unwrap();
        let mut bucket = writer.bucket("key").unwrap();
        for (main, key, tombstone) in rows {
            let (bytes, len) = RevisionKey { revision: Revision::new(*main, 0), tombstone: *tombstone }.to_bytes();
            bucket.put(&bytes[..len], &[0x0a, 1, *key]).unwrap();
        }
        bucket.finish().unwrap();
        let mut meta = writer.bucket("meta").unwrap();
        if let Some(scheduled) = scheduled {
            meta.put(b"scheduledCompactRev", &Revision::new(scheduled, 0).to_bytes()).unwrap();
        }
        meta.finish().unwrap();
        Reader::new(writer.finish().unwrap().0).unwrap()
    }

    #[test]
    fn what_a_compaction_has_not_removed_yet_does_not_change_the_hash() {
        let before = [(2, b'a', false), (3, b'b', false), (4, b'a', false), (5, b'b', true), (6, b'c', false)];
        let after = [(4, b'a', false), (6, b'c', false)];
        for revision in [5, 6] {
            assert_eq!(hash(&database(&before, Some(5)), revision), hash(&database(&after, Some(5)), revision));
        }
        assert_ne!(hash(&database(&before, None), 6).unwrap().hash, hash(&database(&after, None), 6).unwrap().hash);
    }

    #[test]
    fn a_revision_that_is_gone_or_not_yet_there_is_refused() {
        let reader = database(&[(4, b'a', false), (6, b'c', false)], Some(5));
        assert_eq!(hash(&reader, 4).unwrap_err(), "mvcc: required revision has been compacted");
        assert_eq!(hash(&reader, 7).unwrap_err(), "mvcc: required revision is a future revision");
        assert_eq!(hash(&reader, 0).unwrap().hash_revision, 6);
    }

    #[test]
    fn an_empty_database_is_at_revision_1() {
        let Hash { hash: _, hash_revision, compact_revision } = hash(&database(&[], None), 0).unwrap();
        assert_eq!((hash_revision, compact_revision), (1, -1));
    }
}
