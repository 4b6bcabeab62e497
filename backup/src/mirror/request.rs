//! Revisions as transactions. Servers handle calls side by side, so that several on their way arrive in any order. Each transaction
//! has all revisions that may be next by then, the newest outermost, and does the one whose turn it is:
//!
//! ```text
//! if 8 is there { if 9's keys are as they were { 9 } } else if 7 is there { if 8's keys are as they were { 8 } } else …
//! ```

use bytes::Bytes;
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::response_op::Response;
use quorate_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RequestOp, ResponseOp, TxnRequest, TxnResponse,
};

use super::fold::{Deletion, single};
use super::revision::{Part, Revision};

/// Of a revision's own keys; more would only cost time.
const COMPARES_MAX: usize = 8;
/// Of puts and deletions together.
pub(super) const OWN_MAX: usize = 2 * COMPARES_MAX;
/// Of those that prove the revision before.
const PROOF_MAX: usize = 8;

/// What is true of the target if a revision is applied, and false if it is not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Proof(Vec<Compare>);

impl Proof {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// `before`: of the revision before. None: nothing short proves it.
    pub(super) fn of(revision: &Revision, before: &Self) -> Option<Self> {
        if let Some(pair) = revision.puts().next_back() {
            let is_there = compare(&pair.key, CompareResult::Equal, TargetUnion::ModRevision(revision.number));
            return Some(Self(vec![is_there]));
        }
        // A deleted key was there before, given that all before is applied.
        let key = &revision.runs().next()?.first;
        let proof = &before.0;
        if proof.len() >= PROOF_MAX || proof.iter().any(|one| revision.touches(&one.key)) {
            return None;
        }
        let is_gone = compare(key, CompareResult::Equal, TargetUnion::Version(0));
        Some(Self(proof.iter().cloned().chain([is_gone]).collect()))
    }
}

/// What a transaction may do: a revision, and what proves the one before.
pub(super) struct Step<'a> {
    pub(super) before: &'a Proof,
    pub(super) revision: &'a Revision,
    pub(super) deletions: Vec<Vec<Deletion>>,
}

/// Does one of the steps, which are in the order of their revisions, or nothing. There is none if there are no steps.
pub(super) fn txn(steps: Vec<Step<'_>>) -> Option<TxnRequest> {
    steps.into_iter().fold(None, |lower, step| {
        let turn = TxnRequest {
            compare: own(step.revision).collect(),
            success: operations(step.revision, step.deletions),
            failure: Vec::new(),
        };
        let Some(lower) = lower else {
            // Everything before was there when it was sent.
            let compare = step.before.0.iter().cloned().chain(turn.compare).collect();
            return Some(TxnRequest { compare, ..turn });
        };
        Some(TxnRequest { compare: step.before.0.clone(), success: vec![nested(turn)], failure: vec![nested(lower)] })
    })
}

/// How deep the step is that was done, and its answers; none if nothing was done. `steps`: how many there were.
pub(super) fn done(answer: &TxnResponse, steps: usize) -> Option<(usize, &[ResponseOp])> {
    let mut answer = answer;
    for depth in 0..steps {
        let is_last = depth + 1 == steps;
        if answer.succeeded {
            let step = if is_last { answer } else { inner(answer)? };
            return step.succeeded.then_some((depth, step.responses.as_slice()));
        }
        if !is_last {
            answer = inner(answer)?;
        }
    }
    None
}

fn inner(answer: &TxnResponse) -> Option<&TxnResponse> {
    match answer.responses.first()?.response.as_ref()? {
        Response::ResponseTxn(inner) => Some(inner),
        _ => None,
    }
}

fn nested(txn: TxnRequest) -> RequestOp {
    RequestOp { request: Some(Request::RequestTxn(txn)) }
}

fn operations(revision: &Revision, deletions: Vec<Vec<Deletion>>) -> Vec<RequestOp> {
    let mut deletions = deletions.into_iter();
    let mut requests = Vec::new();
    for part in &revision.parts {
        match part {
            Part::Put(pair) => {
                let (key, value) = (pair.key.clone(), pair.value.clone());
                let put = PutRequest { key, value, lease: pair.lease, ..PutRequest::default() };
                requests.push(Request::RequestPut(put));
            }
            Part::Delete(_) => requests.extend(deletions.next().into_iter().flatten().map(|one| {
                let Deletion { key, range_end, count: _ } = one;
                Request::RequestDeleteRange(DeleteRangeRequest { key, range_end, prev_kv: false })
            })),
        }
    }
    requests.into_iter().map(|request| RequestOp { request: Some(request) }).collect()
}

/// Deletions as the source did them, one for each run.
pub(super) fn unfolded(revision: &Revision) -> Vec<Vec<Deletion>> {
    revision.runs().map(|run| run.keys.iter().map(single).collect()).collect()
}

/// The keys are as they were before the revision: so it is not applied twice.
fn own(revision: &Revision) -> impl Iterator<Item = Compare> {
    let puts =
        revision.puts().map(|pair| compare(&pair.key, CompareResult::Equal, TargetUnion::Version(pair.version - 1)));
    let deletions = revision.runs().map(|run| compare(&run.first, CompareResult::Greater, TargetUnion::Version(0)));
    puts.take(COMPARES_MAX).chain(deletions.take(COMPARES_MAX))
}

