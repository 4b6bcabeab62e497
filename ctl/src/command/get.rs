//! `etcdctl get`

use std::{collections::VecDeque, ffi::OsString};

use quorate_proto::etcdserverpb::{
    RangeRequest, RangeResponse,
    kv_client::KvClient,
    range_request::{SortOrder, SortTarget},
};
use tokio::time::timeout_at;

use super::Session;
use crate::{
    client::{Client, Error},
    failure::{Exit, Failure},
    go,
    key_range::KeyRange,
    output::Format,
};

/// Gets the key or a range of keys
#[derive(clap::Args, Clone, Debug)]
#[command(override_usage = "etcdctl get [OPTIONS] <KEY> [RANGE_END]")]
pub(super) struct Get {
    /// Linearizable(l) or Serializable(s)
    #[arg(long, default_value = "l", value_name = "l|s")]
    pub consistency: String,
    /// Order of results; ASCEND or DESCEND
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ORDER")]
    pub order: String,
    /// Sort target; CREATE, KEY, MODIFY, VALUE, or VERSION
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TARGET")]
    pub sort_by: String,
    /// Maximum number of results
    #[arg(long, default_value = "0", hide_default_value = true, value_name = "N", value_parser = go::parse_flag_int)]
    pub limit: i64,
    /// Get keys with matching prefix
    #[arg(long)]
    pub prefix: bool,
    /// Get keys that are greater than or equal to the given key using byte compare
    #[arg(long)]
    pub from_key: bool,
    /// Revision to read at
    #[arg(long, default_value = "0", hide_default_value = true, value_name = "REVISION", value_parser = go::parse_flag_int)]
    pub rev: i64,
    /// Get only the keys
    #[arg(long)]
    pub keys_only: bool,
    /// Get only the count
    #[arg(long)]
    pub count_only: bool,
    /// Only write values when using the "simple" output format
    #[arg(long)]
    pub print_value_only: bool,
    /// Minimum create revision
    #[arg(long, default_value = "0", hide_default_value = true, value_name = "REVISION", value_parser = go::parse_flag_int)]
    pub min_create_rev: i64,
    /// Maximum create revision
    #[arg(long, default_value = "0", hide_default_value = true, value_name = "REVISION", value_parser = go::parse_flag_int)]
    pub max_create_rev: i64,
    /// Minimum modification revision
    #[arg(long, default_value = "0", hide_default_value = true, value_name = "REVISION", value_parser = go::parse_flag_int)]
    pub min_mod_rev: i64,
    /// Maximum modification revision
    #[arg(long, default_value = "0", hide_default_value = true, value_name = "REVISION", value_parser = go::parse_flag_int)]
    pub max_mod_rev: i64,
    /// Use the RangeStream RPC
    #[arg(long)]
    pub stream: bool,
    #[arg(hide = true)]
    pub args: Vec<OsString>,
}

impl Get {
    pub(super) async fn run(self, mut session: Session) -> Result<(), Failure> {
        let request = self.request()?;
        let format = session.output.format;
        if self.count_only && format != Format::Fields {
            return Err(Failure::bad_args("--count-only is only for `--write-out=fields`"));
        }
        if self.print_value_only && format != Format::Simple {
            return Err(Failure::bad_args("print-value-only is only for `--write-out=simple`"));
        }
        session.output.style.value_only = self.print_value_only;
        let mut client = Client::open(&session.globals).await?;
        let reply = if self.stream { stream(&mut client, request).await? } else { client.call(request).await? };
        session.output.print(&reply)
    }

    /// The request that the flags describe.
    pub(super) fn request(&self) -> Result<RangeRequest, Failure> {
        let Some(key) = self.args.first() else {
            return Err(Failure::bad_args(
                "get command needs one argument as key and an optional argument as range_end",
            ));
        };
        if self.keys_only && self.count_only {
            return Err(Failure::bad_args(
                "`--keys-only` and `--count-only` cannot be set at the same time, choose one",
            ));
        }
        let serializable = is_serializable(&self.consistency)?;
        let end = self.args.get(1).map(OsString::as_os_str);
        let KeyRange { key, range_end } = KeyRange::from_args(key, end, self.prefix, self.from_key)?;
        let bad_feature = |text: String| Failure::new(Exit::BadFeature, text);
        let target = match self.sort_by.to_uppercase().as_str() {
            "" | "KEY" => SortTarget::Key,
            "CREATE" => SortTarget::Create,
            "MODIFY" => SortTarget::Mod,
            "VALUE" => SortTarget::Value,
            "VERSION" => SortTarget::Version,
            _ => return Err(bad_feature(format!("bad sort target {}", self.sort_by))),
        };
        let order = match self.order.to_uppercase().as_str() {
            "" => SortOrder::None,
            // Keys come in this order anyway, and without sorting the server needs to read no more than the limit.
            "ASCEND" if target == SortTarget::Key => SortOrder::None,
            "ASCEND" => SortOrder::Ascend,
            "DESCEND" => SortOrder::Descend,
            _ => return Err(bad_feature(format!("bad sort order {}", self.order))),
        };
        for (name, min, max) in
            [("CreateRev", self.min_create_rev, self.max_create_rev), ("ModRev", self.min_mod_rev, self.max_mod_rev)]
        {
            if max > 0 && min > max {
                return Err(bad_feature(format!("getMin{name}(={min}) > getMax{name}(={max})")));
            }
        }
        Ok(RangeRequest {
            key,
            range_end,
            limit: self.limit,
            revision: self.rev.max(0),
            sort_order: order.into(),
            sort_target: target.into(),
            serializable,
            keys_only: self.keys_only,
            count_only: self.count_only,
            min_mod_revision: self.min_mod_rev.max(0),
            max_mod_revision: self.max_mod_rev.max(0),
            min_create_revision: self.min_create_rev.max(0),
            max_create_revision: self.max_create_rev.max(0),
        })
    }
}

/// Reads `--consistency`.
pub(super) fn is_serializable(consistency: &str) -> Result<bool, Failure> {
    match consistency {
        "l" => Ok(false),
        "s" => Ok(true),
        _ => {
            let value = go::quote(consistency.as_bytes());
            Err(Failure::new(Exit::BadFeature, format!("unknown consistency flag {value}")))
        }
    }
}

/// Reads a range in parts and puts them together.
async fn stream(client: &mut Client, request: RangeRequest) -> Result<RangeResponse, Error> {
    let deadline = client.deadline();
    let channel = client.channel_until(deadline).await?;
    let mut kv = KvClient::new(channel).max_decoding_message_size(client.max_recv_bytes());
    let whole = async {
        let mut parts = kv.range_stream(request).await?.into_inner();
        let mut pairs = VecDeque::new();
        let mut last = RangeResponse::default();
        while let Some(part) = parts.message().await? {
            if let Some(part) = part.range_response {
                pairs.push_back(part.kvs);
                last = RangeResponse { kvs: Vec::new(), ..part };
            }
        }
        last.kvs = pairs.into_iter().flatten().collect();
        Ok(last)
    };
    timeout_at(deadline, whole).await.map_err(|_| Error::Deadline(None))?
}
