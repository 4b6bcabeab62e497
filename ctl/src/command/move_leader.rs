//! `etcdctl move-leader`

use quorate_proto::etcdserverpb::{MoveLeaderRequest, StatusRequest};

use super::Session;
use crate::{client::Client, failure::Failure, go, output::MovedLeader};

/// Transfers leadership to another etcd cluster member
#[derive(clap::Args, Clone, Debug)]
pub(super) struct MoveLeader {
    #[arg(value_name = "MEMBER_ID")]
    args: Vec<String>,
}

impl MoveLeader {
    /// Only the leader can do it, so it has to be among the endpoints.
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        let [target] = self.args.as_slice() else {
            return Err(Failure::bad_args("move-leader command needs 1 argument"));
        };
        let to = go::parse_uint(target, 16).map_err(Failure::bad_args)?;
        let endpoints = session.globals.endpoint_list();
        for endpoint in &endpoints {
            let mut client = Client::open_endpoints(&session.globals, std::slice::from_ref(endpoint)).await?;
            let status = client.call(StatusRequest {}).await?;
            if status.header.is_some_and(|header| header.member_id == status.leader) {
                let reply = client.call(MoveLeaderRequest { target_id: to }).await?;
                return session.output.print(&MovedLeader { from: status.leader, to, reply });
            }
        }
        Err(Failure::bad_args(format!("no leader endpoint given at [{}]", endpoints.join(" "))))
    }
}
