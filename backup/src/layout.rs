//! Names of objects, below the path that the store's URL has:
//!
//! ```text
//! backups/ID/manifest.json                          the last to be written, and only if there is none
//! backups/ID/ATTEMPT/00000                          parts; each attempt has a folder of its own
//! changes/CLUSTER/AFTER-LAST-SHA256                 what was written after a revision, up to another: what the recorder keeps
//! ```
//!
//! IDs begin with the time (`20261128T050000Z-4f3a9c1e`), revisions have 19 digits, so that listings are in order.

use jiff::Timestamp;

pub const BACKUPS: &str = "backups";
pub const CHANGES: &str = "changes";
pub const MANIFEST: &str = "manifest.json";
const ID_BYTES_MAX: usize = 128;

/// `unique` is eight letters or digits that no other backup of that second has.
pub fn id(started: Timestamp, unique: &str) -> String {
    format!("{}-{unique}", started.strftime("%Y%m%dT%H%M%SZ"))
}

/// As a flag has it. Anything else could name more than one backup's folder.
pub fn parse_id(text: &str) -> Result<String, String> {
    let is_plain = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_' | b'.');
    let is_id = (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain) && !text.starts_with('.');
    if is_id { Ok(text.to_owned()) } else { Err("use 1 to 128 letters, digits, - _ or .".to_owned()) }
}

pub fn manifest(id: &str) -> String {
    format!("{BACKUPS}/{id}/{MANIFEST}")
}

/// Below the backup's folder, as manifests name parts.
pub fn part(attempt: &str, number: usize) -> String {
    format!("{attempt}/{number:05}")
}

/// Where a cluster's changes are.
pub fn changes_of(cluster_id: &str) -> String {
    format!("{CHANGES}/{cluster_id}")
}

/// Changes of the revisions `after + 1` to `last`.
pub fn changes(cluster_id: &str, after: i64, last: i64, sha256: &str) -> String {
    let begin = sha256.get(..16).unwrap_or(sha256);
    format!("{}/{after:019}-{last:019}-{begin}", changes_of(cluster_id))
}

/// A part, from its name in the manifest.
pub fn below(id: &str, part: &str) -> String {
    format!("{BACKUPS}/{id}/{part}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_one_folder() {
        assert!(parse_id(&id(Timestamp::UNIX_EPOCH, "4f3a9c1e")).is_ok());
        for bad in ["", ".", "..", "../x", "a/b", "a b", "ä", &"a".repeat(129)] {
            assert!(parse_id(bad).is_err(), "{bad}");
        }
    }
}
