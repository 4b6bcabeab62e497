//! Replies about single endpoints, in the order they were asked.

use quorate_proto::etcdserverpb::{HashKvResponse, MoveLeaderResponse, StatusResponse};

use super::{Json, Object, Reply, Style, Table, Text, header};
use crate::go::format_size;

/// Whether one endpoint can commit.
#[derive(Clone, Debug)]
pub struct Health {
    pub endpoint: String,
    pub healthy: bool,
    /// Empty if there was no connection to ask on.
    pub took: String,
    /// Empty if healthy.
    pub error: String,
}

#[derive(Clone, Debug)]
pub struct EndpointHealth(pub Vec<Health>);

impl Reply for EndpointHealth {
    /// The healthy ones only: the command reports the others on standard error.
    fn simple(&self, _style: Style) -> Text {
        let mut out = Text::new();
        for Health { endpoint, took, .. } in self.0.iter().filter(|health| health.error.is_empty()) {
            out.line(format_args!("{endpoint} is healthy: successfully committed proposal: took = {took}"));
        }
        out
    }

    fn fields(&self, _style: Style) -> Option<Text> {
        let mut out = Text::new();
        for health in &self.0 {
            out.quoted_field("Endpoint", health.endpoint.as_bytes());
            out.field("Health", health.healthy);
            out.field("Took", &health.took);
            out.field("Error", &health.error);
            out.line("");
        }
        Some(out)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let endpoints = self.0.iter().map(|health| {
            let object = Object::new()
                .always("endpoint", health.endpoint.as_str())
                .always("health", health.healthy)
                .always("took", health.took.as_str())
                .nonzero("error", health.error.as_str());
            Json::from(object)
        });
        Some(Json::list_or_null(endpoints))
    }

    fn table(&self) -> Option<Table> {
        let row = |health: &Health| {
            vec![health.endpoint.clone(), health.healthy.to_string(), health.took.clone(), health.error.clone()]
        };
        Some(Table { header: &["endpoint", "health", "took", "error"], rows: self.0.iter().map(row).collect() })
    }
}

/// Endpoints with what they say about themselves.
#[derive(Clone, Debug)]
pub struct EndpointStatuses(pub Vec<(String, StatusResponse)>);

impl Reply for EndpointStatuses {
    fn simple(&self, _style: Style) -> Text {
        self.rows().lines()
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = Text::new();
        for (endpoint, status) in &self.0 {
            let downgrade = status.downgrade_info.clone().unwrap_or_default();
            header::fields(status.header.as_ref(), style.hex, &mut out);
            out.quoted_field("Version", status.version.as_bytes());
            out.quoted_field("StorageVersion", status.storage_version.as_bytes());
            out.field("DBSize", status.db_size);
            out.field("DBSizeInUse", status.db_size_in_use);
            out.field("DBSizeQuota", status.db_size_quota);
            out.field("Leader", status.leader);
            out.field("IsLearner", status.is_learner);
            out.field("RaftIndex", status.raft_index);
            out.field("RaftAppliedIndex", status.raft_applied_index);
            out.field("Errors", format_args!("[{}]", status.errors.join(" ")));
            out.quoted_field("Endpoint", endpoint.as_bytes());
            out.quoted_field("DowngradeTargetVersion", downgrade.target_version.as_bytes());
            out.field("DowngradeEnabled", downgrade.enabled);
            out.line("");
        }
        Some(out)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let endpoints = self.0.iter().map(|(endpoint, status)| {
            let object = Object::new().always("Endpoint", endpoint.as_str()).always("Status", status_object(status));
            Json::from(object)
        });
        Some(Json::list_or_null(endpoints))
    }

    fn table(&self) -> Option<Table> {
        Some(self.rows())
    }
}

fn status_object(status: &StatusResponse) -> Object {
    let downgrade = status.downgrade_info.as_ref().map(|info| {
        Object::new().nonzero("enabled", info.enabled).nonzero("targetVersion", info.target_version.as_str())
    });
    header::object_with(status.header.as_ref())
        .nonzero("version", status.version.as_str())
        .nonzero("dbSize", status.db_size)
        .nonzero("leader", status.leader)
        .nonzero("raftIndex", status.raft_index)
        .nonzero("raftTerm", status.raft_term)
        .nonzero("raftAppliedIndex", status.raft_applied_index)
        .nonzero("errors", status.errors.as_slice())
        .nonzero("dbSizeInUse", status.db_size_in_use)
        .nonzero("isLearner", status.is_learner)
        .nonzero("storageVersion", status.storage_version.as_str())
        .nonzero("dbSizeQuota", status.db_size_quota)
        .nonzero("downgradeInfo", downgrade)
}

