//! A cluster whose clients and members need certificates of one authority.

use std::path::Path;

use tempfile::TempDir;

use crate::Error;
use crate::binaries::Flavour;
use crate::certs::{Authority, Signed, Wanted};
use crate::cluster::Cluster;
use crate::ctl::Ctl;

/// A cluster, started or not, its authority, and a client's certificate.
pub struct Secured {
    pub cluster: Cluster,
    pub authority: Authority,
    pub client: Signed,
    // Last: the cluster goes first.
    pub folder: TempDir,
}

impl Secured {
    /// Members with certificates of their own, and these flags.
    pub fn prepare(flavour: Flavour, size: usize, flags: &[&str]) -> Result<Secured, Error> {
        let folder = tempfile::tempdir().map_err(Error::io("making a temporary folder"))?;
        let mut authority = Authority::new(folder.path(), "ca")?;
        let client = authority.sign("client", &Wanted::local("a client"))?;
        let mut cluster = Cluster::builder(flavour, size).prepare_secured()?;
        for at in 0..size {
            let server = authority.sign(&format!("server{at}"), &Wanted::local("a server"))?;
            let ca = authority.certificate();
            for prefix in ["", "peer-"] {
                for (flag, file) in [("cert-file", &server.cert), ("key-file", &server.key), ("trusted-ca-file", &ca)] {
                    cluster.member(at).flag(format!("--{prefix}{flag}={}", file.display()));
                }
                cluster.member(at).flag(format!("--{prefix}client-cert-auth"));
            }
            flags.iter().for_each(|flag| cluster.member(at).flag(*flag));
        }
        Ok(Secured { cluster, authority, client, folder })
    }

    /// Starts all members as a static cluster, and waits until they serve.
    pub async fn start(&mut self) -> Result<(), Error> {
        self.cluster.launch_all().await
    }

    /// etcdctl with the cluster's authority and this certificate.
    pub fn ctl(&self, flavour: Flavour, certificate: Option<&Signed>) -> Result<Ctl, Error> {
        ctl(flavour, &self.cluster, Some(&self.authority.certificate()), certificate)
    }
}

/// etcdctl that knows this authority and shows this certificate.
pub fn ctl(flavour: Flavour, cluster: &Cluster, ca: Option<&Path>, certificate: Option<&Signed>) -> Result<Ctl, Error> {
    let urls: Vec<String> = cluster.members().iter().map(|member| member.client_url()).collect();
    let mut ctl = Ctl::etcdctl(flavour, &urls)?.argument("--command-timeout=3s");
    if let Some(ca) = ca {
        ctl = ctl.argument(format!("--cacert={}", ca.display()));
    }
    if let Some(Signed { cert, key, .. }) = certificate {
        ctl = ctl.argument(format!("--cert={}", cert.display())).argument(format!("--key={}", key.display()));
    }
    Ok(ctl)
}
