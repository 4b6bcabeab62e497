//! Where backups are kept: an object store or a folder, by its URL.

mod cause;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, RetryConfig,
};

use crate::report::{Reason, sentence};

pub use cause::Cause;

/// Of one try.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Of all tries of one request: whoever asked tries again, or tells.
const RETRY_LIMIT: Duration = Duration::from_secs(120);
const TRIES: usize = 8;
/// The client doesn't repeat a write that may have arrived; [`put_new`] does, and compares. Pauses double.
const WRITES: usize = 3;
const WRITE_PAUSE: Duration = Duration::from_secs(1);

/// Which, and how it is reached. Credentials come from the environment, by the names that each service's own programs have.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreArguments {
    /// s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER
    #[arg(long, value_name = "URL")]
    pub store: String,

    /// More about it, such as aws_endpoint=https://HOST:PORT
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub store_option: Vec<(String, String)>,

    /// The store's authority, besides those that everybody trusts
    #[arg(long, value_name = "FILE")]
    pub store_ca_file: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it has no =")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--store: {url} is no place for backups: {why}")]
    Url { url: String, why: String },
    #[error("--store-ca-file: {} can't be used", path.display())]
    Authority { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{url} can't be used")]
    Options { url: String, source: Cause },
    #[error("{url} can't be used")]
    Folder { url: String, source: std::io::Error },
    #[error(
        "the store can't write {name} only if it isn't there: if nobody else writes there, set --store-option \
         aws_conditional_put=disabled, and what is there is looked for before each write"
    )]
    Unconditional { name: String, source: Cause },
    #[error("a lock or a rule of retention in the store keeps {name}")]
    Retained { name: String, source: Cause },
    #[error("{name} has {bytes} bytes, and can't be what was written: that has {bytes_max} at most")]
    TooLarge { name: String, bytes: u64, bytes_max: u64 },
    #[error("the store refuses {name}")]
    Object { name: String, source: Cause },
}

impl Error {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Url { .. } | Self::Authority { .. } | Self::Options { .. } | Self::Unconditional { .. } => {
                Reason::InvalidArguments
            }
            Self::Retained { .. } => Reason::StoreDenied,
            Self::TooLarge { .. } => Reason::BackupDamaged,
            Self::Folder { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Reason::StoreMissing,
            Self::Folder { .. } => Reason::StoreDenied,
            Self::Object { source, .. } => reason(&source.0),
        }
    }
}

/// What an error of the client means to whoever waits for a backup.
pub fn reason(error: &object_store::Error) -> Reason {
    use object_store::Error as Client;
    let words = sentence(error);
    let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    match error {
        Client::AlreadyExists { .. } => Reason::BackupExists,
        Client::PermissionDenied { .. } | Client::Unauthenticated { .. } => Reason::StoreDenied,
        // Some services hide from strangers what they have.
        _ if says(DENIED) => Reason::StoreDenied,
        _ if says(&["NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist"]) => {
            Reason::StoreMissing
        }
        Client::NotFound { .. } => Reason::BackupMissing,
        _ if says(&["No space left on device", "StorageFull", "QuotaExceeded"]) => Reason::NoSpace,
        _ if says(&["URL scheme is not allowed"]) => Reason::InvalidArguments,
        _ => Reason::StoreUnavailable,
    }
}

const DENIED: &[&str] = &[
    "AccessDenied",
    "InvalidAccessKeyId",
    "XAdminUserNotFound",
    "SignatureDoesNotMatch",
    "403 Forbidden",
    "ExpiredToken",
];

/// Objects below the path of the URL.
pub fn open(arguments: &StoreArguments) -> Result<Arc<dyn ObjectStore>, Error> {
    let StoreArguments { store: url, store_option: options, store_ca_file } = arguments;
    let bad = |why: String| Error::Url { url: url.clone(), why };
    let parsed: url::Url = url.parse().map_err(|_| bad("it is no URL".to_owned()))?;
    let (scheme, path) = ObjectStoreScheme::parse(&parsed).map_err(|error| bad(error.to_string()))?;
    let unusable = |error| Error::Options { url: url.clone(), source: Cause(error) };
    let client = client(store_ca_file.as_ref())?;
    let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: TRIES, retry_timeout: RETRY_LIMIT };
    macro_rules! configured {
        ($builder:path) => {{
            let mut builder = <$builder>::from_env().with_url(url).with_client_options(client).with_retry(retry);
            for (key, value) in options {
                let known = key.parse().map_err(|_| bad(format!("--store-option {key} is not known there")))?;
                builder = builder.with_config(known, value);
            }
            Arc::new(builder.build().map_err(unusable)?) as Arc<dyn ObjectStore>
        }};
    }
    let store = match scheme {
        ObjectStoreScheme::AmazonS3 => configured!(object_store::aws::AmazonS3Builder),
        ObjectStoreScheme::GoogleCloudStorage => configured!(object_store::gcp::GoogleCloudStorageBuilder),
        ObjectStoreScheme::MicrosoftAzure => configured!(object_store::azure::MicrosoftAzureBuilder),
        ObjectStoreScheme::Local => return folder(url, &parsed),
        _ => return Err(bad("use s3, gs, az or file".to_owned())),
    };
    Ok(if path.as_ref().is_empty() { store } else { Arc::new(PrefixStore::new(store, path)) })
}

