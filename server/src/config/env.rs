//! The environment: `ETCD_` variables fill in flags that the command line left out.

use std::collections::BTreeSet;

use super::Error;
use super::given::Given;
use super::legacy::REMOVED;
use super::notice::Notice;
use super::table::{self, FLAGS, Kind};

/// Adds the environment's values. An empty variable counts as unset, except that it still conflicts with its flag.
pub fn merge(given: &mut Given, variables: &[(String, String)], notices: &mut Vec<Notice>) -> Result<(), Error> {
    let names = FLAGS
        .iter()
        .map(|flag| (flag.name, flag.kind))
        .chain(REMOVED.iter().map(|removed| (removed.name, removed.kind)));
    let mut used = BTreeSet::new();
    for (name, kind) in names {
        let variable = table::variable(name);
        let Some((_, text)) = variables.iter().find(|(key, _)| *key == variable) else { continue };
        if given.contains(name) {
            return Err(Error::EnvConflict { variable });
        }
        if variable == "ETCD_VERSION" || text.is_empty() {
            continue;
        }
        let value = table::read(kind, text).map_err(|reason| Error::EnvValue {
            variable: variable.clone(),
            value: text.clone(),
            reason: if kind == Kind::Bool { format!("{reason} (use true or false)") } else { reason },
        })?;
        given.insert(name, value);
        notices.push(Notice::EnvUsed { name: variable.clone(), value: text.clone() });
        used.insert(variable);
    }
    for (key, text) in variables {
        if key == "ETCD_VERSION" {
            if !text.is_empty() {
                notices.push(Notice::EnvVersionDropped { value: text.clone() });
            }
        } else if key.starts_with("ETCD_") && !used.contains(key) {
            notices.push(Notice::EnvUnknown { text: format!("{key}={text}") });
        }
    }
    Ok(())
}
