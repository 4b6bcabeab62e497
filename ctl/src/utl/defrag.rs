//! `etcdutl defrag`

use std::time::Instant;

use quorate_ctl::{
    failure::Failure,
    go::{format_duration, format_size},
    log::info,
    output::Json,
};

use super::{
    Session, failed,
    rewrite::{Database, required},
};

/// Defragments the storage of the etcd
///
/// Of etcd's own data folders. A server of ours frees room by itself; `etcdctl defrag` has it do so at once.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Defrag {
    /// Required. Defragments a data directory not in use by etcd
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,
}

impl Defrag {
    pub(super) fn run(self, session: &Session) -> Result<(), Failure> {
        required(&[("data-dir", self.data_dir.is_some())])?;
        let data_dir = self.data_dir.unwrap_or_default();
        let start = Instant::now();
        let defragmented = Database::open(&data_dir, session.lock_timeout).and_then(|database| {
            info("defragmenting", sizes(&database, database.file_bytes));
            let size_bytes = database.rewrite("defragmenting", None)?;
            Ok((database, size_bytes))
        });
        let (database, size_bytes) =
            defragmented.map_err(|reason| failed(format!("Failed to defragment etcd data[{data_dir}] ({reason})")))?;
        let mut fields = sizes(&database, size_bytes);
        let difference = i64::try_from(size_bytes).unwrap_or(i64::MAX).saturating_sub_unsigned(database.file_bytes);
        fields.insert(1, ("current-db-size-bytes-diff", difference.into()));
        fields.push(("took", format_duration(start.elapsed()).into()));
        info("finished defragmenting directory", fields);
        Ok(())
    }
}

fn sizes(database: &Database, bytes: u64) -> Vec<(&'static str, Json)> {
    vec![
        ("path", database.path.display().to_string().into()),
        ("current-db-size-bytes", bytes.into()),
        ("current-db-size", format_size(bytes).into()),
    ]
}
