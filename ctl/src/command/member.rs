//! `etcdctl member`

use prost::Message;
use quorate_proto::etcdserverpb::{
    MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest,
};

use super::{Session, get::is_serializable};
use crate::{
    client::Client,
    failure::Failure,
    go,
    output::{Format, MemberChange, MemberChanged, write_line},
};

#[derive(clap::Subcommand, Clone, Debug)]
pub(super) enum Member {
    /// Lists all members in the cluster
    List {
        /// Linearizable(l) or Serializable(s)
        #[arg(long, default_value = "l", value_name = "l|s")]
        consistency: String,
    },
    /// Adds a member into the cluster
    Add {
        /// Peer URLs of the new member, separated by commas
        #[arg(long, default_value = "", hide_default_value = true, value_name = "LIST")]
        peer_urls: String,
        /// Add it as a learner, which doesn't vote yet
        #[arg(long)]
        learner: bool,
        #[arg(value_name = "NAME")]
        args: Vec<String>,
    },
    /// Removes a member from the cluster
    Remove {
        #[arg(value_name = "MEMBER_ID")]
        args: Vec<String>,
    },
    /// Updates a member in the cluster
    Update {
        /// New peer URLs of the member, separated by commas
        #[arg(long, default_value = "", hide_default_value = true, value_name = "LIST")]
        peer_urls: String,
        #[arg(value_name = "MEMBER_ID")]
        args: Vec<String>,
    },
    /// Promotes a non-voting member in the cluster
    Promote {
        #[arg(value_name = "MEMBER_ID")]
        args: Vec<String>,
    },
}

impl Member {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        match self {
            Member::List { consistency } => {
                let linearizable = !is_serializable(&consistency)?;
                let mut client = Client::open(&session.globals).await?;
                session.output.print(&client.call(MemberListRequest { linearizable }).await?)
            }
            Member::Add { peer_urls, learner, args } => add(&session, &args, &peer_urls, learner).await,
            Member::Remove { args } => {
                let id = member_id(&args)?;
                let mut client = Client::open(&session.globals).await?;
                let reply = client.call(MemberRemoveRequest { id }).await?;
                let encoded = reply.encode_to_vec();
                let (header, members) = (reply.header, reply.members);
                session.output.print(&MemberChanged { id, change: MemberChange::Removed, header, members, encoded })
            }
            Member::Update { peer_urls, args } => {
                let id = member_id(&args)?;
                let peer_ur_ls = url_list(&peer_urls)?;
                let mut client = Client::open(&session.globals).await?;
                let reply = client.call(MemberUpdateRequest { id, peer_ur_ls }).await?;
                let encoded = reply.encode_to_vec();
                let (header, members) = (reply.header, reply.members);
                session.output.print(&MemberChanged { id, change: MemberChange::Updated, header, members, encoded })
            }
            Member::Promote { args } => {
                let id = member_id(&args)?;
                let mut client = Client::open(&session.globals).await?;
                let reply = client.call(MemberPromoteRequest { id }).await?;
                let encoded = reply.encode_to_vec();
                let (header, members) = (reply.header, reply.members);
                session.output.print(&MemberChanged { id, change: MemberChange::Promoted, header, members, encoded })
            }
        }
    }
}

/// Adds a member and prints the settings to start it with.
async fn add(session: &Session, args: &[String], peer_urls: &str, is_learner: bool) -> Result<(), Failure> {
    let name = match args {
        [] => return Err(Failure::bad_args("member name not provided")),
        [name] => name,
        _ => {
            let mut text = "too many arguments".to_owned();
            for url in args.iter().filter(|arg| arg.to_lowercase().starts_with("http")) {
                text.push_str(&format!(", did you mean --peer-urls={url}"));
            }
            return Err(Failure::bad_args(text));
        }
    };
    let peer_ur_ls = url_list(peer_urls)?;
    let mut client = Client::open(&session.globals).await?;
    let reply = client.call(MemberAddRequest { peer_ur_ls, is_learner }).await?;
    let encoded = reply.encode_to_vec();
    let added = reply.member.unwrap_or_default();
    let id = added.id;
    let initial_cluster: Vec<String> = reply
        .members
        .iter()
        .flat_map(|member| {
            let name = if member.id == id { name } else { &member.name };
            member.peer_ur_ls.iter().map(move |url| format!("{name}={url}"))
        })
        .collect();
    let change = MemberChange::Added(added);
    session.output.print(&MemberChanged { id, change, header: reply.header, members: reply.members, encoded })?;
    if session.output.format == Format::Simple {
        write_line("")?;
        write_line(&format!("ETCD_NAME={}", go::quote(name.as_bytes())))?;
        write_line(&format!("ETCD_INITIAL_CLUSTER={}", go::quote(initial_cluster.join(",").as_bytes())))?;
        write_line(&format!("ETCD_INITIAL_ADVERTISE_PEER_URLS={}", go::quote(peer_urls.as_bytes())))?;
        write_line("ETCD_INITIAL_CLUSTER_STATE=\"existing\"")?;
    }
    Ok(())
}

fn url_list(urls: &str) -> Result<Vec<String>, Failure> {
    if urls.is_empty() {
        return Err(Failure::bad_args("member peer urls not provided"));
    }
    Ok(urls.split(',').map(str::to_owned).collect())
}

fn member_id(args: &[String]) -> Result<u64, Failure> {
    let [id] = args else {
        return Err(Failure::bad_args("member ID is not provided"));
    };
    go::parse_uint(id, 16)
        .map_err(|error| Failure::bad_args(format!("bad member ID arg ({error}), expecting ID in Hex")))
}
