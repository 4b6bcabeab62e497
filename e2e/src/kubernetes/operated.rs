//! A Kubernetes with the operator, which runs as a process beside the control plane so that a test can kill it at any time, or as
//! users run it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};
use hyper::Method;
use serde_json::{Value, json};

use tokio::task::JoinHandle;

use super::api::{Api, is_true};
use super::{Datastore, Image, Inside, Kubernetes};
use crate::Error;
use crate::binaries::{self, Flavour};
use crate::cost::Cost;
use crate::history::Dial;
use crate::process::Process;
use crate::wait::{self, Look};

/// Until members have come or gone, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(150);
const CLUSTERS: &str = "/apis/quorate.io/v1alpha1/namespaces/default/etcdclusters";
const CALL_LIMIT: Duration = Duration::from_secs(5);
const READ_AGAIN: Duration = Duration::from_secs(2);

/// A task that ends with this.
pub struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// With what is in the Secret for clients now.
async fn options(api: &Api, name: &str) -> Result<ConnectOptions, Error> {
    let secret =
        api.expect(Method::GET, &format!("/api/v1/namespaces/default/secrets/{name}-client-tls"), None).await?;
    let file = |key: &str| STANDARD.decode(secret["data"][key].as_str().unwrap_or_default()).unwrap_or_default();
    let tls = TlsOptions::new()
        .ca_certificate(Certificate::from_pem(file("ca.crt")))
        .identity(Identity::from_pem(file("tls.crt"), file("tls.key")))
        .domain_name(format!("{name}-client.default.svc"));
    Ok(ConnectOptions::new().with_connect_timeout(CALL_LIMIT).with_timeout(CALL_LIMIT).with_tls(tls))
}

/// An operator, and the Kubernetes it works on. Clusters are in the namespace `default`.
pub struct Operated {
    // Ends first.
    operator: Runs,
    pub kubernetes: Kubernetes,
    image: Image,
}

/// How the operator runs.
enum Runs {
    Process(Option<Process>),
    /// As pods that helm installed.
    Pods,
}

const OPERATOR: [&str; 2] = ["--namespace=quorate-system", "--selector=app.kubernetes.io/name=quorate-operator"];

impl Operated {
    /// As users have it: installed by helm, with members of this flavour.
    pub async fn install(nodes: usize, flavour: Flavour, datastore: Datastore) -> Result<Operated, Error> {
        let image = Image::server(flavour);
        let builder = Kubernetes::builder().nodes(nodes).datastore(datastore);
        let kubernetes = builder.image(image).image(Image::Operator).start().await?;
        let chart = binaries::repository().join("charts/quorate-operator").display().to_string();
        let member = match flavour {
            Flavour::Quorate => String::new(),
            Flavour::Upstream => image.name(),
        };
        let install = ["install", "quorate-operator", &chart, "--namespace=quorate-system", "--create-namespace"];
        let values = [&format!("--set=memberImage={member}"), "--wait", "--timeout=3m"];
        kubernetes.helm(&[&install[..], &values].concat()).await?.success()?;
        Ok(Operated { operator: Runs::Pods, kubernetes, image })
    }

    /// With this number of nodes.
    pub async fn start(nodes: usize) -> Result<Operated, Error> {
        Operated::with_images(nodes, &[]).await
    }

