//! How etcdctl reaches a member out of a member's own pod.

use k8s_openapi::api::core::v1::Pod;
use quorate_operator::desired::pod::CONTAINER;

/// The address for clients that a member's command line tells the others.
pub fn of(pod: &Pod) -> Option<String> {
    flag(pod, "advertise-client-urls")
}

/// etcdctl's flags for the certificates that a member's own command line names: what runs now is what counts, not what the resource
/// says meanwhile. Empty in plain text.
pub fn certificates(pod: &Pod) -> Vec<String> {
    let pairs = [("cert-file", "cert"), ("key-file", "key"), ("trusted-ca-file", "cacert")];
    pairs.iter().filter_map(|(theirs, ours)| Some(format!("--{ours}={}", flag(pod, theirs)?))).collect()
}

fn flag(pod: &Pod, name: &str) -> Option<String> {
    let container = pod.spec.as_ref()?.containers.iter().find(|container| container.name == CONTAINER)?;
    let arguments = container.args.as_ref()?;
    arguments
        .iter()
        .find_map(|argument| Some(argument.strip_prefix("--")?.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap in a test is its report")]

    use serde_json::json;

    use super::*;

    fn pod(arguments: &[&str]) -> Pod {
        serde_json::from_value(json!({"spec": {"containers": [
            {"name": "sidecar", "args": ["--cert-file=/other"]},
            {"name": "etcd", "args": arguments},
        ]}}))
        .unwrap()
    }

    #[test]
    fn certificates_are_those_that_clients_see_and_not_those_of_peers() {
        let secured = pod(&[
            "--name=a",
            "--peer-cert-file=/p/tls.crt",
            "--advertise-client-urls=https://a.s-peers.db.svc:2379",
            "--cert-file=/s/tls.crt",
            "--key-file=/s/tls.key",
            "--trusted-ca-file=/s/ca.crt",
        ]);
        assert_eq!(of(&secured).unwrap(), "https://a.s-peers.db.svc:2379");
        assert_eq!(certificates(&secured), ["--cert=/s/tls.crt", "--key=/s/tls.key", "--cacert=/s/ca.crt"]);
    }

    #[test]
    fn plain_text_needs_none() {
        let plain = pod(&["--advertise-client-urls=http://a.s-peers.db.svc:2379", "--peer-cert-file=/p/tls.crt"]);
        assert_eq!(certificates(&plain), [""; 0]);
    }
}
