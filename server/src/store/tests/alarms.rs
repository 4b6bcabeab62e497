//! Alarms, members, versions, sizes.

use pb::alarm_request::AlarmAction;
use quorate_proto::membershippb;

use super::*;

fn alarm(subject: &mut Subject, action: AlarmAction, member_id: u64, alarm: pb::AlarmType) -> Vec<pb::AlarmMember> {
    let request = pb::AlarmRequest { action: action as i32, member_id, alarm: alarm as i32 };
    match subject.apply(pb::InternalRaftRequest { alarm: Some(request), ..Default::default() }) {
        Ok(Response::Alarm(reply)) => reply.alarms,
        other => panic!("{other:?}"),
    }
}

fn txn(success: Vec<pb::RequestOp>, failure: Vec<pb::RequestOp>) -> pb::InternalRaftRequest {
    pb::InternalRaftRequest { txn: Some(pb::TxnRequest { compare: vec![], success, failure }), ..Default::default() }
}

#[test]
fn no_space_refuses_what_grows_and_lets_the_rest_pass() {
    on_each_backend(|mut subject| {
        subject.put("a", "1");
        alarm(&mut subject, AlarmAction::Activate, 1, pb::AlarmType::Nospace);
        assert_eq!(subject.apply(put("a", "2")), Err(Refusal::NoSpace));
        assert_eq!(subject.apply(grant(7)), Err(Refusal::NoSpace));
        let nested = op(Request::RequestTxn(pb::TxnRequest { failure: vec![put_op("b", "1")], ..Default::default() }));
        assert_eq!(subject.apply(txn(vec![], vec![nested])), Err(Refusal::NoSpace));
        assert!(subject.apply(txn(vec![delete_op("b", "")], vec![])).is_ok());
        assert_eq!(subject.delete("a", "").deleted, 1);
        assert!(subject.apply(compact(2)).is_ok());
        alarm(&mut subject, AlarmAction::Deactivate, 1, pb::AlarmType::Nospace);
        assert!(subject.apply(put("a", "2")).is_ok());
    });
}

#[test]
fn corruption_refuses_everything_about_keys_and_leases() {
    on_each_backend(|mut subject| {
        subject.put("a", "1");
        subject.grant(7);
        alarm(&mut subject, AlarmAction::Activate, 1, pb::AlarmType::Corrupt);
        for request in [
            put("a", "2"),
            delete("a", ""),
            compact(2),
            grant(8),
            revoke(7),
            txn(vec![range_op(range("a", ""))], vec![]),
        ] {
            assert_eq!(subject.apply(request), Err(Refusal::Corrupt));
        }
        assert_eq!(subject.store.revision(), 2);
    });
}

#[test]
fn alarms_are_raised_once_and_listed_by_kind() {
    let folder = tempfile::tempdir().unwrap();
    let mut subject = Subject::in_folder(folder.path());
    use pb::AlarmType::{Corrupt, None, Nospace};
    let member = |member_id, kind: pb::AlarmType| pb::AlarmMember { member_id, alarm: kind as i32 };
    assert_eq!(alarm(&mut subject, AlarmAction::Activate, 1, None), []);
    assert_eq!(alarm(&mut subject, AlarmAction::Activate, 1, Nospace), [member(1, Nospace)]);
    assert_eq!(alarm(&mut subject, AlarmAction::Activate, 1, Nospace), [member(1, Nospace)]);
    assert_eq!(alarm(&mut subject, AlarmAction::Activate, 2, Corrupt), [member(2, Corrupt)]);
    assert_eq!(alarm(&mut subject, AlarmAction::Get, 0, Corrupt), [member(2, Corrupt)]);
    assert_eq!(alarm(&mut subject, AlarmAction::Get, 0, None).len(), 2);
    assert_eq!(alarm(&mut subject, AlarmAction::Deactivate, 2, Nospace), []);
    assert_eq!(alarm(&mut subject, AlarmAction::Deactivate, 2, Corrupt), [member(2, Corrupt)]);
    drop(subject);
    assert_eq!(Subject::in_folder(folder.path()).store.alarms(), [member(1, Nospace)]);
}

#[test]
fn what_the_cluster_agreed_about_itself_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut subject = Subject::in_folder(folder.path());
    let attributes =
        |name: &str| membershippb::Attributes { name: name.to_owned(), client_urls: vec!["http://a:2379".to_owned()] };
    let attribute_set = |member_id, name| pb::InternalRaftRequest {
        cluster_member_attr_set: Some(membershippb::ClusterMemberAttrSetRequest {
            member_id,
            member_attributes: Some(attributes(name)),
        }),
        ..Default::default()
    };
    let version = membershippb::ClusterVersionSetRequest { ver: "3.7.0".to_owned() };
    let downgrade = membershippb::DowngradeInfoSetRequest { enabled: true, ver: "3.6.0".to_owned() };
    subject.apply_all(vec![
        attribute_set(9, "first"),
        attribute_set(9, "renamed to something longer"),
        attribute_set(3, "second"),
        attribute_set(7, "removed below"),
        pb::InternalRaftRequest { cluster_version_set: Some(version), ..Default::default() },
        pb::InternalRaftRequest { downgrade_info_set: Some(downgrade), ..Default::default() },
    ]);
    let position = Position::new(3, 20);
    subject
        .writer
        .apply(vec![Entry { position, payload: Payload::Membership { data: bytes("members"), removed: vec![7] } }])
        .unwrap();
    let size = subject.store.size();
    drop(subject);
    let mut subject = Subject::in_folder(folder.path());
    let store = subject.store.clone();
    assert_eq!(store.member_attributes(), [(3, attributes("second")), (9, attributes("renamed to something longer"))]);
    assert!(store.is_removed_member(7) && !store.is_removed_member(9));
    assert_eq!(store.cluster_version().as_deref(), Some("3.7.0"));
    assert_eq!(store.downgrade().unwrap().target_version, "3.6.0");
    assert_eq!(store.membership(), Some((position, bytes("members"))));
    assert_eq!((store.applied(), store.flushed()), (position, position));
    assert_eq!(store.size(), size);
    let ended = membershippb::DowngradeInfoSetRequest { enabled: false, ver: String::new() };
    subject.index = 20;
    let entry = pb::InternalRaftRequest { downgrade_info_set: Some(ended), ..Default::default() };
    let late = attribute_set(7, "too late");
    let requests = [(21, entry), (22, late)].map(|(index, request)| Entry {
        position: Position::new(3, index),
        payload: Payload::Request(Box::new(request)),
    });
    subject.writer.apply(requests.into()).unwrap();
    assert_eq!(store.member_attributes().len(), 2);
    assert_eq!(store.downgrade(), None);
}

#[test]
fn total_size_stays_at_its_highest_until_defragmentation() {
    on_each_backend(|mut subject| {
        let empty = subject.store.size();
        assert_eq!(empty.total, empty.in_use);
        let value = "v".repeat(10_000);
        for _ in 0..10 {
            subject.put("a", &value);
        }
        let full = subject.store.size();
        assert_eq!(full.total, full.in_use);
        assert!(full.in_use - empty.in_use >= 100_000 && full.in_use % 4096 == 0);
        subject.compact(11);
        let compacted = subject.store.size();
        assert_eq!(compacted.total, full.total);
        assert!(compacted.in_use - empty.in_use < 20_000);
        subject.store.defragment().unwrap();
        assert_eq!(subject.store.size().total, compacted.in_use);
        assert_eq!(subject.value("a").unwrap(), value);
    });
}
