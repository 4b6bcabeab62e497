//! `--feature-gates`: switches for behaviour that etcd has not settled.

/// A switch by etcd's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    CompactHashCheck,
    FastLeaseKeepAlive,
    InitialCorruptCheck,
    LeaseCheckpoint,
    LeaseCheckpointPersist,
    PriorityRequest,
    SetMemberLocalAddr,
    StopGrpcServiceOnDefrag,
    TxnModeWriteWithSharedBuffer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Alpha,
    Beta,
}

impl Gate {
    /// Every gate, by name.
    pub const ALL: [Gate; 9] = [
        Gate::CompactHashCheck,
        Gate::FastLeaseKeepAlive,
        Gate::InitialCorruptCheck,
        Gate::LeaseCheckpoint,
        Gate::LeaseCheckpointPersist,
        Gate::PriorityRequest,
        Gate::SetMemberLocalAddr,
        Gate::StopGrpcServiceOnDefrag,
        Gate::TxnModeWriteWithSharedBuffer,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::CompactHashCheck => "CompactHashCheck",
            Self::FastLeaseKeepAlive => "FastLeaseKeepAlive",
            Self::InitialCorruptCheck => "InitialCorruptCheck",
            Self::LeaseCheckpoint => "LeaseCheckpoint",
            Self::LeaseCheckpointPersist => "LeaseCheckpointPersist",
            Self::PriorityRequest => "PriorityRequest",
            Self::SetMemberLocalAddr => "SetMemberLocalAddr",
            Self::StopGrpcServiceOnDefrag => "StopGRPCServiceOnDefrag",
            Self::TxnModeWriteWithSharedBuffer => "TxnModeWriteWithSharedBuffer",
        }
    }

    pub fn stage(self) -> Stage {
        if self.default() { Stage::Beta } else { Stage::Alpha }
    }

    /// Why it makes no difference here which way the gate stands; `None` where it does.
    pub fn no_effect(self) -> Option<&'static str> {
        match self {
            Self::CompactHashCheck
            | Self::InitialCorruptCheck
            | Self::SetMemberLocalAddr
            | Self::StopGrpcServiceOnDefrag => None,
            Self::FastLeaseKeepAlive => Some("a leader always renews leases at once"),
            Self::LeaseCheckpoint => Some("the remaining times of long leases are always recorded"),
            Self::LeaseCheckpointPersist => Some("the remaining times of long leases are always kept on disk"),
            Self::PriorityRequest => Some("no request overtakes another here"),
            Self::TxnModeWriteWithSharedBuffer => {
                Some("it is about bbolt's transactions, and RocksDB holds the data here")
            }
        }
    }

    /// etcd turns its beta gates on and its alpha gates off.
    pub fn default(self) -> bool {
        matches!(self, Self::FastLeaseKeepAlive | Self::TxnModeWriteWithSharedBuffer)
    }
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alpha => "ALPHA",
            Self::Beta => "BETA",
        }
    }
}

/// The gates' positions; `Default` is etcd's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureGates {
    on: [bool; Gate::ALL.len()],
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("missing bool value for {0}")]
    MissingValue(String),
    #[error("invalid value of {name}={value}: use true or false")]
    NotBool { name: String, value: String },
    #[error("unrecognized feature gate: {0}")]
    Unknown(String),
}

impl FeatureGates {
    pub fn enabled(&self, gate: Gate) -> bool {
        self.on[gate as usize]
    }

    pub fn set(&mut self, gate: Gate, on: bool) {
        self.on[gate as usize] = on;
    }

    /// Reads `A=true,B=false`. `AllAlpha` and `AllBeta` move the gates of that stage that the text does not name.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut gates = Self::default();
        let mut named = [false; Gate::ALL.len()];
        let mut stages = Vec::new();
        for item in text.split(',').filter(|item| !item.is_empty()) {
            let (name, value) = match item.split_once('=') {
                Some((name, value)) => (name.trim(), value.trim()),
                None => return Err(Error::MissingValue(item.trim().to_owned())),
            };
            let on = super::value::parse_bool(value)
                .ok_or_else(|| Error::NotBool { name: name.to_owned(), value: value.to_owned() })?;
            match name {
                "AllAlpha" => stages.push((Stage::Alpha, on)),
                "AllBeta" => stages.push((Stage::Beta, on)),
                _ => {
                    let gate = Gate::ALL
                        .into_iter()
                        .find(|gate| gate.name() == name)
                        .ok_or_else(|| Error::Unknown(name.to_owned()))?;
                    gates.set(gate, on);
                    named[gate as usize] = true;
                }
            }
        }
        for (stage, on) in stages {
            for gate in Gate::ALL {
                if gate.stage() == stage && !named[gate as usize] {
                    gates.set(gate, on);
                }
            }
        }
        Ok(gates)
    }
}

impl Default for FeatureGates {
    fn default() -> Self {
        Self { on: Gate::ALL.map(Gate::default) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(text: &str) -> Vec<&'static str> {
        let gates = FeatureGates::parse(text).unwrap();
        Gate::ALL.into_iter().filter(|gate| gates.enabled(*gate)).map(Gate::name).collect()
    }

    #[test]
    fn gates_start_at_etcds_defaults() {
        assert_eq!(on(""), ["FastLeaseKeepAlive", "TxnModeWriteWithSharedBuffer"]);
    }

    #[test]
    fn gates_are_set_by_name() {
        assert_eq!(
            on("InitialCorruptCheck=true, FastLeaseKeepAlive = 0"),
            ["InitialCorruptCheck", "TxnModeWriteWithSharedBuffer"]
        );
    }

    #[test]
    fn a_stage_moves_only_gates_that_are_not_named() {
        assert_eq!(on("AllBeta=false"), Vec::<&str>::new());
        assert_eq!(on("AllAlpha=true,LeaseCheckpoint=false,AllBeta=false").len(), 6);
    }

    #[test]
    fn unknown_gates_and_values_are_refused() {
        for (text, message) in [
            ("Foo=true", "unrecognized feature gate: Foo"),
            ("LeaseCheckpoint", "missing bool value for LeaseCheckpoint"),
            ("LeaseCheckpoint=yes", "invalid value of LeaseCheckpoint=yes: use true or false"),
        ] {
            assert_eq!(FeatureGates::parse(text).unwrap_err().to_string(), message);
        }
    }
}
