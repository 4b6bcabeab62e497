//! Alarms: what members have raised and nobody has cleared.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message;
use quorate_proto::served::etcdserverpb as pb;

/// The raised alarms, ordered by kind and member.
#[derive(Debug, Default, Clone)]
pub(super) struct Alarms {
    raised: BTreeSet<(i32, u64)>,
}

impl Alarms {
    pub(super) fn has(&self, alarm: pb::AlarmType) -> bool {
        self.raised.range((alarm as i32, 0)..=(alarm as i32, u64::MAX)).next().is_some()
    }

    /// Those of one kind; `NONE` is every kind.
    pub(super) fn list(&self, alarm: i32) -> Vec<pb::AlarmMember> {
        self.raised
            .iter()
            .filter(|(kind, _)| alarm == pb::AlarmType::None as i32 || *kind == alarm)
            .map(|&(alarm, member_id)| pb::AlarmMember { member_id, alarm })
            .collect()
    }

    /// True if it was not raised yet.
    pub(super) fn raise(&mut self, alarm: &pb::AlarmMember) -> bool {
        self.raised.insert((alarm.alarm, alarm.member_id))
    }

    /// True if it was raised.
    pub(super) fn clear(&mut self, alarm: &pb::AlarmMember) -> bool {
        self.raised.remove(&(alarm.alarm, alarm.member_id))
    }
}

/// etcd keeps an alarm as a key without a value.
pub(super) fn row_key(alarm: &pb::AlarmMember) -> Bytes {
    alarm.encode_to_vec().into()
}
