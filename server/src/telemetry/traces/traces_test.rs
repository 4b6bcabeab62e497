use std::sync::Arc;

use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanId, TraceId};
use parking_lot::Mutex;

use super::*;

/// Keeps what is exported.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().extend(batch);
        Ok(())
    }
}

const PATH: &str = "/etcdserverpb.KV/Put";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traces(rate_per_million: u32) -> (Traces, Kept) {
    let kept = Kept::default();
    let provider =
        SdkTracerProvider::builder().with_simple_exporter(kept.clone()).with_sampler(sampler(rate_per_million)).build();
    (Traces::of(provider), kept)
}

/// `flags`: 01 if the caller records the trace. Empty: there is no header.
fn headers(flags: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !flags.is_empty() {
        headers.insert("traceparent", format!("00-{TRACE}-{PARENT}-{flags}").parse().unwrap());
    }
    headers
}

#[test]
fn what_the_caller_decided_holds_and_the_rate_decides_for_the_others() {
    for (rate, flags, exported) in
        [(0, "", 0), (1_000_000, "", 1), (0, "01", 1), (1_000_000, "01", 1), (1_000_000, "00", 0), (0, "zz", 0)]
    {
        let (traces, kept) = traces(rate);
        traces.call(PATH, &headers(flags)).end(Code::Ok);
        assert_eq!(kept.0.lock().len(), exported, "{rate} {flags}");
    }
}

#[test]
fn a_call_is_a_part_of_its_callers_trace() {
    let (traces, kept) = traces(0);
    traces.call(PATH, &headers("01")).end(Code::Ok);
    let spans = kept.0.lock();
    assert_eq!(spans[0].name, "etcdserverpb.KV/Put");
    assert_eq!(spans[0].span_kind, SpanKind::Server);
    assert_eq!(spans[0].span_context.trace_id(), TraceId::from_hex(TRACE).unwrap());
    assert_eq!(spans[0].parent_span_id, SpanId::from_hex(PARENT).unwrap());
}

#[test]
fn the_servers_failures_are_errors_and_the_callers_are_not() {
    for (code, name, is_error) in
        [(Code::Ok, "OK", false), (Code::NotFound, "NOT_FOUND", false), (Code::Unavailable, "UNAVAILABLE", true)]
    {
        let (traces, kept) = traces(1_000_000);
        traces.call(PATH, &headers("")).end(code);
        let spans = kept.0.lock();
        assert_eq!(matches!(spans[0].status, Status::Error { .. }), is_error, "{name}");
        assert!(spans[0].attributes.contains(&KeyValue::new("rpc.response.status_code", name)), "{name}");
    }
}

#[tokio::test]
async fn spans_within_a_call_are_below_it_and_there_are_none_elsewhere() {
    let (traces, kept) = traces(1_000_000);
    let call = traces.call(PATH, &headers(""));
    async {
        let span = within("propose", || vec![KeyValue::new("rev", 7)]);
        tokio::task::yield_now().await;
        drop(span);
    }
    .with_context(call.context())
    .await;
    assert!(within("elsewhere", || unreachable!("nobody asks for attributes")).is_none());
    call.end(Code::Ok);
    let spans = kept.0.lock();
    assert_eq!(spans.iter().map(|span| span.name.as_ref()).collect::<Vec<_>>(), ["propose", "etcdserverpb.KV/Put"]);
    assert_eq!(spans[0].parent_span_id, spans[1].span_context.span_id());
    assert_eq!(spans[0].span_context.trace_id(), spans[1].span_context.trace_id());
}

#[tokio::test]
async fn a_call_that_is_not_traced_has_no_spans_within() {
    let (traces, kept) = traces(0);
    let call = traces.call(PATH, &headers(""));
    let inner = async { within("propose", Vec::new).is_none() }.with_context(call.context()).await;
    call.end(Code::Ok);
    assert!(inner && kept.0.lock().is_empty());
}
