//! Where backups are kept: an object store or a folder, by its URL.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, RetryConfig,
};

use crate::report::Reason;

/// Of one try.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Of all tries of one request: whoever asked tries again, or tells.
const RETRY_LIMIT: Duration = Duration::from_secs(120);
const TRIES: usize = 8;

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
    Options { url: String, source: object_store::Error },
    #[error("{url} can't be used")]
    Folder { url: String, source: std::io::Error },
    #[error("the store refuses {name}")]
    Object { name: String, source: object_store::Error },
}

impl Error {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Url { .. } | Self::Authority { .. } | Self::Options { .. } => Reason::InvalidArguments,
            Self::Folder { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Reason::StoreMissing,
            Self::Folder { .. } => Reason::StoreDenied,
            Self::Object { source, .. } => reason(source),
        }
    }
}

/// What an error of the client means to whoever waits for a backup.
pub fn reason(error: &object_store::Error) -> Reason {
    use object_store::Error as Cause;
    let words = chain(error);
    let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    match error {
        Cause::AlreadyExists { .. } => Reason::BackupExists,
        Cause::PermissionDenied { .. } | Cause::Unauthenticated { .. } => Reason::StoreDenied,
        _ if says(&["NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist"]) => {
            Reason::StoreMissing
        }
        Cause::NotFound { .. } => Reason::BackupMissing,
        _ if says(&["No space left on device", "StorageFull", "QuotaExceeded"]) => Reason::NoSpace,
        _ if says(&[
            "AccessDenied",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "403 Forbidden",
            "ExpiredToken",
        ]) =>
        {
            Reason::StoreDenied
        }
        _ => Reason::StoreUnavailable,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |words, cause| format!("{words}: {cause}"))
}

/// Objects below the path of the URL.
pub fn open(arguments: &StoreArguments) -> Result<Arc<dyn ObjectStore>, Error> {
    let StoreArguments { store: url, store_option: options, store_ca_file } = arguments;
    let bad = |why: String| Error::Url { url: url.clone(), why };
    let parsed: url::Url = url.parse().map_err(|_| bad("it is no URL".to_owned()))?;
    let (scheme, path) = ObjectStoreScheme::parse(&parsed).map_err(|error| bad(error.to_string()))?;
    let unusable = |source| Error::Options { url: url.clone(), source };
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
    let store = store.map_err(|source| Error::Options { url: url.to_owned(), source })?;
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

/// Never writes over anything.
pub async fn put_new(store: &dyn ObjectStore, name: &str, bytes: Bytes) -> Result<(), Error> {
    let put = store.put_opts(&Path::from(name), bytes.into(), PutMode::Create.into()).await;
    put.map(drop).map_err(|source| Error::Object { name: name.to_owned(), source })
}

pub async fn get(store: &dyn ObjectStore, name: &str) -> Result<Bytes, Error> {
    let failed = |source| Error::Object { name: name.to_owned(), source };
    store.get(&Path::from(name)).await.map_err(failed)?.bytes().await.map_err(failed)
}

/// One that is gone already is no error.
pub async fn delete(store: &dyn ObjectStore, name: &Path) -> Result<(), Error> {
    match store.delete(name).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(source) => Err(Error::Object { name: name.to_string(), source }),
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
        assert_eq!(get(&*store, "x/y").await.unwrap(), "1");
        assert_eq!(std::fs::read(folder.path().join("a/b/x/y")).unwrap(), b"1");
        assert_eq!(get(&*store, "x/z").await.unwrap_err().reason(), Reason::BackupMissing);
        delete(&*store, &Path::from("x/z")).await.unwrap();
    }
}
