//! The way to the API server, with errors that say what was tried.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::{Client, Resource, ResourceExt};
use quorate_operator::crd::EtcdCluster;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;
use crate::arguments::Site;

/// A namespace of a Kubernetes.
#[derive(Clone)]
pub struct Access {
    pub client: Client,
    pub namespace: String,
    url: String,
}

/// A kind that has namespaces.
pub trait Kind: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned {}
impl<K> Kind for K where K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{}

impl Access {
    /// As kubectl finds it; inside of a pod without a kubeconfig, the pod's own.
    pub async fn open(site: &Site) -> Result<Self, Error> {
        let options = KubeConfigOptions { context: site.context.clone(), ..KubeConfigOptions::default() };
        let config = match &site.kubeconfig {
            Some(file) => {
                let file = Kubeconfig::read_from(file).map_err(|error| Error::Configuration(error.into()))?;
                Config::from_custom_kubeconfig(file, &options)
                    .await
                    .map_err(|error| Error::Configuration(error.into()))?
            }
            None if site.context.is_some() => {
                Config::from_kubeconfig(&options).await.map_err(|error| Error::Configuration(error.into()))?
            }
            None => Config::infer().await.map_err(|error| Error::Configuration(error.into()))?,
        };
        let namespace = site.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let url = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| Error::Configuration(error.into()))?;
        Ok(Self { client, namespace, url })
    }

    pub fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The cluster of this name; if there is none, those that are there.
    pub async fn cluster(&self, name: &str) -> Result<EtcdCluster, Error> {
        let found = self.api::<EtcdCluster>().get_opt(name).await;
        if let Some(cluster) = found.map_err(|error| self.failed::<EtcdCluster>("get", error))? {
            return Ok(cluster);
        }
        let there = match self.api::<EtcdCluster>().list(&ListParams::default()).await {
            Ok(list) => list.items.iter().map(ResourceExt::name_any).collect(),
            Err(kube::Error::Api(status)) if status.is_not_found() => return Err(Error::NotInstalled),
            Err(_) => Vec::new(),
        };
        // Whoever may look elsewhere is told; for the others it is no error.
        let all: Api<EtcdCluster> = Api::all(self.client.clone());
        let elsewhere = match all.list(&ListParams::default().fields(&format!("metadata.name={name}"))).await {
            Ok(list) => list.items.iter().filter_map(ResourceExt::namespace).collect(),
            Err(_) => Vec::new(),
        };
        Err(Error::NoCluster { name: name.to_owned(), namespace: self.namespace.clone(), there, elsewhere })
    }

    /// Changes a cluster's resource.
    pub async fn patch(&self, name: &str, patch: Value) -> Result<EtcdCluster, Error> {
        let parameters = PatchParams { field_manager: Some("kubectl-quorate".to_owned()), ..PatchParams::default() };
        let patched = self.api::<EtcdCluster>().patch(name, &parameters, &Patch::Merge(patch)).await;
        patched.map_err(|error| self.failed::<EtcdCluster>("patch", error))
    }

    pub async fn list<K: Kind + Serialize>(&self, parameters: &ListParams) -> Result<Vec<K>, Error> {
        let list = self.api::<K>().list(parameters).await;
        list.map(|list| list.items).map_err(|error| self.failed::<K>("list", error))
    }

    /// What a failed call means to whoever made it.
    pub fn failed<K: Kind>(&self, verb: &'static str, error: kube::Error) -> Error {
        let (plural, group) = (K::plural(&()), K::group(&()));
        let resource = if group.is_empty() { plural.into_owned() } else { format!("{plural}.{group}") };
        self.failed_at(verb, resource, error)
    }

    /// The same for a part of a resource, such as `pods/exec`.
    pub fn failed_at(&self, verb: &'static str, resource: impl Into<String>, error: kube::Error) -> Error {
        let resource = resource.into();
        match error {
            kube::Error::Api(status) => match status.code {
                401 => Error::Credentials { url: self.url.clone(), said: status.message },
                403 => Error::Forbidden { verb, resource, namespace: self.namespace.clone() },
                _ => Error::Refused { verb, resource, said: status.message },
            },
            kube::Error::Auth(error) => Error::Credentials { url: self.url.clone(), said: error.to_string() },
            kube::Error::UpgradeConnection(kube::client::UpgradeConnectionError::ProtocolSwitch(status))
                if status.as_u16() == 403 =>
            {
                Error::Forbidden { verb, resource, namespace: self.namespace.clone() }
            }
            kube::Error::Service(source) => Error::Unreachable { url: self.url.clone(), source },
            source => Error::Unreachable { url: self.url.clone(), source: source.into() },
        }
    }
}
