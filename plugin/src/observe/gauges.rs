//! What members measure, through the API server's proxy: their metrics are in plain text on a port of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use quorate_operator::desired::name::METRICS_PORT;

use crate::Error;
use crate::access::Access;

/// A member that is slower is shown without them.
const LIMIT: Duration = Duration::from_secs(3);

/// Some of a member's metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gauges {
    pub committed: Option<u64>,
    pub applied: Option<u64>,
    pub database_bytes: Option<u64>,
    pub quota_bytes: Option<u64>,
}

/// Of all members that answer; an error if none may be asked.
pub async fn read(access: &Access, pods: &[String]) -> Result<BTreeMap<String, Gauges>, Error> {
    let answers = join_all(pods.iter().map(async |pod| (pod.clone(), ask(access, pod).await))).await;
    let mut gauges = BTreeMap::new();
    for (pod, answer) in answers {
        match answer {
            Some(Ok(text)) => drop(gauges.insert(pod, parse(&text))),
            // Whoever may not ask one may ask none. Any other refusal means that the member starts or ends.
            Some(Err(error)) => {
                if let refusal @ Error::Forbidden { .. } = access.failed_at("get", "pods/proxy", error) {
                    return Err(refusal);
                }
            }
            None => {}
        }
    }
    Ok(gauges)
}

async fn ask(access: &Access, pod: &str) -> Option<kube::Result<String>> {
    let path = format!("/api/v1/namespaces/{}/pods/{pod}:{METRICS_PORT}/proxy/metrics", access.namespace);
    let request = http::Request::get(path).body(Vec::new()).ok()?;
    tokio::time::timeout(LIMIT, access.client.request_text(request)).await.ok()
}

/// Of the text format of Prometheus, the lines of gauges without labels.
pub fn parse(text: &str) -> Gauges {
    let find = |name: &str| {
        let values =
            text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<f64>().ok());
        values.filter(|value| *value >= 0.0).map(|value| value as u64).next()
    };
    Gauges {
        committed: find("etcd_server_proposals_committed_total"),
        applied: find("etcd_server_proposals_applied_total"),
        database_bytes: find("etcd_mvcc_db_total_size_in_bytes"),
        quota_bytes: find("etcd_server_quota_backend_bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_read_however_they_are_written() {
        let text = "# TYPE etcd_server_proposals_committed_total gauge\netcd_server_proposals_committed_total 1.234567e+06\n\
            etcd_server_proposals_applied_total 1234560\netcd_mvcc_db_total_size_in_bytes_more 9\n\
            etcd_mvcc_db_total_size_in_bytes 2.097152e+07\n";
        assert_eq!(
            parse(text),
            Gauges {
                committed: Some(1_234_567),
                applied: Some(1_234_560),
                database_bytes: Some(20 << 20),
                quota_bytes: None
            }
        );
        assert_eq!(parse("<html>no metrics</html>"), Gauges::default());
    }
}
