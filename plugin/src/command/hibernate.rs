//! `hibernate` and `resume`: no members, and as many as before.

use kube::ResourceExt;
use quorate_operator::crd::EtcdCluster;
use quorate_operator::crd::status::Phase;
use serde_json::json;

use super::restart::must_be_looked_after;
use super::{ask, follow, say};
use crate::Error;
use crate::access::Access;
use crate::arguments::Patience;

/// How many members a hibernated cluster had.
const REPLICAS: &str = "quorate.io/replicas-before-hibernation";

pub async fn hibernate(access: &Access, name: &str, yes: bool, patience: Patience) -> Result<(), Error> {
    let cluster = access.cluster(name).await?;
    must_be_looked_after(&cluster, name)?;
    let replicas = cluster.spec.replicas;
    if replicas == 0 {
        return say::line(&format!("{name} is hibernated already"));
    }
    if !yes {
        let namespace = &access.namespace;
        ask::confirm(&format!(
            "All {replicas} members of {namespace}/{name} stop, and nobody is served. Their volumes are kept."
        ))?;
    }
    let annotations = json!({REPLICAS: replicas.to_string()});
    access.patch(name, json!({"metadata": {"annotations": annotations}, "spec": {"replicas": 0}})).await?;
    if patience.wait {
        follow::until(access, name, "the hibernation", patience.timeout, async |cluster| Ok(is_asleep(cluster)))
            .await?;
    }
    say::line(&format!(
        "{name} {}; `kubectl quorate resume {name}` starts it again",
        if patience.wait { "is hibernated" } else { "stops" }
    ))
}

pub async fn resume(access: &Access, name: &str, replicas: Option<i32>, patience: Patience) -> Result<(), Error> {
    let cluster = access.cluster(name).await?;
    must_be_looked_after(&cluster, name)?;
    let replicas = wanted(&cluster, name, replicas)?;
    let annotations = json!({REPLICAS: null});
    access.patch(name, json!({"metadata": {"annotations": annotations}, "spec": {"replicas": replicas}})).await?;
    if !patience.wait {
        return say::line(&format!("{name} starts with {replicas} members"));
    }
    follow::until(access, name, "the start", patience.timeout, async |cluster| Ok(follow::is_at_rest(cluster))).await?;
    say::line(&format!("{name} serves with {replicas} members"))
}

/// Every pod has ended.
fn is_asleep(cluster: &EtcdCluster) -> bool {
    cluster.status.as_ref().is_some_and(|status| status.phase == Some(Phase::Hibernated) && status.replicas == 0)
}

/// How many members there are to be: as asked for, or as before.
fn wanted(cluster: &EtcdCluster, name: &str, asked: Option<i32>) -> Result<i32, Error> {
    let running = cluster.spec.replicas;
    if running > 0 {
        let what = format!("{name} is not hibernated: it is to have {running} members");
        return Err(Error::situation(what, format!("`kubectl scale etcdcluster {name} --replicas N` changes that")));
    }
    let before = cluster.annotations().get(REPLICAS).and_then(|text| text.parse().ok());
    let unknown = || Error::situation(format!("nothing says how many members {name} had"), "give --replicas");
    asked.or(before).filter(|replicas| (1..=9).contains(replicas)).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap in a test is its report")]

    use super::*;

    fn cluster(replicas: i32, before: Option<&str>) -> EtcdCluster {
        let annotations = before.map(|before| json!({REPLICAS: before}));
        serde_json::from_value(json!({
            "apiVersion": "quorate.io/v1alpha1", "kind": "EtcdCluster",
            "metadata": {"name": "sample", "annotations": annotations}, "spec": {"replicas": replicas},
        }))
        .unwrap()
    }

    #[test]
    fn as_many_come_back_as_there_were() {
        for (replicas, before, asked, wanted_text) in [
            (0, Some("3"), None, Ok(3)),
            (0, Some("3"), Some(5), Ok(5)),
            (0, None, Some(1), Ok(1)),
            (0, None, None, Err("nothing says how many members sample had")),
            (0, Some("many"), None, Err("nothing says how many members sample had")),
            (0, Some("0"), None, Err("nothing says how many members sample had")),
            (3, Some("5"), None, Err("sample is not hibernated: it is to have 3 members")),
        ] {
            let found = wanted(&cluster(replicas, before), "sample", asked).map_err(|error| error.to_string());
            assert_eq!(found, wanted_text.map_err(str::to_owned), "{replicas} {before:?} {asked:?}");
        }
    }
}
