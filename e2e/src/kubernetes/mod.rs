//! Kubernetes to test on, out of its real parts.
//!
//! - [`api_server`]: a kube-apiserver alone, whose storage is a cluster under test.
//! - [`whole`]: everything that runs pods, in namespaces of its own. Its parts, in the order of their start:
//!   - [`sandbox`]: the namespaces, and how commands enter them. [`network`]: who has which address.
//!   - [`datastore`]: the etcd below it. [`access`]: certificates, tokens, kubeconfigs.
//!   - [`control_plane`]: API server, controllers, scheduler. [`api`]: plain HTTP calls to it.
//!   - [`node`]: containerd, kubelet and kube-proxy, by their [`settings`]. [`image`]: what pods run.
//!   - [`inside`]: code of a test in its network.
//!   - [`dns`]: the names of services. [`volumes`]: disks for those who claim them.
//! - [`operated`]: all of it with the operator.

pub mod access;
pub mod api;
pub mod api_server;
pub mod bucket;
pub mod control_plane;
pub mod datastore;
mod dns;
pub mod image;
mod inside;
mod network;
pub mod node;
pub mod operated;
pub mod sandbox;
mod settings;
mod volumes;
pub mod whole;

pub use api_server::{ApiServer, Watch};
pub use datastore::Datastore;
pub use image::Image;
pub use inside::Inside;
pub use operated::Operated;
pub use whole::Kubernetes;
