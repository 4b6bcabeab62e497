//! From arguments to an exit code: what a command needs is opened, it runs until it is done or told to stop, and what came of it is told.

use std::io::Write;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use object_store::ObjectStore;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::changes::Shelf;
use crate::command::copy::Copy;
use crate::command::export::Export;
use crate::command::mirror::{self, Mirror};
use crate::command::record::{self, Record};
use crate::command::restore::Restore;
use crate::etcd::{self, Members};
use crate::manifest::{Compression, Encryption, Manifest};
use crate::report::{self, Failure, Reason};
use crate::restore;
use crate::retention::Retention;
use crate::seal::{Keys, Seal};
use crate::store::StoreArguments;
use crate::{carry, catalogue, layout, seal, store, take};

#[derive(Parser)]
#[command(
    name = "quorate-backup",
    version,
    about = "Copies of a cluster's data in an object store, and data folders made of them"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Writes what came of it to this file too, as one line of JSON
    #[arg(long, global = true, value_name = "FILE")]
    report: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Takes a backup, and deletes old ones that are not to be kept
    Take(FromBoth<Take>),
    /// Lists the backups of a store, the newest first
    List(At),
    /// Reads a backup from end to end, without keeping anything
    Verify(Verify),
    /// Deletes old backups
    Prune(Prune),
    /// Deletes a backup
    Delete(Delete),
    /// Writes a backup as a snapshot file, which `etcdutl snapshot restore` reads
    Export(FromStore<Export>),
    /// Makes a data folder of a backup
    Restore(FromStore<Restore>),
    /// Makes a data folder of a running etcd
    Copy(FromMembers<Copy>),
    /// Records what is written to a cluster, so that any revision and time can be restored
    Record(FromBoth<Record>),
    /// Repeats what is written to an etcd in a copy of it, until it is told to cut over
    Mirror(Mirror),
}

#[derive(Args)]
struct MemberArguments {
    /// Members, such as https://HOST:2379, separated by commas
    #[arg(long, value_name = "URLS", value_delimiter = ',', required = true)]
    endpoints: Vec<String>,
    /// Authority of the members
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Shown to the members
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Of the certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl MemberArguments {
    fn members(&self) -> Members {
        let pair = self.cert.clone().zip(self.key.clone());
        Members { endpoints: self.endpoints.clone(), authorities: self.cacert.clone(), pair }
    }
}

/// A store, and the keys to what is in it.
#[derive(Args)]
struct At {
    #[command(flatten)]
    store: StoreArguments,
    /// Opens what is encrypted
    #[arg(long, value_name = "FILE")]
    identity_file: Option<PathBuf>,
}

impl At {
    fn open(&self) -> Result<Arc<dyn ObjectStore>, Failure> {
        store::open(&self.store).map_err(|error| failure(error.reason(), &error))
    }

