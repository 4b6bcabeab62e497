//! `pause` and `unpause`: whether the operator acts.

use serde_json::json;

use super::say;
use crate::Error;
use crate::access::Access;

pub async fn run(access: &Access, name: &str, paused: bool) -> Result<(), Error> {
    let cluster = access.cluster(name).await?;
    let said = match (cluster.spec.paused, paused) {
        (true, true) => format!("{name} is paused already"),
        (false, false) => format!("{name} is not paused"),
        (false, true) => {
            format!("{name} is paused: it serves on, and nothing is repaired until `kubectl quorate unpause {name}`")
        }
        (true, false) => format!("{name} is looked after again"),
    };
    if cluster.spec.paused != paused {
        access.patch(name, json!({"spec": {"paused": paused}})).await?;
    }
    say::line(&said)
}
