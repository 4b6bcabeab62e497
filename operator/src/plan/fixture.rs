//! A cluster that exists in memory alone: it does what a plan's steps ask for, as far as a fault lets it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, PersistentVolumeClaim, Pod,
    PodCondition, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde_json::json;

use super::step::{Decision, Step};
use super::{membership, presence, quorum};
use crate::certificates::Certificates;
use crate::crd::member::Begins;
use crate::crd::{EtcdCluster, EtcdMember};
use crate::desired::origin::From;
use crate::desired::pod::CONTAINER;
use crate::desired::{self, name};
use crate::observe::{Alarm, Answer, Etcd, Member, Order, Row, Silence, View, World, pod, world};
use crate::status;

pub(super) const CLUSTER_ID: u64 = 0xc1;
/// What the leader has applied.
const APPLIED: u64 = 1000;

/// How a step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The operator ended before it did anything.
    Before,
    /// It was done, and the operator ended before it heard so.
    After,
}

pub(crate) struct Sim {
    pub cluster: EtcdCluster,
    pub records: BTreeMap<String, EtcdMember>,
    pub pods: BTreeMap<String, Pod>,
    pub volumes: BTreeMap<String, PersistentVolumeClaim>,
    pub rows: Vec<Row>,
    pub leader: u64,
    /// Members whose processes can't serve, whatever their pods look like.
    pub down: Vec<u64>,
    pub database_bytes: i64,
    pub alarms: BTreeSet<(u64, Alarm)>,
    /// How far logs go, where that isn't as far as all.
    pub indexes: BTreeMap<u64, u64>,
    pub now: Timestamp,
    pub order: Option<Order>,
    pub cluster_id: u64,
    /// Of the cluster that makes room for a backup's data.
    replaced: Vec<Row>,
    next: u64,
    /// Members that all others are connected to, however they are listed by now.
    pub connected: BTreeSet<String>,
    /// Everything that was done, in order.
    pub done: Vec<Step>,
}

impl Sim {
    pub fn new(replicas: i32) -> Self {
        let mut cluster = EtcdCluster::new("a", serde_json::from_value(json!({"replicas": replicas})).unwrap());
        cluster.metadata.namespace = Some("ns".to_owned());
        cluster.metadata.uid = Some("uid".to_owned());
        Self {
            cluster,
            records: BTreeMap::new(),
            pods: BTreeMap::new(),
            volumes: BTreeMap::new(),
            rows: Vec::new(),
            leader: 0,
            down: Vec::new(),
            database_bytes: 0,
            alarms: BTreeSet::new(),
            indexes: BTreeMap::new(),
            now: Timestamp::from_second(1_700_000_000).unwrap(),
            order: None,
            cluster_id: CLUSTER_ID,
            replaced: Vec::new(),
            next: 1,
            connected: BTreeSet::new(),
            done: Vec::new(),
        }
    }

    /// A cluster that has formed and is as wanted.
    pub fn settled(replicas: i32) -> Self {
        let mut sim = Self::new(replicas);
        sim.settle();
        sim
    }

    pub fn scale(&mut self, replicas: i32) {
        self.cluster.spec.replicas = replicas;
    }

    pub fn world(&self) -> World {
        World {
            auth: None,
            cluster: self.cluster.clone(),
            members: self.members().into_iter().filter(|member| !member.is_retired()).collect(),
            retired: self.members().into_iter().filter(Member::is_retired).collect(),
            order: self.order.clone(),
            left: Vec::new(),
            mirrored: None,
            etcd: self.etcd(),
            now: self.now,
            default_image: "image:v3.7.3".to_owned(),
            worker_image: "worker".to_owned(),
            from: From::Nothing,
            certificates: Certificates::default(),
            fresh_name: format!("a-{:05}", self.next),
        }
    }

    fn members(&self) -> Vec<Member> {
        let members = self.records.iter().map(|(name, record)| Member {
            object: record.clone(),
            pod: self.pods.get(name).cloned(),
            volume: self.volumes.get(&name::volume(name)).cloned(),
        });
        members.collect()
    }

