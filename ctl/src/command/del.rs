//! `etcdctl del`

use std::{ffi::OsString, os::unix::ffi::OsStrExt, time::Duration};

use quorate_proto::etcdserverpb::DeleteRangeRequest;

use super::Session;
use crate::{client::Client, failure::Failure, go, key_range::KeyRange};

/// Time to reconsider a range without `--range`.
const SECOND_THOUGHTS: Duration = Duration::from_secs(2);

/// Removes the specified key or range of keys [key, range_end)
#[derive(clap::Args, Clone, Debug)]
#[command(override_usage = "etcdctl del [OPTIONS] <KEY> [RANGE_END]")]
pub(super) struct Del {
    /// Delete keys with matching prefix
    #[arg(long)]
    prefix: bool,
    /// Return deleted key-value pairs
    #[arg(long)]
    prev_kv: bool,
    /// Delete keys that are greater than or equal to the given key using byte compare
    #[arg(long)]
    from_key: bool,
    /// Delete range of keys without asking
    #[arg(long)]
    range: bool,
    #[arg(hide = true)]
    args: Vec<OsString>,
}

impl Del {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        let request = self.request()?;
        if let ([key, end], false) = (self.args.as_slice(), self.range) {
            eprintln!(
                "Warning: Keys between {} and {} will be deleted. Please interrupt the command within next 2 seconds to \
                 cancel. You can provide `--range` flag to avoid the delay.",
                go::quote(key.as_bytes()),
                go::quote(end.as_bytes()),
            );
            tokio::time::sleep(SECOND_THOUGHTS).await;
        }
        let mut client = Client::open(&session.globals).await?;
        session.output.print(&client.call(request).await?)
    }

    /// The request that the flags describe.
    pub(super) fn request(&self) -> Result<DeleteRangeRequest, Failure> {
        let (key, end) = match self.args.as_slice() {
            [key] => (key, None),
            [key, end] => (key, Some(end.as_os_str())),
            _ => {
                return Err(Failure::bad_args(
                    "del command needs one argument as key and an optional argument as range_end",
                ));
            }
        };
        let KeyRange { key, range_end } = KeyRange::from_args(key, end, self.prefix, self.from_key)?;
        Ok(DeleteRangeRequest { key, range_end, prev_kv: self.prev_kv })
    }
}
