//! From flags to what will be done. Nothing is written here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use quorate_ctl::{failure::Failure, go::quote, output::Json};

use super::super::failed;
use super::Restore;
use super::cluster::{Cluster, missing_local};
use super::peer_url;

/// A restoration whose flags make sense together.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) snapshot: String,
    pub(super) cluster: Cluster,
    pub(super) data_dir: PathBuf,
    pub(super) wal_dir: PathBuf,
    pub(super) skip_hash_check: bool,
    /// How much to add to the latest revision, which is then marked as compacted.
    pub(super) bump_revision: Option<u64>,
    initial_memory_map_size: u64,
}

impl Plan {
    pub(super) fn new(flags: Restore) -> Result<Self, Failure> {
        let Restore {
            args,
            data_dir,
            wal_dir,
            initial_cluster,
            initial_cluster_token,
            initial_advertise_peer_urls,
            name,
            skip_hash_check,
            initial_memory_map_size,
            bump_revision,
            mark_compacted,
        } = flags;
        let Ok([snapshot]) = <[String; 1]>::try_from(args) else {
            return Err(Failure::bad_args("snapshot restore requires exactly one argument"));
        };
        if (bump_revision > 0) != mark_compacted {
            return Err(Failure::bad_args("--mark-compacted required if --bump-revision > 0"));
        }
        let data_dir = PathBuf::from(if data_dir.is_empty() { format!("{name}.etcd") } else { data_dir });
        let wal_dir = if wal_dir.is_empty() { data_dir.join("member").join("wal") } else { PathBuf::from(wal_dir) };
        let cluster =
            cluster(&initial_cluster, &initial_cluster_token, &initial_advertise_peer_urls, &name).map_err(failed)?;
        let bump_revision = mark_compacted.then_some(bump_revision);
        Ok(Self { snapshot, cluster, data_dir, wal_dir, skip_hash_check, bump_revision, initial_memory_map_size })
    }

    /// Refuses to write over anything.
    pub(super) fn check_folders(&self) -> Result<(), String> {
        let Self { data_dir, wal_dir, .. } = self;
        let exists = |path: &Path| fs::symlink_metadata(path).is_ok();
        let is_empty = |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        if exists(data_dir) && !is_empty(data_dir) {
            return Err(format!("data-dir {} not empty or could not be read", quoted(data_dir)));
        }
        if exists(wal_dir) {
            return Err(format!("wal-dir {} exists", quoted(wal_dir)));
        }
        Ok(())
    }

    /// Whether the log has a folder outside of the data folder's usual place.
    pub(super) fn has_own_wal_dir(&self) -> bool {
        self.wal_dir != self.data_dir.join("member").join("wal")
    }

    pub(super) fn log_fields(&self) -> Vec<(&'static str, Json)> {
        let path = |path: &Path| Json::from(path.display().to_string());
        vec![
            ("path", Json::from(self.snapshot.as_str())),
            ("wal-dir", path(&self.wal_dir)),
            ("data-dir", path(&self.data_dir)),
            ("snap-dir", path(&self.data_dir.join("member").join("snap"))),
            ("initial-memory-map-size", Json::from(self.initial_memory_map_size)),
        ]
    }
}

fn quoted(path: &Path) -> String {
    quote(path.as_os_str().as_encoded_bytes()).to_string()
}

/// The cluster that the flags describe, by the checks that etcd makes before a first start.
fn cluster(initial_cluster: &str, token: &str, advertise: &str, name: &str) -> Result<Cluster, String> {
    let advertised = peer_url::parse_list(advertise.split(','))?;
    let members = peer_url::parse_cluster(initial_cluster)?;
    let urls = members.get(name).ok_or_else(|| missing_local(name))?;
    match_advertised(name, &advertised, urls)?;

    let mut seen = BTreeSet::new();
    if !members.values().flatten().all(|url| seen.insert(url)) {
        let mut pairs: Vec<String> =
            members.iter().flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={url}"))).collect();
        pairs.sort();
        return Err(format!("initial cluster {} has duplicate url", pairs.join(",")));
    }
    Cluster::new(members, token, name)
}

/// What a member says of itself and what the others are told of it must be the same.
fn match_advertised(name: &str, advertised: &[String], urls: &[String]) -> Result<(), String> {
    let Err(cause) = peer_url::same_addresses(advertised, urls) else { return Ok(()) };
    let missing = |from: &[String], of: &[String], prefix: &str| {
        let urls: BTreeSet<&String> = of.iter().filter(|url| !from.contains(url)).collect();
        urls.into_iter().map(|url| format!("{prefix}{url}")).collect::<Vec<_>>().join(",")
    };
    let own = |urls: &[String]| urls.iter().map(|url| format!("{name}={url}")).collect::<Vec<_>>().join(",");

    let unadvertised = missing(advertised, urls, &format!("{name}="));
    if !unadvertised.is_empty() {
        let list = advertised.join(",");
        return Err(format!(
            "--initial-cluster has {unadvertised} but missing from --initial-advertise-peer-urls={list} ({cause})"
        ));
    }
    let unlisted = missing(urls, advertised, "");
    if !unlisted.is_empty() {
        return Err(format!(
            "--initial-advertise-peer-urls has {unlisted} but missing from --initial-cluster={}",
            own(urls)
        ));
    }
    Err(format!("failed to resolve {} to match --initial-cluster={} ({cause})", advertised.join(","), own(urls)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://localhost:2380";

    #[test]
    fn flags_that_contradict_each_other_are_refused_with_etcds_words() {
        let error = |list: &str, advertise: &str, name: &str| cluster(list, "t", advertise, name).unwrap_err();
        assert_eq!(
            error("default=http://localhost:2380", URL, "zz"),
            "couldn't find local name \"zz\" in the initial cluster configuration"
        );
        assert_eq!(
            error("default=http://localhost:2381", URL, "default"),
            "--initial-cluster has default=http://localhost:2381 but missing from --initial-advertise-peer-urls=\
             http://localhost:2380 (resolved urls: \"http://localhost:2380\" != \"http://localhost:2381\")"
        );
        assert_eq!(
            error("default=http://localhost:2380", "http://localhost:2380,http://localhost:2381", "default"),
            "--initial-advertise-peer-urls has http://localhost:2381 but missing from \
             --initial-cluster=default=http://localhost:2380"
        );
        assert_eq!(
            error("default=http://localhost:2380,b=http://localhost:2380", URL, "default"),
            "initial cluster b=http://localhost:2380,default=http://localhost:2380 has duplicate url"
        );
    }
}
