//! The new database: the snapshot's, with another membership and position in the log.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use quorate_format::{
    bbolt::{Bucket, BucketWriter, Error, Reader, Writer},
    revision::{Revision, RevisionKey},
};

use super::super::{progress::Progress, source};
use super::log::{COMMIT_TERM, commit_index};
use super::plan::Plan;

/// etcd's buckets that a restoration changes.
const CHANGED: [&str; 4] = ["key", "members", "members_removed", "meta"];

/// How `--bump-revision` came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bumped {
    pub(super) latest: i64,
    pub(super) bumped: i64,
}

/// Writes the file and syncs it.
pub(super) fn write(reader: &Reader, path: &Path, plan: &Plan) -> Result<Option<Bumped>, String> {
    let bumped = bump(reader, plan)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| format!("open {}: {}", path.display(), source::go_text(&error)))?;
    let file = copy(reader, file, plan, bumped).map_err(|error| source::describe(&error))?;
    file.sync_all().map_err(|error| format!("fsync {}: {}", path.display(), source::go_text(&error)))?;
    Ok(bumped)
}

fn bump(reader: &Reader, plan: &Plan) -> Result<Option<Bumped>, String> {
    let Some(amount) = plan.bump_revision else { return Ok(None) };
    let last = match reader.bucket(b"key") {
        Ok(Some(bucket)) => bucket.last(),
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    let latest = match last.map_err(|error| source::describe(&error))? {
        Some(row) => RevisionKey::parse(&row.key).map_err(|error| error.to_string())?.revision.main,
        None => 0,
    };
    let too_far = || format!("--bump-revision={amount} is too much: the latest revision is {latest}");
    let bumped = i64::try_from(amount).ok().and_then(|amount| latest.checked_add(amount)).ok_or_else(too_far)?;
    Ok(Some(Bumped { latest, bumped }))
}

fn copy<W: Write + Seek>(reader: &Reader, out: W, plan: &Plan, bumped: Option<Bumped>) -> Result<W, Error> {
    let mut progress = Progress::new("restoring", reader.size_bytes());
    let mut writer = Writer::create(out)?;
    let names = reader.buckets()?;
    for name in names.iter().filter(|name| !CHANGED.iter().any(|changed| changed.as_bytes() == *name)) {
        let mut bucket = writer.bucket(name.as_ref())?;
        copy_rows(reader.bucket(name)?, &mut bucket, &mut progress)?;
        bucket.finish()?;
    }

    let mut keys = writer.bucket("key")?;
    copy_rows(reader.bucket(b"key")?, &mut keys, &mut progress)?;
    if let Some(Bumped { bumped, .. }) = bumped {
        // As etcd does it: a row without a value, there only for its revision.
        keys.put(&Revision::new(bumped, 0).to_bytes(), &[])?;
    }
    keys.finish()?;

    put_all(&mut writer, "meta", meta_rows(reader, plan, bumped)?)?;
    let members =
        plan.cluster.members.iter().map(|member| (format!("{:x}", member.id).into_bytes(), member.json().into_bytes()));
    put_all(&mut writer, "members", members.collect())?;
    put_all(&mut writer, "members_removed", BTreeMap::new())?;
    Ok(writer.finish()?.0)
}

fn copy_rows<W: Write + Seek>(
    from: Option<Bucket<'_>>,
    to: &mut BucketWriter<'_, W>,
    progress: &mut Progress,
) -> Result<(), Error> {
    let Some(from) = from else { return Ok(()) };
    let mut rows = from.rows();
    while let Some(row) = rows.next()? {
        to.put(&row.key, &row.value)?;
        progress.add(row.key.len() + row.value.len());
    }
    Ok(())
}

/// The new log begins behind the membership, so that is where the database stands.
fn meta_rows(reader: &Reader, plan: &Plan, bumped: Option<Bumped>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    let mut meta = BTreeMap::new();
    if let Some(bucket) = reader.bucket(b"meta")? {
        let mut rows = bucket.rows();
        while let Some(row) = rows.next()? {
            meta.insert(row.key.to_vec(), row.value.to_vec());
        }
    }
    meta.insert(b"consistent_index".to_vec(), commit_index(&plan.cluster).to_be_bytes().to_vec());
    meta.insert(b"term".to_vec(), COMMIT_TERM.to_be_bytes().to_vec());
    if let Some(Bumped { bumped, .. }) = bumped {
        meta.insert(b"scheduledCompactRev".to_vec(), Revision::new(bumped, 0).to_bytes().to_vec());
    }
    Ok(meta)
}

fn put_all<W: Write + Seek>(writer: &mut Writer<W>, name: &str, rows: BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), Error> {
    let mut bucket = writer.bucket(name)?;
    for (key, value) in rows {
        bucket.put(&key, &value)?;
    }
    bucket.finish()
}