    fn keys(&self) -> Result<Keys, Failure> {
        Keys::read(self.identity_file.as_deref()).map_err(|error| failure(Reason::InvalidArguments, &error))
    }
}

#[derive(Args)]
struct FromStore<C: Args> {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    command: C,
}

#[derive(Args)]
struct FromMembers<C: Args> {
    #[command(flatten)]
    members: MemberArguments,
    #[command(flatten)]
    command: C,
}

#[derive(Args)]
struct FromBoth<C: Args> {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    members: MemberArguments,
    /// Who can open it; nothing is encrypted if not given
    #[arg(long, value_name = "AGE1…")]
    recipient: Vec<String>,
    #[command(flatten)]
    command: C,
}

#[derive(Args)]
struct Take {
    /// The backup's name in the store, which no other has; the time comes first, as in 20261128T050000Z-4f3a9c1e
    #[arg(long, value_parser = layout::parse_id)]
    id: String,
    /// Of the cluster, as hexadecimal digits; another is refused
    #[arg(long, value_name = "HEX", value_parser = etcd::parse_id)]
    cluster_id: u64,
    /// Room for one snapshot
    #[arg(long, value_name = "FOLDER")]
    spool: PathBuf,
    /// zstd or none
    #[arg(long, default_value = "zstd", value_parser = take::compression)]
    compression: Compression,
    #[command(flatten)]
    retention: Retention,
}

#[derive(Args)]
struct Verify {
    #[command(flatten)]
    at: At,
    /// The newest if not given
    #[arg(long, value_parser = layout::parse_id)]
    id: Option<String>,
    /// The newest that isn't later, and the changes behind it until then
    #[arg(long = "at", value_name = "TIME")]
    at_time: Option<Timestamp>,
    /// The newest that isn't beyond, and the changes behind it up to there
    #[arg(long, value_name = "REVISION")]
    at_revision: Option<i64>,
}

#[derive(Args)]
struct Prune {
    #[command(flatten)]
    at: At,
    /// Of this cluster only, as hexadecimal digits; of each on its own if not given
    #[arg(long, value_name = "HEX", value_parser = etcd::parse_id)]
    cluster_id: Option<u64>,
    #[command(flatten)]
    retention: Retention,
}

#[derive(Args)]
struct Delete {
    #[command(flatten)]
    at: At,
    #[arg(long, value_parser = layout::parse_id)]
    id: String,
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let Arguments { command, report } = Arguments::parse();
    tracing_subscriber::fmt().json().flatten_event(true).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "quorate-backup: no runtime: {error}"); // Nobody is left to be told.
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(perform(command));
    // A thread that reads or writes a database must not hold up who was told to stop.
    runtime.shutdown_background();
    let told = match &done {
        Ok(value) => report::tell(value, report.as_deref()),
        Err(failure) => report::tell(failure, report.as_deref()),
    };
    match (done, told) {
        (Ok(_), Ok(())) => ExitCode::SUCCESS,
        (_, Err(error)) => {
            tracing::error!(%error, "the report can't be written");
            ExitCode::FAILURE
        }
        (Err(_), Ok(())) => ExitCode::FAILURE,
    }
}

