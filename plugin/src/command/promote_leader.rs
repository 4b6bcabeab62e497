//! `promote-leader`: etcdctl's `move-leader`, out of the leader's own pod and with its certificates.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use quorate_operator::crd::label;
use quorate_operator::crd::status::{EtcdClusterStatus, MemberStatus, Role};
use serde_json::Value;
use tokio::time::Instant;

use super::say;
use crate::access::Access;
use crate::{Error, exec, member_url};

/// For the other members to follow.
const SETTLED: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(200);

pub async fn run(access: &Access, name: &str, member: &str) -> Result<(), Error> {
    let cluster = access.cluster(name).await?;
    let heir = heir(&cluster.status.unwrap_or_default(), name, member)?;
    let ours = ListParams::default().labels(&format!("{}={name}", label::CLUSTER));
    let pods = access.list::<Pod>(&ours).await?;
    let pod = pods.iter().find(|pod| pod.name_any() == member).ok_or_else(|| no_pod(member))?;
    let url = member_url::of(pod).ok_or_else(|| no_pod(member))?;
    let before = leader(access, pod, &url).await?;
    if before == heir {
        return say::line(&format!("{member} leads already"));
    }
    let from = member_of(access, &pods, before).await?;
    let from_url = member_url::of(from).ok_or_else(|| no_pod(&from.name_any()))?;
    let mut arguments = member_url::certificates(from);
    arguments.extend([format!("--endpoints={from_url}"), "move-leader".to_owned(), format!("{heir:x}")]);
    exec::etcdctl(access, &from.name_any(), arguments).await?;

    let begun = Instant::now();
    loop {
        let leader = leader(access, pod, &url).await?;
        if leader == heir {
            return say::line(&format!("{member} leads; it was {} before", from.name_any()));
        }
        if begun.elapsed() > SETTLED {
            let what = format!("{member} was told to lead, and member {leader:x} leads");
            return Err(Error::situation(
                what,
                format!("`kubectl quorate status {name}` shows whether {member} keeps up"),
            ));
        }
        tokio::time::sleep(STEP).await;
    }
}

/// Its id, if it may lead.
fn heir(status: &EtcdClusterStatus, cluster: &str, member: &str) -> Result<u64, Error> {
    let names = || status.members.iter().map(|member| member.name.clone()).collect();
    let missing = || Error::NoMember { name: member.to_owned(), cluster: cluster.to_owned(), there: names() };
    let found: &MemberStatus = status.members.iter().find(|one| one.name == member).ok_or_else(missing)?;
    let can_not = |why: &str, remedy: &str| Error::situation(format!("{member} can't lead: {why}"), remedy);
    let id = found.id.as_ref().and_then(|id| u64::from_str_radix(id, 16).ok());
    let id = id.ok_or_else(|| can_not("the cluster doesn't know it yet", "wait until it has joined"))?;
    if found.role == Some(Role::Learner) {
        return Err(can_not("it is a learner", "wait until it has caught up and votes"));
    }
    if !found.ready {
        return Err(can_not("it doesn't serve", "choose a member that is ready"));
    }
    Ok(id)
}

fn no_pod(member: &str) -> Error {
    Error::situation(format!("{member} has no pod that runs"), "choose a member that is ready")
}

/// Who leads, as a member sees it.
async fn leader(access: &Access, pod: &Pod, url: &str) -> Result<u64, Error> {
    Ok(status(access, pod, url).await?.1)
}

/// A member's id, and its leader's.
async fn status(access: &Access, pod: &Pod, url: &str) -> Result<(u64, u64), Error> {
    let mut arguments = member_url::certificates(pod);
    let rest = ["endpoint", "status", "--write-out=json"].map(str::to_owned);
    arguments.extend(std::iter::once(format!("--endpoints={url}")).chain(rest));
    let out = exec::etcdctl(access, &pod.name_any(), arguments).await?;
    parse(&out).ok_or_else(|| Error::Command {
        pod: pod.name_any(),
        command: "etcdctl endpoint status".to_owned(),
        said: format!("no status: {}", out.trim()),
    })
}

fn parse(out: &str) -> Option<(u64, u64)> {
    let answers: Value = serde_json::from_str(out).ok()?;
    let status = &answers.get(0)?["Status"];
    let id = status["header"]["member_id"].as_u64()?;
    Some((id, status["leader"].as_u64().filter(|leader| *leader != 0)?))
}

/// The pod of a member's id: each is asked, since the operator's word may be a minute old.
async fn member_of<'a>(access: &Access, pods: &'a [Pod], id: u64) -> Result<&'a Pod, Error> {
    for pod in pods {
        let Some(url) = member_url::of(pod) else { continue };
        if status(access, pod, &url).await.is_ok_and(|(own, _)| own == id) {
            return Ok(pod);
        }
    }
    Err(Error::situation(format!("no pod answers as member {id:x}, which leads"), "see whether all members are ready"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> EtcdClusterStatus {
        let member = |name: &str, id: Option<&str>, role, ready| MemberStatus {
            name: name.to_owned(),
            id: id.map(str::to_owned),
            role,
            ready,
            ..MemberStatus::default()
        };
        let members = vec![
            member("s-a", Some("8e9e05c52164694d"), Some(Role::Leader), true),
            member("s-b", Some("ff"), Some(Role::Follower), true),
            member("s-c", Some("3"), Some(Role::Learner), true),
            member("s-d", Some("4"), Some(Role::Follower), false),
            member("s-e", None, None, false),
        ];
        EtcdClusterStatus { members, ..EtcdClusterStatus::default() }
    }

    #[test]
    fn only_a_voter_that_serves_may_lead() {
        for (member, wanted) in [
            ("s-b", Ok(255)),
            ("s-a", Ok(0x8e9e_05c5_2164_694d)),
            ("s-c", Err("s-c can't lead: it is a learner\n  wait until it has caught up and votes")),
            ("s-d", Err("s-d can't lead: it doesn't serve\n  choose a member that is ready")),
            ("s-e", Err("s-e can't lead: the cluster doesn't know it yet\n  wait until it has joined")),
            ("b", Err("s has no member b\n  there are: s-a, s-b, s-c, s-d, s-e")),
        ] {
            let found = heir(&status(), "s", member).map_err(|error| error.explained());
            assert_eq!(found, wanted.map_err(str::to_owned));
        }
    }

    #[test]
    fn ids_are_read_as_etcdctl_writes_them() {
        let out = r#"[{"Endpoint":"https://a:2379","Status":{"header":{"cluster_id":1,"member_id":10276657743932975437},
            "version":"3.7.3","leader":255}}]"#;
        assert_eq!(parse(out), Some((10_276_657_743_932_975_437, 255)));
        assert_eq!(parse("[]"), None);
        assert_eq!(parse(&out.replace("\"leader\":255", "\"leader\":0")), None);
    }
}