impl EndpointStatuses {
    fn rows(&self) -> Table {
        const HEADER: &[&str] = &[
            "endpoint",
            "ID",
            "version",
            "storage version",
            "db size",
            "in use",
            "percentage not in use",
            "quota",
            "is leader",
            "is learner",
            "raft term",
            "raft index",
            "raft applied index",
            "errors",
            "downgrade target version",
            "downgrade enabled",
        ];
        let row = |(endpoint, status): &(String, StatusResponse)| {
            let member_id = status.header.map(|header| header.member_id).unwrap_or_default();
            let downgrade = status.downgrade_info.clone().unwrap_or_default();
            vec![
                endpoint.clone(),
                format!("{member_id:x}"),
                status.version.clone(),
                status.storage_version.clone(),
                size(status.db_size),
                size(status.db_size_in_use),
                format!("{}%", percentage_not_in_use(status)),
                size(status.db_size_quota),
                (status.leader == member_id).to_string(),
                status.is_learner.to_string(),
                status.raft_term.to_string(),
                status.raft_index.to_string(),
                status.raft_applied_index.to_string(),
                status.errors.join(", "),
                downgrade.target_version,
                downgrade.enabled.to_string(),
            ]
        };
        Table { header: HEADER, rows: self.0.iter().map(row).collect() }
    }
}

fn size(bytes: i64) -> String {
    format_size(bytes.cast_unsigned())
}

/// Rounded up, as a hundred minus the rounded down share that is in use; 0 of an empty database.
fn percentage_not_in_use(status: &StatusResponse) -> i64 {
    status.db_size_in_use.saturating_mul(100).checked_div(status.db_size).map_or(0, |in_use| 100 - in_use)
}

/// Endpoints with the hashes of their histories.
#[derive(Clone, Debug)]
pub struct EndpointHashes(pub Vec<(String, HashKvResponse)>);

impl Reply for EndpointHashes {
    fn simple(&self, _style: Style) -> Text {
        self.rows().lines()
    }

    fn fields(&self, style: Style) -> Option<Text> {
        let mut out = Text::new();
        for (endpoint, hash) in &self.0 {
            header::fields(hash.header.as_ref(), style.hex, &mut out);
            out.quoted_field("Endpoint", endpoint.as_bytes());
            out.field("Hash", hash.hash);
            out.field("HashRevision", hash.hash_revision);
            out.line("");
        }
        Some(out)
    }

    fn json(&self, _style: Style) -> Option<Json> {
        let endpoints = self.0.iter().map(|(endpoint, hash)| {
            let hash = header::object_with(hash.header.as_ref())
                .nonzero("hash", hash.hash)
                .nonzero("compact_revision", hash.compact_revision)
                .nonzero("hash_revision", hash.hash_revision);
            Json::from(Object::new().always("Endpoint", endpoint.as_str()).always("HashKV", hash))
        });
        Some(Json::list_or_null(endpoints))
    }

    fn table(&self) -> Option<Table> {
        Some(self.rows())
    }
}

impl EndpointHashes {
    fn rows(&self) -> Table {
        let row = |(endpoint, hash): &(String, HashKvResponse)| {
            vec![endpoint.clone(), hash.hash.to_string(), hash.hash_revision.to_string()]
        };
        Table { header: &["endpoint", "hash", "hash_revision"], rows: self.0.iter().map(row).collect() }
    }
}

/// The reply to move-leader.
#[derive(Clone, Debug)]
pub struct MovedLeader {
    pub from: u64,
    pub to: u64,
    pub reply: MoveLeaderResponse,
}

impl Reply for MovedLeader {
    fn simple(&self, _style: Style) -> Text {
        let mut out = Text::new();
        out.line(format_args!("Leadership transferred from {:x} to {:x}", self.from, self.to));
        out
    }

    fn json(&self, _style: Style) -> Option<Json> {
        Some(header::object_with(self.reply.header.as_ref()).into())
    }
}
