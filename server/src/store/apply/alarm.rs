//! Raising, clearing and listing alarms.

use bytes::Bytes;
use quorate_proto::served::etcdserverpb::{self as pb, alarm_request::AlarmAction};

use super::{execution::Execution, header};
use crate::store::{alarm::row_key, backend::Family};

/// An alarm that is raised twice or cleared when it was not raised changes nothing; as in etcd the first is still answered with.
pub(super) fn alarm(on: &mut Execution<'_>, request: &pb::AlarmRequest) -> pb::AlarmResponse {
    let member = pb::AlarmMember { member_id: request.member_id, alarm: request.alarm };
    let alarms = match request.action() {
        AlarmAction::Get => on.state.alarms.list(request.alarm),
        AlarmAction::Activate if request.alarm == pb::AlarmType::None as i32 => Vec::new(),
        AlarmAction::Activate => {
            if on.state.alarms.raise(&member) {
                on.write_row(Family::Alarm, row_key(&member), Some(Bytes::new()), None);
            }
            vec![member]
        }
        AlarmAction::Deactivate => {
            if on.state.alarms.clear(&member) {
                on.write_row(Family::Alarm, row_key(&member), None, Some(0));
                vec![member]
            } else {
                Vec::new()
            }
        }
    };
    pb::AlarmResponse { header: header(on.revision()), alarms }
}
