//! Values somebody gave, by flag name: what the command line, the environment and the file each produce.

use std::collections::BTreeMap;

use super::Error;
use super::feature_gate::Gate;
use super::legacy::{self, Became};
use super::notice::Notice;
use super::table::{self, Effect, Group, Kind};
use super::unbuilt;
use super::value::Value;

#[derive(Debug, Default)]
pub struct Given {
    values: BTreeMap<&'static str, Value>,
    /// Gates moved through their old flags; `--feature-gates` wins over them.
    pub gates: Vec<(Gate, bool)>,
    /// etcd checks a few things only for flags and variables (see `resolve`).
    pub from_file: bool,
}

/// The canonical name and the kind of a flag, removed ones included.
pub fn lookup(name: &str) -> Option<(&'static str, Kind)> {
    table::find(name)
        .map(|flag| (flag.name, flag.kind))
        .or_else(|| legacy::find(name).map(|removed| (removed.name, removed.kind)))
}

impl Given {
    /// The last value wins, except that gates add up.
    pub fn insert(&mut self, name: &'static str, value: Value) {
        if name == "feature-gates"
            && let (Some(Value::Text(before)), Value::Text(after)) = (self.values.get_mut(name), &value)
        {
            before.push(',');
            before.push_str(after);
            return;
        }
        self.values.insert(name, value);
    }

    pub fn contains(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Replaces old names by what became of them, drops what has no effect, and refuses what cannot be honoured.
    pub fn settle(&mut self, notices: &mut Vec<Notice>) -> Result<(), Error> {
        for name in self.values.keys().copied().collect::<Vec<_>>() {
            if let Some(removed) = legacy::find(name) {
                let Some(value) = self.values.remove(name) else { continue };
                self.settle_removed(removed, value, notices)?;
            }
        }
        for (name, value) in &self.values {
            let Some(flag) = table::find(name) else { continue };
            if flag.group == Group::Legacy {
                notices.push(Notice::Ignored { flag: flag.name.to_owned() });
            }
            if flag.read(flag.default).ok().as_ref() == Some(value) {
                continue;
            }
            if let Effect::None(reason) = flag.effect {
                notices.push(Notice::NoEffect { flag: flag.name.to_owned(), reason });
            }
            unbuilt::check_flag(flag.name)?;
        }
        Ok(())
    }

    fn settle_removed(
        &mut self,
        removed: &legacy::Removed,
        value: Value,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Error> {
        let flag = removed.name.to_owned();
        match removed.became {
            Became::Flag(successor) if self.contains(successor) => {
                notices.push(Notice::Shadowed { flag, successor: successor.to_owned() });
            }
            Became::Flag(successor) => {
                self.insert(successor, value);
                notices.push(Notice::Renamed { flag, successor: successor.to_owned() });
            }
            Became::Gate(gate) => {
                if let Value::Bool(on) = value {
                    self.gates.push((gate, on));
                }
                notices.push(Notice::Renamed { flag, successor: format!("feature-gates={}", gate.name()) });
            }
            Became::DebugLevel => {
                if value == Value::Bool(true) && !self.contains("log-level") {
                    self.insert("log-level", Value::Text("debug".to_owned()));
                }
                notices.push(Notice::Renamed { flag, successor: "log-level=debug".to_owned() });
            }
            Became::Nothing(reason) => notices.push(Notice::NoEffect { flag, reason }),
            Became::OnlyOff(off) => {
                if value != Value::Text(off.to_owned()) {
                    unbuilt::check_flag(removed.name)?;
                }
                notices.push(Notice::Ignored { flag });
            }
        }
        Ok(())
    }
}