async fn perform(command: Command) -> Result<Value, Failure> {
    let stop = CancellationToken::new();
    let signals = async {
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let mut work: Pin<Box<dyn Future<Output = Result<Value, Failure>>>> = match command {
        // The recorder writes what it has before it ends, and what is no backup yet is cleared away.
        Command::Record(command) => Box::pin(run_record(command, stop.clone())),
        Command::Take(command) => Box::pin(run_take(command, stop.clone())),
        // Others find at their next start what they have left.
        command => Box::pin(async {
            tokio::select! {
                done = run(command) => done,
                () = stop.cancelled() => Err(Failure { error: Reason::Stopped, message: "told to stop".to_owned() }),
            }
        }),
    };
    tokio::select! {
        done = &mut work => return done,
        () = signals => stop.cancel(),
    }
    work.await
}

async fn run_record(command: FromBoth<Record>, stop: CancellationToken) -> Result<Value, Failure> {
    let FromBoth { at, members, recipient, command } = command;
    let seal = sealing(Compression::Zstd, &recipient)?;
    let shelf = Shelf::new(at.open()?, command.cluster_id).encrypted(seal.recipients, at.keys()?);
    let recorded = command.run(members.members(), shelf, stop).await;
    recorded.map(|()| json!({"recorded": {}})).map_err(|error| {
        let reason = match &error {
            record::Error::Listen { .. } => Reason::InvalidArguments,
            record::Error::Record(error) => error.reason(),
        };
        failure(reason, &error)
    })
}

async fn run(command: Command) -> Result<Value, Failure> {
    match command {
        Command::List(at) => run_list(&at).await,
        Command::Verify(command) => run_verify(command).await,
        Command::Prune(Prune { at, cluster_id, retention }) => {
            let store = at.open()?;
            prune(&*store, cluster_id, retention).await
        }
        Command::Delete(Delete { at, id }) => {
            let store = at.open()?;
            let deleted = catalogue::delete(&*store, &id).await;
            deleted.map(|()| json!({"deleted": id})).map_err(|error| failure(error.reason(), &error))
        }
        Command::Export(command) => run_export(command).await,
        Command::Restore(command) => run_restore(command).await,
        Command::Copy(FromMembers { members, command }) => {
            let copied = command.run(&members.members()).await.map_err(|error| failure(error.reason(), &error))?;
            Ok(copied.map_or_else(untouched, |copied| json!({"restored": copied})))
        }
        Command::Mirror(command) => {
            let Err(error) = command.run().await;
            let reason = match &error {
                mirror::Error::Listen { .. } => Reason::InvalidArguments,
                mirror::Error::Mirror(error) => error.reason(),
            };
            Err(failure(reason, &error))
        }
        // They have a way of their own to stop.
        Command::Take(_) | Command::Record(_) => Ok(Value::Null),
    }
}

fn untouched() -> Value {
    json!({"untouched": "there is a member in the data folder already"})
}

fn sealing(compression: Compression, recipients: &[String]) -> Result<Seal, Failure> {
    Seal::new(compression, recipients).map_err(|error: seal::Error| failure(Reason::InvalidArguments, &error))
}

async fn run_take(command: FromBoth<Take>, stop: CancellationToken) -> Result<Value, Failure> {
    let FromBoth { at, members, recipient, command } = command;
    let Take { id, cluster_id, spool, compression, retention } = command;
    let store = at.open()?;
    let (members, keys) = (members.members(), at.keys()?);
    let seal = sealing(compression, &recipient)?;
    let order = take::Order { members: &members, cluster_id, id: &id, spool: &spool, seal, keys };
    let manifest = take::take(&*store, &order, &stop).await.map_err(|error| failure(error.reason(), &error))?;
    let mut report = json!({"backup": told(&manifest)});
    // The backup is good, whatever becomes of others.
    match prune(&*store, Some(cluster_id), retention).await {
        Ok(pruned) => {
            for key in ["pruned", "pruneTrouble", "catalogue"] {
                report[key] = pruned[key].clone();
            }
        }
        Err(failure) => report["pruneTrouble"] = json!(failure.message),
    }
    Ok(report)
}

/// A manifest without its parts.
fn told(manifest: &Manifest) -> Value {
    json!({
        "id": manifest.id, "clusterId": manifest.cluster_id, "revision": manifest.revision,
        "compactRevision": manifest.compact_revision, "keys": manifest.keys, "databaseBytes": manifest.database_bytes,
        "storedBytes": manifest.stored_bytes(), "sha256": manifest.database_sha256, "hash": manifest.hash,
        "etcdVersion": manifest.etcd_version, "started": manifest.started, "taken": manifest.taken, "finished": manifest.finished,
    })
}

async fn prune(store: &dyn ObjectStore, cluster_id: Option<u64>, retention: Retention) -> Result<Value, Failure> {
    let failed = |error: catalogue::Error| failure(error.reason(), &error);
    let cluster_id = cluster_id.map(|cluster_id| format!("{cluster_id:x}"));
    let pruned = catalogue::prune(store, cluster_id.as_deref(), retention, Timestamp::now()).await.map_err(failed)?;
    Ok(json!({"pruned": pruned.backups, "pruneTrouble": pruned.trouble, "catalogue": pruned.left.summary()}))
}

async fn run_list(at: &At) -> Result<Value, Failure> {
    let store = at.open()?;
    let listed = catalogue::list(&*store, None).await.map_err(|error| failure(error.reason(), &error))?;
    let mut out = std::io::stdout().lock();
    for entry in &listed.entries {
        let mut line = told(&entry.manifest);
        line["storedBytes"] = json!(entry.stored_bytes);
        // Whoever has closed the pipe has read enough.
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    drop(out);
    Ok(json!({"catalogue": listed.summary()}))
}

async fn chosen(store: &dyn ObjectStore, choice: &restore::Choice) -> Result<Manifest, Failure> {
    let failed = |error: catalogue::Error| failure(error.reason(), &error);
    if let Some(id) = &choice.id {
        let manifest = catalogue::read(store, id).await.map_err(failed)?;
        if !choice.allows(&manifest) {
            let Manifest { id, taken, revision, .. } = manifest;
            let message = format!(
                "backup {id} is of {taken}, at revision {revision}: what is wanted is before it, or of another cluster"
            );
            return Err(Failure { error: Reason::BackupMissing, message });
        }
        return Ok(manifest);
    }
    let listed = catalogue::list(store, choice.cluster_id.as_deref()).await.map_err(failed)?;
    let oldest = listed.entries.last().map(|oldest| {
        let Manifest { id, taken, revision, .. } = &oldest.manifest;
        format!("no backup in this store is as old as that; the oldest, {id}, is of {taken}, at revision {revision}")
    });
    let manifests = listed.entries.into_iter().map(|entry| entry.manifest);
    let Some(chosen) = restore::choose(choice, manifests) else {
        let message = oldest.unwrap_or_else(|| match &choice.cluster_id {
            Some(id) => {
                format!("this store has no backup of cluster {id}; `quorate-backup list` shows those of others")
            }
            None => "this store has no backup".to_owned(),
        });
        return Err(Failure { error: Reason::BackupMissing, message });
    };
    catalogue::read(store, &chosen.id).await.map_err(failed)
}

/// The recorded changes of the cluster that was backed up, for reading.
fn shelf_of(manifest: &Manifest, store: Arc<dyn ObjectStore>, keys: Keys) -> Shelf {
    let cluster_id = etcd::parse_id(&manifest.cluster_id).unwrap_or_default();
    Shelf::new(store, cluster_id).encrypted(Vec::new(), keys)
}

async fn run_verify(command: Verify) -> Result<Value, Failure> {
    let Verify { at, id, at_time, at_revision } = command;
    let store = at.open()?;
    let choice = restore::Choice { id, cluster_id: None, at: at_time, at_revision };
    let manifest = chosen(&*store, &choice).await?;
    let keys = at.keys()?;
    // Whoever has no key sees that nothing of it has changed.
    let is_opened = manifest.encryption == Encryption::None || !keys.identities.is_empty();
    let read = match is_opened {
        true => carry::down(&*store, &manifest, &keys, std::io::sink()).await.map(drop),
        false => carry::check_parts(&*store, &manifest).await,
    };
    read.map_err(|error| failure(error.reason(), &error))?;
    let mut said = json!({"verified": told(&manifest), "opened": is_opened});
    if let Some(goal) = choice.goal()
        && is_opened
    {
        let reached =
            restore::reach(shelf_of(&manifest, store, keys), &restore::Base::at(manifest.revision), goal).await;
        let reached = reached.map_err(|error| failure(error.reason(), &error))?;
        said["reached"] = json!(reached.revision);
    }
    Ok(said)
}

async fn run_export(command: FromStore<Export>) -> Result<Value, Failure> {
    let FromStore { at, command } = command;
    let store = at.open()?;
    let Export { id, cluster_id, .. } = command.clone();
    let choice = restore::Choice { id, cluster_id, ..restore::Choice::default() };
    let manifest = chosen(&*store, &choice).await?;
    let exported = command.run(&*store, &manifest, &at.keys()?).await;
    exported.map(|()| json!({"exported": told(&manifest)})).map_err(|error| failure(error.reason(), &error))
}

async fn run_restore(command: FromStore<Restore>) -> Result<Value, Failure> {
    let FromStore { at, command } = command;
    if command.folder.member().is_some() {
        return Ok(untouched());
    }
    let store = at.open()?;
    let failed = |error: restore::Error| failure(error.reason(), &error);
    let told = |restored: Option<_>| restored.map_or_else(untouched, |restored| json!({"restored": restored}));
    if let Some(name) = command.snapshot.clone() {
        return command.run_of_file(&*store, &name).await.map(told).map_err(failed);
    }
    let keys = at.keys()?;
    let manifest = chosen(&*store, &command.choice()).await?;
    let shelf = shelf_of(&manifest, store.clone(), keys.clone());
    let fetch = async |path: &std::path::Path| {
        let unusable = |source| restore::Error::Folder { path: path.to_owned(), source };
        let file = std::fs::File::create_new(path).map_err(unusable)?;
        carry::down(&*store, &manifest, &keys, file).await.map(drop).map_err(restore::Error::Carry)
    };
    command.run(&manifest, shelf, fetch).await.map(told).map_err(failed)
}

/// In one sentence, with its causes.
fn failure(error: Reason, cause: &dyn std::error::Error) -> Failure {
    Failure { error, message: report::sentence(cause).chars().take(report::BYTES_MAX / 4).collect() }
}
