//! `etcdctl endpoint`

use futures::future::join_all;
use quorate_proto::etcdserverpb::{AlarmType, HashKvRequest, MemberListRequest, RangeRequest, StatusRequest};
use tokio::time::Instant;

use super::{Session, alarm};
use crate::{
    client::{Client, Error},
    failure::{Exit, Failure},
    globals::Globals,
    go::{self, format_duration},
    output::{EndpointHashes, EndpointHealth, EndpointStatuses, Format, Health},
};

/// Asks endpoints about their health, their status and their data
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Endpoint {
    /// Use all endpoints from the cluster member list
    #[arg(long, global = true)]
    cluster: bool,
    #[command(subcommand)]
    question: Question,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Question {
    /// Checks the healthiness of endpoints specified in `--endpoints` flag
    Health,
    /// Prints out the status of endpoints specified in `--endpoints` flag
    Status,
    /// Prints the KV history hash for each endpoint in --endpoints
    Hashkv {
        /// Maximum revision to hash; the latest by default
        #[arg(long, default_value = "0", hide_default_value = true, value_name = "REVISION",
              value_parser = go::parse_flag_int)]
        rev: i64,
    },
}

impl Endpoint {
    pub(super) async fn run(self, session: Session) -> Result<(), Failure> {
        let names = endpoint_names(&session.globals, self.cluster).await?;
        match self.question {
            Question::Health => health(&session, &names).await,
            Question::Status => status(&session, &names).await,
            Question::Hashkv { rev } => hash_kv(&session, &names, rev).await,
        }
    }
}

/// The endpoints of the flag, or those that the members advertise to clients.
pub(super) async fn endpoint_names(globals: &Globals, cluster: bool) -> Result<Vec<String>, Failure> {
    if !cluster {
        return Ok(globals.endpoint_list());
    }
    let mut client = Client::open(globals).await?;
    let list = client
        .call(MemberListRequest { linearizable: true })
        .await
        .map_err(|error| Failure::error(format!("failed to fetch endpoints from etcd cluster member list: {error}")))?;
    Ok(list.members.into_iter().flat_map(|member| member.client_ur_ls).collect())
}

/// Asks all at once; the answers stay in the order of the endpoints.
async fn health(session: &Session, names: &[String]) -> Result<(), Failure> {
    let answers = join_all(names.iter().map(|name| health_of(&session.globals, name))).await;
    if session.output.format == Format::Simple {
        for Health { endpoint, error, .. } in answers.iter().filter(|answer| !answer.error.is_empty()) {
            eprintln!("{endpoint} is unhealthy: failed to commit proposal: {error}");
        }
    }
    let unhealthy = answers.iter().any(|answer| !answer.error.is_empty());
    session.output.print(&EndpointHealth(answers))?;
    if unhealthy { Err(Failure::error("unhealthy cluster")) } else { Ok(()) }
}

async fn health_of(globals: &Globals, name: &str) -> Health {
    let endpoint = name.to_owned();
    let mut client = match Client::open_endpoints(globals, std::slice::from_ref(&endpoint)).await {
        Ok(client) => client,
        Err(error) => return Health { endpoint, healthy: false, took: String::new(), error: error.to_string() },
    };
    let start = Instant::now();
    // Any linearizable read proves a quorum, whether the key exists or not.
    let read = client.call(RangeRequest { key: "health".into(), ..Default::default() }).await;
    let took = format_duration(start.elapsed());
    let error = match read {
        Ok(_) => alarms_of(&mut client).await,
        // The refusal was agreed upon as well.
        Err(Error::Status(status)) if status.message() == "etcdserver: permission denied" => {
            alarms_of(&mut client).await
        }
        Err(error) => error.to_string(),
    };
    Health { endpoint, healthy: error.is_empty(), took, error }
}

/// The alarms in words, nothing if there are none.
async fn alarms_of(client: &mut Client) -> String {
    let Ok(reply) = alarm::list(client).await else {
        return "Unable to fetch the alarm list".to_owned();
    };
    if reply.alarms.is_empty() {
        return String::new();
    }
    let names = reply.alarms.iter().map(|member| match member.alarm() {
        AlarmType::Nospace => "NOSPACE ",
        AlarmType::Corrupt => "CORRUPT ",
        AlarmType::None => "UNKNOWN ",
    });
    std::iter::once("Active Alarm(s): ").chain(names).collect()
}

async fn status(session: &Session, names: &[String]) -> Result<(), Failure> {
    let mut answers = Vec::new();
    let mut failed = false;
    for name in names {
        let mut client = Client::open_endpoints(&session.globals, std::slice::from_ref(name)).await?;
        match client.call(StatusRequest {}).await {
            Ok(answer) => answers.push((name.clone(), answer)),
            Err(error) => {
                eprintln!("Failed to get the status of endpoint {name} ({error})");
                failed = true;
            }
        }
    }
    session.output.print(&EndpointStatuses(answers))?;
    if failed { Err(Failure::silent(Exit::Error)) } else { Ok(()) }
}

async fn hash_kv(session: &Session, names: &[String], revision: i64) -> Result<(), Failure> {
    let mut answers = Vec::new();
    let mut last_error = None;
    for name in names {
        let mut client = Client::open_endpoints(&session.globals, std::slice::from_ref(name)).await?;
        match client.call(HashKvRequest { revision }).await {
            Ok(answer) => answers.push((name.clone(), answer)),
            Err(error) => {
                eprintln!("Failed to get the hash of endpoint {name} ({error})");
                last_error = Some(error);
            }
        }
    }
    session.output.print(&EndpointHashes(answers))?;
    last_error.map_or(Ok(()), |error| Err(error.into()))
}