/// Each write is synced before it is acknowledged.
fn folder(url: &str, parsed: &url::Url) -> Result<Arc<dyn ObjectStore>, Error> {
    let unusable = |source| Error::Folder { url: url.to_owned(), source };
    let path =
        parsed.to_file_path().map_err(|()| Error::Url { url: url.to_owned(), why: "it is no path".to_owned() })?;
    std::fs::create_dir_all(&path).map_err(unusable)?;
    let store = object_store::local::LocalFileSystem::new_with_prefix(&path);
    let store = store.map_err(|error| Error::Options { url: url.to_owned(), source: Cause(error) })?;
    Ok(Arc::new(store.with_fsync(true).with_automatic_cleanup(true)))
}

fn client(authority: Option<&PathBuf>) -> Result<ClientOptions, Error> {
    let mut options = ClientOptions::new().with_timeout(REQUEST_LIMIT).with_connect_timeout(CONNECT_LIMIT);
    if let Some(path) = authority {
        let failed = |source| Error::Authority { path: path.clone(), source };
        let pem = std::fs::read(path).map_err(|error| failed(error.into()))?;
        for certificate in Certificate::from_pem_bundle(&pem).map_err(|error| failed(error.into()))? {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

/// Never writes over anything. What is there already may be this write, whose answer was lost: it is compared.
pub async fn put_new(store: &dyn ObjectStore, name: &str, bytes: Bytes) -> Result<(), Error> {
    let path = Path::from(name);
    let mut pause = WRITE_PAUSE;
    for left in (0..WRITES).rev() {
        let Err(source) = put_once(store, &path, &bytes).await else { break };
        let name = name.to_owned();
        if is_unconditional(&source) {
            return Err(Error::Unconditional { name, source: Cause(source) });
        }
        if left == 0 || reason(&source) != Reason::StoreUnavailable {
            return Err(Error::Object { name, source: Cause(source) });
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Ok(())
}

/// The same without other tries.
pub async fn put_once(store: &dyn ObjectStore, path: &Path, bytes: &Bytes) -> object_store::Result<()> {
    let create = || store.put_opts(path, bytes.clone().into(), PutMode::Create.into());
    match create().await {
        Err(error @ object_store::Error::AlreadyExists { .. }) => same_or(error, store, path, bytes).await,
        // By aws_conditional_put=disabled; nothing is lost if nobody else writes there.
        Err(object_store::Error::NotImplemented { .. }) => match store.head(path).await {
            Ok(_) => {
                let source = "it was looked for before the write".into();
                let error = object_store::Error::AlreadyExists { path: path.to_string(), source };
                same_or(error, store, path, bytes).await
            }
            Err(object_store::Error::NotFound { .. }) => store.put(path, bytes.clone().into()).await.map(drop),
            Err(error) => Err(error),
        },
        put => put.map(drop),
    }
}

/// What is there already may be what an earlier try has written.
async fn same_or(
    error: object_store::Error,
    store: &dyn ObjectStore,
    path: &Path,
    bytes: &Bytes,
) -> object_store::Result<()> {
    let found = store.get(path).await?;
    let is_same = found.meta.size == bytes.len() as u64 && found.bytes().await? == *bytes;
    if is_same { Ok(()) } else { Err(error) }
}

/// Whether the endpoint doesn't know the condition `If-None-Match`.
fn is_unconditional(error: &object_store::Error) -> bool {
    let words = sentence(error);
    ["501 Not Implemented", "<Code>NotImplemented</Code>"].iter().any(|said| words.contains(said))
}

/// Services have no common code for it: S3's is a plain AccessDenied.
fn is_retained(error: &object_store::Error) -> bool {
    let words = sentence(error).to_ascii_lowercase();
    let said = ["object lock", "objectlock", "worm protected", "retention", "immutab", "legal hold", "legalhold"];
    said.iter().any(|said| words.contains(said))
}

/// A larger one than that is not read.
pub async fn get(store: &dyn ObjectStore, name: &str, bytes_max: u64) -> Result<Bytes, Error> {
    let failed = |error| Error::Object { name: name.to_owned(), source: Cause(error) };
    let found = store.get(&Path::from(name)).await.map_err(failed)?;
    if found.meta.size > bytes_max {
        return Err(Error::TooLarge { name: name.to_owned(), bytes: found.meta.size, bytes_max });
    }
    found.bytes().await.map_err(failed)
}

/// One that is gone already is no error.
pub async fn delete(store: &dyn ObjectStore, name: &Path) -> Result<(), Error> {
    match store.delete(name).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) if is_retained(&error) => Err(Error::Retained { name: name.to_string(), source: Cause(error) }),
        Err(error) => Err(Error::Object { name: name.to_string(), source: Cause(error) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(url: &str, options: &[(&str, &str)]) -> StoreArguments {
        let store_option = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        StoreArguments { store: url.to_owned(), store_option, store_ca_file: None }
    }

    #[test]
    fn a_url_that_is_none_is_named_with_what_would_be_one() {
        for (url, options, words) in [
            ("bucket", &[][..], "it is no URL"),
            ("ftp://host/x", &[], "is no place for backups"),
            ("s3://bucket/x", &[("colour", "red")], "--store-option colour is not known there"),
        ] {
            let error = open(&arguments(url, options)).map(drop).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.reason(), Reason::InvalidArguments);
        }
    }

    #[tokio::test]
    async fn a_folder_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}/a/b", folder.path().display());
        let store = open(&arguments(&url, &[])).unwrap();
        put_new(&*store, "x/y", Bytes::from_static(b"1")).await.unwrap();
        let again = put_new(&*store, "x/y", Bytes::from_static(b"2")).await.unwrap_err();
        assert_eq!(again.reason(), Reason::BackupExists);
        assert_eq!(get(&*store, "x/y", 1).await.unwrap(), "1");
        assert_eq!(std::fs::read(folder.path().join("a/b/x/y")).unwrap(), b"1");
        assert_eq!(get(&*store, "x/y", 0).await.unwrap_err().reason(), Reason::BackupDamaged);
        assert_eq!(get(&*store, "x/z", 1).await.unwrap_err().reason(), Reason::BackupMissing);
        delete(&*store, &Path::from("x/z")).await.unwrap();
    }

    #[tokio::test]
    async fn a_write_whose_answer_was_lost_is_no_other_write() {
        let store = object_store::memory::InMemory::new();
        let bytes = Bytes::from_static(b"1");
        put_new(&store, "x", bytes.clone()).await.unwrap();
        put_new(&store, "x", bytes).await.unwrap();
        assert_eq!(put_new(&store, "x", Bytes::new()).await.unwrap_err().reason(), Reason::BackupExists);
    }

    #[test]
    fn what_the_store_says_is_told_by_a_reason() {
        let generic = |said: &str| object_store::Error::Generic { store: "S3", source: said.to_owned().into() };
        for (said, expected) in [
            ("404 Not Found: <Error><Code>NoSuchBucket</Code></Error>", Reason::StoreMissing),
            ("403 Forbidden: <Code>InvalidAccessKeyId</Code>", Reason::StoreDenied),
            ("404 Not Found: <Code>XAdminUserNotFound</Code>", Reason::StoreDenied),
            ("URL scheme is not allowed", Reason::InvalidArguments),
            ("503 Service Unavailable", Reason::StoreUnavailable),
            ("error sending request", Reason::StoreUnavailable),
            ("Unable to copy data to file: No space left on device (os error 28)", Reason::NoSpace),
        ] {
            assert_eq!(reason(&generic(said)), expected, "{said}");
        }
        assert!(is_unconditional(&generic("501 Not Implemented: <Code>NotImplemented</Code>")));
        assert!(is_retained(&generic("Access Denied because object protected by object lock. (code: AccessDenied)")));
        assert!(is_retained(&generic("Object 'x' is subject to bucket's retention policy")));
        assert!(!is_retained(&generic("Access Denied. (code: AccessDenied)")));
    }
}
