//! What pods run. `cargo xtask images` makes the archives; pods take them with `imagePullPolicy: Never`.

use std::path::PathBuf;

use crate::Error;
use crate::binaries::{self, Flavour};

const SERVED: &str = "v3.7.3";

/// An image of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Image {
    /// The image of the server.
    Server,
    /// The same with a shell.
    Debug,
    /// The image of the operator.
    Operator,
    /// Upstream's etcd and etcdctl, at the same paths.
    UpstreamEtcd,
    /// What holds the namespaces of a pod.
    Pause,
    /// The name server.
    Coredns,
    /// An S3 store.
    Versitygw,
}

impl Image {
    /// The image of a server.
    pub fn server(flavour: Flavour) -> Image {
        match flavour {
            Flavour::Quorate => Image::Server,
            Flavour::Upstream => Image::UpstreamEtcd,
        }
    }

    fn stem(self) -> &'static str {
        match self {
            Image::Server => "server",
            Image::Debug => "debug",
            Image::Operator => "operator",
            Image::UpstreamEtcd => "upstream-etcd",
            Image::Pause => "pause",
            Image::Coredns => "coredns",
            Image::Versitygw => "versitygw",
        }
    }

    /// As pods name it.
    pub fn name(self) -> String {
        format!("quorate.test/{}:e2e", self.stem())
    }

    /// Other names under which pods find it: those of a release, and that of the version of etcd that it serves.
    pub fn other_names(self) -> Vec<String> {
        let release = concat!("v", env!("CARGO_PKG_VERSION"));
        match self {
            Image::Server => {
                [release, SERVED].map(|tag| format!("ghcr.io/quorate/quorate:{tag}")).into_iter().collect()
            }
            Image::Operator => vec![format!("ghcr.io/quorate/quorate-operator:{release}")],
            Image::UpstreamEtcd => vec![format!("quorate.test/{}:{SERVED}", self.stem())],
            Image::Debug | Image::Pause | Image::Coredns | Image::Versitygw => Vec::new(),
        }
    }

    /// Its archive.
    pub fn archive(self) -> Result<PathBuf, Error> {
        binaries::image(self.stem())
    }
}
