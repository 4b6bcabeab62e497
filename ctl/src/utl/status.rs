//! `etcdutl snapshot status`

use std::collections::HashSet;

use quorate_ctl::{
    failure::Failure,
    go::format_size,
    output::{Json, Object, Reply, Style, Table, Text},
};
use quorate_format::{bbolt::Reader, hash_kv::user_key, revision::RevisionKey};

use super::{Session, failed, progress::Progress, source};

/// Gets backend snapshot status of a given file
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Status {
    #[arg(value_name = "FILE")]
    args: Vec<String>,
}

/// What a snapshot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Summary {
    /// CRC-32C over the names and rows of all buckets.
    hash: u32,
    revision: i64,
    /// Keys that are alive at that revision.
    total_keys: usize,
    total_bytes: u64,
    /// Storage version, empty before etcd 3.6.
    version: String,
}

impl Status {
    pub(super) fn run(self, session: &Session) -> Result<(), Failure> {
        let [path] = self.args.as_slice() else {
            return Err(Failure::bad_args("snapshot status requires exactly one argument"));
        };
        let reader = source::open_database(path, session.lock_timeout)?;
        session.output.print(&summarize(&reader).map_err(failed)?)
    }
}

fn summarize(reader: &Reader) -> Result<Summary, String> {
    let say = |error| source::describe(&error);
    reader.check().map_err(|error| format!("snapshot file integrity check failed. 1 errors found.\n{}", say(error)))?;
    let version = match reader.bucket(b"meta").map_err(say)? {
        Some(meta) => meta.get(b"storageVersion").map_err(say)?,
        None => None,
    };
    let mut summary = Summary {
        hash: 0,
        revision: 0,
        total_keys: 0,
        total_bytes: reader.size_bytes(),
        version: version.map(|version| String::from_utf8_lossy(&version).into_owned()).unwrap_or_default(),
    };
    let mut alive = HashSet::new();
    let mut progress = Progress::new("reading", reader.size_bytes());
    for name in reader.buckets().map_err(say)? {
        summary.hash = crc32c(summary.hash, &name);
        let Some(bucket) = reader.bucket(&name).map_err(say)? else { continue };
        let mut rows = bucket.rows();
        while let Some(row) = rows.next().map_err(say)? {
            summary.hash = crc32c(crc32c(summary.hash, &row.key), &row.value);
            progress.add(row.key.len() + row.value.len());
            if name != "key" {
                continue;
            }
            let revision =
                RevisionKey::parse(&row.key).map_err(|error| format!("cannot parse revision key: {error}"))?;
            let key = user_key(&row.value)
                .ok_or_else(|| format!("the value at revision {} is not an encoded KeyValue", revision.revision))?;
            summary.revision = revision.revision.main;
            if revision.tombstone {
                alive.remove(key);
            } else if !alive.contains(key) {
                alive.insert(key.to_vec());
            }
        }
    }
    summary.total_keys = alive.len();
    Ok(summary)
}

fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    quorate_format::crc32c_append(crc, bytes)
}

impl Reply for Summary {
    fn simple(&self, _style: Style) -> Text {
        self.rows().lines()
    }

    fn fields(&self, _style: Style) -> Option<Text> {
        let mut text = Text::new();
        text.field("Hash", self.hash);
        text.field("Revision", self.revision);
        text.field("Keys", self.total_keys);
        text.field("Size", self.total_bytes);
        text.field("Version", &self.version);
        Some(text)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let object = Object::new()
            .always("hash", self.hash)
            .always("revision", self.revision)
            .always("totalKey", self.total_keys as u64)
            .always("totalSize", self.total_bytes)
            .always("version", self.version.as_str());
        Some(object.into())
    }

    fn table(&self) -> Option<Table> {
        Some(self.rows())
    }
}

impl Summary {
    fn rows(&self) -> Table {
        let Self { hash, revision, total_keys, total_bytes, version } = self;
        let row = vec![
            format!("{hash:x}"),
            revision.to_string(),
            total_keys.to_string(),
            format_size(*total_bytes),
            version.clone(),
        ];
        Table { header: &["hash", "revision", "total keys", "total size", "version"], rows: vec![row] }
    }
}

#[cfg(test)]
mod tests {
    use quorate_format::{bbolt::Writer, revision::Revision};

    use super::*;

    #[test]
    fn a_summary_counts_live_keys_and_takes_the_last_revision() {
        let mut writer = Writer::create(tempfile::tempfile().unwrap()).unwrap();
        let mut bucket = writer.bucket("key").unwrap();
        for (main, key, tombstone) in [(2, b"a", false), (3, b"b", false), (4, b"a", true), (5, b"c", false)] {
            let (bytes, len) = RevisionKey { revision: Revision::new(main, 0), tombstone }.to_bytes();
            bucket.put(&bytes[..len], &[0x0a, 1, key[0]]).unwrap();
        }
        bucket.finish().unwrap();
        let mut meta = writer.bucket("meta").unwrap();
        meta.put(b"storageVersion", b"3.7.0").unwrap();
        meta.finish().unwrap();
        let (file, total_bytes) = writer.finish().unwrap();
        let summary = summarize(&Reader::new(file).unwrap()).unwrap();
        let Summary { hash, .. } = summary;
        assert_eq!(summary, Summary { hash, revision: 5, total_keys: 2, total_bytes, version: "3.7.0".into() });
        let json = summary.json(Style::default()).unwrap().to_string();
        assert_eq!(
            json,
            format!(
                "{{\"hash\":{hash},\"revision\":5,\"totalKey\":2,\"totalSize\":{total_bytes},\"version\":\"3.7.0\"}}"
            )
        );
    }
}
