//! A cluster of members on this machine, in a folder of its own.

use std::path::Path;
use std::time::Duration;

use etcd_client::Client;
use tempfile::TempDir;

use crate::Error;
use crate::binaries::Flavour;
use crate::member::{Member, connect};
use crate::wait::{self, Look};

/// How long a cluster may be without a leader that all asked members agree on.
const LEADER_LIMIT: Duration = Duration::from_secs(30);

/// Members and the folder they live in. Dropping it ends the processes and removes the folder.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Member>,
    initial_cluster: String,
    // After `members`: fields are dropped in order, and the processes must be gone before their folder.
    folder: TempDir,
}

/// What to start.
#[derive(Debug)]
pub struct Builder {
    flavour: Flavour,
    size: usize,
    flags: Vec<String>,
}

impl Builder {
    /// A flag for every member, after the harness's own.
    pub fn flag(mut self, flag: impl Into<String>) -> Builder {
        self.flags.push(flag.into());
        self
    }

    /// Starts all members and waits until each is healthy.
    pub async fn start(self) -> Result<Cluster, Error> {
        let mut cluster = self.prepare()?;
        cluster.launch_all().await?;
        Ok(cluster)
    }

    /// Makes the folder and reserves the ports; starts nothing.
    pub fn prepare(self) -> Result<Cluster, Error> {
        self.make(false)
    }

    /// As [`Builder::prepare`], with TLS for clients and members; the certificates' flags are the caller's to add.
    pub fn prepare_secured(self) -> Result<Cluster, Error> {
        self.make(true)
    }

    fn make(self, secured: bool) -> Result<Cluster, Error> {
        let folder = tempfile::Builder::new()
            .prefix("quorate-e2e-")
            .tempdir()
            .map_err(Error::io("making a temporary folder"))?;
        let mut members = Vec::new();
        for at in 0..self.size {
            let mut member = Member::prepare(self.flavour, &format!("m{at}"), folder.path())?;
            if secured {
                member.secure_clients()?;
                member.secure_peers();
            }
            self.flags.iter().for_each(|flag| member.flag(flag.clone()));
            members.push(member);
        }
        let initial_cluster = members.iter().map(Member::initial_entry).collect::<Vec<_>>().join(",");
        Ok(Cluster { members, initial_cluster, folder })
    }
}

impl Cluster {
    /// A cluster of `size` static members of one flavour.
    pub fn builder(flavour: Flavour, size: usize) -> Builder {
        Builder { flavour, size, flags: Vec::new() }
    }

    /// One running member.
    pub async fn single(flavour: Flavour) -> Result<Cluster, Error> {
        Cluster::builder(flavour, 1).start().await
    }

    /// Starts member `at` (again); [`Member::ready`] waits for it.
    pub fn launch(&mut self, at: usize) -> Result<(), Error> {
        self.members[at].start(&self.initial_cluster)
    }

    /// Starts all members (again), and waits until each is healthy.
    pub async fn launch_all(&mut self) -> Result<(), Error> {
        for at in 0..self.members.len() {
            self.launch(at)?;
        }
        for member in &mut self.members {
            member.ready().await?;
        }
        Ok(())
    }

    /// Ends all members by `kill -9`.
    pub fn kill_all(&mut self) -> Result<(), Error> {
        self.members.iter_mut().try_for_each(Member::kill)
    }

    /// All members, started or not.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Member `at`.
    pub fn member(&mut self, at: usize) -> &mut Member {
        &mut self.members[at]
    }

    /// The folder of data folders and logs, removed at the end.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `--initial-cluster` of these members.
    pub fn initial_cluster(&self) -> &str {
        &self.initial_cluster
    }

    /// Client endpoints of all members.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(Member::endpoint).collect()
    }

    /// A client of all members.
    pub async fn client(&self) -> Result<Client, Error> {
        connect(&self.endpoints()).await
    }

    /// Waits for a leader that every started member agrees on, and returns its place in [`Cluster::members`].
    pub async fn leader(&self) -> Result<usize, Error> {
        wait::until("agreement on a leader", LEADER_LIMIT, async || Ok(self.look_for_leader().await)).await
    }

    async fn look_for_leader(&self) -> Look<usize> {
        let mut leaders = Vec::new();
        let mut found = None;
        for (at, member) in self.members.iter().enumerate().filter(|(_, member)| member.is_started()) {
            let status = match member.client().await {
                Ok(mut client) => client.status().await,
                Err(error) => return Look::NotYet(error.to_string()),
            };
            match status {
                Ok(status) => {
                    let itself = status.header().map(|header| header.member_id());
                    if itself == Some(status.leader()) {
                        found = Some(at);
                    }
                    leaders.push(status.leader());
                }
                Err(error) => return Look::NotYet(error.to_string()),
            }
        }
        leaders.dedup();
        match (found, leaders.as_slice()) {
            (Some(at), [_]) => Look::Yes(at),
            _ => Look::NotYet(format!("leaders seen: {leaders:x?}")),
        }
    }

    /// Waits until all started members have the same revision and returns their HashKV at it, member by member.
    pub async fn hashes(&self) -> Result<Vec<u32>, Error> {
        let revision = wait::until("equal revisions", LEADER_LIMIT, async || {
            let mut revisions = Vec::new();
            for member in self.started() {
                let status = member.client().await?.status().await.map_err(Error::client("status"))?;
                revisions.push(status.header().map_or(0, |header| header.revision()));
            }
            revisions.dedup();
            Ok(match revisions.as_slice() {
                [revision] => Look::Yes(*revision),
                _ => Look::NotYet(format!("revisions: {revisions:?}")),
            })
        })
        .await?;
        let mut hashes = Vec::new();
        for member in self.started() {
            let hash = member.client().await?.hash_kv(revision).await.map_err(Error::client("hash_kv"))?;
            hashes.push(hash.hash());
        }
        Ok(hashes)
    }

    fn started(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.is_started())
    }
}