    fn serves(&self, row: &Row) -> bool {
        let url = &row.peer_urls[0];
        let pod = self.pods.values().find(|pod| url.contains(&format!("//{}.", pod.name_any())));
        // Who is listed by TLS has to listen so, and all others need certificates to reach it; but what is connected stays so.
        let is_reached = |pod: &Pod| {
            pod::has_secured_peers(pod) == name::is_secured(url) || self.connected.contains(&pod.name_any())
        };
        let can_reach = !name::is_secured(url) || self.pods.values().all(pod::has_peer_certificates);
        // One that has been told to end serves on for a moment.
        pod.is_some_and(|pod| self.rows.len() == 1 || is_reached(pod) && can_reach) && !self.down.contains(&row.id)
    }

    fn etcd(&self) -> Etcd {
        let answer = |row: &Row| Answer {
            version: self.version_of(&row.name),
            database_bytes: self.database_bytes,
            alarms: self.alarms.clone(),
            applied: APPLIED,
            leader: self.leader,
            term: 2,
            index: self.indexes.get(&row.id).copied().unwrap_or(APPLIED),
            is_learner: row.is_learner,
        };
        let answers = |rows: &[&Row]| rows.iter().map(|row| (row.id, answer(row))).collect();
        let serving: Vec<&Row> = self.rows.iter().filter(|row| self.serves(row) && !row.name.is_empty()).collect();
        let voters = self.rows.iter().filter(|row| !row.is_learner).count();
        if self.pods.is_empty() {
            return Etcd::Nobody;
        }
        if voters == 0 || serving.iter().filter(|row| !row.is_learner).count() < voters / 2 + 1 {
            return Etcd::Silent(Silence { why: "no answer".to_owned(), answers: answers(&serving) });
        }
        let (rows, answers) = (self.rows.clone(), answers(&serving));
        Etcd::Seen(View { cluster_id: self.cluster_id, leaving: world::leaving(&self.members(), &rows), rows, answers })
    }

    /// What its image's tag says.
    fn version_of(&self, name: &str) -> String {
        let image = self.pods[name].spec.as_ref().unwrap().containers[0].image.clone().unwrap();
        image.rsplit_once(":v").unwrap().1.to_owned()
    }

    pub fn view(&self) -> View {
        match self.etcd() {
            Etcd::Seen(view) => view,
            other => panic!("{other:?}"),
        }
    }

    /// What Kubernetes and the members do by themselves: pods for records that may start, names for members that did, a leader.
    pub fn breathe(&mut self) {
        self.now += SignedDuration::from_secs(1);
        self.pods.retain(|_, pod| pod.metadata.deletion_timestamp.is_none());
        let world = self.world();
        for member in &world.members {
            let volume = name::volume(&member.name());
            if presence::wants_volume(&world, member) {
                let mut claim = desired::volume::claim(&world.cluster, &member.object);
                claim.metadata.uid = Some(format!("uid-{volume}"));
                self.volumes.insert(volume.clone(), claim);
            }
            if presence::wants_pod(&world, member) && member.pod.is_none() {
                self.pods.insert(member.name(), made(&world, &member.object));
            }
        }
        self.replace();
        for (name, record) in &mut self.records {
            let Some(pod) = self.pods.get(name) else { continue };
            if desired::pod::is_forced(pod) {
                assert_eq!(self.pods.len(), 1, "others run while {name} starts a new cluster");
                self.rows.retain(|row| row.peer_urls[0] == record.spec.peer_url);
            }
            let url = record.spec.peer_url.clone();
            if record.spec.begins == Begins::Forming && self.rows.is_empty() {
                let id = self.next;
                self.next += 1;
                self.rows.push(Row { id, name: name.clone(), peer_urls: vec![url], ..Row::default() });
                let status = self.cluster.status.get_or_insert_default();
                status.cluster_id.get_or_insert_with(|| format!("{:x}", self.cluster_id));
            } else if let Some(row) = self.rows.iter_mut().find(|row| row.peer_urls[0] == url) {
                row.name.clone_from(name);
            }
        }
        let leads = |sim: &Self, id| sim.rows.iter().any(|row| row.id == id && !row.is_learner && sim.serves(row));
        if !leads(self, self.leader) {
            let next = self.rows.iter().find(|row| !row.is_learner && self.serves(row));
            self.leader = next.map_or(0, |row| row.id);
        }
    }