fn compare(key: &Bytes, result: CompareResult, wanted: TargetUnion) -> Compare {
    let target = match wanted {
        TargetUnion::Version(_) => CompareTarget::Version,
        TargetUnion::CreateRevision(_) => CompareTarget::Create,
        TargetUnion::ModRevision(_) => CompareTarget::Mod,
        TargetUnion::Value(_) => CompareTarget::Value,
        TargetUnion::Lease(_) => CompareTarget::Lease,
    };
    Compare {
        result: result.into(),
        target: target.into(),
        key: key.clone(),
        target_union: Some(wanted),
        ..Compare::default()
    }
}

/// How many keys the answers say were deleted.
pub(super) fn deleted(responses: &[ResponseOp]) -> usize {
    let deleted = |one: &ResponseOp| match &one.response {
        Some(Response::ResponseDeleteRange(answer)) => usize::try_from(answer.deleted).unwrap_or(0),
        _ => 0,
    };
    responses.iter().map(deleted).sum()
}

#[cfg(test)]
mod tests {
    use quorate_proto::mvccpb::KeyValue;

    use super::*;

    fn put(revision: &mut Revision, key: &'static str, version: i64, lease: i64) {
        revision.put(KeyValue { key: key.into(), version, lease, value: "v".into(), ..KeyValue::default() });
    }

    fn keys(proof: &Proof) -> Vec<&[u8]> {
        proof.0.iter().map(|one| &one.key[..]).collect()
    }

    #[test]
    fn operations_keep_their_order_and_leases() {
        let mut revision = Revision::new(7);
        put(&mut revision, "b", 3, 12);
        revision.delete("a".into());
        revision.delete("c".into());
        put(&mut revision, "d", 1, 0);
        let deletions = unfolded(&revision);
        let txn = txn(vec![Step { before: &Proof::default(), revision: &revision, deletions }]).unwrap();
        let described = txn.success.iter().map(|one| match one.request.as_ref().unwrap() {
            Request::RequestPut(put) => format!("put {:?} {}", put.key, put.lease),
            Request::RequestDeleteRange(deletion) => format!("delete {:?}", deletion.key),
            _ => "?".to_owned(),
        });
        let described = described.collect::<Vec<_>>();
        assert_eq!(described, [r#"put b"b" 12"#, r#"delete b"a""#, r#"delete b"c""#, r#"put b"d" 0"#]);
        let compared: Vec<_> =
            txn.compare.iter().map(|one| (&one.key[..], one.target_union.clone().unwrap())).collect();
        let version = TargetUnion::Version;
        assert_eq!(compared, [(&b"b"[..], version(2)), (b"d", version(0)), (b"a", version(0))]);
    }

    #[test]
    fn a_put_proves_its_revision_alone() {
        let mut revision = Revision::new(7);
        put(&mut revision, "b", 3, 0);
        let proof = Proof::of(&revision, &Proof::default()).unwrap();
        assert_eq!(proof.0[0].target_union, Some(TargetUnion::ModRevision(7)));
    }

    #[test]
    fn deletions_prove_theirs_together_with_the_proof_before() {
        let (mut first, mut second, mut third) = (Revision::new(7), Revision::new(8), Revision::new(9));
        put(&mut first, "b", 3, 0);
        second.delete("a".into());
        third.delete("b".into());
        let first = Proof::of(&first, &Proof::default()).unwrap();
        let both = Proof::of(&second, &first).unwrap();
        assert_eq!(keys(&both), [b"b", b"a"]);
        // The key that proved the first is gone: nothing tells a late first from none.
        assert_eq!(Proof::of(&third, &both), None);
        assert_eq!(keys(&Proof::of(&third, &Proof::default()).unwrap()), [b"b"]);
    }

    #[test]
    fn the_newest_step_whose_turn_it_is_is_done() {
        let revisions: Vec<Revision> = (7..10)
            .map(|number| {
                let mut revision = Revision::new(number);
                put(&mut revision, "a", number, 0);
                revision
            })
            .collect();
        let proofs: Vec<Proof> = revisions.iter().map(|one| Proof::of(one, &Proof::default()).unwrap()).collect();
        let none = Proof::default();
        let befores = [&none, &proofs[0], &proofs[1]];
        let steps =
            revisions.iter().zip(befores).map(|(revision, before)| Step { before, revision, deletions: vec![] });
        let outermost = txn(steps.collect()).unwrap();
        assert_eq!(outermost.compare, proofs[1].0);
        // 8 is there: 9 is done, at depth 0. Then 7 is there; then nothing is.
        let answer = |succeeded, inner: Option<TxnResponse>| TxnResponse {
            succeeded,
            responses: inner
                .into_iter()
                .map(|inner| ResponseOp { response: Some(Response::ResponseTxn(inner)) })
                .collect(),
            ..TxnResponse::default()
        };
        assert_eq!(done(&answer(true, Some(answer(true, None))), 3).unwrap().0, 0);
        assert_eq!(done(&answer(true, Some(answer(false, None))), 3), None);
        assert_eq!(done(&answer(false, Some(answer(true, Some(answer(true, None))))), 3).unwrap().0, 1);
        assert_eq!(done(&answer(false, Some(answer(false, Some(answer(true, None))))), 3).unwrap().0, 2);
        assert_eq!(done(&answer(false, Some(answer(false, Some(answer(false, None))))), 3), None);
        assert_eq!(done(&answer(true, None), 1).unwrap().0, 0);
    }
}
