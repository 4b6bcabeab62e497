//! `etcdctl put`

use std::{
    ffi::OsString,
    io::{self, Read},
};

use bytes::Bytes;
use quorate_proto::etcdserverpb::PutRequest;

use super::Session;
use crate::{client::Client, failure::Failure, go, key_range::to_bytes};

/// Puts the given key into the store
///
/// The value is read from standard input if it is not given. Put `--` before a key or value that begins with a dash.
#[derive(clap::Args, Clone, Debug)]
#[command(override_usage = "etcdctl put [OPTIONS] <KEY> [VALUE]")]
pub(super) struct Put {
    /// Lease ID (in hexadecimal) to attach to the key
    #[arg(long, default_value = "0", hide_default_value = true, value_name = "ID")]
    lease: String,
    /// Return the previous key-value pair before modification
    #[arg(long)]
    prev_kv: bool,
    /// Update the key using its current value
    #[arg(long)]
    ignore_value: bool,
    /// Update the key using its current lease
    #[arg(long)]
    ignore_lease: bool,
    #[arg(hide = true)]
    args: Vec<OsString>,
}

impl Put {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        let request = self.request(|| {
            let mut value = Vec::new();
            io::stdin().lock().read_to_end(&mut value).ok().filter(|length| *length > 0).map(|_| value)
        })?;
        let mut client = Client::open(&session.globals).await?;
        session.output.print(&client.call(request).await?)
    }

    /// The request that the flags describe, with a value from elsewhere if the arguments have none.
    pub(super) fn request(&self, read_value: impl FnOnce() -> Option<Vec<u8>>) -> Result<PutRequest, Failure> {
        let incomplete = || Failure::bad_args("put command needs 1 argument and input from stdin or 2 arguments");
        let key = self.args.first().ok_or_else(incomplete)?;
        let value = match self.args.get(1) {
            Some(_) if self.ignore_value => {
                return Err(Failure::bad_args("put command needs only 1 argument when 'ignore-value' is set"));
            }
            Some(value) => to_bytes(value),
            None if self.ignore_value => Bytes::new(),
            None => Bytes::from(read_value().ok_or_else(incomplete)?),
        };
        let lease = go::parse_int(&self.lease, 16)
            .map_err(|error| Failure::bad_args(format!("bad lease ID ({error}), expecting ID in Hex")))?;
        Ok(PutRequest {
            key: to_bytes(key),
            value,
            lease,
            prev_kv: self.prev_kv,
            ignore_value: self.ignore_value,
            ignore_lease: self.ignore_lease,
        })
    }
}