    /// The first member of another incarnation runs: its cluster is a new one. Old members that run again are the old one.
    fn replace(&mut self) {
        let world = self.world();
        let knows = |row: &Row| world.members.iter().any(|member| member.object.spec.peer_url == row.peer_urls[0]);
        let runs = world.members.iter().any(|member| member.pod.is_some());
        if !runs || self.rows.is_empty() || self.rows.iter().any(&knows) {
            return;
        }
        assert!(world.retired.iter().all(|member| member.pod.is_none()), "two clusters at once");
        if self.replaced.iter().any(knows) {
            self.rows = std::mem::take(&mut self.replaced);
            self.cluster_id -= 1;
        } else {
            self.replaced = std::mem::take(&mut self.rows);
            self.cluster_id += 1;
        }
    }

    /// One reconcile. A member list that would lose its quorum by a step is a bug of the plan.
    pub fn reconcile(&mut self, fault: Fault) -> Decision {
        let world = self.world();
        let decision = membership::next(&world);
        if self.cluster.status.is_some() {
            self.cluster.status = Some(status::of(&world, &decision));
        }
        if let (Some(step), true) = (&decision.step, fault != Fault::Before) {
            if let Step::Remove { id, .. } = step {
                assert!(quorum::can_remove(&self.view(), *id), "{step:?} risks the quorum");
            }
            self.act(step.clone());
        }
        self.next += 1;
        decision
    }

    fn act(&mut self, step: Step) {
        match step.clone() {
            Step::Intend(mut member) => {
                member.metadata.creation_timestamp = Some(Time(self.now));
                self.records.insert(member.name_any(), *member);
            }
            Step::Announce { peer_url, .. } => {
                assert!(self.rows.iter().all(|row| !row.is_learner), "two learners");
                let id = self.next;
                self.rows.push(Row { id, peer_urls: vec![peer_url], is_learner: true, ..Row::default() });
            }
            Step::Record { member, id, initial_cluster } => {
                let spec = &mut self.records.get_mut(&member).unwrap().spec;
                spec.id = Some(format!("{id:x}"));
                spec.initial_cluster = Some(initial_cluster);
            }
            Step::Elect { member } => self.records.get_mut(&member).unwrap().spec.begins = Begins::Recovering,
            Step::Disarm { member } => self.records.get_mut(&member).unwrap().spec.begins = Begins::Joined,
            Step::Promote { id, .. } => self.rows.iter_mut().find(|row| row.id == id).unwrap().is_learner = false,
            Step::Dismiss { member, why } => self.records.get_mut(&member).unwrap().spec.leaves = Some(why),
            Step::Reinstate { member } => self.records.get_mut(&member).unwrap().spec.leaves = None,
            Step::CutOver => {}
            Step::HandOver { from, to } => {
                assert_eq!(self.leader, from);
                self.leader = to;
            }
            Step::Readdress { member, peer_url } => {
                // Whoever starts while it is listed in another way than it listens can't find it.
                let stays = |name: &String| self.pods.get(name).is_some_and(|pod| !pod::is_leaving(pod));
                assert!(self.records.keys().filter(|name| **name != member).all(stays));
                self.records.get_mut(&member).unwrap().spec.peer_url = peer_url;
            }
            Step::Update { member, id, peer_url } => {
                self.connected.insert(member);
                self.rows.iter_mut().find(|row| row.id == id).unwrap().peer_urls = vec![peer_url];
            }
            Step::Remove { id, .. } => self.rows.retain(|row| row.id != id),
            Step::DeletePod { pod, .. } => {
                // Whoever starts again has to find the others.
                self.connected.clear();
                let now = Time(self.now);
                self.pods.get_mut(&pod).unwrap().metadata.deletion_timestamp = Some(now);
            }
            Step::DeleteVolume { volume, .. } => drop(self.volumes.remove(&volume).unwrap()),
            Step::GrowVolume { volume, size } => {
                let spec = self.volumes.get_mut(&volume).unwrap().spec.as_mut().unwrap();
                let requests = spec.resources.as_mut().unwrap().requests.as_mut().unwrap();
                requests.insert("storage".to_owned(), size);
            }
            Step::Forget { member } => drop(self.records.remove(&member).unwrap()),
        }
        self.done.push(step);
    }

