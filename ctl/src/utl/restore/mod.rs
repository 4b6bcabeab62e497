//! `etcdutl snapshot restore`: a data folder for one member of a new cluster, with the keys of a snapshot.
//!
//! [`plan`] checks the flags; [`quorate_restore`] makes the folder.

mod plan;

use std::error::Error as _;

use quorate_ctl::{
    failure::Failure,
    go,
    log::{info, warn},
    output::Json,
};
use quorate_format::{bbolt::Reader, snapshot_file};
use quorate_restore::{
    Cluster, Error, Member, Staging,
    database::{Contents, Written},
};

use self::plan::Plan;
use super::{failed, progress::Progress, source};

/// Restores an etcd member snapshot to an etcd directory
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Restore {
    #[arg(value_name = "FILE")]
    args: Vec<String>,

    /// Folder to write, `NAME.etcd` if not given
    #[arg(long, default_value = "", value_name = "FOLDER")]
    data_dir: String,

    /// Folder of the log, inside of --data-dir if not given
    #[arg(long, default_value = "", value_name = "FOLDER")]
    wal_dir: String,

    /// Members of the new cluster, NAME=URL separated by commas
    #[arg(long, default_value = "default=http://localhost:2380", value_name = "LIST")]
    initial_cluster: String,

    /// Name of the new cluster, which goes into its ids
    #[arg(long, default_value = "etcd-cluster", value_name = "TOKEN")]
    initial_cluster_token: String,

    /// Peer URLs of this member, separated by commas
    #[arg(long, default_value = "http://localhost:2380", value_name = "LIST")]
    initial_advertise_peer_urls: String,

    /// Name of this member
    #[arg(long, default_value = "default", value_name = "NAME")]
    name: String,

    /// Restore a file without a checksum, such as one copied from a data folder
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
          hide_default_value = true, value_name = "BOOL", value_parser = quorate_ctl::globals::parse_bool)]
    skip_hash_check: bool,

    /// Without effect: the database isn't mapped into memory
    #[arg(long, default_value = "0", value_name = "BYTES", value_parser = parse_count)]
    initial_memory_map_size: u64,

    /// How much to increase the latest revision, so that clients that saw a later one than the snapshot's don't see it fall
    #[arg(long, default_value = "0", value_name = "REVISIONS", value_parser = parse_count)]
    bump_revision: u64,

    /// Mark the latest revision as compacted, so that clients notice; goes with --bump-revision
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
          hide_default_value = true, value_name = "BOOL", value_parser = quorate_ctl::globals::parse_bool)]
    mark_compacted: bool,
}

fn parse_count(text: &str) -> Result<u64, String> {
    go::parse_uint(text, 10)
}

impl Restore {
    pub(super) fn run(self) -> Result<(), Failure> {
        let plan = Plan::new(self)?;
        plan.check_folders().map_err(failed)?;
        info("restoring snapshot", plan.log_fields());
        perform(&plan)?;
        info("restored snapshot", plan.log_fields());
        Ok(())
    }
}

fn perform(plan: &Plan) -> Result<(), Failure> {
    let reader = open_verified(plan)?;
    // From here on, a failure removes what was written.
    let staging = Staging::create(&plan.data_dir, plan.own_wal_dir(), |path, error| {
        let fields = vec![("path", Json::from(path.display().to_string())), ("error", error.to_string().into())];
        warn("failed to remove what a failed restoration has left", fields);
    })
    .map_err(|error| failed(describe(&error)))?;
    let written = {
        let mut progress = Progress::new("restoring", reader.size_bytes());
        let contents = Contents { bump_revision: plan.bump_revision, ..Contents::default() };
        staging.write_database(&reader, &plan.cluster, contents, &mut |bytes| progress.add(bytes))
    };
    let written = written.map_err(|error| failed(describe(&error)))?;
    if let Written { latest, bumped: Some(bumped), .. } = written {
        let amount = bumped - latest;
        let fields = vec![
            ("latest-revision", Json::from(latest)),
            ("bump-amount", amount.into()),
            ("new-latest-revision", bumped.into()),
        ];
        info("bumping latest revision", fields);
        info("marking revision compacted", vec![("revision", Json::from(bumped))]);
    }
    for member in &plan.cluster.members {
        info("added member", log_fields(member, &plan.cluster));
    }
    staging.write_log(&plan.cluster).map_err(|error| failed(describe(&error)))?;
    staging.publish().map_err(|error| failed(describe(&error)))
}

fn log_fields(member: &Member, cluster: &Cluster) -> Vec<(&'static str, Json)> {
    vec![
        ("cluster-id", Json::from(format!("{:x}", cluster.id))),
        ("local-member-id", Json::from(format!("{:x}", cluster.local_id))),
        ("added-peer-id", Json::from(format!("{:x}", member.id))),
        ("added-peer-peer-urls", Json::from(member.peer_urls.as_slice())),
        ("added-peer-is-learner", Json::from(false)),
    ]
}

/// The error and the cause behind it.
fn describe(error: &Error) -> String {
    match error {
        Error::Open { source, .. } | Error::Write { source, .. } | Error::Sync { source, .. } => {
            format!("{error}: {}", source::go_text(source))
        }
        _ => match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

/// The snapshot's database, its checksum compared.
fn open_verified(plan: &Plan) -> Result<Reader, Failure> {
    let mut file = source::open(&plan.snapshot)?;
    let file_bytes = file.metadata().map_err(|error| failed(source::go_text(&error)))?.len();
    if !plan.skip_hash_check {
        if !snapshot_file::has_checksum(file_bytes) {
            return Err(failed("snapshot missing hash but --skip-hash-check=false"));
        }
        let mut progress = Progress::new("verifying", file_bytes);
        let verified =
            snapshot_file::verify_to(&mut file, file_bytes, &mut std::io::sink(), |bytes| progress.set(bytes));
        verified.map_err(|error| match std::error::Error::source(&error) {
            Some(cause) => failed(format!("{error}: {cause}")),
            None => failed(error),
        })?;
    }
    Reader::new(file).map_err(|error| failed(source::describe(&error)))
}

#[cfg(test)]
mod tests;