    /// With more images than those that every test needs.
    pub async fn with_images(nodes: usize, images: &[Image]) -> Result<Operated, Error> {
        let image = Image::server(Flavour::under_test());
        let builder = Kubernetes::builder().nodes(nodes).image(image).image(Image::Operator);
        let kubernetes = images.iter().fold(builder, |builder, image| builder.image(*image)).start().await?;
        let folder = binaries::repository().join("crds").display().to_string();
        kubernetes.kubectl(&["apply", "--server-side", "--filename", &folder]).await?.success()?;
        for kind in ["etcdclusters", "etcdmembers", "etcdbackups", "etcdbackupschedules", "etcdrestores"] {
            let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}.quorate.io");
            kubernetes.api().until(kind, LIMIT, &path, |definition| is_true(definition, "Established")).await?;
        }
        let mut operated = Operated { operator: Runs::Process(None), kubernetes, image };
        operated.launch()?;
        Ok(operated)
    }

    /// Starts the operator again. Kubernetes does so by itself with pods.
    pub fn launch(&mut self) -> Result<(), Error> {
        let Runs::Process(operator) = &mut self.operator else { return Ok(()) };
        let mut command = self.kubernetes.command(&binaries::operator()?);
        command.args(["run", "--image", &self.image.name(), "--worker-image", &Image::Operator.name()]);
        let log = self.kubernetes.folder().join("logs/operator.log");
        *operator = Some(Process::start("operator", command, &log)?);
        Ok(())
    }

    /// One of several that elect the one that acts. It serves its health and metrics at this port, inside.
    pub fn replica(&self, name: &str, port: u16) -> Result<Process, Error> {
        let mut command = self.kubernetes.command(&binaries::operator()?);
        command.args(["run", "--image", &self.image.name(), "--lease-namespace", "default", "--identity", name]);
        command.arg(format!("--listen-address=127.0.0.1:{port}"));
        Process::start(name, command, &self.kubernetes.folder().join(format!("logs/{name}.log")))
    }

    /// `kill -9`.
    pub async fn kill(&mut self) -> Result<(), Error> {
        match &mut self.operator {
            Runs::Process(operator) => operator.take().map_or(Ok(()), Process::kill),
            Runs::Pods => {
                let now = ["delete", "pods", "--grace-period=0", "--force", "--wait=false"];
                self.kubernetes.kubectl(&[&now[..], &OPERATOR].concat()).await?.success().map(drop)
            }
        }
    }

    /// Of the operator's process.
    pub fn cost(&self) -> Result<Cost, Error> {
        match &self.operator {
            Runs::Process(Some(operator)) => Cost::of(operator.pid()),
            Runs::Process(None) | Runs::Pods => Ok(Cost::default()),
        }
    }

    pub async fn cluster(&self, name: &str) -> Result<Value, Error> {
        self.kubernetes.api().expect(Method::GET, &format!("{CLUSTERS}/{name}"), None).await
    }

    /// Changes the resource, by a merge.
    pub async fn change(&self, name: &str, spec: Value) -> Result<(), Error> {
        let body = json!({"spec": spec});
        self.kubernetes.api().expect(Method::PATCH, &format!("{CLUSTERS}/{name}"), Some(&body)).await.map(drop)
    }

    /// Until the status that belongs to the present resource is as wanted.
    pub async fn until(&mut self, name: &str, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Result<Value, Error> {
        self.until_within(name, what, LIMIT, is_wanted).await
    }

    /// The same with another limit.
    pub async fn until_within(
        &mut self,
        name: &str,
        what: &str,
        limit: Duration,
        is_wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, Error> {
        let path = format!("{CLUSTERS}/{name}");
        let is_wanted = |cluster: &Value| {
            let status = &cluster["status"];
            status["observedGeneration"] == cluster["metadata"]["generation"] && is_wanted(status)
        };
        wait::until(what, limit, async || {
            if let Runs::Process(Some(operator)) = &mut self.operator {
                operator.must_run()?;
            }
            Ok(self.kubernetes.api().look(&path, is_wanted).await)
        })
        .await
    }

    /// As many members serve as are wanted, and nothing is left to do.
    pub async fn running(&mut self, name: &str, replicas: usize) -> Result<Value, Error> {
        let ready = format!("{replicas}/{replicas}");
        let is_done = |status: &Value| {
            let conditions = status["conditions"].as_array().into_iter().flatten();
            let mut available = conditions.filter(|condition| condition["type"] == "Available");
            status["ready"] == ready.as_str()
                && status["phase"] == "Running"
                && available.any(|condition| condition["status"] == "True")
                && status["members"].as_array().is_some_and(|members| members.len() == replicas)
        };
        self.until(name, &format!("{replicas} members of {name}"), is_done).await
    }

    /// A secured connection to the client Service, from inside.
    pub async fn dial(&self, name: &str) -> Result<Dial, Error> {
        let endpoint = format!("https://{}", self.address(name).await?);
        Ok(Dial::new(vec![endpoint], options(self.kubernetes.api(), name).await?))
    }

    /// The same in plain text.
    pub async fn plain_dial(&self, name: &str) -> Result<Dial, Error> {
        Ok(Dial::from(&[format!("http://{}", self.address(name).await?)]))
    }

    /// Of the client Service.
    async fn address(&self, name: &str) -> Result<String, Error> {
        let service = format!("/api/v1/namespaces/default/services/{name}-client");
        let service = self.kubernetes.api().expect(Method::GET, &service, None).await?;
        Ok(format!("{}:2379", service["spec"]["clusterIP"].as_str().unwrap_or_default()))
    }

    /// The same, whose Secret is read again every few seconds, as a mounted one is, until the task is aborted.
    pub async fn dial_and_follow(&self, name: &str) -> Result<(Dial, AbortOnDrop), Error> {
        let dial = self.dial(name).await?;
        let (api, name, followed) = (self.kubernetes.api().clone(), name.to_owned(), dial.clone());
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(READ_AGAIN).await;
                // While the API server is away, what was read stays.
                if let Ok(options) = options(&api, &name).await {
                    followed.renew(options);
                }
            }
        });
        Ok((dial, AbortOnDrop(task)))
    }

    /// Code of the test among the pods.
    pub fn inside(&self) -> Result<Inside, Error> {
        self.kubernetes.inside()
    }

    /// Until an object is gone.
    pub async fn gone(&self, path: &str) -> Result<(), Error> {
        wait::until(&format!("the end of {path}"), LIMIT, async || {
            let (code, object) = self.kubernetes.api().call(Method::GET, path, None).await?;
            Ok(if code == 404 { Look::Yes(()) } else { Look::NotYet(object.to_string()) })
        })
        .await
    }
}