    /// Until nothing is to be done any more.
    pub fn settle(&mut self) -> Decision {
        for turn in 0..400 {
            // The operator may look again before anything has come of its step.
            if turn % 2 == 0 {
                self.breathe();
            }
            let decision = self.reconcile(Fault::None);
            if decision.step.is_none() && decision.situation.phase != crate::crd::status::Phase::Changing {
                self.breathe();
                let again = membership::next(&self.world());
                if again == decision && again.situation.phase != crate::crd::status::Phase::Forming {
                    return decision;
                }
            }
        }
        panic!("it never settles: {:#?}", self.done.iter().rev().take(10).collect::<Vec<_>>());
    }

    pub fn kinds(&self) -> Vec<&'static str> {
        self.done.iter().map(Step::kind).collect()
    }

    pub fn name_of(&self, id: u64) -> String {
        self.rows.iter().find(|row| row.id == id).unwrap().name.clone()
    }

    pub fn follower(&self) -> u64 {
        self.rows.iter().map(|row| row.id).find(|id| *id != self.leader).unwrap()
    }

    /// The pod's container ended with these words, and waits to be started again.
    pub fn says_at_its_end(&mut self, id: u64, words: &str) {
        self.down.push(id);
        let name = self.name_of(id);
        let status = &mut self.container(&name)[0];
        status.ready = false;
        status.state = Some(ContainerState {
            waiting: Some(ContainerStateWaiting { reason: Some("CrashLoopBackOff".to_owned()), ..Default::default() }),
            ..Default::default()
        });
        status.last_state = Some(ContainerState {
            terminated: Some(ContainerStateTerminated { message: Some(words.to_owned()), ..Default::default() }),
            ..Default::default()
        });
    }

    /// The server runs, and what runs beside it doesn't.
    pub fn side_container_crashes(&mut self, name: &str) {
        let waiting = ContainerStateWaiting {
            reason: Some("CrashLoopBackOff".to_owned()),
            message: Some("back-off restarting failed container=side".to_owned()),
        };
        let state = ContainerState { waiting: Some(waiting), ..Default::default() };
        let side = ContainerStatus { name: "side".to_owned(), state: Some(state), ..Default::default() };
        self.container(name).push(side);
        self.is_not_ready(name);
    }

    fn is_not_ready(&mut self, name: &str) {
        let now = self.now;
        let status = self.pods.get_mut(name).unwrap().status.as_mut().unwrap();
        status.conditions = Some(vec![PodCondition {
            type_: "Ready".to_owned(),
            status: "False".to_owned(),
            last_transition_time: Some(Time(now)),
            ..Default::default()
        }]);
    }

    fn container(&mut self, name: &str) -> &mut Vec<ContainerStatus> {
        let status = self.pods.get_mut(name).unwrap().status.as_mut().unwrap();
        status.container_statuses.as_mut().unwrap()
    }

    /// The node is silent: its pod's condition turns, and nothing else does.
    pub fn loses_its_node(&mut self, id: u64) {
        self.down.push(id);
        let name = self.name_of(id);
        self.is_not_ready(&name);
    }
}

/// As Kubernetes has it when it runs.
fn made(world: &World, record: &EtcdMember) -> Pod {
    let name = record.name_any();
    let mut pod = presence::pod_of(world, record);
    pod.metadata.uid = Some(format!("uid-{name}"));
    pod.spec.as_mut().unwrap().node_name = Some(format!("node-{name}"));
    Pod {
        status: Some(PodStatus {
            phase: Some("Running".to_owned()),
            conditions: Some(vec![PodCondition {
                type_: "Ready".to_owned(),
                status: "True".to_owned(),
                last_transition_time: Some(Time(world.now)),
                ..Default::default()
            }]),
            container_statuses: Some(vec![ContainerStatus {
                name: CONTAINER.to_owned(),
                ready: true,
                started: Some(true),
                state: Some(ContainerState { running: Some(Default::default()), ..Default::default() }),
                ..Default::default()
            }]),
            ..PodStatus::default()
        }),
        ..pod
    }
}
