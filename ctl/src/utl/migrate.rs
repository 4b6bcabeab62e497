//! `etcdutl migrate`
//!
//! A storage version says which etcd knows everything that is in a database. Since it exists (3.6) no version has added
//! anything else, so that to migrate is to change or remove it. etcd also looks for requests in the log that the target doesn't
//! know; the only one that 3.5 doesn't is sent by etcd's own tests.

use quorate_ctl::{
    failure::Failure,
    go,
    log::{info, line, warn},
};

use super::{
    Session, failed,
    rewrite::{Database, MetaRow, required},
};

const STORAGE_VERSION: &[u8] = b"storageVersion";
const TERM: &[u8] = b"term";
/// Without a storage version of its own.
const OLDEST: Version = Version { major: 3, minor: 5 };
const NEWEST: Version = Version { major: 3, minor: 7 };

/// Migrates schema of etcd data dir files to make them compatible with different etcd version
///
/// Of etcd's own data folders. Those of a server of ours have no such version: they are for the versions that wrote them.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Migrate {
    /// Path to the etcd data dir
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// Target etcd version to migrate contents of data dir, from 3.5 on
    #[arg(long, value_name = "X.Y")]
    target_version: Option<String>,
    /// Ignore migration failure and forcefully override storage version. Not recommended
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u64,
    minor: u64,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Migrate {
    pub(super) fn run(self, session: &Session) -> Result<(), Failure> {
        required(&[("data-dir", self.data_dir.is_some()), ("target-version", self.target_version.is_some())])?;
        let target = Version::target(&self.target_version.unwrap_or_default()).map_err(Failure::bad_args)?;
        let database = Database::open(&self.data_dir.unwrap_or_default(), session.lock_timeout).map_err(failed)?;
        let current = current(&database).inspect_err(|_| {
            let text =
                "failed to detect storage version. Please make sure you are using data dir from etcd v3.5 and older";
            line("error", text, Vec::new());
        });
        let current = current.map_err(failed)?;
        if current == target {
            info("storage version up-to-date", vec![("storage-version", current.to_string().into())]);
            return Ok(());
        }
        let steps = match steps(current, target) {
            Ok(steps) => steps,
            Err(reason) if self.force => {
                info("normal migrate failed, trying with force", vec![("error", reason.into())]);
                Vec::new()
            }
            Err(reason) => return Err(failed(format!("cannot create migration plan: {reason}"))),
        };
        let value = (target > OLDEST).then(|| format!("{target}.0").into_bytes());
        database.rewrite("migrating", Some(&MetaRow { key: STORAGE_VERSION, value })).map_err(failed)?;
        for step in &steps {
            info("updated storage version", vec![("new-storage-version", format!("{step}.0").into())]);
        }
        if steps.is_empty() && target > OLDEST {
            warn("forcefully set storage version", vec![("storage-version", target.to_string().into())]);
        } else if steps.is_empty() {
            warn("forcefully cleared storage version", Vec::new());
        }
        Ok(())
    }
}

impl Version {
    fn target(text: &str) -> Result<Self, String> {
        let (major, minor) = text.split_once('.').filter(|(_, minor)| !minor.contains('.')).ok_or_else(|| {
            format!("wrong target version format, expected \"X.Y\", got {}", go::quote(text.as_bytes()))
        })?;
        let part = |text: &str| {
            let number = go::parse_int(text, 10).map(u64::try_from);
            number.and_then(|number| number.map_err(|_| format!("{text} is negative")))
        };
        let parsed = part(major).and_then(|major| Ok(Self { major, minor: part(minor)? }));
        let target = parsed.map_err(|error| format!("failed to parse target version: {error}"))?;
        if target < OLDEST {
            return Err(format!("target version \"{target}\" not supported. Minimal \"{OLDEST}\""));
        }
        Ok(target)
    }

