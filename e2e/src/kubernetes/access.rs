//! Who may do what: certificates, tokens and a kubeconfig for each user.

use std::path::{Path, PathBuf};

use super::network;
use crate::Error;
use crate::certs::{Authority, Signed, Wanted};

/// Files that let the parts of a Kubernetes know each other.
#[derive(Debug)]
pub struct Access {
    folder: PathBuf,
    /// Signs the API server's certificate; pods get it too.
    pub authority: PathBuf,
    pub api_server: Signed,
    /// Signs the tokens of service accounts.
    pub service_account_key: PathBuf,
    /// Users with their tokens.
    pub tokens: PathBuf,
}

/// A user of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// Everything is allowed to it.
    Admin,
    Controllers,
    Scheduler,
    Kubelet(String),
    Proxy,
}

impl User {
    /// Its name and group: the default roles are bound to them, and those of nodes to what runs on the node.
    fn identity(&self) -> (String, &'static str) {
        match self {
            User::Admin => ("admin".into(), "system:masters"),
            User::Controllers => ("system:kube-controller-manager".into(), ""),
            User::Scheduler => ("system:kube-scheduler".into(), ""),
            User::Kubelet(node) => (format!("system:node:{node}"), "system:nodes"),
            User::Proxy => ("system:kube-proxy".into(), ""),
        }
    }

    fn token(&self) -> String {
        format!("token-of-{}", self.file())
    }

    fn file(&self) -> String {
        self.identity().0.replace(':', "-")
    }
}

impl Access {
    /// Writes the files, with a kubeconfig for each of the users.
    pub fn write(folder: &Path, users: &[User]) -> Result<Access, Error> {
        std::fs::create_dir_all(folder).map_err(Error::io(format!("making {}", folder.display())))?;
        let mut authority = Authority::new(folder, "ca")?;
        let names = [network::CONTROL_PLANE, network::API_SERVICE, "127.0.0.1", "localhost", "kubernetes.default.svc"];
        let mut names: Vec<String> = names.map(str::to_owned).to_vec();
        names.push(format!("kubernetes.default.svc.{}", network::DOMAIN));
        let wanted = Wanted { names, ..Wanted::local("kube-apiserver") };
        let access = Access {
            folder: folder.to_owned(),
            authority: authority.certificate(),
            api_server: authority.sign("api-server", &wanted)?,
            service_account_key: folder.join("service-account.key"),
            tokens: folder.join("tokens.csv"),
        };
        super::api_server::make_key(&access.service_account_key)?;
        let mut tokens = String::new();
        for user in users {
            let (name, group) = user.identity();
            tokens += &format!("{},{name},{name},{group}\n", user.token());
            write(&access.kubeconfig(user), &access.kubeconfig_text(user))?;
        }
        write(&access.tokens, &tokens)?;
        Ok(access)
    }

    /// The file by which a user finds the API.
    pub fn kubeconfig(&self, user: &User) -> PathBuf {
        self.folder.join(format!("{}.kubeconfig", user.file()))
    }

    fn kubeconfig_text(&self, user: &User) -> String {
        let (authority, server, token) = (self.authority.display(), network::api_url(), user.token());
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: e2e\n\
             clusters: [{{name: e2e, cluster: {{server: '{server}', certificate-authority: '{authority}'}}}}]\n\
             users: [{{name: e2e, user: {{token: '{token}'}}}}]\n\
             contexts: [{{name: e2e, context: {{cluster: e2e, user: e2e}}}}]\n"
        )
    }
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(Error::io(format!("writing {}", path.display())))
}
