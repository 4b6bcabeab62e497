//! The operator: brings `EtcdCluster` resources to what they say.
//!
//! [`run`] is the process: it [serves](serve) health and [`metrics`], waits until it [leads](lead), and then [watches](watch). A
//! [`mod@reconcile`] walks through [`observe`] (what there is), [`plan`] (what to do next, pure), [`act`] (does it), [`status`] and
//! [`events`] (say so); [`backoff`] is the wait after one that failed, and [`unwatched`] remembers what was
//! made of kinds that need not be there. [`digest`] tells whether something has changed. [`desired`] has the Kubernetes objects that a plan asks for,
//! [`certificates`] those of TLS, and [`crd`] what users write and read. [`etcd_client`] and [`client_tls`] are the way to the members.

pub mod act;
pub mod backoff;
pub mod certificates;
pub mod client_tls;
pub mod crd;
pub mod desired;
pub mod digest;
pub mod etcd_client;
pub mod events;
pub mod lead;
pub mod metrics;
pub mod observe;
pub mod plan;
pub mod reconcile;
pub mod run;
pub mod serve;
pub mod status;
pub mod unwatched;
pub mod watch;