    /// `3.6.0`, as it is stored.
    fn stored(text: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(text).ok()?.split('.');
        Some(Self { major: parts.next()?.parse().ok()?, minor: parts.next()?.parse().ok()? })
    }
}

fn current(database: &Database) -> Result<Version, String> {
    if let Some(stored) = database.meta(STORAGE_VERSION)? {
        let text = || go::quote(&stored);
        return Version::stored(&stored).ok_or_else(|| format!("the storage version {} can't be read", text()));
    }
    // etcd 3.5 writes it with its first snapshot.
    match database.meta(TERM)? {
        Some(term) if term.iter().any(|byte| *byte > 0) => Ok(OLDEST),
        _ => Err("missing term information".to_owned()),
    }
}

/// The versions on the way, the target last.
fn steps(current: Version, target: Version) -> Result<Vec<Version>, String> {
    if current.major != target.major {
        return Err("changing major storage version is not supported".to_owned());
    }
    let mut steps = Vec::new();
    let mut at = current;
    while at != target {
        let is_upgrade = at < target;
        let next = Version { minor: if is_upgrade { at.minor + 1 } else { at.minor - 1 }, ..at };
        let newer = at.max(next);
        if newer > NEWEST || newer <= OLDEST {
            return Err(format!("version \"{newer}.0\" is not supported"));
        }
        steps.push(next);
        at = next;
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quorate_ctl::output::{Format, Output, Style};

    use super::{super::rewrite::data_folder, *};

    const LIMIT: Duration = Duration::from_millis(1);

    fn migrated(meta: &[(&str, &str)], target: &str, force: bool) -> Result<Option<Vec<u8>>, String> {
        let folder = data_folder(meta);
        let path = folder.path().to_str().unwrap();
        let session =
            Session { output: Output { format: Format::Simple, style: Style::default() }, lock_timeout: LIMIT };
        let migrate = Migrate { data_dir: Some(path.to_owned()), target_version: Some(target.to_owned()), force };
        migrate.run(&session).map_err(|failure| failure.text().to_owned())?;
        Database::open(path, LIMIT).unwrap().meta(STORAGE_VERSION)
    }

    #[test]
    fn the_storage_version_follows_the_target() {
        let (old, new) = ([("term", "\0\x01")], [("storageVersion", "3.7.0"), ("term", "\x01")]);
        assert_eq!(migrated(&old, "3.7", false), Ok(Some(b"3.7.0".to_vec())));
        assert_eq!(migrated(&new, "3.6", false), Ok(Some(b"3.6.0".to_vec())));
        assert_eq!(migrated(&new, "3.5", false), Ok(None));
        assert_eq!(migrated(&old, "3.5", false), Ok(None));
    }

    #[test]
    fn what_nobody_knows_is_refused_unless_it_is_forced() {
        let new = [("storageVersion", "3.7.0"), ("term", "\x01")];
        let refusal = "cannot create migration plan: version \"3.8.0\" is not supported";
        assert_eq!(migrated(&new, "3.8", false).unwrap_err(), refusal);
        assert_eq!(migrated(&new, "3.8", true), Ok(Some(b"3.8.0".to_vec())));
        assert!(migrated(&new, "4.0", false).unwrap_err().contains("major"));
        assert_eq!(migrated(&[("term", "\0")], "3.6", true).unwrap_err(), "missing term information");
    }

    #[test]
    fn targets_are_two_numbers_from_3_5_on() {
        for (text, reason) in [
            ("3", "wrong target version format, expected \"X.Y\", got \"3\""),
            ("3.6.0", "wrong target version format, expected \"X.Y\", got \"3.6.0\""),
            ("a.b", "failed to parse target version: strconv.ParseInt: parsing \"a\": invalid syntax"),
            ("3.4", "target version \"3.4\" not supported. Minimal \"3.5\""),
        ] {
            assert_eq!(Version::target(text).unwrap_err(), reason);
        }
    }
}
