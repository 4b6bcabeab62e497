//! What health checks and `/version` ask, answered by the member.

use quorate_proto::served::etcdserverpb as pb;
use serde_json::json;

use super::member::Member;
use crate::http::admin;

impl admin::Probe for Member {
    fn alarms(&self) -> Vec<admin::Alarm> {
        let alarms = self.store().alarms();
        alarms
            .iter()
            .filter_map(|alarm| match pb::AlarmType::try_from(alarm.alarm) {
                Ok(pb::AlarmType::Nospace) => Some(admin::Alarm::NoSpace),
                Ok(pb::AlarmType::Corrupt) => Some(admin::Alarm::Corrupt),
                Ok(pb::AlarmType::None) | Err(_) => None,
            })
            .collect()
    }

    fn leader(&self) -> Option<u64> {
        Some(self.raft().leader()).filter(|leader| *leader != 0)
    }

    fn is_learner(&self) -> bool {
        self.raft().is_learner()
    }

    fn versions(&self) -> admin::Versions {
        admin::Versions { cluster: self.store().cluster_version(), storage: self.storage_version() }
    }

    fn vars(&self) -> Vec<(&'static str, serde_json::Value)> {
        let status = self.raft().status();
        let raft = json!({
            "id": format!("{:x}", self.raft().identity().member_id),
            "term": status.term,
            "commit": self.raft().committed(),
            "applied": self.raft().applied(),
            "lead": format!("{:x}", status.leader),
        });
        vec![("raft.status", raft)]
    }

    async fn serializable_read(&self) -> Result<(), String> {
        one_key(self)
    }

    async fn linearizable_read(&self) -> Result<(), String> {
        self.raft().read_barrier().await.map_err(|error| crate::http::status::raft(error).message().to_owned())?;
        one_key(self)
    }
}

fn one_key(member: &Member) -> Result<(), String> {
    let request = pb::RangeRequest { key: bytes::Bytes::from_static(b"\0"), limit: 1, ..Default::default() };
    member.store().range(&request).map(drop).map_err(|error| error.to_string())
}
