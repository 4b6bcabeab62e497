//! Asks the members what they know.

use std::sync::Arc;

use futures::future::join_all;
use quorate_proto::etcdserverpb::{MemberListResponse, StatusResponse};
use rustls::ClientConfig;

use super::etcd::{Alarm, Answer, Etcd, Row, Silence, View};
use crate::etcd_client::{Client, Error, Target};

/// What came of asking, and the connections by which it did, with the ids of who answered.
#[derive(Debug, Default)]
pub struct Asked {
    pub clients: Vec<(u64, Client)>,
}

pub async fn ask(targets: &[Target], tls: Option<Arc<ClientConfig>>) -> (Etcd, Asked) {
    if targets.is_empty() {
        return (Etcd::Nobody, Asked::default());
    }
    let answers = join_all(targets.iter().map(|target| ask_one(target, tls.clone()))).await;
    let mut asked = Asked::default();
    let mut view = View::default();
    let mut list = None;
    let mut silent = Vec::new();
    for answer in answers {
        match answer {
            Ok((client, status, members)) => {
                let header = status.header.unwrap_or_default();
                asked.clients.push((header.member_id, client));
                view.answers.insert(header.member_id, of_status(status));
                match members {
                    Ok(members) => list = list.or(Some(members)),
                    Err(error) => silent.push(error.to_string()),
                }
            }
            Err(error) => silent.push(error.to_string()),
        }
    }
    let Some(list) = list else {
        return (Etcd::Silent(Silence { why: silent.join("; "), answers: view.answers }), asked);
    };
    view.cluster_id = list.header.map(|header| header.cluster_id).unwrap_or_default();
    let rows = list.members.into_iter().map(|member| Row {
        id: member.id,
        name: member.name,
        peer_urls: member.peer_ur_ls,
        client_urls: member.client_ur_ls,
        is_learner: member.is_learner,
    });
    view.rows = rows.collect();
    (Etcd::Seen(view), asked)
}

/// Asks members of the list that others look after, by the URLs that they tell clients.
pub async fn ask_elsewhere(view: &mut View, own: &[u64], tls: Option<Arc<ClientConfig>>) {
    let rows: Vec<&Row> = view.rows.iter().filter(|row| !own.contains(&row.id)).collect();
    let answers = join_all(rows.iter().map(|row| ask_row(row, tls.clone()))).await;
    let answers: Vec<_> = rows.iter().zip(answers).filter_map(|(row, answer)| Some((row.id, answer?))).collect();
    view.answers.extend(answers);
}

async fn ask_row(row: &Row, tls: Option<Arc<ClientConfig>>) -> Option<Answer> {
    for url in &row.client_urls {
        let Some(target) = Target::of_url(&row.name, url).await else { continue };
        let Ok(client) = Client::connect(&target, tls.clone().filter(|_| target.is_secured)).await else { continue };
        if let Ok(status) = client.status().await
            && status.header.as_ref().is_some_and(|header| header.member_id == row.id)
        {
            return Some(of_status(status));
        }
    }
    None
}

type Answered = (Client, StatusResponse, Result<MemberListResponse, Error>);

async fn ask_one(target: &Target, tls: Option<Arc<ClientConfig>>) -> Result<Answered, Error> {
    let client = Client::connect(target, tls.filter(|_| target.is_secured)).await?;
    let status = client.status().await?;
    // A learner may not be asked, and a member without a quorum can't tell.
    let members = client.members().await;
    Ok((client, status, members))
}

fn of_status(status: StatusResponse) -> Answer {
    Answer {
        version: status.version,
        database_bytes: status.db_size,
        applied: status.raft_applied_index,
        leader: status.leader,
        term: status.raft_term,
        index: status.raft_index,
        is_learner: status.is_learner,
        alarms: status.errors.iter().filter_map(|entry| Alarm::parse(entry)).collect(),
    }
}
