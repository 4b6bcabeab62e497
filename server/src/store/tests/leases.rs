//! Leases and their keys.

use super::*;
use crate::store::lease::MAX_TTL_SECONDS;

fn attached(subject: &Subject, id: i64) -> Vec<String> {
    subject.store.lease(id).unwrap().keys.iter().map(|key| text(key)).collect()
}

#[test]
fn a_revoked_lease_takes_its_keys_in_one_revision() {
    on_each_backend(|mut subject| {
        subject.grant(7);
        for key in ["b", "a", "c"] {
            subject.apply(put_on(key, "1", 7)).unwrap();
        }
        subject.put("d", "1");
        assert_eq!(attached(&subject, 7), ["a", "b", "c"]);
        let Ok(Response::LeaseRevoke(reply)) = subject.apply(revoke(7)) else { panic!() };
        assert_eq!(reply.header.unwrap().revision, 6);
        assert_eq!(keys(&subject.range(range("\0", "\0")).kvs), ["d"]);
        assert_eq!((subject.store.lease(7), subject.store.leases()), (None, vec![]));
        assert_eq!(subject.apply(revoke(7)), Err(Refusal::LeaseNotFound));
    });
}

#[test]
fn a_lease_without_keys_goes_without_a_revision() {
    on_each_backend(|mut subject| {
        subject.grant(7);
        subject.apply(revoke(7)).unwrap();
        assert_eq!(subject.store.revision(), 1);
    });
}

#[test]
fn a_key_hangs_on_the_lease_of_its_last_put() {
    on_each_backend(|mut subject| {
        subject.grant(7);
        subject.grant(8);
        subject.apply(put_on("a", "1", 7)).unwrap();
        subject.apply(put_on("a", "2", 8)).unwrap();
        assert!(attached(&subject, 7).is_empty());
        assert_eq!(attached(&subject, 8), ["a"]);
        subject.put("a", "3");
        assert!(attached(&subject, 8).is_empty());
        subject.apply(put_on("a", "4", 8)).unwrap();
        subject.delete("a", "");
        assert!(attached(&subject, 8).is_empty());
        subject.apply(revoke(8)).unwrap();
        assert_eq!(subject.store.revision(), 6);
    });
}

#[test]
fn grants_that_cannot_be_are_refused() {
    let mut subject = Subject::in_memory();
    let granted = |id, ttl| pb::InternalRaftRequest {
        lease_grant: Some(pb::LeaseGrantRequest { id, ttl }),
        ..Default::default()
    };
    subject.apply(granted(7, MAX_TTL_SECONDS)).unwrap();
    assert_eq!(subject.apply(granted(7, 10)), Err(Refusal::LeaseExists));
    assert_eq!(subject.apply(granted(0, 10)), Err(Refusal::LeaseNotFound));
    assert_eq!(subject.apply(granted(8, MAX_TTL_SECONDS + 1)), Err(Refusal::LeaseTtlTooLarge));
    assert_eq!(subject.apply(put_on("a", "1", 8)), Err(Refusal::LeaseNotFound));
    assert_eq!(subject.store.leases(), [7]);
}

#[test]
fn leases_attachments_and_checkpoints_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut subject = Subject::in_folder(folder.path());
    subject.grant(7);
    subject.grant(8);
    subject.apply_all(vec![
        put_on("a", "1", 7),
        put_on("b", "1", 7),
        put_on("b", "2", 8),
        put_on("c", "1", 7),
        put("c", "2"),
    ]);
    subject.apply_all(vec![put_on("d", "1", 8), delete("d", "")]);
    let checkpoint = |id, remaining_ttl| pb::LeaseCheckpoint { id, remaining_ttl };
    let request = pb::LeaseCheckpointRequest { checkpoints: vec![checkpoint(7, 33), checkpoint(99, 1)] };
    subject.apply(pb::InternalRaftRequest { lease_checkpoint: Some(request), ..Default::default() }).unwrap();
    let size = subject.store.size();
    drop(subject);
    let subject = Subject::in_folder(folder.path());
    let lease = subject.store.lease(7).unwrap();
    assert_eq!((lease.ttl, lease.remaining_ttl), (60, 33));
    assert_eq!(subject.store.lease_times()[1].id, 8);
    assert_eq!(attached(&subject, 7), ["a"]);
    assert_eq!(attached(&subject, 8), ["b"]);
    assert_eq!(subject.store.size(), size);
}
