//! `etcdctl make-mirror`

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use clap::ArgAction;
use quorate_proto::{
    etcdserverpb::{
        DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest, WatchResponse,
        request_op::Request,
    },
    mvccpb::event::EventType,
};
use tokio::time::Instant;

use super::{Session, watch::stream::WatchStream};
use crate::{
    client::{self, Call, Client, Error},
    failure::Failure,
    globals::{self, Globals},
    go,
    key_range::KeyRange,
    output::write_line,
};

/// Between lines that say how many keys were written.
const TELL: Duration = Duration::from_secs(30);
/// Keys of a page of those that are there when it begins.
const PAGE: i64 = 1000;
/// Nobody waits for a mirror's calls: a destination that is away may come back.
const NO_HURRY: Duration = Duration::from_secs(365 * 86_400);
const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

/// Makes a mirror at the destination etcd cluster
///
/// Keys are copied as they are, then followed. Leases and revisions are not kept.
#[derive(clap::Args, Clone, Debug)]
#[command(override_usage = "etcdctl make-mirror [OPTIONS] <DESTINATION>")]
pub(super) struct MakeMirror {
    /// Key-value prefix to mirror
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PREFIX")]
    prefix: String,
    /// Specify the kv revision to start to mirror
    #[arg(long, default_value = "0", hide_default_value = true, value_name = "REVISION", value_parser = go::parse_flag_int)]
    rev: i64,
    /// Maximum number of operations permitted in a transaction during syncing updates
    #[arg(long, default_value = "128", value_name = "N", value_parser = parse_operations)]
    max_txn_ops: u64,
    /// Destination prefix to mirror a prefix to a different prefix in the destination cluster
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PREFIX")]
    dest_prefix: String,
    /// Mirror key-values to the root of the destination cluster
    #[arg(long)]
    no_dest_prefix: bool,
    /// Identify secure client using this TLS certificate file for the destination cluster
    #[arg(long, value_name = "FILE")]
    dest_cert: Option<String>,
    /// Identify secure client using this TLS key file
    #[arg(long, value_name = "FILE")]
    dest_key: Option<String>,
    /// Verify certificates of TLS enabled secure servers using this CA bundle
    #[arg(long, value_name = "FILE")]
    dest_cacert: Option<String>,
    /// Destination username[:password] for authentication (prompt if password is not supplied)
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME[:PASSWORD]")]
    dest_user: String,
    /// Destination password for authentication (if this option is used, --user option shouldn't include password)
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    dest_password: String,
    /// Disable transport security for client connections
    #[arg(long, action = ArgAction::Set, default_value = "true", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_name = "BOOL", value_parser = globals::parse_bool)]
    dest_insecure_transport: bool,
    #[arg(hide = true)]
    args: Vec<String>,
}

/// How keys are called at the destination.
struct Names {
    prefix: String,
    destination: String,
}

/// Where keys are written.
struct Destination {
    client: Client,
    names: Names,
    written: Arc<AtomicU64>,
    operations_max: usize,
}

impl MakeMirror {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        let [destination] = self.args.as_slice() else {
            return Err(Failure::bad_args("make-mirror takes one destination argument"));
        };
        let destination = Client::open(&self.destination(&session.globals, destination)?).await?;
        let source = Client::open(&session.globals).await?;
        if self.no_dest_prefix && !self.dest_prefix.is_empty() {
            return Err(Failure::bad_args(
                "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one",
            ));
        }
        let written = Arc::new(AtomicU64::new(0));
        let mirror = self.mirror(source, destination, written.clone());
        tokio::select! {
            failure = mirror => failure,
            failure = tell(&written) => failure,
        }
    }

    /// What the flags are for a command that only knows the destination.
    fn destination(&self, globals: &Globals, endpoint: &str) -> Result<Globals, Failure> {
        let mut password = self.dest_password.clone();
        if !self.dest_user.is_empty() && password.is_empty() && !self.dest_user.contains(':') {
            password = client::ask_password("Destination Password: ").map_err(Error::Password)?;
        }
        Ok(Globals {
            endpoints: vec![endpoint.to_owned()],
            insecure_transport: self.dest_insecure_transport,
            insecure_skip_tls_verify: false,
            cert: self.dest_cert.clone(),
            key: self.dest_key.clone(),
            cacert: self.dest_cacert.clone(),
            user: self.dest_user.clone(),
            typed_password: Arc::new(OnceLock::from(password.clone())),
            password,
            auth_jwt_token: String::new(),
            discovery_srv: String::new(),
            ..globals.clone()
        })
    }

    /// Until it fails.
    async fn mirror(&self, mut source: Client, client: Client, written: Arc<AtomicU64>) -> Result<(), Failure> {
        let operations_max = usize::try_from(self.max_txn_ops).unwrap_or(usize::MAX);
        let names = Names { prefix: self.prefix.clone(), destination: self.dest_prefix.clone() };
        let mut destination = Destination { client, names, written, operations_max };
        let KeyRange { key, range_end } = KeyRange::with_prefix(self.prefix.clone().into());
        let mut revision = (self.rev - 1).max(0);
        if revision == 0 {
            // Only then: who names a revision has copied before, and says what keys are called.
            if !self.no_dest_prefix && self.dest_prefix.is_empty() {
                destination.names.destination.clone_from(&self.prefix);
            }
            revision = destination.copy(&mut source, key.clone(), range_end.clone()).await?;
        }
        let mut stream = WatchStream::patient(source);
        let start_revision = revision + 1;
        stream.add(WatchCreateRequest { key, range_end, start_revision, ..WatchCreateRequest::default() }, Vec::new());
        loop {
            let happening = stream.next().await?;
            if happening.response.compact_revision != 0 {
                return Err(Failure::error(COMPACTED));
            }
            destination.follow(happening.response).await?;
            if let Some(reason) = happening.end {
                return Err(Failure::error(reason));
            }
        }
    }
}

