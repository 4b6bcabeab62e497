//! The members of the cluster, for every API that shows or changes them.

use std::time::SystemTime;

use quorate_proto::served::etcdserverpb as pb;
use tonic::Status;

use super::member::Member;
use crate::config::Url;
use crate::http::status;
use crate::identity;
use crate::raft::Change;

/// The members by id: what the membership says, and what each said about itself once it had started.
pub fn list(member: &Member) -> Vec<pb::Member> {
    let attributes = member.store().member_attributes();
    let mut members: Vec<pb::Member> = member
        .raft()
        .status()
        .members
        .into_iter()
        .map(|known| {
            let own = attributes.iter().find(|(id, _)| *id == known.id).map(|(_, own)| own.clone());
            let own = own.unwrap_or_default();
            pb::Member {
                id: known.id,
                name: own.name,
                peer_ur_ls: known.peer_urls,
                client_ur_ls: own.client_urls,
                is_learner: known.is_learner,
            }
        })
        .collect();
    members.sort_by_key(|member| member.id);
    members
}

/// Adds a member and returns it, and all members then.
pub async fn add(
    member: &Member,
    peer_urls: &[String],
    is_learner: bool,
) -> Result<(pb::Member, Vec<pb::Member>), Status> {
    let urls = parse(peer_urls)?;
    let id = new_id(member, &urls).await?;
    let peer_urls = texts(&urls);
    let all = change(member, Change::Add { id, peer_urls: peer_urls.clone(), learner: is_learner }).await?;
    Ok((pb::Member { id, peer_ur_ls: peer_urls, is_learner, ..Default::default() }, all))
}

/// etcd's id for a member added now. Whoever removes a member and adds it again within the second gets the id of a later one:
/// an id that was removed never returns.
async fn new_id(member: &Member, urls: &[Url]) -> Result<u64, Status> {
    member.raft().read_barrier().await.map_err(status::raft)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let is_used =
        |id| member.store().is_removed_member(id) || member.raft().status().members.iter().any(|known| known.id == id);
    let mut seconds = now.as_secs() as i64;
    loop {
        let id = identity::member_id(urls, "", Some(seconds));
        if !is_used(id) {
            return Ok(id);
        }
        seconds += 1;
    }
}

/// Gives a member other peer URLs and returns all members then.
pub async fn update(member: &Member, id: u64, peer_urls: &[String]) -> Result<Vec<pb::Member>, Status> {
    let peer_urls = texts(&parse(peer_urls)?);
    change(member, Change::Update { id, peer_urls }).await
}

/// The members after a change.
pub async fn change(member: &Member, change: Change) -> Result<Vec<pb::Member>, Status> {
    tracing::info!(?change, "changing the members");
    let removed = match change {
        Change::Remove(id) => Some(id),
        _ => None,
    };
    let raft = member.raft();
    raft.change_members(change).await.map_err(status::raft)?;
    // A member that was asked to remove itself will not hear of it any more.
    if removed != Some(raft.identity().member_id) {
        raft.read_barrier().await.map_err(status::raft)?;
    }
    let mut members = list(member);
    members.retain(|member| Some(member.id) != removed);
    Ok(members)
}

/// Sorted, as etcd keeps them.
fn parse(texts: &[String]) -> Result<Vec<Url>, Status> {
    let mut urls = texts.iter().map(|url| Url::parse(url)).collect::<Result<Vec<_>, _>>();
    if let Ok(urls) = &mut urls {
        urls.sort();
    }
    urls.ok().filter(|urls| !urls.is_empty()).ok_or_else(status::bad_member_urls)
}

fn texts(urls: &[Url]) -> Vec<String> {
    urls.iter().map(ToString::to_string).collect()
}
