//! Who has which address. Every Kubernetes has a network of its own, so that the addresses may be the same in all.

/// The control plane: the API server, and the gateway of the nodes.
pub(super) const CONTROL_PLANE: &str = "10.200.0.1";
/// The bridge that joins the nodes.
pub(super) const BRIDGE: &str = "nodes";
/// Addresses of Services.
pub(super) const SERVICES: &str = "10.96.0.0/24";
/// The Service of the API server: the first address of [`SERVICES`].
pub(super) const API_SERVICE: &str = "10.96.0.1";
/// The Service of the name server.
pub(super) const NAME_SERVICE: &str = "10.96.0.10";
/// Addresses of all pods.
pub(super) const PODS: &str = "10.244.0.0/16";
/// Names of Services end with it.
pub(super) const DOMAIN: &str = "cluster.local";
/// The API server's port.
pub(super) const API_PORT: u16 = 6443;

/// The address of node `number`.
pub(super) fn node(number: usize) -> String {
    format!("10.200.0.{}", 10 + number)
}

/// Addresses of the pods of node `number`.
pub(super) fn pods(number: usize) -> String {
    format!("10.244.{number}.0/24")
}

/// Where the API server is.
pub(super) fn api_url() -> String {
    format!("https://{CONTROL_PLANE}:{API_PORT}")
}