impl Destination {
    /// Copies what is there now; answers the revision of that.
    async fn copy(&mut self, source: &mut Client, mut key: Bytes, range_end: Bytes) -> Result<i64, Failure> {
        let mut revision = 0;
        loop {
            let (key_now, range_end) = (key.clone(), range_end.clone());
            let page = RangeRequest { key: key_now, range_end, limit: PAGE, revision, ..RangeRequest::default() };
            let page = call(source, page).await?;
            if revision == 0 {
                revision = page.header.unwrap_or_default().revision;
            }
            let Some(last) = page.kvs.last() else { return Ok(revision) };
            key = [&last.key, &b"\0"[..]].concat().into();
            for pair in page.kvs {
                let put = PutRequest { key: self.names.of(&pair.key), value: pair.value, ..PutRequest::default() };
                call(&mut self.client, put).await?;
                self.written.fetch_add(1, Ordering::Relaxed);
            }
            if !page.more {
                return Ok(revision);
            }
        }
    }

    /// A transaction for each revision, or several if it has too many events.
    async fn follow(&mut self, response: WatchResponse) -> Result<(), Failure> {
        let mut operations = Vec::new();
        let mut last = 0;
        for event in response.events {
            let kind = event.r#type();
            let pair = event.kv.unwrap_or_default();
            let is_full = self.operations_max > 0 && operations.len() >= self.operations_max;
            if !operations.is_empty() && (pair.mod_revision > last || is_full) {
                self.commit(std::mem::take(&mut operations)).await?;
            }
            last = pair.mod_revision;
            let key = self.names.of(&pair.key);
            operations.push(match kind {
                EventType::Put => Request::RequestPut(PutRequest { key, value: pair.value, ..PutRequest::default() }),
                EventType::Delete => {
                    Request::RequestDeleteRange(DeleteRangeRequest { key, ..DeleteRangeRequest::default() })
                }
            });
            self.written.fetch_add(1, Ordering::Relaxed);
        }
        if operations.is_empty() { Ok(()) } else { self.commit(operations).await }
    }

    async fn commit(&mut self, operations: Vec<Request>) -> Result<(), Failure> {
        let success = operations.into_iter().map(|request| RequestOp { request: Some(request) }).collect();
        call(&mut self.client, TxnRequest { success, ..TxnRequest::default() }).await?;
        Ok(())
    }
}

impl Names {
    /// As upstream's: the first place that has the prefix is replaced, which is the begin of all keys that are mirrored.
    fn of(&self, key: &Bytes) -> Bytes {
        match key.strip_prefix(self.prefix.as_bytes()) {
            Some(rest) => [self.destination.as_bytes(), rest].concat().into(),
            None => key.clone(),
        }
    }
}

async fn call<C: Call>(client: &mut Client, request: C) -> Result<C::Reply, Error> {
    client.call_until(request, Instant::now() + NO_HURRY).await
}

/// Prints how many keys were written, until nobody reads it.
async fn tell(written: &AtomicU64) -> Result<(), Failure> {
    loop {
        tokio::time::sleep(TELL).await;
        write_line(&written.load(Ordering::Relaxed).to_string())?;
    }
}

fn parse_operations(text: &str) -> Result<u64, String> {
    go::parse_uint(text, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_replaced_at_the_begin() {
        let of = |prefix: &str, destination: &str, key: &'static str| {
            let names = Names { prefix: prefix.to_owned(), destination: destination.to_owned() };
            String::from_utf8(names.of(&Bytes::from_static(key.as_bytes())).to_vec()).unwrap()
        };
        assert_eq!(of("a/", "b/", "a/a/1"), "b/a/1");
        assert_eq!(of("a/", "", "a/1"), "1");
        assert_eq!(of("", "b/", "a/1"), "b/a/1");
        assert_eq!(of("a/", "a/", "a/1"), "a/1");
    }
}
